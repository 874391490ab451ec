//! Which nodes a node exchanges batches with, and over which links. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::Outline;
use super::wire::{Header, Kind};
use crate::id::{NodeId, VertexId, WorkerId};
use crate::workflow::Workers;

/// The nodes that a node exchanges batches with.
#[derive(Debug)]
pub struct Neighbours {
    nodes: BTreeSet<NodeId>,
    workers: BTreeMap<VertexId, Workers>,
    /// The vertices that workers of each vertex send to, and how many links each of them has.
    links: BTreeMap<VertexId, (BTreeSet<VertexId>, u32)>,
    /// Vertices whose workers send to each other.
    peers: BTreeSet<VertexId>,
}

impl Neighbours {
    /// Those of a node in a plan.
    pub fn of(node: NodeId, outline: &Outline) -> Neighbours {
        let (workers, peers) = (outline.workers.clone(), outline.peers.clone());
        let count = |vertex: &VertexId| workers.get(vertex).map_or(0, |workers| workers.len() as u32);
        let (mut links, mut nodes) = (BTreeMap::new(), BTreeSet::new());
        for (vertex, receivers) in &outline.links {
            let mut to: Vec<VertexId> = receivers.clone();
            if peers.contains(vertex) {
                to.push(*vertex);
            }
            let stand = |vertex: &VertexId| -> BTreeSet<NodeId> {
                workers.get(vertex).map_or_else(BTreeSet::new, |all| all.iter().map(|worker| worker.node).collect())
            };
            let senders = stand(vertex);
            let receivers: BTreeSet<NodeId> = to.iter().flat_map(&stand).collect();
            if senders.contains(&node) {
                nodes.extend(&receivers);
            }
            if receivers.contains(&node) {
                nodes.extend(&senders);
            }
            links.insert(*vertex, (to.iter().copied().collect(), to.iter().map(&count).sum()));
        }
        nodes.remove(&node);
        Neighbours { nodes, workers, links, peers }
    }

    /// The nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().copied()
    }

    /// Tells which links workers of the node with this number have; none if it is no neighbour.
    pub fn links_from(&self, number: u32) -> Option<Box<dyn Fn(Header) -> bool + Send>> {
        let node = self.nodes().find(|node| node.number == number)?;
        let (workers, links, peers) = (self.workers.clone(), self.links.clone(), self.peers.clone());
        let stands = move |id: WorkerId| {
            workers.get(&id.vertex).and_then(|all| all.get(id.index as usize)).is_some_and(|info| info.node == node)
        };
        Some(Box::new(move |header| {
            let Header { kind, to, from, link } = header;
            let Some((receivers, count)) = links.get(&from.vertex) else { return false };
            let is_peer = from.vertex == to.vertex;
            let fits = match kind {
                Kind::Batch | Kind::Watermark | Kind::End => !is_peer,
                Kind::PeerBatch => is_peer && peers.contains(&to.vertex),
                Kind::Barrier => !is_peer || peers.contains(&to.vertex),
                Kind::Credit => false,
            };
            fits && stands(from) && receivers.contains(&to.vertex) && link < *count
        }))
    }
}
