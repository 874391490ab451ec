//! One after the other.

use crate::codec::Record;
use crate::workflow::{
    Cluster, Deployment, Emit, LinkContext, NodeInfo, Outbox, React, Result, Strategy, WorkerContext, Workers,
};

/// A worker on each core; each sender gives a record to one worker after the other. Spreads work of equal cost evenly.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin;

impl<O: React<In: Record>> Strategy<O> for RoundRobin {
    type Message = O::In;
    type Sender = usize;
    type State = O::State;
    const NAME: &'static str = "round robin";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn on_node_joined(&self, _: &O, joined: &NodeInfo, cluster: &Cluster, _: &Workers) -> Result<Deployment> {
        Ok(cluster.on_cores_of(joined))
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> usize {
        // Senders begin at different workers, so that few records from many senders spread, too.
        link.sender % link.workers.len()
    }

    #[inline(always)]
    fn deliver(&self, _link: &LinkContext<'_, O>, sender: &mut usize, record: O::In, outbox: &mut Outbox<O::In>) {
        outbox.send(*sender, record);
        *sender = if *sender + 1 == outbox.workers() { 0 } else { *sender + 1 };
    }

    keeps_operation_state!();
    reacts_to_records!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::Fold;
    use crate::strategies::tests::{echo, letters};
    use crate::testing::Simulation;

    #[test]
    fn each_sender_goes_round_and_begins_elsewhere() {
        let simulation = Simulation::new(echo(), RoundRobin, Cluster::simulated(3, 1)).senders(2);
        let by_worker = simulation.run_from(letters(2, 4)).expect("no failure").by_worker();
        let of = |worker: usize, sender| by_worker[worker].iter().filter(move |l| l.0 == sender).map(|l| l.1);
        assert_eq!([0, 1, 2].map(|worker| of(worker, 0).collect::<Vec<_>>()), [vec![0, 3], vec![1], vec![2]]);
        assert_eq!([0, 1, 2].map(|worker| of(worker, 1).collect::<Vec<_>>()), [vec![2], vec![0, 3], vec![1]]);
    }

    #[test]
    fn more_senders_than_workers_still_find_one() {
        let outcome = Simulation::new(echo(), RoundRobin, Cluster::simulated(1, 2)).senders(5).run_from(letters(5, 1));
        assert_eq!(outcome.expect("no failure").received, [3, 2]);
    }

    #[test]
    fn each_worker_has_one_state_and_finishes_it_once() {
        let sum = Fold::new(0u64, |sum: &mut u64, n: u64| *sum += n);
        let outcome = Simulation::new(sum, RoundRobin, Cluster::simulated(2, 2)).run(0..8).expect("no failure");
        assert_eq!(outcome.by_worker(), [vec![4], vec![6], vec![8], vec![10]]);
    }
}
