//! Sources that are asked for records.

use crate::workflow::{
    ByHand, Cluster, Deployment, Emit, LinkContext, Nothing, Origin, Out, OutPort, Outbox, Placed, Progress, Pull,
    Rescale, Result, Saved, Saving, Share, Snapshot, Source, Strategy, Stream, WorkerContext, WorkflowBuilder,
};

/// Asks the source for records as long as those behind it have room. A source that can be split is read by a worker on
/// each core, another one by one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamSource;

/// The share of a worker.
fn share<O>(worker: &WorkerContext<'_, O>) -> Share {
    Share { index: worker.index, of: worker.workers.len() }
}

impl<O: Source> Strategy<O> for StreamSource {
    type Message = ();
    type Sender = ();
    type State = ByHand<O::Reader>;
    const NAME: &'static str = "stream source";
    const ORIGIN: Origin = Origin::Produce;
    const RESCALE: Rescale = Rescale::Dealt;

    fn deploy(&self, operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(if operation.splits() { cluster.on_all_worker_cores() } else { cluster.on_n(1) })
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    fn deliver(&self, _link: &LinkContext<'_, O>, _sender: &mut (), record: O::In, _outbox: &mut Outbox<()>) {
        match record {}
    }

    fn init(&self, worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        worker.operation.open(share(worker)).map(ByHand)
    }

    fn snapshot(
        &self,
        worker: &WorkerContext<'_, O>,
        reader: &mut Self::State,
        snapshot: &mut Snapshot,
    ) -> Result<Saving> {
        worker.operation.position(reader, snapshot)?;
        Ok(Saving::Done)
    }

    fn restore(&self, worker: &WorkerContext<'_, O>, saved: &Saved) -> Result<Self::State> {
        worker.operation.resume(share(worker), saved).map(ByHand)
    }

    fn process<E: Emit<O::Out>>(
        &self,
        _worker: &WorkerContext<'_, O>,
        _reader: &mut Self::State,
        _message: (),
        _emit: &mut E,
        _peers: &mut Outbox<()>,
    ) -> Result<()> {
        Ok(())
    }

    fn produce<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        reader: &mut Self::State,
        budget: usize,
        emit: &mut E,
    ) -> Result<Pull> {
        worker.operation.read(reader, budget, emit)
    }

    fn progress(&self, worker: &WorkerContext<'_, O>, reader: &Self::State) -> Option<Progress> {
        worker.operation.progress(reader)
    }
}

impl WorkflowBuilder {
    /// A stream of the records of a source.
    ///
    /// ```
    /// use skitter::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(StreamSource::new(|| ["Hello", "World"])).print();
    /// assert!(workflow.build().is_ok());
    /// ```
    pub fn source<O: Source>(&self, source: O) -> Stream<Placed<Nothing, O, StreamSource>>
    where
        Out: OutPort<O::Out>,
    {
        self.source_with(source, StreamSource)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::operations;
    use crate::testing::Simulation;
    use crate::workflow::Operation;

    #[test]
    fn a_source_that_splits_is_read_by_all() {
        let source = operations::StreamSource::split(|share| (share.index as u64..1000).step_by(share.of));
        for seed in 0..10 {
            let simulation = Simulation::new(source.clone(), StreamSource, Cluster::simulated(2, 2)).seed(seed);
            let by_worker = simulation.run([]).expect("no failure").by_worker();
            for (worker, numbers) in by_worker.iter().enumerate() {
                assert_eq!(*numbers, (worker as u64..1000).step_by(4).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn another_one_is_read_by_one() {
        let source = operations::StreamSource::new(|| 0..1000u64);
        let outcome = Simulation::new(source, StreamSource, Cluster::simulated(2, 2)).run([]).expect("no failure");
        assert_eq!(outcome.workers.len(), 1);
        assert_eq!(outcome.records(), (0..1000).collect::<Vec<_>>());
    }

    /// Counts down, one number every half second.
    #[derive(Clone)]
    struct Slow;

    impl Operation for Slow {
        type In = std::convert::Infallible;
        type Out = u64;
        const NAME: &'static str = "slow";
    }

    impl Source for Slow {
        type Reader = u64;

        fn open(&self, _share: Share) -> Result<u64> {
            Ok(3)
        }

        fn read<E: Emit<u64>>(&self, left: &mut u64, _budget: usize, emit: &mut E) -> Result<Pull> {
            if *left == 0 {
                return Ok(Pull::End);
            }
            emit.emit(*left);
            *left -= 1;
            Ok(if *left == 1 { Pull::Again } else { Pull::After(Duration::from_millis(500)) })
        }
    }

    #[test]
    fn a_source_is_asked_again_when_it_wants_to_be() {
        let outcome = Simulation::new(Slow, StreamSource, Cluster::simulated(1, 1)).run([]).expect("no failure");
        assert_eq!(outcome.time.as_millis(), 1000);
        assert_eq!(outcome.records(), [3, 2, 1]);
    }
}
