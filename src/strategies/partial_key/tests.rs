//! Balance and exactness of partial keys.

use std::collections::HashMap;

use super::*;
use crate::strategies::KeyedState;
use crate::strategies::tests::{count, last_updates, zipf};
use crate::testing::{Outcome, Simulation};

const RECORDS: usize = 1_000_000;
const KEYS: usize = 100_000;

fn run<S>(strategy: S, exponent: f64, rate: u64) -> (Outcome<(u64, u64)>, HashMap<u64, u64>)
where
    S: for<'a> Strategy<crate::operations::Count<u64, u64, fn(&u64) -> u64>>,
{
    let operation = crate::operations::Count::by((|n: &u64| *n) as fn(&u64) -> u64);
    let cluster = Cluster::simulated(8, 1);
    let simulation = Simulation::new(operation, strategy, cluster).senders(2).in_memory().rate(rate);
    let outcome = simulation.run(zipf(exponent, KEYS, RECORDS, 1)).expect("no failure");
    let counts = last_updates(&outcome.emitted);
    (outcome, counts)
}

fn busiest(load: &[u64]) -> f64 {
    let (most, sum) = (load.iter().max().copied().unwrap_or_default(), load.iter().sum::<u64>());
    most as f64 * load.len() as f64 / sum as f64
}

#[test]
fn the_busiest_worker_is_within_a_fifth_of_the_mean() {
    for (exponent, worst_keyed) in [(1.5, 2.0), (0.0, 1.0)] {
        let truth = count(zipf(exponent, KEYS, RECORDS, 1));
        let (keyed, counts) = run(KeyedState, exponent, 1_000_000);
        assert!(counts == truth);
        assert!(keyed.imbalance() > worst_keyed, "{}", keyed.imbalance());
        for rate in [100_000, 1_000_000, 10_000_000] {
            let (split, counts) = run(PartialKey, exponent, rate);
            assert!(counts == truth);
            let (records, all) = (busiest(&split.received), split.imbalance());
            assert!(
                records <= 1.2 && all <= 1.2,
                "zipf {exponent} rate {rate}: {records} {all} of {:?}, keyed {}",
                split.load(),
                keyed.imbalance()
            );
        }
    }
}
