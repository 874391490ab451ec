//! One state a worker, for all keys that it owns.

use super::keyed_state::owner;
use crate::codec::Record;
use crate::workflow::{
    Cluster, Deployment, Emit, Keyed, LinkContext, Outbox, React, Rescale, Result, Strategy, WorkerContext,
};

/// Sends each record to the worker that owns its key, as [`KeyedState`](super::KeyedState) does; but the operation
/// keeps one state for all keys of a worker, and so can follow time: windows, timers, joins. A worker on each core.
///
/// The records of one key from one sender are handled in the order in which they were sent. An operation that is to go
/// on with other numbers of workers saves its state by key group ([`Part::Group`](crate::id::Part::Group)) in
/// [`React::snapshot`].
///
/// ```
/// use skitter::operations::windows::{Count, Windows};
/// use skitter::prelude::*;
/// use std::time::Duration;
///
/// let seconds = vec![(0i64, 'a'), (1, 'b'), (4, 'a'), (11, 'a')];
/// let counts = skitter::testing::run(seconds, |stream| {
///     let timed = stream.watermarks(|(second, _)| second * 1000, Duration::ZERO);
///     let minutes = Windows::tumbling(Duration::from_secs(10));
///     timed.keyed_window(|(_, key)| *key, |(second, _)| second * 1000, minutes, Count).with(Partitioned)
/// })?;
/// assert!(counts.iter().any(|count| (count.key, count.window.start, count.value) == ('a', 0, 2)));
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Partitioned;

impl<O: Keyed<In: Record> + React> Strategy<O> for Partitioned {
    type Message = O::In;
    type Sender = ();
    type State = O::State;
    const NAME: &'static str = "partitioned";
    const RESCALE: Rescale = Rescale::Dealt;

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    #[inline(always)]
    fn deliver(&self, link: &LinkContext<'_, O>, _sender: &mut (), record: O::In, outbox: &mut Outbox<O::In>) {
        let worker = owner(link.operation.key_hash(&record), link.workers.len());
        outbox.send(worker, record);
    }

    keeps_operation_state!();
    reacts_to_records!();
}
