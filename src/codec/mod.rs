//! Records to bytes and back, stable hashes, fingerprints.
//!
//! What crosses a link between two nodes, and what is written into a snapshot, is a serde type in
//! [postcard](https://docs.rs/postcard); a batch of integers is written in fixed width instead, which is ten times as
//! fast. Decoding trusts nothing: it is bounded by the bytes that are there and fails with an error.

mod batch;
mod hash;

pub use batch::{CodecError, decode_batch, encode_batch};
pub use hash::{KEY_GROUPS, StableBuildHasher, StableHasher, key_group, stable_hash};

use serde::{Serialize, de::DeserializeOwned};

/// What can cross a link or be kept in a snapshot: any owned serde type that can be sent to another thread.
///
/// Implemented for all such types; derive `Serialize` and `Deserialize` and a type is a record.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between workers",
    note = "derive serde's `Serialize` and `Deserialize` for it"
)]
pub trait Record: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Record for T {}
