//! Records to bytes and back, stable hashes, fingerprints.
//!
//! What crosses a link between two nodes, and what is written into a snapshot, is a serde type in
//! [postcard](https://docs.rs/postcard); a batch of integers is written in fixed width instead, which is ten times as
//! fast. Decoding trusts nothing: time, memory and depth are bounded by the bytes that are there, and what exceeds
//! them, or is no such type, is an error that names the record and the byte.

mod batch;
mod decode;
mod hash;
#[cfg(test)]
mod tests;
mod value;

pub use batch::{CodecError, FREE_MEMORY, MAX_EXPANSION, decode_batch, encode_batch, encoded_size};
pub use decode::{Fault, MAX_DEPTH};
pub use hash::{KEY_GROUPS, StableBuildHasher, StableHasher, key_group, stable_hash};
pub use value::{ValueError, decode, decode_next, encode};

use serde::{Serialize, de::DeserializeOwned};

/// What can cross a link or be kept in a snapshot: any owned serde type that can be sent to another thread.
///
/// Implemented for all such types; derive `Serialize` and `Deserialize` and a type is a record. Its values may be
/// nested [`MAX_DEPTH`] deep. Types that need bytes which describe themselves, such as untagged enums and
/// `serde_json::Value`, can be written and not be read.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can neither travel between workers nor be saved",
    note = "derive serde's `Serialize` and `Deserialize` for it"
)]
pub trait Record: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Record for T {}
