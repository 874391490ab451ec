//! One strategy over simulated nodes.

use std::any::TypeId;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use super::engine::{Engine, Settings};
use super::outcome::Outcome;
use super::probes::{AtSender, Feed, Numbered, Standing, Tap};
use crate::id::{NodeId, VertexId};
use crate::workflow::{
    Cluster, Error, NodeInfo, Operation, Origin, Out, Result, Role, Strategy, WorkerInfo, Workflow, WorkflowBuilder,
};

/// Simulated records a second unless a test says otherwise: what a busy worker handles.
const RATE: u64 = 1_000_000;
/// In ports that can be linked: as many as any operation should have.
const MOST_PORTS: usize = 4;

/// Where the senders of an in port stand, and what each is to send.
type Senders<T> = (Vec<WorkerInfo>, Vec<VecDeque<T>>);

/// Runs one strategy over simulated nodes, without a network and in one thread: the same code as in a real deployment,
/// with another runtime below it.
///
/// Records are handed to *senders*, which stand on nodes of the cluster; the strategy takes them to its workers. A
/// batch leaves its sender when it is full and every simulated millisecond; workers settle when they are busy, when
/// they are idle, drain and finish as they do in a real deployment, and messages between nodes are written to bytes and
/// read again. The same simulation gives the same outcome, always.
///
/// Unless there is a [`seed`](Simulation::seed), what was sent arrives before a sender is given more. With one, things
/// happen in an order that no program should depend on: batches of different senders overtake each other, some are
/// long under way, workers become idle and busy again. Only what a deployment promises is kept: messages from one
/// sender to one worker arrive in the order of sending.
///
/// ```
/// use skitter::operations::Map;
/// use skitter::strategies::RoundRobin;
/// use skitter::testing::Simulation;
/// use skitter::workflow::Cluster;
///
/// let double = Map::new(|n: u64| n * 2);
/// let outcome = Simulation::new(double, RoundRobin, Cluster::simulated(2, 1)).run(0..4)?;
/// assert_eq!(outcome.workers.len(), 2);
/// assert_eq!(outcome.by_worker(), [vec![0, 4], vec![2, 6]]);
/// # Ok::<(), skitter::workflow::Error>(())
/// ```
///
/// Try many orders, and compare what has to be equal:
///
/// ```
/// use skitter::operations::Count;
/// use skitter::strategies::KeyedState;
/// use skitter::testing::Simulation;
/// use skitter::workflow::Cluster;
///
/// let count = Count::by(|n: &u64| n % 2);
/// for seed in 0..20 {
///     let simulation = Simulation::new(count.clone(), KeyedState, Cluster::simulated(4, 2)).senders(3).seed(seed);
///     let counts = simulation.run(0..100)?.records();
///     assert!(counts.contains(&(0, 50)) && counts.contains(&(1, 50)));
/// }
/// # Ok::<(), skitter::workflow::Error>(())
/// ```
///
/// # Panics
/// A panic in the operation or the strategy is not caught: the test fails with it.
#[derive(Clone, Debug)]
pub struct Simulation<O, S> {
    operation: O,
    strategy: S,
    cluster: Cluster,
    senders: Vec<(NodeId, usize)>,
    parallelism: Option<usize>,
    settings: Settings,
}

impl<O: Operation, S: Strategy<O>> Simulation<O, S> {
    /// A simulation of this operation, distributed by this strategy on this cluster, with one sender on the first node.
    ///
    /// A source has no senders; it is read to its end. One that listens takes in all that there is before anything else
    /// happens.
    pub fn new(operation: O, strategy: S, cluster: Cluster) -> Self {
        let joins = VecDeque::new();
        let settings = Settings { rate: RATE, encoded: true, slow: (VertexId(0), Vec::new()), seed: None, joins };
        Simulation { operation, strategy, cluster, senders: Vec::new(), parallelism: None, settings }
    }

    /// This number of senders in all, spread over the nodes in turn and linked to the first in port.
    #[must_use]
    pub fn senders(mut self, count: usize) -> Self {
        let nodes = self.cluster.nodes();
        self.senders = (0..count).map(|sender| (nodes[sender % nodes.len()].id, 0)).collect();
        self
    }

    /// One sender more, on this node of the cluster, linked to the in port with this number. Senders are
    /// numbered from 0 as they are added; to the strategy, the senders of each in port are a vertex of their own with
    /// numbers of their own.
    #[must_use]
    pub fn sender_on(mut self, node: NodeId, port: usize) -> Self {
        self.senders.push((node, port));
        self
    }

    /// Asks for this number of workers in all, as `.parallelism(n)` does in a workflow.
    #[must_use]
    pub fn parallelism(mut self, workers: usize) -> Self {
        self.parallelism = Some(workers);
        self
    }

    /// Lets things happen in an order that depends on this number.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// How many records a second all senders together are given, in simulated time; one million unless said otherwise.
    /// A strategy that keeps something back for a time keeps more of it at a higher rate.
    #[must_use]
    pub fn rate(mut self, records_per_second: u64) -> Self {
        self.settings.rate = records_per_second.max(1);
        self
    }

    /// Makes the worker with this number so slow that it handles a batch only when nothing else can happen; senders
    /// wait for it when it has more than four batches from them before it.
    #[must_use]
    pub fn slow(mut self, worker: usize) -> Self {
        self.settings.slow.1.push(worker);
        self
    }

    /// One node more, with so many cores, joins when the senders have sent so many records. To be called in the order
    /// in which nodes join; they are numbered on. Whether there are further workers is up to the strategy:
    /// [`Strategy::on_node_joined`].
    ///
    /// ```
    /// use skitter::operations::Map;
    /// use skitter::strategies::RoundRobin;
    /// use skitter::testing::Simulation;
    /// use skitter::workflow::Cluster;
    ///
    /// let double = Map::new(|n: u64| n * 2);
    /// let outcome = Simulation::new(double, RoundRobin, Cluster::simulated(1, 1)).joined_by(1, 5_000).run(0..10_000)?;
    /// assert_eq!(outcome.workers.len(), 2);
    /// assert!(outcome.received[0] > outcome.received[1]);
    /// assert_eq!(outcome.records().len(), 10_000);
    /// # Ok::<(), skitter::workflow::Error>(())
    /// ```
    #[must_use]
    pub fn joined_by(mut self, cores: usize, after: u64) -> Self {
        let joins = &mut self.settings.joins;
        let number = self.cluster.nodes().iter().map(|node| node.id.number + 1).max().unwrap_or(0) + joins.len() as u32;
        let id = NodeId { number, incarnation: 0 };
        joins.push_back((after, NodeInfo { id, name: format!("node{number}"), cores, tags: Vec::new() }));
        self
    }

    /// Hands messages between nodes over as they are, instead of by way of bytes: for the speed of long simulations.
    #[must_use]
    pub fn in_memory(mut self) -> Self {
        self.settings.encoded = false;
        self
    }

    /// Runs until all has been handled. The records are given to the senders in turn.
    ///
    /// # Errors
    /// Whatever would fail the build or the deployment: an operation that refuses its configuration, a strategy that
    /// makes no worker, a callback or hook that fails, a message that cannot travel, a worker that begins to send to
    /// its peers after [`drain`](Strategy::drain).
    pub fn run(&self, records: impl IntoIterator<Item = O::In>) -> Result<Outcome<O::Out>> {
        let senders = self.senders.len().max(1);
        self.run_from(records.into_iter().enumerate().map(|(number, record)| (number % senders, record)))
    }

    /// As [`run`](Simulation::run), each record given to the sender with the number beside it.
    ///
    /// # Errors
    /// As [`run`](Simulation::run), and when there is no such sender.
    pub fn run_from(&self, records: impl IntoIterator<Item = (usize, O::In)>) -> Result<Outcome<O::Out>> {
        let source = S::ORIGIN != Origin::Links || TypeId::of::<O::In>() == TypeId::of::<Infallible>();
        let mut senders = self.senders.clone();
        if source {
            senders.clear();
        } else if senders.is_empty() {
            senders.push((self.cluster.nodes()[0].id, 0));
        }
        let mut queues: Vec<VecDeque<O::In>> = senders.iter().map(|_| VecDeque::new()).collect();
        for (sender, record) in records {
            let queue =
                queues.get_mut(sender).ok_or_else(|| Error::Operation(format!("there is no sender {sender}")))?;
            queue.push_back(record);
        }
        let tap = Tap::new();
        let (vertex, workflow) = self.workflow(&senders, queues, &tap)?;
        let mut settings = self.settings.clone();
        settings.slow.0 = vertex;
        let mut engine = Engine::open(&workflow, &self.cluster, settings)?;
        engine.run()?;
        let emitted = tap.take();
        let time = engine.now;
        Ok(match engine.vertices.into_iter().find(|placed| placed.id == vertex) {
            Some(placed) => Outcome {
                workers: placed.workers.to_vec(),
                warnings: placed.warnings,
                emitted,
                received: placed.received,
                from_peers: placed.from_peers,
                time,
            },
            None => {
                let (workers, warnings) = (Vec::new(), Vec::new());
                Outcome { workers, warnings, emitted, received: Vec::new(), from_peers: Vec::new(), time }
            }
        })
    }

    /// Senders, the vertex, and a tap behind it; with the number of the vertex.
    fn workflow(
        &self,
        senders: &[(NodeId, usize)],
        queues: Vec<VecDeque<O::In>>,
        tap: &Tap<O::Out>,
    ) -> Result<(VertexId, Workflow)> {
        if O::IN_PORTS.len() > MOST_PORTS {
            let reason = format!("operation `{}` has more than {MOST_PORTS} in ports", O::NAME);
            return Err(Error::Operation(reason));
        }
        let mut ports: BTreeMap<usize, Senders<O::In>> = BTreeMap::new();
        for ((node, port), queue) in senders.iter().zip(queues) {
            if self.cluster.nodes().iter().all(|known| known.id != *node) {
                return Err(Error::Operation(format!("a sender is on node {}, which is not there", node.number)));
            }
            if *port >= O::IN_PORTS.len() {
                return Err(Error::Operation(format!("operation `{}` has no in port {port}", O::NAME)));
            }
            let (workers, queues) = ports.entry(*port).or_default();
            workers.push(WorkerInfo { node: *node, role: Role::WORKER });
            queues.push(queue);
        }
        let builder = WorkflowBuilder::new();
        let (operation, strategy) = (self.operation.clone(), self.strategy.clone());
        let vertex = if O::IN_PORTS.len() == 1
            && let Some((workers, queues)) = ports.remove(&0)
        {
            // A link of its own, so that the vertex may also run inside its senders.
            let feed = builder.source_with(Feed::new(queues), Standing(workers));
            let mut stream = feed.vertex_at::<Numbered<0>, Out, O, S>(operation, strategy);
            if let Some(parallelism) = self.parallelism {
                stream = stream.parallelism(parallelism);
            }
            drop(stream.sink(tap.clone(), AtSender));
            VertexId(1)
        } else {
            let mut vertex = builder.vertex(operation, strategy);
            if let Some(parallelism) = self.parallelism {
                vertex = vertex.parallelism(parallelism);
            }
            let (inputs, stream) = vertex.open();
            for port in (0..O::IN_PORTS.len()).filter(|_| !senders.is_empty()) {
                // A port without senders is linked all the same, to one that has nothing to send.
                let idle = || (vec![WorkerInfo { node: senders[0].0, role: Role::WORKER }], vec![VecDeque::new()]);
                let (workers, queues) = ports.remove(&port).unwrap_or_else(idle);
                let feed = builder.source_with(Feed::new(queues), Standing(workers));
                match port {
                    0 => feed.to(&inputs.port(Numbered::<0>)),
                    1 => feed.to(&inputs.port(Numbered::<1>)),
                    2 => feed.to(&inputs.port(Numbered::<2>)),
                    _ => feed.to(&inputs.port(Numbered::<3>)),
                }
            }
            drop(stream.sink(tap.clone(), AtSender));
            VertexId(0)
        };
        Ok((vertex, builder.build()?))
    }
}

#[cfg(test)]
mod tests;
