//! A strategy as a user would write it, on the public interface alone: keys on a ring of consistent hashes, so that
//! most of them stay where they are when a node comes.

use std::collections::{BTreeMap, HashMap};

use skitter::codec::{Record, stable_hash};
use skitter::id::NodeId;
use skitter::operations::KeyedReduce;
use skitter::testing::Simulation;
use skitter::workflow::{
    Cluster, Deployment, Emit, Error, Keyed, LinkContext, NodeInfo, Outbox, React, Result, Strategy, WorkerContext,
    Workers,
};

/// Sends each record to the worker that comes first behind its key on a ring, on which each worker stands in many
/// places (Karger et al. 1997). One worker on each node.
#[derive(Clone, Debug)]
struct Ring {
    /// In how many places a worker stands.
    places: u32,
}

/// The places of all workers, in order.
struct Places(Vec<(u64, usize)>);

impl Places {
    fn new(ring: &Ring, workers: &Workers) -> Places {
        // A place depends on the node alone, not on how many others there are.
        let on_node = |node: NodeId| (0..ring.places).map(move |place| stable_hash(&(node.number, place)));
        let places = workers.iter().enumerate();
        let mut places: Vec<_> = places.flat_map(|(i, worker)| on_node(worker.node).map(move |at| (at, i))).collect();
        places.sort_unstable();
        Places(places)
    }

    fn worker_behind(&self, hash: u64) -> usize {
        let behind = self.0.partition_point(|(at, _)| *at < hash);
        self.0[behind % self.0.len()].1
    }
}

impl<O: Keyed<In: Record> + React> Strategy<O> for Ring {
    type Message = O::In;
    type Sender = Places;
    type State = HashMap<O::Key, O::State>;
    const NAME: &'static str = "ring";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        if self.places == 0 {
            return Err(Error::Deploy("a worker has to stand in at least one place of the ring".to_owned()));
        }
        Ok(cluster.on_all_workers())
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> Places {
        Places::new(self, link.workers)
    }

    fn deliver(&self, link: &LinkContext<'_, O>, places: &mut Places, record: O::In, outbox: &mut Outbox<O::In>) {
        let key = link.operation.key(&record);
        outbox.send(places.worker_behind(stable_hash(&key)), record);
    }

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        Ok(HashMap::new())
    }

    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        record: O::In,
        emit: &mut E,
        _peers: &mut Outbox<O::In>,
    ) -> Result<()> {
        let state = states.entry(worker.operation.key(&record)).or_insert_with(|| worker.operation.init());
        worker.operation.react(state, record, emit)
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        states.values_mut().try_for_each(|state| worker.operation.finish(state, emit))
    }
}

/// Counts words; emits the word and its count so far.
fn count() -> impl Keyed<In = String, Out = (String, u64), Key = String> + React {
    let add = |count: &mut u64, word| {
        *count += 1;
        (word, *count)
    };
    KeyedReduce::new(String::clone, 0, add)
}

fn words(different: usize, times: usize) -> impl Iterator<Item = String> {
    (0..different * times).map(move |n| format!("word{}", n % different))
}

/// The node on which each word was counted; each is on one.
fn homes(cluster: Cluster, words: impl Iterator<Item = String>) -> BTreeMap<String, NodeId> {
    let outcome = Simulation::new(count(), Ring { places: 200 }, cluster).senders(2).run(words).expect("no failure");
    let mut homes = BTreeMap::new();
    for (worker, (word, _)) in outcome.emitted {
        let node = outcome.workers[worker].node;
        assert_eq!(*homes.entry(word).or_insert(node), node);
    }
    homes
}

#[test]
fn counts_are_right_in_any_order_of_things() {
    for seed in 0..20 {
        let simulation = Simulation::new(count(), Ring { places: 50 }, Cluster::simulated(5, 1)).senders(3).seed(seed);
        let outcome = simulation.run(words(40, 25)).expect("no failure");
        let mut counts: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (word, count) in outcome.records() {
            counts.entry(word).or_default().push(count);
        }
        assert_eq!(counts.len(), 40);
        assert!(counts.values().all(|counts| counts.iter().copied().eq(1..=25)), "{counts:?}");
    }
}

#[test]
fn most_keys_stay_when_a_node_comes() {
    const WORDS: usize = 10_000;
    let before = homes(Cluster::simulated(9, 1), words(WORDS, 1));
    let after = homes(Cluster::simulated(10, 1), words(WORDS, 1));
    let moved: Vec<&NodeId> =
        before.iter().filter(|(word, home)| after[*word] != **home).map(|(w, _)| &after[w]).collect();
    // A tenth, more or less, and all of them to the new node.
    assert!(moved.len() > WORDS / 20 && moved.len() < WORDS * 3 / 20, "{} of {WORDS} moved", moved.len());
    assert!(moved.iter().all(|node| node.number == 9));
}

#[test]
fn keys_stay_when_nodes_are_listed_in_another_order() {
    let mut nodes: Vec<NodeInfo> = Cluster::simulated(6, 1).nodes().to_vec();
    let before = homes(Cluster::new(nodes.clone()).expect("nodes"), words(500, 1));
    nodes.reverse();
    assert_eq!(homes(Cluster::new(nodes).expect("nodes"), words(500, 1)), before);
}

#[test]
fn keys_are_spread() {
    let outcome = Simulation::new(count(), Ring { places: 200 }, Cluster::simulated(8, 1)).run(words(20_000, 1));
    let outcome = outcome.expect("no failure");
    assert!(outcome.imbalance() < 1.3, "{:?}", outcome.received);
}

#[test]
fn a_ring_without_places_is_refused() {
    let error = Simulation::new(count(), Ring { places: 0 }, Cluster::simulated(2, 1)).run([]).expect_err("refused");
    assert!(error.to_string().contains("at least one place"), "{error}");
}

#[test]
fn it_runs_for_real() {
    let counts = skitter::testing::run(words(100, 10).collect(), |words| words.vertex(count(), Ring { places: 20 }));
    let counts = counts.expect("it completes");
    assert_eq!(counts.len(), 1000);
    assert_eq!(counts.iter().filter(|(_, count)| *count == 10).count(), 100);
}
