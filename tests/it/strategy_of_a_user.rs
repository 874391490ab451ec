//! What the strategy of the example `ring`, which is a user's, does on simulated nodes.

#[path = "../../examples/ring/strategy.rs"]
mod strategy;

use std::collections::BTreeMap;

use skitter::id::NodeId;
use skitter::operations::KeyedReduce;
use skitter::testing::Simulation;
use skitter::workflow::{Cluster, Keyed, NodeInfo, React};

use self::strategy::Ring;

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
