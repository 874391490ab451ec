//! To whoever has least to do.

use crate::codec::Record;
use crate::workflow::{
    Cluster, Deployment, Emit, LinkContext, NodeInfo, Outbox, React, Result, Strategy, WorkerContext, Workers,
};

/// Most records that go to one worker before the sender looks again: few enough that work of 1 ms a record still
/// spreads, enough that looking costs nothing.
const RUN: usize = 64;

/// Whose turn it is, and for how many records more.
#[derive(Debug)]
pub struct Turn {
    worker: usize,
    left: usize,
}

impl Turn {
    #[cold]
    fn look<M: Record>(&mut self, outbox: &Outbox<M>) {
        // Ties go to the next one, so that idle workers take turns.
        let workers = outbox.workers();
        let next = (1..=workers).map(|step| (self.worker + step) % workers);
        self.worker = next.min_by_key(|&worker| outbox.load(worker)).unwrap_or_default();
        self.left = RUN;
    }
}

/// A worker on each core; each sender gives a run of records to the worker that has least before it, then looks again.
/// For records of unequal cost: a worker that is busy with a long one is not given more.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rebalance;

impl<O: React<In: Record>> Strategy<O> for Rebalance {
    type Message = O::In;
    type Sender = Turn;
    type State = O::State;
    const NAME: &'static str = "rebalance";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn on_node_joined(&self, _: &O, joined: &NodeInfo, cluster: &Cluster, _: &Workers) -> Result<Deployment> {
        Ok(cluster.on_cores_of(joined))
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> Turn {
        Turn { worker: link.sender % link.workers.len(), left: 0 }
    }

    #[inline(always)]
    fn deliver(&self, _link: &LinkContext<'_, O>, sender: &mut Turn, record: O::In, outbox: &mut Outbox<O::In>) {
        if sender.left == 0 {
            sender.look(outbox);
        }
        sender.left -= 1;
        outbox.send(sender.worker, record);
    }

    keeps_operation_state!();
    reacts_to_records!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::tests::{echo, letters};
    use crate::testing::Simulation;

    #[test]
    fn workers_of_equal_speed_get_equal_shares() {
        let simulation = Simulation::new(echo(), Rebalance, Cluster::simulated(2, 2)).senders(2);
        let received = simulation.run_from(letters(2, 20_000)).expect("no failure").received;
        assert!(received.iter().all(|&n| n.abs_diff(10_000) < 4 * RUN as u64), "{received:?}");
    }

    #[test]
    fn a_slow_worker_gets_little() {
        let simulation = Simulation::new(echo(), Rebalance, Cluster::simulated(2, 2)).senders(2).slow(1);
        for simulation in [simulation.clone(), simulation.seed(3)] {
            let received = simulation.run_from(letters(2, 50_000)).expect("no failure").received;
            assert!(received[1] < 10_000, "{received:?}");
            assert!([0, 2, 3].iter().all(|&worker| received[worker] > 25_000), "{received:?}");
        }
    }
}
