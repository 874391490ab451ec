//! Connectors beside the servers that they are for. Each test starts a server of its own, on a port of its own, and
//! kills it. Where a server is not installed its tests fail; `scripts/check` leaves them out there, and says so.

// Lets helper functions use what only tests may.
#![cfg(test)]

mod fault;
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod mqtt;
mod nats;
mod parquet;
mod postgres;
mod redis;
mod server;
