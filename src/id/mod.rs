//! Names and numbers of the things that a running system is made of, and their text form.
//!
//! A *node* is a running Skitter process, a *vertex* one place in a workflow, a *worker* an actor that a strategy made
//! for a vertex, a *deployment* a workflow that runs. Ids are small, `Copy` where they can be, and serde types, because
//! they travel in plans.

mod node;
mod part;
mod tag;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use node::{InvalidAddress, InvalidName, MAX_HOST, MAX_NAME, NodeAddress, NodeId, NodeName};
pub use part::Part;
pub use tag::{InvalidTag, Tag};

/// One place in a workflow: the position of an operation and its strategy, numbered in the order of building.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VertexId(pub u32);

/// A workflow that runs on a node or a cluster, numbered by the runtime that deployed it, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeploymentId(pub u32);

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A worker: the vertex it works for and its number among the workers of that vertex, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId {
    /// The vertex.
    pub vertex: VertexId,
    /// The number of the worker in its vertex.
    pub index: u32,
}
