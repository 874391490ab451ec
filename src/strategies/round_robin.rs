//! One after the other.

use crate::codec::Record;
use crate::workflow::{Cluster, Deployment, Emit, Flush, LinkContext, Outbox, React, Result, Strategy, WorkerContext};

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

    fn sender(&self, link: &LinkContext<'_, O>) -> usize {
        // Senders begin at different workers, so that few records from many senders spread, too.
        link.sender % link.workers.len()
    }

    #[inline(always)]
    fn deliver(&self, link: &LinkContext<'_, O>, sender: &mut usize, record: O::In, outbox: &mut Outbox<O::In>) {
        let _ = link;
        outbox.send(*sender, record);
        *sender = if *sender + 1 == outbox.workers() { 0 } else { *sender + 1 };
    }

    fn init(&self, worker: &WorkerContext<'_, O>) -> Result<O::State> {
        Ok(worker.operation.init())
    }

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut O::State,
        record: O::In,
        emit: &mut E,
        _peers: &mut Outbox<O::In>,
    ) -> Result<()> {
        worker.operation.react(state, record, emit)
    }

    fn settle<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut O::State,
        _emit: &mut E,
        _peers: &mut Outbox<O::In>,
        _due: Flush,
    ) -> Result<()> {
        worker.operation.flush(state)
    }

    fn finish<E: Emit<O::Out>>(&self, worker: &WorkerContext<'_, O>, state: &mut O::State, emit: &mut E) -> Result<()> {
        worker.operation.finish(state, emit)
    }
}
