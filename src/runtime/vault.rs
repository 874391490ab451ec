//! How a node reaches the checkpoints of a deployment: the store itself, or through the master, where a directory is
//! that other hosts do not see.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::keeper::Origin;
use crate::id::WorkerId;
use crate::net::BoxFuture;
use crate::state::{Manifest, Run, SavedObject, StateError};

/// Reaches the checkpoints of one deployment through another node.
pub trait Courier: Send + Sync {
    /// Stores an object of what a worker has saved, where [`Run::object_path`] says.
    fn put(&self, of: ObjectOf, pieces: Vec<Bytes>) -> BoxFuture<'static, Result<(), String>>;
    /// The manifest of the checkpoint that the deployment goes on at.
    fn manifest(&self) -> BoxFuture<'static, Result<Bytes, String>>;
    /// An object of that checkpoint, by its number in the manifest, and how long it is.
    fn object(&self, number: usize, length: u64) -> BoxFuture<'static, Result<Bytes, String>>;
}

/// Which object of what is saved: whose, for which checkpoint, and which number it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectOf {
    pub checkpoint: u64,
    pub worker: WorkerId,
    pub number: u32,
}

/// The way to the checkpoints of a deployment.
#[derive(Clone)]
pub enum Vault {
    /// The store.
    Direct,
    /// Another node.
    Through(Arc<dyn Courier>),
}

impl Vault {
    /// Stores an object of what a worker has saved, at this path.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn put(&self, run: &Run, of: ObjectOf, path: &str, pieces: Vec<Bytes>) -> Result<(), StateError> {
        match self {
            Vault::Direct => Ok(run.store().put_pieces(path, pieces).await?),
            Vault::Through(courier) => courier.put(of, pieces).await.map_err(StateError::Elsewhere),
        }
    }

    /// The manifest of the checkpoint that a deployment goes on at.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn manifest(&self, run: &Run, origin: &Origin) -> Result<Manifest, StateError> {
        match self {
            Vault::Direct => run.manifest(origin.checkpoint).await,
            Vault::Through(courier) => {
                let bytes = courier.manifest().await.map_err(StateError::Elsewhere)?;
                Manifest::from_bytes(&bytes)
            }
        }
    }

    /// An object that its manifest names.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn object(&self, run: &Run, number: usize, object: &SavedObject) -> Result<Bytes, StateError> {
        match self {
            // What is longer is not what was written.
            Vault::Direct => Ok(run.store().get_at_most(&object.path, object.length).await?),
            Vault::Through(courier) => courier.object(number, object.length).await.map_err(StateError::Elsewhere),
        }
    }
}
