//! Kafka: the messages of a topic in, messages out.

mod cursor;
mod deal;
mod hash;
mod link;
mod message;
mod sink;
mod source;
mod trouble;

pub use link::KafkaLogin;
pub use message::KafkaMessage;
pub use sink::{KafkaSink, KafkaWriter};
pub use source::{KafkaReader, KafkaSource};

/// The schemes of its URLs; the second is over TLS.
const SCHEMES: &[&str] = &["kafka", "kafkas"];
