//! Sources and sinks of other systems, each behind a feature of the package: who has no use of one builds nothing of
//! it.
//!
//! | feature | sources | sinks |
//! |---|---|---|
#![cfg_attr(feature = "http", doc = "| `http` | [`HttpSource`] | [`HttpSink`] |")]
#![cfg_attr(feature = "kafka", doc = "| `kafka` | [`KafkaSource`] | [`KafkaSink`] |")]
#![cfg_attr(feature = "mqtt", doc = "| `mqtt` | [`MqttSource`] | [`MqttSink`] |")]
#![cfg_attr(feature = "nats", doc = "| `nats` | [`NatsStream`] | [`NatsSink`] |")]
#![cfg_attr(feature = "postgres", doc = "| `postgres` | [`PostgresQuery`] | [`PostgresSink`] |")]
#![cfg_attr(feature = "redis", doc = "| `redis` | [`RedisStreams`] | [`RedisSink`] |")]
//!
//! `connectors` is all of them but Kafka. What each promises when something fails is said where it is defined, and in
//! the table of the README.
//!
//! - **Addresses** are URLs. `${NAME}` in one stands for a variable of the environment of the node that connects, so
//!   that a password need not be in a program, in its arguments, or in what the master tells its workers:
//!   `redis://app:${REDIS_PASSWORD}@db.example.org`. A password is in no message, however it got there.
//! - **Servers that are away** are waited for: at the start for 10 s, for programs that are started together; later for
//!   a minute, or as long as `patience` says. Behind that the deployment fails, and is
//!   started anew from its last checkpoint like any other one.

#[cfg(any(feature = "postgres", feature = "redis"))]
mod batches;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod columns;
#[cfg(any(feature = "kafka", feature = "mqtt", feature = "nats", feature = "postgres"))]
mod driver;
#[cfg(any(feature = "http", feature = "kafka", feature = "mqtt", feature = "nats"))]
mod payload;
#[cfg(any(feature = "http", feature = "mqtt"))]
mod receipts;
mod retry;
#[cfg(any(feature = "http", feature = "kafka", feature = "mqtt", feature = "nats"))]
mod sending;
mod server;
#[cfg(any(feature = "kafka", feature = "mqtt", feature = "postgres"))]
mod tls;

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "mqtt")]
mod mqtt;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "http")]
pub use http::{HttpSink, HttpSource, HttpWriter};
#[cfg(feature = "kafka")]
pub use kafka::{KafkaLogin, KafkaMessage, KafkaReader, KafkaSink, KafkaSource, KafkaWriter};
#[cfg(feature = "mqtt")]
pub use mqtt::{MqttMessage, MqttSink, MqttSource, MqttWriter};
#[cfg(feature = "nats")]
pub use nats::{NatsMessage, NatsReader, NatsSink, NatsStream, NatsWriter};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresQuery, PostgresReader, PostgresSink, PostgresWriter};
#[cfg(any(feature = "http", feature = "mqtt"))]
pub use receipts::{Delivery, Receipts};
#[cfg(feature = "redis")]
pub use redis::{RedisEntry, RedisReader, RedisSink, RedisStreams, RedisWriter};
