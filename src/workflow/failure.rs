//! What goes wrong in a worker.

use serde::{Deserialize, Serialize};

use super::Error;
use crate::id::VertexId;

/// A failure in a worker, and the vertex whose operation it happened in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The vertex.
    pub vertex: VertexId,
    /// What happened.
    pub error: Error,
}
