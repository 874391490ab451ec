//! Who is where: how a recipe that is opened in a worker finds those that it sends to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::flow::{Flow, Mailbox, Way};
use super::plan::Outline;
use crate::id::{NodeId, VertexId, WorkerId};
use crate::workflow::{Grown, Meter, Post, Wiring, Workers};

/// All workers of a deployment and how to reach them.
pub struct Roster {
    pub outline: Arc<Outline>,
    pub ways: BTreeMap<VertexId, Vec<Way>>,
    /// The counters of each vertex, by worker.
    pub meters: Meters,
}

/// Workers that have joined, for those that send to them.
pub struct Joined {
    /// The node that they are on.
    pub node: NodeId,
    pub grown: Grown,
    /// The ways to the new workers alone.
    pub ways: BTreeMap<VertexId, Vec<Way>>,
}

/// The counters of each vertex, by the worker that runs it.
#[derive(Clone, Default)]
pub struct Meters(Arc<Mutex<BTreeMap<VertexId, Vec<(WorkerId, Arc<Meter>)>>>>);

impl Meters {
    fn add(&self, vertex: VertexId, worker: WorkerId) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.entry(vertex).or_default().push((worker, Arc::clone(&meter)));
        meter
    }

    /// Takes in what a worker of another node has counted.
    pub fn set(&self, vertex: VertexId, worker: WorkerId, received: u64, emitted: u64) {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = meters.entry(vertex).or_default();
        let meter = match of.iter().position(|(other, _)| *other == worker) {
            Some(at) => Arc::clone(&of[at].1),
            None => {
                let meter = Arc::new(Meter::default());
                of.push((worker, Arc::clone(&meter)));
                meter
            }
        };
        drop(meters);
        meter.set(received, emitted);
    }

    /// What the workers of a vertex have received and emitted, in the order of their numbers.
    pub fn read(&self, vertex: VertexId) -> Vec<(WorkerId, u64, u64)> {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = meters.get(&vertex).map_or(&[][..], Vec::as_slice);
        let mut read: Vec<_> = of.iter().map(|(worker, m)| (*worker, m.received(), m.emitted())).collect();
        read.sort_unstable();
        read
    }
}

/// The wiring of one worker.
pub struct Wires {
    roster: Arc<Roster>,
    id: WorkerId,
    own: Mailbox,
    flow: Flow,
}

impl Wires {
    pub fn new(roster: Arc<Roster>, id: WorkerId, own: Mailbox, flow: Flow) -> Self {
        Wires { roster, id, own, flow }
    }
}

impl Wiring for Wires {
    fn node(&self) -> NodeId {
        self.roster.outline.worker(self.id).map_or(NodeId::LOCAL, |worker| worker.node)
    }

    fn index(&self) -> usize {
        self.id.index as usize
    }

    fn workers(&self, vertex: VertexId) -> Workers {
        self.roster.outline.workers.get(&vertex).map_or_else(|| Arc::from([]), Arc::clone)
    }

    fn post(&mut self, vertex: VertexId) -> Box<dyn Post> {
        let receivers = self.roster.ways.get(&vertex).map_or(&[][..], Vec::as_slice);
        self.flow.link(&self.own, vertex, receivers)
    }

    fn meter(&mut self, vertex: VertexId) -> Arc<Meter> {
        self.roster.meters.add(vertex, self.id)
    }
}
