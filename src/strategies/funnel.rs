//! All of it in one place, combined before it travels.

use std::time::Duration;

use crate::codec::Record;
use crate::workflow::{
    Cluster, Deployment, Emit, Flush, Gathering, KeyedTable, LinkContext, Outbox, Result, Strategy, WorkerContext,
};

/// One worker for all records; each sender combines what it has before that travels. For global results of many
/// records, whose rate is then that of the senders and not that of one core.
///
/// What a sender has combined leaves when it has nothing to do, when it holds 2^12 keys, before a watermark or a
/// checkpoint, once a second, and at the end.
///
/// ```
/// use skitter::operations::windows::{Count, Windows};
/// use skitter::prelude::*;
/// use std::time::Duration;
///
/// let counts = skitter::testing::run(vec![1i64, 2, 3, 11], |seconds| {
///     let timed = seconds.watermarks(|second| second * 1000, Duration::ZERO);
///     timed.window(|second| second * 1000, Windows::tumbling(Duration::from_secs(10)), Count).with(Funnel)
/// })?;
/// assert_eq!(counts.iter().map(|count| count.value).collect::<Vec<_>>(), [3, 1]);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Funnel;

/// Most keys that a sender holds: what all have in common is one, or a few.
const MOST_KEYS: usize = 1 << 12;

/// How long a busy sender keeps what it has combined: as long as somebody who watches would wait.
const LONGEST: Duration = Duration::from_secs(1);

/// What a sender has combined, and when it last let it go.
#[derive(Debug)]
pub struct Combined<K, P> {
    table: KeyedTable<K, P>,
    left: Duration,
}

impl<K, P> Combined<K, P>
where
    (K, P): Record,
{
    fn leave(&mut self, outbox: &mut Outbox<(K, P)>) {
        self.table.drain().for_each(|combined| outbox.send(0, combined));
    }
}

impl<O: Gathering> Strategy<O> for Funnel {
    type Message = (O::Key, O::Partial);
    type Sender = Combined<O::Key, O::Partial>;
    type State = O::State;
    const NAME: &'static str = "funnel";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_n(1))
    }

    fn sender(&self, _link: &LinkContext<'_, O>) -> Self::Sender {
        Combined { table: KeyedTable::new(), left: Duration::ZERO }
    }

    #[inline(always)]
    fn deliver(
        &self,
        link: &LinkContext<'_, O>,
        combined: &mut Self::Sender,
        record: O::In,
        outbox: &mut Outbox<Self::Message>,
    ) {
        link.operation.gather(record, &mut combined.table);
        if combined.table.len() >= MOST_KEYS {
            combined.leave(outbox);
        }
    }

    fn flush(
        &self,
        _link: &LinkContext<'_, O>,
        combined: &mut Self::Sender,
        outbox: &mut Outbox<Self::Message>,
        due: Flush,
    ) {
        if let Flush::Busy { now } = due
            && now < combined.left + LONGEST
        {
            return;
        }
        if let Flush::Busy { now } | Flush::Idle { now } = due {
            combined.left = now;
        }
        combined.leave(outbox);
    }

    keeps_operation_state!();

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut O::State,
        (key, partial): Self::Message,
        emit: &mut E,
        _peers: &mut Outbox<Self::Message>,
    ) -> Result<()> {
        worker.operation.merge(state, key, partial, emit)
    }
}
