//! What a strategy sees of the cluster when it deploys, and what it answers: which workers, as what, where.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, Result};
use crate::id::{NodeId, Tag, VertexId};

/// What a worker is for its strategy; the strategy chooses the words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Role(Cow<'static, str>);

impl Role {
    /// The role of workers that are all alike.
    pub const WORKER: Role = Role(Cow::Borrowed(""));

    /// A role with a name.
    pub const fn new(name: &'static str) -> Role {
        Role(Cow::Borrowed(name))
    }

    /// The name; empty for [`Role::WORKER`].
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// A worker node, as a strategy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// The node.
    pub id: NodeId,
    /// Its name, as shown to users.
    pub name: String,
    /// How many workers of a vertex it can usefully run at once.
    pub cores: usize,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// A worker of a vertex: where it runs and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// The node that it runs on.
    pub node: NodeId,
    /// Its role.
    pub role: Role,
}

/// The workers of one vertex, in the order of their numbers. Cheap to clone.
pub type Workers = Arc<[WorkerInfo]>;

/// Vertices of a running deployment that have got further workers, each with all that it has now: the new ones are
/// last.
pub type Grown = BTreeMap<VertexId, Workers>;

/// Where a worker should stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the node that has the fewest workers of this vertex.
    Any,
    /// On this node.
    On(NodeId),
    /// On the node of the worker with this number.
    With(usize),
    /// On another node than the worker with this number, if there is one.
    Avoid(usize),
    /// On a node with this tag; on any, with a warning, if there is none.
    Tagged(Tag),
}

/// What a strategy says about the workers of its vertex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The workers, in the order of their numbers.
    pub workers: Vec<WorkerInfo>,
    /// What could not be done as wished, for the log.
    pub warnings: Vec<String>,
}

impl Deployment {
    /// Adds the workers of another deployment behind these.
    #[must_use]
    pub fn and(mut self, other: Deployment) -> Deployment {
        self.workers.extend(other.workers);
        self.warnings.extend(other.warnings);
        self
    }

    /// The same workers in another role.
    #[must_use]
    pub fn as_role(mut self, role: Role) -> Deployment {
        for worker in &mut self.workers {
            worker.role = role.clone();
        }
        self
    }
}

/// The worker nodes that a workflow is deployed on, and what the user wishes for the vertex at hand.
#[derive(Clone, Debug)]
pub struct Cluster {
    nodes: Arc<[NodeInfo]>,
    parallelism: Option<usize>,
}

impl Cluster {
    /// A cluster of these nodes.
    ///
    /// # Errors
    /// When there is no node, or when two are the same.
    pub fn new(nodes: Vec<NodeInfo>) -> Result<Cluster> {
        if nodes.is_empty() {
            return Err(Error::Deploy("there is no worker node to deploy on".to_owned()));
        }
        let mut ids: Vec<NodeId> = nodes.iter().map(|node| node.id).collect();
        ids.sort_unstable();
        if let Some([twice, _]) = ids.array_windows().find(|[a, b]| a == b) {
            return Err(Error::Deploy(format!("node {} is in the cluster twice", twice.number)));
        }
        Ok(Cluster { nodes: nodes.into(), parallelism: None })
    }

    /// A cluster of `nodes` nodes of `cores` cores each, for tests.
    ///
    /// # Panics
    /// When `nodes` is 0.
    pub fn simulated(nodes: usize, cores: usize) -> Cluster {
        assert!(nodes > 0, "a cluster has a node");
        let node = |number| NodeInfo {
            id: NodeId { number, incarnation: 0 },
            name: format!("node{number}"),
            cores,
            tags: Vec::new(),
        };
        Cluster { nodes: (0..nodes as u32).map(node).collect(), parallelism: None }
    }

    /// The same cluster, seen by a vertex whose user asked for this many workers.
    #[must_use]
    pub fn with_parallelism(&self, parallelism: Option<usize>) -> Cluster {
        Cluster { nodes: Arc::clone(&self.nodes), parallelism }
    }

    /// The nodes.
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// How many workers the user asked for with `.parallelism(n)`.
    pub fn parallelism(&self) -> Option<usize> {
        self.parallelism
    }

    /// One worker on each node.
    pub fn on_all_workers(&self) -> Deployment {
        self.n_times_on_all_workers(1)
    }

    /// As many workers on each node as it has cores; the user's parallelism, if given, spread over the nodes instead.
    pub fn on_all_worker_cores(&self) -> Deployment {
        self.on_cores(self.nodes.iter())
    }

    /// `n` workers on each node.
    pub fn n_times_on_all_workers(&self, n: usize) -> Deployment {
        let workers = self.nodes.iter().flat_map(|node| std::iter::repeat_n(worker(node), n)).collect();
        Deployment { workers, warnings: Vec::new() }
    }

    /// `n` workers in all, spread evenly over the nodes.
    pub fn on_n(&self, n: usize) -> Deployment {
        spread(n, self.nodes.iter())
    }

    /// A worker on each core of a node, as the built-in strategies that use all cores add when it joins; none if the
    /// user has said how many workers there are to be.
    pub fn on_cores_of(&self, node: &NodeInfo) -> Deployment {
        match self.parallelism {
            Some(_) => Deployment::default(),
            None => self.on_cores(std::iter::once(node)),
        }
    }

    /// One worker on each node that has the tag; on each node, with a warning, when none has it.
    pub fn on_tagged_workers(&self, tag: &Tag) -> Deployment {
        self.tagged(tag, |nodes| Deployment { workers: nodes.into_iter().map(worker).collect(), warnings: Vec::new() })
    }

    /// A worker on each core of each node that has the tag, or the user's parallelism, if given, spread over these
    /// nodes; over all nodes, with a warning, when none has the tag.
    pub fn on_tagged_worker_cores(&self, tag: &Tag) -> Deployment {
        self.tagged(tag, |nodes| self.on_cores(nodes.into_iter()))
    }

    /// A worker for each wish, in that order.
    ///
    /// # Errors
    /// When a wish names a node that is not in the cluster, or a worker that is not before it.
    pub fn place(&self, places: &[(Role, Place)]) -> Result<Deployment> {
        let mut deployment = Deployment::default();
        for (role, place) in places {
            let before = |n: usize| {
                deployment.workers.get(n).map(|worker: &WorkerInfo| worker.node).ok_or_else(|| {
                    Error::Deploy(format!("placement refers to worker {n}, which is not placed before it"))
                })
            };
            let node = match place {
                Place::Any => self.emptiest(&deployment, |_| true),
                Place::On(id) if self.nodes.iter().any(|node| node.id == *id) => Some(*id),
                Place::On(id) => {
                    return Err(Error::Deploy(format!("placement on node {}, which is not there", id.number)));
                }
                Place::With(n) => Some(before(*n)?),
                Place::Avoid(n) => {
                    let avoided = before(*n)?;
                    self.emptiest(&deployment, |node| node.id != avoided)
                        .or_else(|| self.emptiest(&deployment, |_| true))
                }
                Place::Tagged(tag) => {
                    let tagged = self.emptiest(&deployment, |node| node.tags.contains(tag));
                    if tagged.is_none() {
                        deployment.warnings.push(no_node_tagged(tag));
                    }
                    tagged.or_else(|| self.emptiest(&deployment, |_| true))
                }
            };
            if let Some(node) = node {
                deployment.workers.push(WorkerInfo { node, role: role.clone() });
            }
        }
        Ok(deployment)
    }

    fn on_cores<'a>(&self, nodes: impl Iterator<Item = &'a NodeInfo> + Clone) -> Deployment {
        match self.parallelism {
            Some(n) => spread(n, nodes),
            None => {
                let workers = nodes.flat_map(|node| std::iter::repeat_n(worker(node), node.cores.max(1))).collect();
                Deployment { workers, warnings: Vec::new() }
            }
        }
    }

    fn emptiest(&self, deployment: &Deployment, fits: impl Fn(&NodeInfo) -> bool) -> Option<NodeId> {
        let load = |node: &NodeInfo| deployment.workers.iter().filter(|worker| worker.node == node.id).count();
        self.nodes.iter().filter(|node| fits(node)).min_by_key(|node| load(node)).map(|node| node.id)
    }

    fn tagged(&self, tag: &Tag, on: impl Fn(Vec<&NodeInfo>) -> Deployment) -> Deployment {
        let tagged: Vec<&NodeInfo> = self.nodes.iter().filter(|node| node.tags.contains(tag)).collect();
        if !tagged.is_empty() {
            return on(tagged);
        }
        let mut deployment = on(self.nodes.iter().collect());
        deployment.warnings.push(no_node_tagged(tag));
        deployment
    }
}

fn no_node_tagged(tag: &Tag) -> String {
    format!("no worker node has the tag `{tag}`; using any node")
}

fn worker(node: &NodeInfo) -> WorkerInfo {
    WorkerInfo { node: node.id, role: Role::WORKER }
}

fn spread<'a>(n: usize, nodes: impl Iterator<Item = &'a NodeInfo> + Clone) -> Deployment {
    Deployment { workers: nodes.cycle().take(n).map(worker).collect(), warnings: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(deployment: &Deployment) -> Vec<u32> {
        deployment.workers.iter().map(|worker| worker.node.number).collect()
    }

    fn gpu() -> Tag {
        Tag::new("gpu").expect("a tag")
    }

    #[test]
    fn workers_are_counted_out_over_nodes() {
        let cluster = Cluster::simulated(3, 2);
        assert_eq!(numbers(&cluster.on_all_workers()), [0, 1, 2]);
        assert_eq!(numbers(&cluster.on_all_worker_cores()), [0, 0, 1, 1, 2, 2]);
        assert_eq!(numbers(&cluster.n_times_on_all_workers(3)).len(), 9);
        assert_eq!(numbers(&cluster.on_n(4)), [0, 1, 2, 0]);
        assert_eq!(numbers(&cluster.with_parallelism(Some(1)).on_all_worker_cores()), [0]);
        assert_eq!(numbers(&cluster.on_cores_of(&cluster.nodes()[1])), [1, 1]);
        assert!(cluster.with_parallelism(Some(1)).on_cores_of(&cluster.nodes()[1]).workers.is_empty());
    }

    #[test]
    fn a_missing_tag_is_named_in_the_warning() {
        let cluster = Cluster::simulated(2, 2);
        let deployment = cluster.on_tagged_worker_cores(&gpu());
        assert_eq!(numbers(&deployment), [0, 0, 1, 1]);
        assert!(deployment.warnings[0].contains("`gpu`"));
    }

    #[test]
    fn places_follow_each_other() {
        let mut nodes = Cluster::simulated(3, 2).nodes().to_vec();
        nodes[2].tags.push(gpu());
        let cluster = Cluster::new(nodes).expect("nodes");
        let role = Role::new("half");
        let places = [
            (role.clone(), Place::Tagged(gpu())),
            (role.clone(), Place::With(0)),
            (role.clone(), Place::Avoid(0)),
            (role, Place::Any),
        ];
        let deployment = cluster.place(&places).expect("placeable");
        assert_eq!(numbers(&deployment), [2, 2, 0, 1]);
        assert!(cluster.place(&[(Role::WORKER, Place::With(0))]).is_err());
        assert!(cluster.place(&[(Role::WORKER, Place::On(NodeId { number: 9, incarnation: 0 }))]).is_err());
    }
}
