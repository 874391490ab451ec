//! What a node of a cluster is set up with.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::id::{NodeName, Tag};
use crate::net::{Cookie, Credentials, Fingerprint, Transport};
use crate::runtime;
use crate::workflow::{Result, Workflow};

/// What a master or a worker node is set up with.
#[derive(Clone)]
pub struct NodeSettings {
    /// Its name; the host is what others reach it by.
    pub name: NodeName,
    /// Its properties, for strategies that ask for them.
    pub tags: Vec<Tag>,
    /// Where it listens; at port 0, on one that is free.
    pub listen: SocketAddr,
    /// The port of the host's port mapper.
    pub mapper_port: u16,
    /// The secret of the cluster.
    pub cookie: Cookie,
    /// What tells this program from another build of it.
    pub build: Fingerprint,
    /// How its part of deployments runs.
    pub runtime: runtime::Settings,
    /// How it reaches others.
    pub transport: Arc<dyn Transport>,
    /// What it has TLS with, over that; none for a cluster without TLS.
    pub credentials: Option<Credentials>,
}

impl fmt::Debug for NodeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeSettings").field("name", &self.name).field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// The workflows of a program, which all nodes of a cluster build for themselves: only names, arguments and plans
/// travel.
pub trait Catalog: Send + Sync {
    /// Builds a workflow by its name and arguments.
    ///
    /// # Errors
    /// When there is no such workflow, or it cannot be built of these arguments.
    fn build(&self, name: &str, arguments: &[String]) -> Result<Workflow>;
}
