//! State that outlives a process: what workers have saved, and what belongs together as a checkpoint.
//!
//! ```text
//! <workflow>/<run>/manifests/<checkpoint>.json                           one manifest makes a checkpoint complete
//! <workflow>/<run>/data/<attempt>/<checkpoint>/<vertex>-<index>[-<nth>]  what a worker has saved: sections
//! ```
//!
//! Whatever is written appears whole or not at all. Objects are written first, their manifest last; manifests are
//! deleted first, objects that no manifest names last. So whatever a manifest says is there.

mod checkpoints;
mod checksum;
mod lines;
mod location;
mod manifest;
mod names;
mod retention;
mod snapshot;
mod spool;
mod store;

pub use checkpoints::{Run, Verified, new_run, runs, verify};
pub use location::absolute_url;
#[cfg(test)]
pub use location::replace_in_memory;
#[cfg(any(test, fuzzing))]
pub use manifest::with_sum;
pub use manifest::{Manifest, SavedObject, SavedVertex, SavedWorker};
pub use names::path_name;
#[cfg(test)]
pub use snapshot::verify_object;
pub use snapshot::{Section, SnapshotWriter, read_section};
#[cfg(any(test, fuzzing))]
pub use snapshot::{contents, with_sums};
pub use spool::spool;
pub use store::{Store, StoreError};

/// State that cannot be saved, or what was saved and cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The store fails, or something is not there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Somebody else has completed a checkpoint of this number: another master goes on with this run.
    #[error("checkpoint {0} is there already: another master goes on with this run")]
    Exists(u64),
    /// These are not the bytes that were written.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// What they should be.
        what: String,
        /// What is wrong with them.
        why: String,
    },
    /// It was written by a later version of Skitter.
    #[error("{what} has format {format}, and this program knows {known}: use a newer Skitter")]
    Newer {
        /// What it is.
        what: String,
        /// The format that it has.
        format: u64,
        /// The newest format that this program knows.
        known: u64,
    },
    /// Another node, through which the store is reached, says that it fails.
    #[error("{0}")]
    Elsewhere(String),
    /// What was to be stored could not be written down.
    #[error("a snapshot cannot be written: {0}")]
    Written(String),
    /// What was read is too large for memory, and cannot be put aside.
    #[error("what a checkpoint has cannot be put into a file: {0}; TMPDIR may name another place for it")]
    Spool(std::io::Error),
    /// The system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
}

impl StateError {
    fn damaged(what: impl Into<String>, why: impl Into<String>) -> StateError {
        StateError::Damaged { what: what.into(), why: why.into() }
    }
}
