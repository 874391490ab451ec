//! Records of one key are combined before they travel.

use std::time::Duration;

use super::keyed_state::{merge_by_key, owner};
use crate::codec::{Record, stable_hash};
use crate::workflow::{
    Cluster, Deployment, Emit, Flush, Gather, KeyedTable, LinkContext, Outbox, Rescale, Result, Strategy, WorkerContext,
};

/// Each sender combines the records of a key, for as long as it is busy, and sends the owner of the key one message in
/// their place. A worker on each core.
///
/// For operations that are associative and commutative ([`Combine`](crate::workflow::Combine)), and for those that take
/// records apart by key themselves ([`Gather`]). What the owner emits then speaks of many records
/// at once: a word count gives fewer updates, the last of which is the same. Partial results leave when the sender has
/// nothing to do, when it holds 2^18 keys, once a second, and at the end.
///
/// ```
/// use skitter::prelude::*;
///
/// let words = vec!["to".to_owned(), "be".to_owned(), "to".to_owned()];
/// let counts = skitter::testing::run(words, |words| words.count_by(String::clone).with(Combining))?;
/// assert!(counts.contains(&("to".to_owned(), 2)));
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Combining;

/// Most keys that a sender holds: a map of small keys of this size still fits into a second-level cache or two, and a
/// flush of it is a handful of milliseconds.
const MOST_KEYS: usize = 1 << 18;

/// How long a busy sender keeps a partial result: as long as somebody who watches counts would wait.
const LONGEST: Duration = Duration::from_secs(1);

/// What a sender has combined, and when it last let it go.
#[derive(Debug)]
pub struct Partials<K, P> {
    table: KeyedTable<K, P>,
    left: Duration,
}

impl<K: std::hash::Hash, P> Partials<K, P> {
    #[cold]
    #[inline(never)]
    fn leave(&mut self, outbox: &mut Outbox<(K, P)>)
    where
        (K, P): Record,
    {
        let workers = outbox.workers();
        for (key, partial) in self.table.drain() {
            outbox.send(owner(stable_hash(&key), workers), (key, partial));
        }
    }
}

impl<O: Gather> Strategy<O> for Combining {
    type Message = (O::Key, O::Partial);
    type Sender = Partials<O::Key, O::Partial>;
    type State = KeyedTable<O::Key, O::State>;
    const NAME: &'static str = "combining";
    const RESCALE: Rescale = Rescale::Dealt;

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, _link: &LinkContext<'_, O>) -> Self::Sender {
        Partials { table: KeyedTable::new(), left: Duration::ZERO }
    }

    #[inline(always)]
    fn deliver(
        &self,
        link: &LinkContext<'_, O>,
        partials: &mut Self::Sender,
        record: O::In,
        outbox: &mut Outbox<Self::Message>,
    ) {
        link.operation.gather(record, &mut partials.table);
        if partials.table.len() >= MOST_KEYS {
            partials.leave(outbox);
        }
    }

    fn flush(
        &self,
        _link: &LinkContext<'_, O>,
        partials: &mut Self::Sender,
        outbox: &mut Outbox<Self::Message>,
        due: Flush,
    ) {
        if let Flush::Busy { now } = due
            && now < partials.left + LONGEST
        {
            return;
        }
        if let Flush::Busy { now } | Flush::Idle { now } = due {
            partials.left = now;
        }
        partials.leave(outbox);
    }

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        Ok(KeyedTable::new())
    }

    keeps_keyed_table!();

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        (key, partial): Self::Message,
        emit: &mut E,
        _peers: &mut Outbox<Self::Message>,
    ) -> Result<()> {
        merge_by_key(worker.operation, states, stable_hash(&key), key, partial, emit)
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        states.iter_mut().try_for_each(|(key, state)| worker.operation.end(key, state, emit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::tests::{count, counting, last_updates};
    use crate::testing::Simulation;

    #[test]
    fn one_message_stands_for_many_records() {
        let numbers = (0..100_000u64).map(|n| n % 10);
        let simulation = Simulation::new(counting(), Combining, Cluster::simulated(2, 2)).senders(3);
        let outcome = simulation.run(numbers.clone()).expect("no failure");
        assert_eq!(last_updates(&outcome.emitted), count(numbers));
        // 0.1 s is less than a second: each sender speaks once of each key.
        assert_eq!(outcome.received.iter().sum::<u64>(), 30);
    }

    #[test]
    fn a_busy_sender_speaks_once_a_second() {
        let simulation = Simulation::new(counting(), Combining, Cluster::simulated(1, 1)).rate(10_000);
        let outcome = simulation.run(std::iter::repeat_n(7, 35_000)).expect("no failure");
        let updates: Vec<u64> = outcome.emitted.iter().map(|(_, (_, count))| *count).collect();
        // 3.5 s: after one, two and three seconds, and at the end.
        assert_eq!(updates.len(), 4, "{updates:?}");
        assert!(
            updates[..3].iter().zip([10_000, 20_000, 30_000u64]).all(|(n, due)| n.abs_diff(due) < 1000),
            "{updates:?}"
        );
        assert_eq!(updates[3], 35_000);
    }

    #[test]
    fn a_sender_holds_a_bounded_number_of_keys() {
        let keys = MOST_KEYS as u64 + 100;
        let simulation = Simulation::new(counting(), Combining, Cluster::simulated(1, 2)).rate(u64::MAX);
        let outcome = simulation.run((0..2 * keys).map(|n| n % keys)).expect("no failure");
        // Were there no bound, each key would be spoken of once.
        assert_eq!(outcome.received.iter().sum::<u64>(), 2 * keys);
        assert_eq!(outcome.emitted.iter().filter(|(_, (_, count))| *count == 2).count() as u64, keys);
    }
}
