//! Balance and exactness of partial keys.

use super::*;
use crate::strategies::KeyedState;
use crate::strategies::tests::{count, counting, last_updates, zipf};
use crate::testing::{Outcome, Simulation};

/// Keys of the skewed streams below.
const KEYS: usize = 100_000;

/// What two senders and eight workers make of words with this Zipf exponent, at this rate; checks the counts.
macro_rules! run {
    ($strategy:expr, $exponent:expr, $records:expr, $rate:expr) => {{
        let words: Vec<u64> = zipf($exponent, KEYS, $records, 1).collect();
        let simulation = Simulation::new(counting(), $strategy, Cluster::simulated(8, 1)).senders(2).rate($rate);
        let outcome = simulation.in_memory().run(words.iter().copied()).expect("no failure");
        assert!(last_updates(&outcome.emitted) == count(words), "counts are wrong");
        outcome
    }};
}

/// The busiest worker as a multiple of the mean: by records, and by all messages.
fn busiest(outcome: &Outcome<(u64, u64)>) -> (f64, f64) {
    let (most, sum) = (outcome.received.iter().max(), outcome.received.iter().sum::<u64>());
    (most.copied().unwrap_or_default() as f64 * outcome.received.len() as f64 / sum as f64, outcome.imbalance())
}

/// Measured: 1.05 and 1.06, against 3.21 of keyed state; partials are 1.1 % of the messages.
#[test]
fn skewed_keys_are_balanced() {
    let keyed = run!(KeyedState, 1.5, 1_000_000, 1_000_000);
    assert!(keyed.imbalance() > 2.0, "{}", keyed.imbalance());
    let split = run!(PartialKey, 1.5, 1_000_000, 1_000_000);
    let (records, messages) = busiest(&split);
    assert!(records <= 1.2 && messages <= 1.2, "{records} {messages}: {:?}", split.load());
    assert!(split.from_peers.iter().sum::<u64>() < 20_000, "{:?}", split.from_peers);
}

/// At 30,000 records a second, which workers settle ten times in, there are more partials for each record.
#[test]
fn skewed_keys_are_balanced_at_low_rates() {
    for exponent in [1.0, 1.5, 2.0] {
        let split = run!(PartialKey, exponent, 150_000, 30_000);
        let (records, messages) = busiest(&split);
        assert!(records <= 1.2 && messages <= 1.2, "{exponent}: {records} {messages}: {:?}", split.load());
    }
}

/// Measured: 1.01 without a partial: even keys stay with their owners.
#[test]
fn even_keys_are_balanced_and_hardly_split() {
    let split = run!(PartialKey, 0.0, 300_000, 1_000_000);
    let (records, messages) = busiest(&split);
    assert!(records <= 1.1 && messages <= 1.1, "{records} {messages}: {:?}", split.load());
    assert!(split.from_peers.iter().sum::<u64>() < 3000, "{:?}", split.from_peers);
}

#[test]
fn one_worker_owns_all() {
    let simulation = Simulation::new(counting(), PartialKey, Cluster::simulated(1, 1)).senders(2);
    let outcome = simulation.run([1; 1000]).expect("no failure");
    assert_eq!((outcome.received[0], outcome.from_peers[0]), (1000, 0));
    assert_eq!(outcome.records().last(), Some(&(1, 1000)));
}

#[test]
fn a_worker_holds_a_bounded_number_of_the_keys_of_others() {
    // All keys are owned by one of two workers, so that the other one gets nearly half of them, twice. No time passes
    // in which they would settle.
    let keys: Vec<u64> = (0..200_000).filter(|key| owner(stable_hash(key), 2) == 0).take(60_000).collect();
    let records = keys.iter().chain(&keys).copied();
    let simulation = Simulation::new(counting(), PartialKey, Cluster::simulated(1, 2)).rate(u64::MAX);
    let outcome = simulation.run(records.clone()).expect("no failure");
    let (received, partials) = (outcome.received[1], outcome.from_peers[0]);
    assert!(received > 50_000 && partials > 50_000, "{received} {partials}");
    assert_eq!(last_updates(&outcome.emitted), count(records));
}

#[test]
fn nobody_waits_for_the_end() {
    // At 100 records a second every worker is idle in between, as far as its strategy can tell after 100 ms.
    let simulation = Simulation::new(counting(), PartialKey, Cluster::simulated(4, 1)).rate(100);
    let outcome = simulation.run([7; 2000]).expect("no failure");
    assert!(outcome.from_peers.iter().sum::<u64>() > 150, "{:?}", outcome.from_peers);
    assert_eq!(outcome.records().last(), Some(&(7, 2000)));
}

#[test]
fn messages_can_be_told_apart_after_travelling() {
    let messages = [Split::Record(5u64), Split::Partial("the".to_owned(), 9u32)];
    let mut bytes = Vec::new();
    crate::codec::encode_batch(&messages, &mut bytes).expect("encodable");
    let mut read = Vec::new();
    crate::codec::decode_batch::<Split<u64, String, u32>>(&bytes, &mut read).expect("decodable");
    assert_eq!(read, messages);
}
