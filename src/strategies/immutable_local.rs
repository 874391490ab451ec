//! Nothing is kept, nothing leaves the node.

use crate::codec::Record;
use crate::workflow::{Cluster, Deployment, Emit, LinkContext, Outbox, React, Result, Strategy, WorkerContext};

/// A worker on each core; each record goes to the next one on the sender's own node and meets a fresh state, so that
/// nothing is kept between records. For work that is heavy enough to be worth a hop to another core.
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

impl<O: React<In: Record>> Strategy<O> for ImmutableLocal {
    type Message = O::In;
    type Sender = Turns;
    type State = ();
    const NAME: &'static str = "immutable local";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> Turns {
        let here = |&worker: &usize| link.workers[worker].node == link.node;
        let mut workers: Vec<usize> = (0..link.workers.len()).filter(here).collect();
        if workers.is_empty() {
            workers = (0..link.workers.len()).collect();
        }
        // Senders begin at different workers, so that few records from many senders spread, too.
        let next = link.sender % workers.len();
        Turns { workers, next }
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
