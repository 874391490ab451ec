//! One state a key, at the key's owner.

use hashbrown::HashTable;

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

    /// Calls `use_it` with the state of a record's key, which is made on first use.
    #[inline(always)]
    pub(super) fn with_state_of<O, R>(
        &mut self,
        operation: &O,
        record: O::In,
        use_it: impl FnOnce(&mut S, O::In) -> R,
    ) -> R
    where
        O: Keyed<Key = K> + React<State = S>,
    {
        let hash = operation.key_hash(&record);
        // Found first and inserted apart: the way of a key that is known stays short.
        match self.table.find_mut(hash, |(key, _)| operation.has_key(&record, key)) {
            Some((_, state)) => use_it(state, record),
            None => {
                let (_, state) = self.insert(hash, operation.key(&record), operation.init());
                use_it(state, record)
            }
        }
    }

    /// Calls `use_it` with a key of this stable hash and its state, which is made on first use.
    #[inline(always)]
    pub(super) fn with_key<R>(
        &mut self,
        hash: u64,
        key: K,
        init: impl FnOnce() -> S,
        use_it: impl FnOnce(&K, &mut S) -> R,
    ) -> R {
        match self.table.find_mut(hash, |(other, _)| *other == key) {
            Some((key, state)) => use_it(key, state),
            None => {
                let (key, state) = self.insert(hash, key, init());
                use_it(key, state)
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn insert(&mut self, hash: u64, key: K, state: S) -> &mut (K, S) {
        self.table.insert_unique(hash, (key, state), |(key, _)| stable_hash(key)).into_mut()
    }

    /// Ends the states of all keys.
    pub(super) fn finish<O, E>(&mut self, operation: &O, emit: &mut E) -> Result<()>
    where
        O: Keyed<Key = K> + React<State = S>,
        E: Emit<O::Out>,
    {
        self.table.iter_mut().try_for_each(|(key, state)| operation.finish_key(key, state, emit))
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
        let worker = owner(link.operation.key_hash(&record), link.workers.len());
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
        let operation = worker.operation;
        states.with_state_of(operation, record, |state, record| operation.react(state, record, emit))
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
