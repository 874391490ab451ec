//! Several candidates for each key, so that a few heavy keys do not make a few workers busy.

mod choices;
mod router;
mod sketch;

use std::hash::Hash;

use serde::{Deserialize, Serialize};

use router::Router;

use super::keyed_state::{merge_by_key, owner};
use crate::codec::{Record, stable_hash};
use crate::workflow::{
    ByHand, Cluster, Combine, Deployment, Emit, Flush, Gather, KeyedTable, LinkContext, Outbox, Rescale, Result, Saved,
    Saving, Snapshot, Strategy, WorkerContext,
};

/// Spreads each key over several workers when its owner has more to do than others, and sends the owner what they have
/// combined. For operations that can be combined ([`Combine`]) and keys of very unequal weight. A worker on each core.
///
/// A record goes to the owner of its key as long as that has not had more than a sixteenth above the mean from this
/// sender; else to the one of the key's candidates that has had least. Any key has two candidates, its owner and
/// another one; the heaviest have as many as they need, all workers at most. A worker that gets records of a key that
/// it does not own combines them, and sends the owner one message for all of them when it has nothing to do, ten times
/// a second while it is busy, when it holds 2^14 keys, and at the end.
///
/// Only the owner emits: an update of a key speaks of all that its owner knows so far, and the last one of all records.
/// Records of one key are not handled in order.
///
/// Where keys are even, this is [`KeyedState`](super::KeyedState) and costs little more; where one key has more records
/// than a worker can handle, nothing that keeps a key in one place can help.
///
/// The methods are partial key grouping (Nasir, De Francisci Morales, García-Soriano, Kourtellis and Serafini: The
/// power of both choices, ICDE 2015), from which come two choices and the sender's own estimate of load, and D-Choices
/// (Nasir, De Francisci Morales, Kourtellis and Serafini: When two choices are not enough, ICDE 2016), from which comes
/// the number of candidates of heavy keys. Unlike there, a key stays with its owner as long as that is not too busy,
/// which spares messages, and merging is done by the owners among the same workers.
///
/// ```
/// use skitter::operations::Count;
/// use skitter::strategies::PartialKey;
/// use skitter::testing::Simulation;
/// use skitter::workflow::Cluster;
///
/// // Every record has the same key: eight workers share it.
/// let count = Count::by(|word: &String| word.clone());
/// let words = std::iter::repeat_n("the".to_owned(), 20_000);
/// let outcome = Simulation::new(count, PartialKey, Cluster::simulated(8, 1)).run(words)?;
/// assert!(outcome.imbalance() < 1.2);
/// assert_eq!(outcome.records().last(), Some(&("the".to_owned(), 20_000)));
/// # Ok::<(), skitter::workflow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct PartialKey;

/// Most keys of others that a worker holds: so few that they fit into a second-level cache, so many that skewed keys,
/// whose number grows slowly, are all held from one settling to the next.
const MOST_KEYS: usize = 1 << 14;

/// What travels to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Split<R, K, P> {
    /// A record, from a sender.
    Record(R),
    /// What a peer has combined of a key that this worker owns.
    Partial(K, P),
}

/// What a worker keeps: the states of its own keys, and what it has combined of the keys of others.
pub struct Shared<K, S, P> {
    states: KeyedTable<K, S>,
    partials: KeyedTable<K, P>,
}

impl<K, S, P> std::fmt::Debug for Shared<K, S, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let partials = self.partials.len();
        f.debug_struct("Shared").field("states", &self.states).field("partials", &partials).finish()
    }
}

impl<K: Record + Hash + Eq + Clone, S, P: Record> Shared<K, S, P> {
    /// Sends what was combined to the owners.
    fn send<R: Record>(&mut self, peers: &mut Outbox<Split<R, K, P>>) {
        let workers = peers.workers();
        for (key, partial) in self.partials.drain() {
            peers.send(owner(stable_hash(&key), workers), Split::Partial(key, partial));
        }
    }
}

impl<O: Combine<In: Record>> Strategy<O> for PartialKey {
    type Message = Split<O::In, O::Key, O::Partial>;
    type Sender = Router;
    type State = ByHand<Shared<O::Key, O::State, O::Partial>>;
    const NAME: &'static str = "partial key";
    const PEERS: bool = true;
    const RESCALE: Rescale = Rescale::Dealt;

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> Router {
        Router::new(link.workers.len(), link.sender)
    }

    #[inline(always)]
    fn deliver(
        &self,
        link: &LinkContext<'_, O>,
        router: &mut Router,
        record: O::In,
        outbox: &mut Outbox<Self::Message>,
    ) {
        let worker = router.route(link.operation.key_hash(&record));
        outbox.send(worker, Split::Record(record));
    }

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        Ok(ByHand(Shared { states: KeyedTable::new(), partials: KeyedTable::new() }))
    }

    /// What it has combined of the keys of others has been sent to them before, by [`settle`](Strategy::settle).
    fn snapshot(
        &self,
        _worker: &WorkerContext<'_, O>,
        shared: &mut Self::State,
        snapshot: &mut Snapshot,
    ) -> Result<Saving> {
        shared.states.snapshot(snapshot)
    }

    fn restore(&self, _worker: &WorkerContext<'_, O>, saved: &Saved) -> Result<Self::State> {
        Ok(ByHand(Shared { states: KeyedTable::restore(saved)?, partials: KeyedTable::new() }))
    }

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        shared: &mut Self::State,
        message: Self::Message,
        emit: &mut E,
        peers: &mut Outbox<Self::Message>,
    ) -> Result<()> {
        let operation = worker.operation;
        let record = match message {
            Split::Record(record) => record,
            Split::Partial(key, partial) => {
                return merge_by_key(operation, &mut shared.states, stable_hash(&key), key, partial, emit);
            }
        };
        let hash = operation.key_hash(&record);
        if owner(hash, worker.workers.len()) != worker.index {
            operation.gather(record, &mut shared.partials);
            if shared.partials.len() >= MOST_KEYS {
                shared.send(peers);
            }
            return Ok(());
        }
        let (key, state) = match shared.states.find_key(hash, |key| operation.has_key(&record, key)) {
            Some(found) => found,
            None => shared.states.insert(hash, operation.key(&record), operation.init()),
        };
        operation.merge(key, state, operation.start(record), emit)
    }

    fn settle<E: Emit<O::Out>>(
        &self,
        _worker: &WorkerContext<'_, O>,
        shared: &mut Self::State,
        _emit: &mut E,
        peers: &mut Outbox<Self::Message>,
        _due: Flush,
    ) -> Result<()> {
        shared.send(peers);
        Ok(())
    }

    fn drain(
        &self,
        _worker: &WorkerContext<'_, O>,
        shared: &mut Self::State,
        peers: &mut Outbox<Self::Message>,
    ) -> Result<()> {
        shared.send(peers);
        Ok(())
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        shared: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        shared.states.iter_mut().try_for_each(|(key, state)| worker.operation.finish_key(key, state, emit))
    }
}

#[cfg(test)]
mod tests;
