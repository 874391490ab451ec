//! What a node of a cluster ends with.

use crate::net::Refusal;
use crate::workflow::Error;

/// Why a node has ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeFailure {
    /// It cannot start.
    #[error("cannot start: {0}")]
    Start(String),
    /// It cannot start, because another node of its host has its name.
    #[error("cannot start: {0}")]
    NameTaken(String),
    /// Nodes that a master needs cannot be reached, or refuse; each by the address that was given.
    #[error("{}", unreachable(.0))]
    Unreachable(Vec<(String, Refusal)>),
    /// A workflow cannot be deployed, or has failed.
    #[error("workflow `{name}`: {source}")]
    Deployment {
        /// Its name.
        name: String,
        /// What happened.
        source: Box<Error>,
    },
    /// The master of a worker went away without a word.
    #[error("the master is gone")]
    MasterLost,
    /// A worker of a master went away that is to stop with it.
    #[error("a worker is gone")]
    WorkersLost,
}

fn unreachable(refusals: &[(String, Refusal)]) -> String {
    let lines = refusals
        .iter()
        .map(|(address, refusal)| format!("could not connect to `{address}`: {}: {}", refusal.reason, refusal.detail));
    lines.collect::<Vec<_>>().join("\n")
}
