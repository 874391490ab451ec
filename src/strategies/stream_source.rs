//! Sources that are asked for records.

use crate::workflow::{
    Cluster, Deployment, Emit, LinkContext, Nothing, Origin, Out, OutPort, Outbox, Placed, Progress, Pull, Result,
    Share, Source, Strategy, Stream, WorkerContext, WorkflowBuilder,
};

/// Asks the source for records as long as those behind it have room. A source that can be split is read by a worker on
/// each core, another one by one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamSource;

impl<O: Source> Strategy<O> for StreamSource {
    type Message = ();
    type Sender = ();
    type State = O::Reader;
    const NAME: &'static str = "stream source";
    const ORIGIN: Origin = Origin::Produce;

    fn deploy(&self, operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(if operation.splits() { cluster.on_all_worker_cores() } else { cluster.on_n(1) })
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    fn deliver(&self, _link: &LinkContext<'_, O>, _sender: &mut (), record: O::In, _outbox: &mut Outbox<()>) {
        match record {}
    }

    fn init(&self, worker: &WorkerContext<'_, O>) -> Result<O::Reader> {
        worker.operation.open(Share { index: worker.index, of: worker.workers.len() })
    }

    fn process<E: Emit<O::Out>>(
        &self,
        _worker: &WorkerContext<'_, O>,
        _reader: &mut O::Reader,
        _message: (),
        _emit: &mut E,
        _peers: &mut Outbox<()>,
    ) -> Result<()> {
        Ok(())
    }

    fn produce<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        reader: &mut O::Reader,
        budget: usize,
        emit: &mut E,
    ) -> Result<Pull> {
        worker.operation.read(reader, budget, emit)
    }

    fn progress(&self, worker: &WorkerContext<'_, O>, reader: &O::Reader) -> Option<Progress> {
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
