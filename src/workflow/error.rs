//! What can be wrong with a workflow.

use serde::{Deserialize, Serialize};

/// The result of building or running user code.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a workflow, or what went wrong in an operation of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The workflow has no vertex.
    #[error("the workflow has no vertex")]
    Empty,
    /// Two vertices, ports of one direction or nested workflows were given one name.
    #[error("two vertices, ports or nested workflows are named `{0}`; give each a name of its own")]
    DuplicateName(String),
    /// A vertex or a nested workflow was given an empty name.
    #[error("a vertex, port or nested workflow has an empty name; give it one that errors can name it by")]
    EmptyName,
    /// An in port has no link.
    #[error("in port `{port}` of vertex `{vertex}` is not linked")]
    UnlinkedInPort {
        /// The vertex.
        vertex: String,
        /// The port.
        port: String,
    },
    /// A stream was dropped before anything was put behind it.
    #[error("out port `{port}` of vertex `{vertex}` is not linked; put an operation behind it, or `.discard()` it")]
    UnlinkedOutPort {
        /// The vertex.
        vertex: String,
        /// The port.
        port: String,
    },
    /// Records would go in circles.
    #[error("the workflow has a cycle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// An operation or strategy refused its configuration.
    #[error("vertex `{vertex}`: {reason}")]
    Vertex {
        /// The vertex.
        vertex: String,
        /// What is wrong.
        reason: String,
    },
    /// A nested workflow has no such port, or one of another type.
    #[error("workflow `{workflow}` has no {wanted}{hint}")]
    NoSuchPort {
        /// The nested workflow.
        workflow: String,
        /// Direction, name and type of the port asked for.
        wanted: String,
        /// What there is instead.
        hint: String,
    },
    /// A workflow with open ports was deployed.
    #[error("port `{0}` of the workflow is open; link it, or nest the workflow in another one")]
    OpenPort(String),
    /// A strategy cannot be deployed on the cluster.
    #[error("{0}")]
    Deploy(String),
    /// Whoever reads what is printed has closed it, as `head` does: no failure for a program that is made to be piped.
    #[error("the output was closed by its reader")]
    OutputClosed,
    /// An operation failed.
    #[error("{0}")]
    Operation(String),
    /// An operation or a strategy panicked.
    #[error("panicked: {0}")]
    Panic(String),
    /// A deployment failed.
    #[error("vertex `{vertex}`, worker {worker} on `{node}`: {cause}")]
    Failed {
        /// The vertex.
        vertex: String,
        /// The number of the worker in its vertex.
        worker: u32,
        /// The node.
        node: String,
        /// What happened.
        cause: Box<Error>,
    },
    /// A deployment failed again and again.
    #[error(
        "{cause} (after {} restarts within {period} s; before that: {})", .before.len(), .before.join("; ")
    )]
    Restarts {
        /// The time within which it was started anew so often, in seconds.
        period: u64,
        /// Why it was started anew, the oldest first.
        before: Vec<String>,
        /// What happened in the end.
        cause: Box<Error>,
    },
    /// A deployment failed at its very end, of which no checkpoint knows. Some of its effects may be there already, so
    /// it is not started anew: they would be there twice.
    #[error("{cause} (at its end; its last checkpoint could not be stored, so what it has done may be incomplete)")]
    Unsaved {
        /// What happened.
        cause: Box<Error>,
    },
    /// A deployment was given up before it was complete.
    #[error("the deployment was aborted")]
    Aborted,
    /// A node of the cluster is gone, or cannot do its part.
    #[error("{0}")]
    Node(String),
    /// The system refused what the runtime needs, such as a thread.
    #[error("cannot start the runtime: {0}")]
    Runtime(String),
    /// What an operation works with outside has failed: a full disk, a receiver that is gone. No record is at fault, so
    /// the deployment fails even where records that fail are skipped.
    #[error("{0}")]
    Outside(String),
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::Outside(error.to_string())
    }
}

impl From<String> for Error {
    fn from(error: String) -> Error {
        Error::Operation(error)
    }
}

impl From<&str> for Error {
    fn from(error: &str) -> Error {
        Error::Operation(error.to_owned())
    }
}
