//! The channels between simulated workers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::{NodeId, VertexId};
use crate::workflow::{Batch, Gate, Meter, Post, Wiring, Workers};

/// Batches that may be under way in a channel; a sender that has more for it is given nothing to do meanwhile. As many
/// as in the runtime.
pub(super) const CREDITS: usize = 4;

/// The way from one worker to another: first in, first out.
pub(super) struct Channel {
    /// Who sends, by its place in the engine; nobody if it is the thread of a source that listens.
    pub from: Option<usize>,
    /// Who receives, by its place in the engine.
    pub to: usize,
    /// Whether both are workers of one vertex.
    pub peers: bool,
    /// What is under way.
    pub batches: VecDeque<Box<dyn Batch>>,
    /// Empty batches to be filled again.
    pub spares: Vec<Box<dyn Batch>>,
    /// How many messages have been put in.
    pub posted: u64,
}

/// All channels. Shared with the posts, which are in the stages.
#[derive(Clone, Default)]
pub(super) struct Network(Arc<Mutex<Vec<Channel>>>);

impl Network {
    pub fn lock(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a channel to each of these workers; gives the number of the first.
    fn add(&self, from: Option<usize>, to: impl Iterator<Item = usize>, peers: bool) -> usize {
        let mut channels = self.lock();
        let first = channels.len();
        channels.extend(to.map(|to| Channel {
            from,
            to,
            peers,
            batches: VecDeque::new(),
            spares: Vec::new(),
            posted: 0,
        }));
        first
    }

    /// How many messages this worker has sent to its peers.
    pub fn posted_to_peers(&self, from: usize) -> u64 {
        self.lock()
            .iter()
            .filter(|channel| channel.peers && channel.from == Some(from))
            .map(|channel| channel.posted)
            .sum()
    }

    /// A way in for the thread of a source that listens.
    pub fn gate(&self, to: usize) -> Box<dyn Gate> {
        let first = self.add(None, std::iter::once(to), false);
        Box::new(Line { network: self.clone(), first })
    }
}

/// Some channels in a row.
struct Line {
    network: Network,
    first: usize,
}

impl Post for Line {
    fn post(&mut self, worker: usize, batch: Box<dyn Batch>) {
        let channel = &mut self.network.lock()[self.first + worker];
        channel.posted += batch.len() as u64;
        channel.batches.push_back(batch);
    }

    fn spare(&mut self, worker: usize) -> Option<Box<dyn Batch>> {
        self.network.lock()[self.first + worker].spares.pop()
    }

    fn load(&self, worker: usize) -> usize {
        self.network.lock()[self.first + worker].batches.len()
    }
}

impl Gate for Line {
    fn enter(&mut self, batch: Box<dyn Batch>) -> bool {
        self.post(0, batch);
        true
    }

    fn is_closed(&self) -> bool {
        false
    }
}

/// The workers of each vertex, and the place of the first of them in the engine.
pub(super) type Plan = BTreeMap<VertexId, (Workers, usize)>;

/// What a stage is told when it is opened.
pub(super) struct SimulatedWiring<'a> {
    pub network: &'a Network,
    pub plan: &'a Plan,
    pub meters: &'a mut BTreeMap<VertexId, Arc<Meter>>,
    /// The vertex, number, node and place in the engine of the worker that the stage is for.
    pub vertex: VertexId,
    pub index: usize,
    pub node: NodeId,
    pub place: usize,
}

impl Wiring for SimulatedWiring<'_> {
    fn node(&self) -> NodeId {
        self.node
    }

    fn index(&self) -> usize {
        self.index
    }

    fn workers(&self, vertex: VertexId) -> Workers {
        self.plan.get(&vertex).map(|(workers, _)| Arc::clone(workers)).unwrap_or_default()
    }

    fn post(&mut self, vertex: VertexId) -> Box<dyn Post> {
        let (count, first) = self.plan.get(&vertex).map(|(workers, first)| (workers.len(), *first)).unwrap_or_default();
        let first = self.network.add(Some(self.place), first..first + count, vertex == self.vertex);
        Box::new(Line { network: self.network.clone(), first })
    }

    fn meter(&mut self, vertex: VertexId) -> Arc<Meter> {
        Arc::clone(self.meters.entry(vertex).or_default())
    }
}
