//! Keyed strategies on real workers, with keys of very unequal weight.

use std::collections::HashMap;

use skitter::codec::stable_hash;
use skitter::operations::{Collected, Count};
use skitter::prelude::*;
use skitter::runtime::{Runtime, Settings};

const WORDS: u64 = 200_000;

/// A word of Zipf-like frequency: half of all are "w0", a quarter "w1", and so on; a tenth is spread over 5,000.
fn word(n: u64) -> String {
    let hash = stable_hash(&n);
    if hash.is_multiple_of(10) {
        format!("w{}", 100 + (hash >> 20) % 5000)
    } else {
        format!("w{}", (hash >> 20).trailing_zeros())
    }
}

/// The greatest count of each word, and how many updates there were.
fn run<S: Strategy<Count<String, String, fn(&String) -> String>>>(strategy: S, cores: usize) -> HashMap<String, u64> {
    let runtime = Runtime::with(Settings { cores, ..Settings::default() }).expect("a runtime");
    let updates = Collected::new();
    let workflow = WorkflowBuilder::new();
    workflow
        .source(StreamSource::split(|share| (share.index as u64..WORDS).step_by(share.of).map(word)))
        .vertex(Count::by(String::clone as fn(&String) -> String), strategy)
        .collect(&updates);
    runtime.deploy("words", workflow.build().expect("valid")).expect("deployable").wait().expect("it completes");
    let mut counts = HashMap::new();
    for (word, count) in updates.take() {
        let most = counts.entry(word).or_insert(0);
        *most = count.max(*most);
    }
    counts
}

#[test]
fn all_keyed_strategies_count_alike() {
    let mut truth: HashMap<String, u64> = HashMap::new();
    (0..WORDS).for_each(|n| *truth.entry(word(n)).or_default() += 1);
    for cores in [1, 2, 8] {
        assert!(run(KeyedState, cores) == truth, "keyed state on {cores}");
        assert!(run(Combining, cores) == truth, "combining on {cores}");
        assert!(run(PartialKey, cores) == truth, "partial key on {cores}");
    }
}
