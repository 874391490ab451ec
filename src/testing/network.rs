//! The channels between simulated workers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::{NodeId, VertexId};
use crate::workflow::{Batch, Gate, Meter, Post, Saved, Watermark, Wiring, Workers};

/// Batches that may be under way in a channel; a sender that has more for it is given nothing to do meanwhile. As many
/// as in the runtime.
pub(super) const CREDITS: usize = 4;

/// What is under way in a channel.
pub(super) enum Sent {
    Batch(Box<dyn Batch>),
    Watermark(Watermark),
}

/// The way from one worker to another: first in, first out.
pub(super) struct Channel {
    /// Who sends, by its place in the engine; nobody if it is the thread of a source that listens.
    pub from: Option<usize>,
    /// Who receives, by its place in the engine.
    pub to: usize,
    /// Whether both are workers of one vertex.
    pub peers: bool,
    /// What is under way.
    pub sent: VecDeque<Sent>,
    /// Empty batches to be filled again.
    pub spares: Vec<Box<dyn Batch>>,
    /// How many messages have been put in.
    pub posted: u64,
}

/// The workers of each vertex, and the place of each of them in the engine.
pub(super) type Plan = BTreeMap<VertexId, (Workers, Vec<usize>)>;

/// All channels, and the plan. Shared with the posts, which are in the stages.
#[derive(Clone, Default)]
pub(super) struct Network(Arc<(Mutex<Vec<Channel>>, Mutex<Plan>)>);

impl Network {
    pub fn lock(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a channel to each of these workers; gives their numbers.
    fn add(&self, from: Option<usize>, to: &[usize], peers: bool) -> impl Iterator<Item = usize> + use<> {
        let mut channels = self.lock();
        let first = channels.len();
        channels.extend(to.iter().map(|&to| Channel {
            from,
            to,
            peers,
            sent: VecDeque::new(),
            spares: Vec::new(),
            posted: 0,
        }));
        first..channels.len()
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
        let channels = self.add(None, &[to], false).collect();
        Box::new(Line { network: self.clone(), from: None, to: None, channels })
    }
}

/// The channels from one worker to those of a vertex.
struct Line {
    network: Network,
    from: Option<usize>,
    /// The vertex, and whether it is the sender's own; none for a way in from outside.
    to: Option<(VertexId, bool)>,
    channels: Vec<usize>,
}

impl Post for Line {
    fn post(&mut self, worker: usize, batch: Box<dyn Batch>) {
        let channel = &mut self.network.lock()[self.channels[worker]];
        channel.posted += batch.len() as u64;
        channel.sent.push_back(Sent::Batch(batch));
    }

    fn advance(&mut self, worker: usize, watermark: Watermark) {
        let channel = &mut self.network.lock()[self.channels[worker]];
        match channel.sent.back_mut() {
            Some(Sent::Watermark(last)) => *last = watermark,
            _ => channel.sent.push_back(Sent::Watermark(watermark)),
        }
    }

    fn spare(&mut self, worker: usize) -> Option<Box<dyn Batch>> {
        self.network.lock()[self.channels[worker]].spares.pop()
    }

    fn load(&self, worker: usize) -> usize {
        self.network.lock()[self.channels[worker]].sent.len()
    }

    fn joined(&mut self, workers: usize) {
        let Some((vertex, peers)) = self.to else { return };
        let places = self.network.plan().get(&vertex).map(|(_, places)| places.clone()).unwrap_or_default();
        let further = places.get(self.channels.len()..workers).unwrap_or_default();
        self.channels.extend(self.network.add(self.from, further, peers));
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

/// What a stage is told when it is opened.
pub(super) struct SimulatedWiring<'a> {
    pub network: &'a Network,
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
        self.network.plan().get(&vertex).map(|(workers, _)| Arc::clone(workers)).unwrap_or_default()
    }

    fn post(&mut self, vertex: VertexId) -> Box<dyn Post> {
        let places = self.network.plan().get(&vertex).map(|(_, places)| places.clone()).unwrap_or_default();
        let (from, peers) = (Some(self.place), vertex == self.vertex);
        let channels = self.network.add(from, &places, peers).collect();
        Box::new(Line { network: self.network.clone(), from, to: Some((vertex, peers)), channels })
    }

    fn meter(&mut self, vertex: VertexId) -> Arc<Meter> {
        Arc::clone(self.meters.entry(vertex).or_default())
    }

    fn saved(&mut self, _vertex: VertexId) -> Option<Saved> {
        None
    }
}
