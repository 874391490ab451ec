//! Redis: streams in, streams and hashes out.

mod entry;
mod link;
mod sink;
mod source;

pub use entry::RedisEntry;
pub use sink::{RedisSink, RedisWriter};
pub use source::{RedisReader, RedisStreams};

/// The schemes of its URLs; the second is over TLS.
const SCHEMES: &[&str] = &["redis", "rediss"];
