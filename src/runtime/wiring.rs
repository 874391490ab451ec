//! Who is where: how a recipe that is opened in a worker finds those that it sends to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::flow::{Flow, Mailbox, Way};
use super::plan::Outline;
use super::worker::Inheritance;
use crate::id::{NodeId, VertexId, WorkerId};
use crate::workflow::{Grown, Meter, Post, Saved, Wiring, Workers};

/// All workers of a deployment and how to reach them.
pub struct Roster {
    pub outline: Arc<Outline>,
    pub ways: BTreeMap<VertexId, Vec<Way>>,
    /// The counters of each vertex, by worker.
    pub meters: Meters,
    /// What workers go on with, and since which checkpoint.
    pub inherited: Option<(u64, Arc<BTreeMap<WorkerId, Inheritance>>)>,
}

impl Roster {
    /// What a worker goes on with.
    pub fn inherited(&self, worker: WorkerId) -> Option<&Inheritance> {
        self.inherited.as_ref()?.1.get(&worker)
    }

    /// The checkpoint that workers go on at; 0 if they begin.
    pub fn checkpoint(&self) -> u64 {
        self.inherited.as_ref().map_or(0, |(checkpoint, _)| *checkpoint)
    }
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
    /// Forgets all.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

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
    /// How often each vertex has asked for what was saved.
    asked: BTreeMap<VertexId, u32>,
}

impl Wires {
    pub fn new(roster: Arc<Roster>, id: WorkerId, own: Mailbox, flow: Flow) -> Self {
        Wires { roster, id, own, flow, asked: BTreeMap::new() }
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

    fn saved(&mut self, vertex: VertexId) -> Option<Saved> {
        let inherited = self.roster.inherited(self.id)?;
        let asked = self.asked.entry(vertex).or_default();
        let nth = *asked;
        *asked += 1;
        // A vertex that was not there before begins.
        Some(Saved::new(inherited.parts.get(&vertex)?.clone(), nth))
    }
}
