//! Who is where: how a recipe that is opened in a worker finds those that it sends to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dead_letters::DeadLetters;
use super::flow::{Flow, Mailbox, Way};
use super::pace::{Member, Paces};
use super::plan::Outline;
use super::worker::Inheritance;
use crate::id::{NodeId, VertexId, WorkerId};
use crate::workflow::{Alignment, Grown, Meter, Pacing, Post, Saved, Tolerance, Wiring, Workers};

/// All workers of a deployment and how to reach them.
pub struct Roster {
    pub outline: Arc<Outline>,
    pub ways: BTreeMap<VertexId, Vec<Way>>,
    /// The counters of each vertex, by worker.
    pub meters: Meters,
    /// What takes records that user code fails on, if they may.
    pub dead_letters: Option<Arc<DeadLetters>>,
    /// Sources that are to stay near each other.
    pub paces: Paces,
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
pub struct Meters {
    by_vertex: Arc<Mutex<BTreeMap<VertexId, Vec<(WorkerId, Arc<Meter>)>>>>,
    /// Records that the code of a vertex has failed on, by the worker that it ran in.
    failed: Arc<Mutex<BTreeMap<(VertexId, WorkerId), u64>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Meters {
    /// Forgets all.
    pub fn clear(&self) {
        locked(&self.by_vertex).clear();
        locked(&self.failed).clear();
    }

    /// Forgets all of these workers.
    pub fn forget(&self, is_one: impl Fn(&WorkerId) -> bool) {
        locked(&self.by_vertex).values_mut().for_each(|of| of.retain(|(worker, _)| !is_one(worker)));
        locked(&self.failed).retain(|(_, worker), _| !is_one(worker));
    }

    fn add(&self, vertex: VertexId, worker: WorkerId) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        locked(&self.by_vertex).entry(vertex).or_default().push((worker, Arc::clone(&meter)));
        meter
    }

    /// Takes in what a worker of another node has counted.
    pub fn set(&self, vertex: VertexId, worker: WorkerId, received: u64, emitted: u64) {
        let mut meters = locked(&self.by_vertex);
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
        let meters = locked(&self.by_vertex);
        let of = meters.get(&vertex).map_or(&[][..], Vec::as_slice);
        let mut read: Vec<_> = of.iter().map(|(worker, m)| (*worker, m.received(), m.emitted())).collect();
        read.sort_unstable();
        read
    }

    /// Counts a record that the code of a vertex has failed on.
    pub fn fail(&self, vertex: VertexId, worker: WorkerId) {
        *locked(&self.failed).entry((vertex, worker)).or_default() += 1;
    }

    /// Takes in how many records have failed in a worker of another node.
    pub fn set_failed(&self, vertex: VertexId, worker: WorkerId, failed: u64) {
        locked(&self.failed).insert((vertex, worker), failed);
    }

    /// All records that have failed.
    pub fn all_failed(&self) -> Vec<(VertexId, WorkerId, u64)> {
        locked(&self.failed).iter().map(|((vertex, worker), failed)| (*vertex, *worker, *failed)).collect()
    }

    /// How many records the code of a vertex has failed on.
    pub fn failed(&self, vertex: VertexId) -> u64 {
        self.all_failed().iter().filter(|(other, ..)| *other == vertex).map(|(.., failed)| failed).sum()
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
    /// The groups that it has joined.
    members: Vec<Arc<Member>>,
}

impl Wires {
    pub fn new(roster: Arc<Roster>, id: WorkerId, own: Mailbox, flow: Flow) -> Self {
        Wires { roster, id, own, flow, asked: BTreeMap::new(), members: Vec::new() }
    }

    /// The groups of sources that the worker has joined.
    pub fn into_members(self) -> Vec<Arc<Member>> {
        self.members
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

    fn tolerance(&self) -> Option<Arc<dyn Tolerance>> {
        self.roster.dead_letters.as_ref().map(|letters| letters.of(self.id))
    }

    fn pacing(&mut self, alignment: &Alignment) -> Option<Arc<dyn Pacing>> {
        let member = self.roster.paces.join(alignment);
        self.members.push(Arc::clone(&member));
        Some(member)
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
