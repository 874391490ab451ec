//! Nothing is kept, nothing leaves the node.

use crate::codec::Record;
use crate::workflow::{
    Cluster, Deployment, Emit, LinkContext, NodeInfo, Outbox, React, Result, Strategy, WorkerContext, Workers,
};

/// A worker on each core; each record goes to the next one on the sender's own node and meets a fresh state, so that
/// nothing is kept between records. For work that is heavy enough to be worth a hop to another core.
///
/// Of the operation's callbacks only `init` and `react` are used: there is no state to flush or to finish.
///
/// On a node without workers of the vertex, records go to all workers in turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImmutableLocal;

/// The workers that a sender uses, and whose turn it is.
#[derive(Debug)]
pub struct Turns {
    workers: Vec<usize>,
    next: usize,
}

/// The workers that a sender on this node uses: those beside it, or all.
fn near<O>(link: &LinkContext<'_, O>) -> Vec<usize> {
    let here = |&worker: &usize| link.workers[worker].node == link.node;
    let mut workers: Vec<usize> = (0..link.workers.len()).filter(here).collect();
    if workers.is_empty() {
        workers = (0..link.workers.len()).collect();
    }
    workers
}

impl<O: React<In: Record>> Strategy<O> for ImmutableLocal {
    type Message = O::In;
    type Sender = Turns;
    type State = ();
    const NAME: &'static str = "immutable local";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn on_node_joined(&self, _: &O, joined: &NodeInfo, cluster: &Cluster, _: &Workers) -> Result<Deployment> {
        Ok(cluster.on_cores_of(joined))
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> Turns {
        let workers = near(link);
        // Senders begin at different workers, so that few records from many senders spread, too.
        let next = link.sender % workers.len();
        Turns { workers, next }
    }

    fn on_workers_joined(&self, link: &LinkContext<'_, O>, turns: &mut Turns) {
        turns.workers = near(link);
        turns.next %= turns.workers.len();
    }

    #[inline(always)]
    fn deliver(&self, _link: &LinkContext<'_, O>, turns: &mut Turns, record: O::In, outbox: &mut Outbox<O::In>) {
        outbox.send(turns.workers[turns.next], record);
        turns.next = if turns.next + 1 == turns.workers.len() { 0 } else { turns.next + 1 };
    }

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<()> {
        Ok(())
    }

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        _state: &mut (),
        record: O::In,
        emit: &mut E,
        _peers: &mut Outbox<O::In>,
    ) -> Result<()> {
        worker.operation.react(&mut worker.operation.init(), record, emit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;
    use crate::operations::KeyedReduce;
    use crate::strategies::tests::{echo, letters};
    use crate::testing::Simulation;

    fn node(number: u32) -> NodeId {
        NodeId { number, incarnation: 0 }
    }

    #[test]
    fn records_stay_on_their_node_and_are_spread_over_it() {
        let simulation = Simulation::new(echo(), ImmutableLocal, Cluster::simulated(3, 2)).senders(3).seed(9);
        let outcome = simulation.run_from(letters(3, 100)).expect("no failure");
        assert_eq!(outcome.received, [50; 6]);
        for (worker, (sender, _)) in &outcome.emitted {
            assert_eq!(outcome.workers[*worker].node, node(*sender));
        }
    }

    #[test]
    fn a_node_without_workers_uses_all_workers() {
        // Two workers, on nodes 0 and 1; the sender on node 2 has none beside it.
        let simulation = Simulation::new(echo(), ImmutableLocal, Cluster::simulated(3, 1)).parallelism(2);
        let outcome = simulation.sender_on(node(2), 0).run_from(letters(1, 10)).expect("no failure");
        assert_eq!(outcome.received, [5, 5]);
    }

    #[test]
    fn each_record_meets_a_fresh_state() {
        let counter = |count: &mut u64, _: u64| {
            *count += 1;
            *count
        };
        let count = KeyedReduce::new(|n: &u64| *n, 0u64, counter);
        let outcome =
            Simulation::new(count, ImmutableLocal, Cluster::simulated(1, 2)).run([7; 20]).expect("no failure");
        assert_eq!(outcome.records(), [1; 20]);
    }
}
