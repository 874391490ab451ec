//! NATS: the messages of a stream of JetStream in, messages out.

mod link;
mod sink;
mod source;

pub use sink::{NatsSink, NatsWriter};
pub use source::{NatsMessage, NatsReader, NatsStream};

/// The schemes of its URLs; the second is over TLS.
const SCHEMES: &[&str] = &["nats", "tls"];
