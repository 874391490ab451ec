//! What master and workers tell each other, over the control connection between them.
//!
//! The version of these messages is that of the build, which both sides have compared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{DeploymentId, NodeId, NodeName, VertexId};
use crate::runtime::{Order, Report};
use crate::workflow::WorkerInfo;

/// What a master tells a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Take part in a deployment.
    Prepare(Box<Blueprint>),
    /// Do this in a deployment.
    Order(DeploymentId, Order),
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
    /// It stops in order.
    Leaving,
}

/// All that a node needs to take part in a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Blueprint {
    /// The number that the master has given the deployment.
    pub deployment: DeploymentId,
    /// The workflow.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// [`Workflow::fingerprint`](crate::workflow::Workflow::fingerprint) of the master's.
    pub fingerprint: u64,
    /// The node that is told.
    pub node: NodeId,
    /// The workers of each vertex, by number.
    pub workers: BTreeMap<VertexId, Vec<WorkerInfo>>,
    /// All nodes of the deployment.
    pub nodes: Vec<Neighbour>,
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
