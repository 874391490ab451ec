//! What master and workers tell each other, over the control connection between them.
//!
//! The version of these messages is that of the build, which both sides have compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::vault;
use crate::id::{DeploymentId, NodeId, NodeName, VertexId};
use crate::runtime::{Keeping, OnError, Order, Report};
use crate::workflow::{VertexInfo, WorkerInfo, Workflow};

/// What a master tells a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Take part in a deployment.
    Prepare(Box<Blueprint>),
    /// A node may join a deployment.
    Meet(DeploymentId, Box<Neighbour>),
    /// Do this in a deployment.
    Order(DeploymentId, Order),
    /// An answer about checkpoints.
    Vault { id: u64, answer: vault::Answer },
    /// The master goes on without it: wait for another one.
    Release,
    /// The master stops in order.
    Shutdown,
}

/// What a worker tells its master.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToMaster {
    /// What has happened in deployments, in order.
    Reports(Vec<(DeploymentId, Report)>),
    /// It asks about checkpoints.
    Vault { deployment: DeploymentId, id: u64, ask: vault::Ask },
    /// It stops in order.
    Leaving,
}

/// All that a node needs to take part in a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Blueprint {
    /// The number by which the parts of an attempt of a region know each other.
    pub deployment: DeploymentId,
    /// The number that users know the deployment by.
    pub known_as: DeploymentId,
    /// The workflow.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// [`Workflow::fingerprint`](crate::workflow::Workflow::fingerprint) of the master's.
    pub fingerprint: u64,
    /// The vertices of the master's, in words, to tell what differs where the fingerprints do.
    pub vertices: Vec<String>,
    /// The node that is told.
    pub node: NodeId,
    /// The workers of each vertex, by number.
    pub workers: BTreeMap<VertexId, Vec<WorkerInfo>>,
    /// The vertices of the region that is meant.
    pub region: BTreeSet<VertexId>,
    /// All nodes of the deployment.
    pub nodes: Vec<Neighbour>,
    /// Where its checkpoints are kept, if any are taken.
    pub keeping: Option<Keeping>,
    /// What follows when user code fails on a record.
    pub on_error: OnError,
}

/// A node of a deployment, for the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its number.
    pub id: NodeId,
    /// Its name.
    pub name: NodeName,
    /// Which life of it.
    pub incarnation: u64,
    /// By what it may be reached, the best first.
    pub hosts: Vec<String>,
    /// Where it listens.
    pub port: u16,
}

/// The vertices of a workflow, in words, in their order.
pub fn vertices(workflow: &Workflow) -> Vec<String> {
    let words = |info: &VertexInfo| format!("`{}` ({}, {})", info.name, info.operation, info.strategy);
    workflow.vertices().iter().map(words).collect()
}

/// What is different here from what the master has, of two workflows that are not the same.
pub fn difference(here: &[String], master: &[String]) -> String {
    let first = here.iter().zip(master).enumerate().find(|(_, (here, master))| here != master);
    match first {
        Some((number, (here, master))) => format!("vertex {number} is {here} here and {master} on the master"),
        None if here.len() != master.len() => {
            format!("it has {} vertices here and {} on the master", here.len(), master.len())
        }
        None => "its links, or the types of its records, differ".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told() {
        let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let of = |here: &[&str], master: &[&str]| difference(&texts(here), &texts(master));
        assert_eq!(of(&["a", "b", "c"], &["a", "x", "y"]), "vertex 1 is b here and x on the master");
        assert_eq!(of(&["a"], &["a", "b"]), "it has 1 vertices here and 2 on the master");
        assert_eq!(of(&["a"], &["a"]), "its links, or the types of its records, differ");
    }
}
