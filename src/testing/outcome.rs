//! What came of a simulation.

use std::time::Duration;

use crate::workflow::WorkerInfo;

/// What came of a [`Simulation`](super::Simulation).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome<T> {
    /// The workers that the strategy made; none for one that runs in the senders.
    pub workers: Vec<WorkerInfo>,
    /// What the strategy warned of when it deployed.
    pub warnings: Vec<String>,
    /// Every record that was emitted, in that order, and the number of the worker that emitted it. Where the strategy
    /// made no worker it is the number of the sender.
    pub emitted: Vec<(usize, T)>,
    /// For each worker, how many messages it got from senders (or from its own thread, if it listens).
    pub received: Vec<u64>,
    /// For each worker, how many messages it got from its peers, itself included.
    pub from_peers: Vec<u64>,
    /// How much simulated time passed.
    pub time: Duration,
}

impl<T> Outcome<T> {
    /// The records that were emitted, in that order.
    pub fn records(self) -> Vec<T> {
        self.emitted.into_iter().map(|(_, record)| record).collect()
    }

    /// The records that each worker emitted, in order.
    pub fn by_worker(self) -> Vec<Vec<T>> {
        let last = self.emitted.iter().map(|(worker, _)| worker + 1).max().unwrap_or_default();
        let mut records: Vec<Vec<T>> = (0..last.max(self.workers.len())).map(|_| Vec::new()).collect();
        for (worker, record) in self.emitted {
            records[worker].push(record);
        }
        records
    }

    /// How many messages each worker got, from senders and peers.
    pub fn load(&self) -> Vec<u64> {
        self.received.iter().zip(&self.from_peers).map(|(received, from_peers)| received + from_peers).collect()
    }

    /// The load of the busiest worker as a multiple of the mean; 1 where there was nothing to do.
    pub fn imbalance(&self) -> f64 {
        imbalance(&self.load())
    }
}

/// The largest number as a multiple of the mean.
pub(super) fn imbalance(load: &[u64]) -> f64 {
    let (most, sum) = (load.iter().max().copied().unwrap_or_default(), load.iter().sum::<u64>());
    if sum == 0 { 1.0 } else { most as f64 * load.len() as f64 / sum as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imbalance_is_the_busiest_over_the_mean() {
        assert_eq!(imbalance(&[]), 1.0);
        assert_eq!(imbalance(&[0, 0]), 1.0);
        assert_eq!(imbalance(&[5, 5]), 1.0);
        assert_eq!(imbalance(&[9, 0, 0]), 3.0);
    }
}
