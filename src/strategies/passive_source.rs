//! Sources that are told records.

use crate::codec::Record;
use crate::workflow::{
    Cluster, Deployment, Emit, Intake, LinkContext, Nothing, Origin, Out, OutPort, Outbox, Passive, Placed, Result,
    Share, Strategy, Stream, WorkerContext, WorkflowBuilder,
};

/// Gives the source a thread on which it listens, and hands what it takes in to a worker. One of each, or as many as
/// the vertex's parallelism says; a source knows its share.
///
/// When the workers behind have no room the thread waits, so that whoever sends is slowed down.
#[derive(Clone, Copy, Debug, Default)]
pub struct PassiveSource;

impl<O: Passive<In: Record>> Strategy<O> for PassiveSource {
    type Message = O::In;
    type Sender = ();
    type State = O::State;
    const NAME: &'static str = "passive source";
    const ORIGIN: Origin = Origin::Listen;

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_n(cluster.parallelism().unwrap_or(1)))
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    fn deliver(&self, _link: &LinkContext<'_, O>, _sender: &mut (), record: O::In, outbox: &mut Outbox<O::In>) {
        outbox.send(0, record);
    }

    keeps_operation_state!();
    reacts_to_records!();

    fn listen(&self, worker: &WorkerContext<'_, O>, intake: &mut Intake<O::In>) -> Result<()> {
        worker.operation.listen(Share { index: worker.index, of: worker.workers.len() }, intake)
    }
}

impl WorkflowBuilder {
    /// A stream of the records that a passive source is told.
    pub fn listen<O: Passive<In: Record>>(&self, source: O) -> Stream<Placed<Nothing, O, PassiveSource>>
    where
        Out: OutPort<O::Out>,
    {
        self.source_with(source, PassiveSource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Simulation;
    use crate::workflow::{Operation, React};

    /// Is told its share of the numbers below ten; counts what it handles.
    #[derive(Clone)]
    struct Told;

    impl Operation for Told {
        type In = u64;
        type Out = u64;
        const NAME: &'static str = "told";
        const IN_PORTS: &'static [&'static str] = &[];
    }

    impl React for Told {
        type State = u64;

        fn init(&self) -> u64 {
            0
        }

        fn react<E: Emit<u64>>(&self, handled: &mut u64, number: u64, emit: &mut E) -> Result<()> {
            *handled += 1;
            emit.emit(number);
            Ok(())
        }

        fn finish<E: Emit<u64>>(&self, handled: &mut u64, emit: &mut E) -> Result<()> {
            emit.emit(100 + *handled);
            Ok(())
        }
    }

    impl Passive for Told {
        fn listen(&self, share: Share, intake: &mut Intake<u64>) -> Result<()> {
            for number in (share.index as u64..10).step_by(share.of) {
                if intake.is_closed() || !intake.take(vec![number]) {
                    break;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn what_is_told_is_handled_in_order_and_finished() {
        let simulation = Simulation::new(Told, PassiveSource, Cluster::simulated(2, 2));
        let all = simulation.run([]).expect("no failure").by_worker();
        assert_eq!(all, [(0..10).chain([110]).collect::<Vec<_>>()]);

        let outcome = simulation.parallelism(2).seed(1).run([]).expect("no failure");
        assert_eq!(outcome.received, [5, 5]);
        assert_eq!(outcome.by_worker(), [vec![0, 2, 4, 6, 8, 105], vec![1, 3, 5, 7, 9, 105]]);
    }

    #[test]
    fn it_takes_no_records_from_senders() {
        let simulation = Simulation::new(Told, PassiveSource, Cluster::simulated(1, 1)).senders(1);
        assert!(simulation.run([1]).is_err());
    }
}
