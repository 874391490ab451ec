//! Records of one key are combined before they travel.

use std::hash::Hash;
use std::time::Duration;

use hashbrown::HashTable;

use super::keyed_state::{KeyedTable, owner};
use crate::codec::{Record, stable_hash};
use crate::workflow::{
    Cluster, Combine, Deployment, Emit, Flush, LinkContext, Outbox, Result, Strategy, WorkerContext,
};

/// Each sender combines the records of a key, for as long as it is busy, and sends the owner of the key one message in
/// their place. A worker on each core.
///
/// For operations that are associative and commutative ([`Combine`]). What the owner emits then speaks of many records
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

/// What a sender has combined.
pub struct Partials<K, P> {
    table: HashTable<(K, P)>,
    left: Duration,
}

impl<K, P> std::fmt::Debug for Partials<K, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partials").field("keys", &self.table.len()).finish()
    }
}

impl<K: Hash + Eq, P> Partials<K, P> {
    fn new() -> Self {
        Partials { table: HashTable::new(), left: Duration::ZERO }
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, hash: u64, key: K, partial: P, outbox: &mut Outbox<(K, P)>)
    where
        (K, P): Record,
    {
        self.table.insert_unique(hash, (key, partial), |(key, _)| stable_hash(key));
        if self.table.len() >= MOST_KEYS {
            self.leave(outbox);
        }
    }

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

impl<O: Combine> Strategy<O> for Combining {
    type Message = (O::Key, O::Partial);
    type Sender = Partials<O::Key, O::Partial>;
    type State = KeyedTable<O::Key, O::State>;
    const NAME: &'static str = "combining";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, _link: &LinkContext<'_, O>) -> Self::Sender {
        Partials::new()
    }

    #[inline(always)]
    fn deliver(
        &self,
        link: &LinkContext<'_, O>,
        partials: &mut Self::Sender,
        record: O::In,
        outbox: &mut Outbox<Self::Message>,
    ) {
        let operation = link.operation;
        let hash = operation.key_hash(&record);
        match partials.table.find_mut(hash, |(key, _)| operation.has_key(&record, key)) {
            Some((_, partial)) => operation.add(partial, record),
            None => {
                let key = operation.key(&record);
                partials.insert(hash, key, operation.start(record), outbox);
            }
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

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        (key, partial): Self::Message,
        emit: &mut E,
        _peers: &mut Outbox<Self::Message>,
    ) -> Result<()> {
        let operation = worker.operation;
        states.with_key(
            stable_hash(&key),
            key,
            || operation.init(),
            |key, state| operation.merge(key, state, partial, emit),
        )
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        states.finish(worker.operation, emit)
    }
}
