//! What a site does when another one joins: that connects to it, and its workers learn of those there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lines::Awaits;
use super::{Note, State};
use crate::actor::ActorRef;
use crate::id::{NodeId, VertexId, WorkerId};
use crate::runtime::flow::Way;
use crate::runtime::growth::Growth;
use crate::runtime::neighbours::Neighbours;
use crate::runtime::plan::Outline;
use crate::runtime::wiring::Joined;
use crate::runtime::worker::{Message, own_channel};

/// What will be when a node has joined.
pub(super) struct Joining {
    growth: Growth,
    outline: Arc<Outline>,
    neighbours: Neighbours,
}

impl State {
    /// The nodes that connections are there with, or are to be.
    pub(super) fn neighbours(&self) -> &Neighbours {
        self.joining.as_ref().map_or(&self.neighbours, |joining| &joining.neighbours)
    }

    /// Connects to the node that joins; if this is it, with all others.
    pub(super) fn meet(&mut self, own: &ActorRef<Note>, growth: Growth) {
        let joined = growth.node;
        if joined != self.node {
            let outline = Arc::new(self.outline.grown(&growth));
            let neighbours = Neighbours::of(self.node, &outline);
            self.joining = Some(Joining { growth, outline, neighbours });
        }
        self.connect(own, Awaits::Joined(joined));
    }

    /// Asks workers here to wait for further ends. Those that join know of each other.
    pub(super) fn expect(&self, joined: NodeId, ends: &BTreeMap<VertexId, u32>) {
        for (id, mailbox) in self.workers.iter().filter(|_| joined != self.node) {
            if let Some(ends) = ends.get(&id.vertex) {
                mailbox.send(Message::Expect { joined, ends: *ends });
            }
        }
    }

    /// The node has joined.
    pub(super) fn welcome(&mut self, own: &ActorRef<Note>, node: NodeId) {
        if node == self.node {
            self.order(|_| true, || Message::Start);
            return Self::watch_later(own);
        }
        let Some(Joining { growth, outline, neighbours }) = self.joining.take() else { return };
        let before = std::mem::replace(&mut self.outline, outline);
        self.neighbours = neighbours;
        let mut ways: BTreeMap<VertexId, Vec<Way>> = BTreeMap::new();
        if let Some(connection) = self.connections.get(&node.number) {
            Self::watch_later(own);
            for id in growth.ids(|vertex| before.workers.get(&vertex).map_or(0, |workers| workers.len())) {
                ways.entry(id.vertex).or_default().push(Way::There(Arc::clone(connection), id));
            }
        }
        let grown = growth.workers.keys().filter_map(|vertex| self.outline.workers.get_key_value(vertex));
        let grown = grown.map(|(vertex, workers)| (*vertex, Arc::clone(workers))).collect();
        let joined = Arc::new(Joined { node, grown, ways });
        let links = &self.outline.links;
        self.order(|vertex| growth.concerns(links, vertex), || Message::Joined(Arc::clone(&joined)));
    }

    /// A worker, if it is here, need not wait for so many ends.
    pub(super) fn release(&self, worker: WorkerId, ends: u32) {
        if let Some(mailbox) = self.workers.get(&worker) {
            // As if they came from the worker itself, which no barrier does.
            (0..ends).for_each(|_| mailbox.send(Message::End { from: own_channel(worker) }));
        }
    }

    /// The node does not join.
    pub(super) fn dismiss(&mut self, node: NodeId) {
        if self.joining.take_if(|joining| joining.growth.node == node).is_none() {
            return;
        }
        self.awaits = None;
        if let Some(connection) = self.connections.remove(&node.number) {
            connection.close();
        }
    }
}
