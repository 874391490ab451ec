//! One state a key, at the key's owner.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::codec::{KEY_GROUPS, Record, key_group, stable_hash};
use crate::workflow::{Cluster, Deployment, Emit, Keyed, LinkContext, Outbox, React, Result, Strategy, WorkerContext};

/// Sends each record to the worker that owns its key, which keeps a state for each key. A worker on each core.
///
/// The records of one key from one sender are handled in the order in which they were sent. Which worker owns a key
/// depends on the key's [`stable_hash`] and the number of workers alone.
///
/// ```
/// use skitter::prelude::*;
///
/// let words = vec!["to".to_owned(), "be".to_owned(), "to".to_owned()];
/// let counts = skitter::testing::run(words, |words| {
///     words.keyed_reduce(String::clone, 0u64, |count, word| { *count += 1; (word, *count) }).with(KeyedState)
/// })?;
/// assert!(counts.contains(&("to".to_owned(), 2)));
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyedState;

/// The worker that owns the key with this hash, of `workers`.
///
/// Keys are owned by group, in ranges, so that a change of the number of workers moves whole ranges.
#[inline(always)]
pub(super) fn owner(hash: u64, workers: usize) -> usize {
    (key_group(hash) as usize * workers) / KEY_GROUPS as usize
}

/// The states of a worker's keys.
pub struct KeyedTable<K, S> {
    table: HashTable<(K, S)>,
}

impl<K: Record + std::hash::Hash + Eq + Clone, S> KeyedTable<K, S> {
    pub(super) fn new() -> Self {
        KeyedTable { table: HashTable::new() }
    }

    /// The state of a key; made on first use.
    #[inline(always)]
    pub(super) fn state(&mut self, hash: u64, key: K, init: impl FnOnce() -> S) -> &mut (K, S) {
        match self.table.entry(hash, |(other, _)| *other == key, |(key, _)| stable_hash(key)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert((key, init())).into_mut(),
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut (K, S)> {
        self.table.iter_mut()
    }
}

impl<K, S> std::fmt::Debug for KeyedTable<K, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedTable").field("keys", &self.table.len()).finish()
    }
}

impl<O: Keyed<In: Record> + React> Strategy<O> for KeyedState {
    type Message = O::In;
    type Sender = ();
    type State = KeyedTable<O::Key, O::State>;
    const NAME: &'static str = "keyed state";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    #[inline(always)]
    fn deliver(&self, link: &LinkContext<'_, O>, _sender: &mut (), record: O::In, outbox: &mut Outbox<O::In>) {
        let worker = owner(stable_hash(&link.operation.key(&record)), link.workers.len());
        outbox.send(worker, record);
    }

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        Ok(KeyedTable::new())
    }

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        record: O::In,
        emit: &mut E,
        _peers: &mut Outbox<O::In>,
    ) -> Result<()> {
        let key = worker.operation.key(&record);
        let (_, state) = states.state(stable_hash(&key), key, || worker.operation.init());
        worker.operation.react(state, record, emit)
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        states.iter_mut().try_for_each(|(_, state)| worker.operation.finish(state, emit))
    }
}
