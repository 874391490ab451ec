//! Workers that are added to a deployment when a node has joined. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::plan::{Links, Outline, workers_of};
use crate::actor;
use crate::id::{NodeId, VertexId, WorkerId};
use crate::workflow::{Cluster, Error, NodeInfo, WorkerInfo, Workflow};

/// Workers that are added to a deployment, all of them on a node that has no part in it yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// The node.
    pub node: NodeId,
    /// Those of each vertex that grows, at least one. They come behind those that it has.
    pub workers: BTreeMap<VertexId, Vec<WorkerInfo>>,
}

impl Growth {
    /// Asks the strategies of a deployment that runs. Also gives what is wrong with their answers, and their warnings;
    /// a vertex whose strategy does not answer as it should stays as it is, as does one of `ended`.
    pub fn plan(
        workflow: &Workflow,
        cluster: &Cluster,
        joined: &NodeInfo,
        outline: &Outline,
        ended: impl Fn(VertexId) -> bool,
    ) -> (Growth, Vec<String>) {
        let mut growth = Growth { node: joined.id, workers: BTreeMap::new() };
        let mut remarks = Vec::new();
        for (vertex, _, factory) in workflow.stages() {
            let info = outline.vertices.get(vertex.0 as usize);
            let (Some(info), Some(workers)) = (info, outline.workers.get(&vertex)) else { continue };
            if factory.peers() || ended(vertex) {
                continue;
            }
            let cluster = cluster.with_parallelism(info.parallelism);
            let answer = actor::catch(|| factory.on_node_joined(joined, &cluster, workers));
            let refused = match answer.unwrap_or_else(|message| Err(Error::Panic(message))) {
                Ok(deployment) if deployment.workers.iter().any(|worker| worker.node != joined.id) => {
                    format!("strategy `{}` adds workers on another node than the one that joined", info.strategy)
                }
                Ok(deployment) => {
                    remarks
                        .extend(deployment.warnings.iter().map(|warning| format!("vertex `{}`: {warning}", info.name)));
                    if !deployment.workers.is_empty() {
                        growth.workers.insert(vertex, deployment.workers);
                    }
                    continue;
                }
                Err(error) => error.to_string(),
            };
            remarks.push(format!("vertex `{}`: no worker is added: {refused}", info.name));
        }
        (growth, remarks)
    }

    /// The numbers of the workers, given how many each vertex has without them.
    pub fn ids(&self, before: impl Fn(VertexId) -> usize) -> Vec<WorkerId> {
        let of = |(vertex, added): (&VertexId, &Vec<WorkerInfo>)| {
            let before = before(*vertex);
            workers_of(*vertex, before + added.len()).skip(before)
        };
        self.workers.iter().flat_map(of).collect()
    }

    /// How many links a worker of a vertex has to each vertex that grows.
    pub fn links_from<'a>(&'a self, links: &'a Links, vertex: VertexId) -> impl Iterator<Item = VertexId> + 'a {
        let receivers = links.get(&vertex).map_or(&[][..], Vec::as_slice);
        receivers.iter().copied().filter(|to| self.workers.contains_key(to))
    }

    /// Whether workers of a vertex have to learn of the new ones: they send to them, or are their like.
    pub fn concerns(&self, links: &Links, vertex: VertexId) -> bool {
        self.workers.contains_key(&vertex) || self.links_from(links, vertex).next().is_some()
    }

    /// By vertex, how many further ends its workers have to wait for.
    pub fn ends(&self, links: &Links) -> BTreeMap<VertexId, u32> {
        let mut ends = BTreeMap::new();
        for (vertex, added) in &self.workers {
            for to in links.get(vertex).into_iter().flatten() {
                *ends.entry(*to).or_insert(0) += added.len() as u32;
            }
        }
        ends
    }
}

impl Outline {
    /// The same, with further workers.
    #[must_use]
    pub fn grown(&self, growth: &Growth) -> Outline {
        let mut grown = self.clone();
        for (vertex, added) in &growth.workers {
            if let Some(workers) = grown.workers.get_mut(vertex) {
                *workers = workers.iter().chain(added).cloned().collect::<Arc<_>>();
            }
        }
        grown
    }
}
