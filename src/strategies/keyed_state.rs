//! One state a key, at the key's owner.

use crate::codec::{Record, key_group};
use crate::workflow::{
    Cluster, Deployment, Emit, Gather, Keyed, KeyedTable, LinkContext, Outbox, React, Rescale, Result, Strategy,
    WorkerContext, owner_of_group,
};

/// Sends each record to the worker that owns its key, which keeps a state for each key. A worker on each core.
///
/// The records of one key from one sender are handled in the order in which they were sent. Which worker owns a key
/// depends on the key's [`stable_hash`](crate::codec::stable_hash) and the number of workers alone.
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
    owner_of_group(key_group(hash), workers)
}

/// Lets an operation react to a record with the state of its key, which is made on first use.
#[inline(always)]
pub(super) fn react_by_key<O: Keyed + React, E: Emit<O::Out>>(
    operation: &O,
    states: &mut KeyedTable<O::Key, O::State>,
    record: O::In,
    emit: &mut E,
) -> Result<()> {
    let hash = operation.key_hash(&record);
    let state = match states.find(hash, |key| operation.has_key(&record, key)) {
        Some(state) => state,
        None => states.insert(hash, operation.key(&record), operation.init()).1,
    };
    operation.react(state, record, emit)
}

/// Adds a partial to the state of its key, which is made on first use.
#[inline(always)]
pub(super) fn merge_by_key<O: Gather, E: Emit<O::Out>>(
    operation: &O,
    states: &mut KeyedTable<O::Key, O::State>,
    hash: u64,
    key: O::Key,
    partial: O::Partial,
    emit: &mut E,
) -> Result<()> {
    let (key, state) = match states.find_key(hash, |other| *other == key) {
        Some(found) => found,
        None => states.insert(hash, key, operation.begin()),
    };
    operation.absorb(key, state, partial, emit)
}

impl<O: Keyed<In: Record> + React> Strategy<O> for KeyedState {
    type Message = O::In;
    type Sender = ();
    type State = KeyedTable<O::Key, O::State>;
    const NAME: &'static str = "keyed state";
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

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        Ok(KeyedTable::new())
    }

    keeps_keyed_table!();

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        record: O::In,
        emit: &mut E,
        _peers: &mut Outbox<O::In>,
    ) -> Result<()> {
        react_by_key(worker.operation, states, record, emit)
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        states.iter_mut().try_for_each(|(key, state)| worker.operation.finish_key(key, state, emit))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{KEY_GROUPS, stable_hash};
    use crate::strategies::tests::{count, counting, last_updates};
    use crate::testing::Simulation;

    proptest! {
        #[test]
        fn owners_have_ranges_of_groups(hashes in prop::collection::vec(any::<u64>(), 2), workers in 1usize..2000) {
            let (a, b) = (hashes[0], hashes[1]);
            prop_assert!(owner(a, workers) < workers);
            if key_group(a) <= key_group(b) {
                prop_assert!(owner(a, workers) <= owner(b, workers));
            }
        }
    }

    #[test]
    fn owners_have_equal_shares_of_the_groups() {
        for workers in [1, 3, 8, 100, 1024] {
            let mut groups = vec![0; workers];
            (0..u64::from(KEY_GROUPS)).for_each(|group| groups[owner(group << 24, workers)] += 1);
            let (least, most) = (groups.iter().min(), groups.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{groups:?}");
        }
    }

    #[test]
    fn a_key_has_one_worker_whoever_sends_it() {
        let numbers = (0..30_000u64).map(|n| n % 1000);
        let simulation = Simulation::new(counting(), KeyedState, Cluster::simulated(3, 2)).senders(4).seed(5);
        let outcome = simulation.run(numbers.clone()).expect("no failure");
        assert_eq!(last_updates(&outcome.emitted), count(numbers));
        for (worker, (key, _)) in outcome.emitted {
            assert_eq!(worker, owner(stable_hash(&key), 6));
        }
    }
}
