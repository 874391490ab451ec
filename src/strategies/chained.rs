//! No distribution at all: the operation runs where its records are.

use crate::id::VertexId;
use crate::workflow::{
    Cluster, Deployment, Downstream, Emit, Error, Fused, Graph, LinkContext, Outbox, React, Result, Strategy, Upstream,
    WorkerContext,
};

/// Runs the operation inside the workers before it: no message and no copy, one loop for both. The default of
/// operations that leave a record where it is. Its records need not be serialisable.
///
/// A vertex whose in ports are linked one by one has no worker before it to run in, so `build()` refuses this strategy
/// there.
///
/// ```
/// let doubled = skitter::testing::run(vec![1u64, 2, 3], |numbers| numbers.map(|n| n * 2));
/// assert_eq!(doubled?, [2, 4, 6]);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Chained;

impl<O: React> Strategy<O> for Chained {
    type Message = ();
    type Sender = ();
    type State = ();
    const NAME: &'static str = "chained";

    fn deploy(&self, _operation: &O, _cluster: &Cluster) -> Result<Deployment> {
        Err(Error::Deploy("strategy `chained` has no workers".to_owned()))
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    fn deliver(&self, _link: &LinkContext<'_, O>, _sender: &mut (), _record: O::In, _outbox: &mut Outbox<()>) {}

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<()> {
        Ok(())
    }

    fn process<E: Emit<O::Out>>(
        &self,
        _worker: &WorkerContext<'_, O>,
        _state: &mut (),
        _message: (),
        _emit: &mut E,
        _peers: &mut Outbox<()>,
    ) -> Result<()> {
        Ok(())
    }

    fn close<U: Upstream<O::In>, D: Downstream<O::Out>>(
        self,
        vertex: VertexId,
        operation: O,
        upstream: U,
        down: D,
        graph: &Graph,
    ) {
        if !U::CHAINS {
            graph.refuse(
                vertex,
                "strategy `chained` needs one stream before it to run in; give the vertex a strategy with workers of \
                 its own, such as `RoundRobin`",
            );
        }
        if O::IN_PORTS.len() > 1 {
            graph.refuse(
                vertex,
                "strategy `chained` would run it once behind each of the streams before it, and these would never \
                 meet; give the vertex a strategy with workers of its own",
            );
        }
        upstream.close(Fused::new(vertex, operation, down), graph);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;
    use crate::operations::Fold;
    use crate::strategies::tests::{echo, letters};
    use crate::testing::Simulation;

    #[test]
    fn records_stay_where_they_are() {
        let simulation = Simulation::new(echo(), Chained, Cluster::simulated(2, 2)).senders(3).seed(4);
        let outcome = simulation.run_from(letters(3, 100)).expect("no failure");
        assert!(outcome.workers.is_empty());
        assert!(outcome.emitted.iter().all(|(place, (sender, _))| *place == *sender as usize));
        assert_eq!(outcome.by_worker().iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 100]);
    }

    #[test]
    fn each_sender_has_a_state_and_finishes_it() {
        let sum = Fold::new(0u64, |sum: &mut u64, n: u64| *sum += n);
        let outcome =
            Simulation::new(sum, Chained, Cluster::simulated(1, 1)).senders(2).run(0..10).expect("no failure");
        assert_eq!(outcome.by_worker(), [vec![20], vec![25]]);
    }

    #[test]
    fn it_needs_a_stream_to_run_in() {
        let node = NodeId { number: 0, incarnation: 0 };
        // Two in ports, linked one by one.
        let both = crate::strategies::tests::Both;
        let simulation = Simulation::new(both, Chained, Cluster::simulated(1, 1)).sender_on(node, 0).sender_on(node, 1);
        let error = simulation.run([]).expect_err("refused").to_string();
        assert!(error.contains("`chained` needs one stream before it"), "{error}");
    }
}
