//! One state a key, at the key's owner, on disk.

use super::keyed_state::KeyedState;
use crate::codec::Record;
use crate::disk::DiskTable;
use crate::workflow::{
    ByHand, Cluster, Deployment, Emit, Keyed, LinkContext, Outbox, React, Rescale, Result, Saved, Saving, Snapshot,
    Strategy, WorkerContext,
};

/// As [`KeyedState`], with the states of keys on disk but for those that were used last, so that there may be more of
/// them than there is memory; see [`DiskTable`] for where, and at what cost.
///
/// Each worker has a part of the keys. A workflow that is given this strategy in place of `KeyedState` can go on at a
/// checkpoint of that, and the other way.
///
/// ```
/// use skitter::prelude::*;
///
/// let words = vec!["to".to_owned(), "be".to_owned(), "to".to_owned()];
/// let counts = skitter::testing::run(words, |words| {
///     let count = |count: &mut u64, word: String| { *count += 1; (word, *count) };
///     words.keyed_reduce(String::clone, 0, count).with(DiskState::default())
/// })?;
/// assert!(counts.contains(&("to".to_owned(), 2)));
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskState {
    memory: Option<usize>,
}

impl DiskState {
    /// About so many bytes of keys and states are kept in memory by each worker: 64 MiB if that is not said.
    pub fn memory(bytes: usize) -> Self {
        DiskState { memory: Some(bytes) }
    }
}

impl<O: Keyed<In: Record> + React> Strategy<O> for DiskState {
    type Message = O::In;
    type Sender = ();
    type State = ByHand<DiskTable<O::Key, O::State>>;
    // Either goes on with what the other has saved.
    const NAME: &'static str = <KeyedState as Strategy<O>>::NAME;
    const RESCALE: Rescale = <KeyedState as Strategy<O>>::RESCALE;

    fn deploy(&self, operation: &O, cluster: &Cluster) -> Result<Deployment> {
        KeyedState.deploy(operation, cluster)
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    #[inline(always)]
    fn deliver(&self, link: &LinkContext<'_, O>, sender: &mut (), record: O::In, outbox: &mut Outbox<O::In>) {
        KeyedState.deliver(link, sender, record, outbox);
    }

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        Ok(ByHand(DiskTable::new(self.memory)))
    }

    fn snapshot(
        &self,
        _worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        snapshot: &mut Snapshot,
    ) -> Result<Saving> {
        states.snapshot(snapshot)
    }

    fn restore(&self, _worker: &WorkerContext<'_, O>, saved: &Saved) -> Result<Self::State> {
        Ok(ByHand(DiskTable::restore(saved, self.memory)?))
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
        let hash = operation.key_hash(&record);
        let state = match states.find(hash, |key| operation.has_key(&record, key))? {
            Some(state) => state,
            None => states.insert(hash, operation.key(&record), operation.init()),
        };
        operation.react(state, record, emit)
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        states.drain(|key, mut state| worker.operation.finish_key(&key, &mut state, emit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::tests::{count, counting, last_updates};
    use crate::testing::Simulation;

    #[test]
    fn it_counts_as_in_memory() {
        let numbers = (0..60_000u64).map(|n| n * 7919 % 10_000);
        let simulation =
            Simulation::new(counting(), DiskState::memory(1 << 16), Cluster::simulated(2, 2)).senders(3).seed(5);
        let outcome = simulation.run(numbers.clone()).expect("no failure");
        assert_eq!(last_updates(&outcome.emitted), count(numbers));
    }
}
