//! One stream spread over workers, and another one to each of them.

use crate::codec::Record;
use crate::workflow::{
    Cluster, Deployment, Emit, LinkContext, Outbox, React, Rescale, Result, Strategy, WorkerContext,
};

/// A worker on each core; records that come by the first in port go to the workers in turn, those that come by others
/// go to all. For a stream that is looked up in what another one says, such as a table of which each worker has a copy.
///
/// Each worker gets what a sender sends by the other ports in the order of sending; of several senders, workers may see
/// it in different orders. A workflow can go on with other numbers of workers if the operation saves its state by key
/// group, all of it in each worker.
///
/// ```
/// use skitter::prelude::*;
///
/// let words = skitter::testing::run(vec![(1u64, "one".to_owned()), (2, "two".to_owned())], |table| {
///     let numbers = table.clone().map(|(n, _)| n);
///     numbers.lookup(table, |n| *n, |(n, word)| (n, Some(word))).with(SideInput)
/// })?;
/// assert_eq!(words.len(), 2);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SideInput;

impl<O: React<In: Record + Clone>> Strategy<O> for SideInput {
    type Message = O::In;
    /// Whose turn it is.
    type Sender = usize;
    type State = O::State;
    const NAME: &'static str = "side input";
    const RESCALE: Rescale = Rescale::Given;

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> usize {
        link.sender % link.workers.len()
    }

    #[inline(always)]
    fn deliver(&self, link: &LinkContext<'_, O>, turn: &mut usize, record: O::In, outbox: &mut Outbox<O::In>) {
        if link.port > 0 {
            outbox.broadcast(record);
            return;
        }
        outbox.send(*turn, record);
        *turn += 1;
        if *turn == link.workers.len() {
            *turn = 0;
        }
    }

    keeps_operation_state!();
    reacts_to_records!();
}
