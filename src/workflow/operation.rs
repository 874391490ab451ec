//! What is done with records: the operation, its callbacks and what it can ask for.

use std::convert::Infallible;
use std::hash::Hash;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Alignment, Commit, Flush, KeyedTable, Result, Saved, Saving, Snapshot, Timestamp, Watermark};
use crate::codec::{Record, stable_hash};

/// Where an operation puts the records that it produces.
///
/// Records that one worker emits reach each receiver in the order in which they were emitted.
pub trait Emit<T> {
    /// Passes a record on. Never fails: what goes wrong behind it is reported by the worker that it goes wrong in.
    fn emit(&mut self, record: T);
}

/// Keeps the records: for calling a callback alone, in a test.
///
/// ```
/// use skitter::operations::Map;
/// use skitter::workflow::React;
///
/// let mut emitted = Vec::new();
/// Map::new(|n: u64| n * 2).react(&mut (), 21, &mut emitted)?;
/// assert_eq!(emitted, [42]);
/// # Ok::<(), skitter::workflow::Error>(())
/// ```
impl<T> Emit<T> for Vec<T> {
    #[inline]
    fn emit(&mut self, record: T) {
        self.push(record);
    }
}

/// Data-processing logic, independent of how it is distributed.
///
/// The value is the operation's configuration: it is cloned for each worker, on each node. What an operation can do is
/// said by the callback traits that it implements beside this one ([`React`], [`Keyed`], [`Combine`], [`Source`],
/// [`Passive`]), and a strategy asks for those that it needs.
///
/// An operation with several in ports of different types takes their sum, an enum with a variant a port, and likewise
/// emits an enum when it has several out ports; see [`InPort`](super::InPort) and [`OutPort`](super::OutPort).
pub trait Operation: Clone + Send + Sync + 'static {
    /// The records it takes; [`Infallible`] for a source.
    type In: Send + 'static;
    /// The records it emits; [`Infallible`] for a sink.
    type Out: Send + 'static;

    /// The name that vertices of this operation have unless they are given another.
    const NAME: &'static str;
    /// The names of the in ports.
    const IN_PORTS: &'static [&'static str] = &["in"];
    /// The names of the out ports.
    const OUT_PORTS: &'static [&'static str] = &["out"];
    /// Whether a callback may wait for something outside (a full channel, a disk, a terminal). Each of its workers then
    /// has a thread of its own, so that it does not keep others from running meanwhile; a client that runs futures
    /// (`block_on`) may do so there. That costs a few microseconds a batch.
    const BLOCKS: bool = false;

    /// Whether it says how far time has come ([`React::watermark`]). It then runs chained, and what comes from before
    /// it does not count any more.
    const KEEPS_TIME: bool = false;
    /// Whether it waits for time to come ([`React::advance`]): a workflow in which nobody says how far that has come is
    /// refused.
    const NEEDS_TIME: bool = false;
    /// Whether it waits for the clock ([`React::tick`]).
    const FOLLOWS_CLOCK: bool = false;

    /// Prepares the operation on a node: called once on each node, before any of its workers starts, on the value that
    /// those workers then share by cloning. The place to load a model or to open a pool, behind an `Arc`.
    ///
    /// # Errors
    /// An error fails the deployment before it starts.
    fn conf(&mut self) -> Result<()> {
        Ok(())
    }

    /// Checks the configuration when the workflow is built.
    ///
    /// # Errors
    /// The error is reported by `build()` with the name of the vertex.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// An operation that reacts to records.
#[diagnostic::on_unimplemented(
    message = "the operation `{Self}` lacks the callback `react`",
    note = "the strategy of this vertex needs it; implement `skitter::workflow::React`"
)]
pub trait React: Operation {
    /// What is kept between records: per key with a keyed strategy, else per worker.
    type State: Record;

    /// The state before the first record.
    fn init(&self) -> Self::State;

    /// Handles a record.
    ///
    /// # Errors
    /// An error fails the deployment. Other records may still be handed in before the worker stops, and some of what
    /// they emit may still be delivered.
    ///
    /// # Panics
    /// A panic is caught and fails the deployment with the vertex, the worker, the node and the message.
    fn react<E: Emit<Self::Out>>(&self, state: &mut Self::State, record: Self::In, emit: &mut E) -> Result<()>;

    /// Called once for each state when all input has ended; see also [`Keyed::finish_key`].
    ///
    /// # Errors
    /// An error fails the deployment.
    fn finish<E: Emit<Self::Out>>(&self, state: &mut Self::State, emit: &mut E) -> Result<()> {
        let _ = (state, emit);
        Ok(())
    }

    /// Time has come to `time`: no record that is still to come has an earlier one, as far as watermarks can tell. What
    /// is emitted here is before that watermark for those behind, and may have earlier times. `time` ascends, but in a
    /// worker that goes on with a checkpoint it may begin again before what the state has seen.
    ///
    /// Not called at the end ([`finish`](React::finish) is), nor where no operation [keeps
    /// time](Operation::KEEPS_TIME), nor by strategies that keep a state for each key, or none, nor by such whose
    /// workers send to each other.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn advance<E: Emit<Self::Out>>(&self, state: &mut Self::State, time: Timestamp, emit: &mut E) -> Result<()> {
        let _ = (state, time, emit);
        Ok(())
    }

    /// How far time has come behind all that it has emitted; none if it knows nothing yet. Asked before that leaves the
    /// worker, about every 10 ms, where it [keeps time](Operation::KEEPS_TIME).
    fn watermark(&self, state: &mut Self::State, due: Flush) -> Option<Watermark> {
        let _ = (state, due);
        None
    }

    /// Which sources it is to stay near in event time, where it [keeps time](Operation::KEEPS_TIME): while that is too
    /// far ahead of theirs, the source of its worker is not asked for records. It has to run in the worker of a source
    /// that is [asked](Source) for records.
    fn alignment(&self) -> Option<Alignment> {
        None
    }

    /// Called when the worker has nothing to do, and about ten times a second while it is busy, so that what the
    /// operation buffers (a line, a block of a file) reaches the outside. Strategies that keep a state for each key,
    /// or none, do not call it.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn flush(&self, state: &mut Self::State) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// The clock shows `now`, in milliseconds since 1970: called before the first record and then about every 20 ms
    /// where the operation [follows the clock](Operation::FOLLOWS_CLOCK), by the strategies that call
    /// [`flush`](React::flush); not in a vertex that runs [chained](crate::strategies::Chained).
    ///
    /// # Errors
    /// An error fails the deployment.
    fn tick<E: Emit<Self::Out>>(&self, state: &mut Self::State, now: Timestamp, emit: &mut E) -> Result<()> {
        let _ = (state, now, emit);
        Ok(())
    }

    /// Saves the state for a checkpoint: all records before it have been handled, and none after it. Strategies that
    /// keep a state for each key save those themselves. The default saves it as a whole.
    ///
    /// An operation with effects outside (a file, a transaction) gets them ready here, so that what is saved can bring
    /// them about whatever happens; and brings them about in [`commit`](React::commit), when the checkpoint is
    /// complete.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn snapshot(&self, state: &mut Self::State, snapshot: &mut Snapshot) -> Result<()> {
        snapshot.put(state)
    }

    /// As [`snapshot`](React::snapshot), for a state so large that saving it at once would keep records waiting. With
    /// [`Saving::More`] it is called again, between other calls, until it is done: what it saves later must be as it
    /// was at the first call, as [`KeyedTable`](super::KeyedTable) sees to. The default saves all at once.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn snapshot_in_slices(&self, state: &mut Self::State, snapshot: &mut Snapshot) -> Result<Saving> {
        self.snapshot(state, snapshot)?;
        Ok(Saving::Done)
    }

    /// Makes the state of what [`snapshot`](React::snapshot) has saved, in another worker, and perhaps on another node.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        Ok(saved.whole()?.unwrap_or_else(|| self.init()))
    }

    /// Effects up to a checkpoint, or all of them, are there to stay: no record before it will ever be handled again.
    /// Called at the end, too, after [`finish`](React::finish), with checkpoints or without; and again for the same
    /// checkpoint by a worker that has gone on with it. Strategies that keep a state for each key, or none, do not call
    /// it.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn commit(&self, state: &mut Self::State, commit: Commit) -> Result<()> {
        let _ = (state, commit);
        Ok(())
    }

    /// Whether each record gives exactly one: the runtime then need not count.
    const ONE_TO_ONE: bool = false;
}

/// An operation whose records have a key.
#[diagnostic::on_unimplemented(
    message = "the operation `{Self}` lacks the callback `key`",
    note = "the strategy of this vertex needs it; implement `skitter::workflow::Keyed`"
)]
pub trait Keyed: Operation {
    /// The key: records of equal keys share a state. Its `Hash` must not depend on the process (no addresses).
    type Key: Record + Hash + Eq + Clone;

    /// The key of a record. Called in the sender to find the receiver and again in the receiver to find the state, so
    /// it has to be cheap and to depend on the record alone.
    fn key(&self, record: &Self::In) -> Self::Key;

    /// The stable hash of the record's key. Write it only if there is a faster way than to make the key, and give the
    /// same result.
    #[inline(always)]
    fn key_hash(&self, record: &Self::In) -> u64 {
        stable_hash(&self.key(record))
    }

    /// Called once for each key and its state when all input has ended.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn finish_key<E: Emit<Self::Out>>(&self, key: &Self::Key, state: &mut Self::State, emit: &mut E) -> Result<()>
    where
        Self: React,
    {
        let _ = key;
        self.finish(state, emit)
    }

    /// Whether this is the record's key. Write it only if there is a faster way than to make the key.
    #[inline(always)]
    fn has_key(&self, record: &Self::In, key: &Self::Key) -> bool {
        self.key(record) == *key
    }
}

/// A keyed operation whose records can be combined before they travel, because it is associative and commutative.
#[diagnostic::on_unimplemented(
    message = "the operation `{Self}` cannot combine records before they travel",
    note = "implement `skitter::workflow::Combine`, or use `.keyed_combine(...)` in place of `.keyed_reduce(...)`"
)]
pub trait Combine: Keyed + React {
    /// Some records of one key in one.
    type Partial: Record;

    /// The partial of one record.
    fn start(&self, record: Self::In) -> Self::Partial;

    /// Adds a record to a partial.
    fn add(&self, partial: &mut Self::Partial, record: Self::In);

    /// Joins a partial into another one.
    fn join(&self, partial: &mut Self::Partial, other: Self::Partial);

    /// Adds a partial to the state of its key and emits what is to be said about it.
    ///
    /// # Errors
    /// As [`React::react`].
    fn merge<E: Emit<Self::Out>>(
        &self,
        key: &Self::Key,
        state: &mut Self::State,
        partial: Self::Partial,
        emit: &mut E,
    ) -> Result<()>;
}

/// An operation that takes records apart by key and keeps a partial result for each, before anything travels.
///
/// Every [`Combine`] is one, of one key a record. Write it for records that have many keys (a block of text and its
/// words): no record has then to be made for each.
#[diagnostic::on_unimplemented(
    message = "the operation `{Self}` cannot combine records before they travel",
    note = "implement `skitter::workflow::Combine`, or use `.keyed_combine(...)` in place of `.keyed_reduce(...)`"
)]
pub trait Gather: Operation {
    /// The key.
    type Key: Record + Hash + Eq;
    /// Some records of one key in one.
    type Partial: Record;
    /// What the owner of a key keeps.
    type State: Record;

    /// Adds a record to the partials of its keys.
    fn gather(&self, record: Self::In, partials: &mut KeyedTable<Self::Key, Self::Partial>);

    /// The state of a key before its first partial.
    fn begin(&self) -> Self::State;

    /// Adds a partial to the state of its key and emits what is to be said about it.
    ///
    /// # Errors
    /// As [`React::react`].
    fn absorb<E: Emit<Self::Out>>(
        &self,
        key: &Self::Key,
        state: &mut Self::State,
        partial: Self::Partial,
        emit: &mut E,
    ) -> Result<()>;

    /// Called once for each key and its state when all input has ended.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn end<E: Emit<Self::Out>>(&self, key: &Self::Key, state: &mut Self::State, emit: &mut E) -> Result<()> {
        let _ = (key, state, emit);
        Ok(())
    }
}

impl<O: Combine> Gather for O {
    type Key = <O as Keyed>::Key;
    type Partial = <O as Combine>::Partial;
    type State = <O as React>::State;

    #[inline(always)]
    fn gather(&self, record: Self::In, partials: &mut KeyedTable<Self::Key, Self::Partial>) {
        let hash = self.key_hash(&record);
        match partials.find(hash, |key| self.has_key(&record, key)) {
            Some(partial) => self.add(partial, record),
            None => {
                let key = self.key(&record);
                partials.insert(hash, key, self.start(record));
            }
        }
    }

    fn begin(&self) -> Self::State {
        self.init()
    }

    #[inline(always)]
    fn absorb<E: Emit<Self::Out>>(
        &self,
        key: &Self::Key,
        state: &mut Self::State,
        partial: Self::Partial,
        emit: &mut E,
    ) -> Result<()> {
        self.merge(key, state, partial, emit)
    }

    fn end<E: Emit<Self::Out>>(&self, key: &Self::Key, state: &mut Self::State, emit: &mut E) -> Result<()> {
        self.finish_key(key, state, emit)
    }
}

/// An operation that keeps one state a worker, and whose records can be combined before they travel.
#[diagnostic::on_unimplemented(
    message = "the operation `{Self}` cannot combine records for a worker",
    note = "implement `skitter::workflow::Gathering`, or use a strategy that sends each record"
)]
pub trait Gathering: React {
    /// What records have in common that are combined.
    type Key: Record + Hash + Eq;
    /// Some of them in one.
    type Partial: Record;

    /// Adds a record to a partial. Called in the sender.
    fn gather(&self, record: Self::In, partials: &mut KeyedTable<Self::Key, Self::Partial>);

    /// Adds a partial to the state.
    ///
    /// # Errors
    /// As [`React::react`].
    fn merge<E: Emit<Self::Out>>(
        &self,
        state: &mut Self::State,
        key: Self::Key,
        partial: Self::Partial,
        emit: &mut E,
    ) -> Result<()>;
}

/// What a source says after each call of [`Source::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// There is more to read at once.
    More,
    /// Nothing to read now: deliver what was emitted and call again at once (the source waits by itself, or polls).
    Again,
    /// Nothing to read now: deliver what was emitted and call again after this time (rounded up to a millisecond).
    After(Duration),
    /// The source has ended.
    End,
}

/// Which part of a source a worker reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The number of the worker, from 0.
    pub index: usize,
    /// How many workers there are.
    pub of: usize,
}

/// How far a bounded source has come, in a unit of its own such as bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What has been read.
    pub done: u64,
    /// What there is to read.
    pub total: u64,
}

/// An operation that is asked for records: it reads when its worker has room for more.
pub trait Source: Operation<In = Infallible> {
    /// The place that a worker reads from.
    type Reader: Send + 'static;

    /// Whether several workers can read, each a share of its own; otherwise one worker has the only share.
    fn splits(&self) -> bool {
        false
    }

    /// Opens a share.
    ///
    /// # Errors
    /// An error fails the deployment before it starts, so a missing input should be found here.
    fn open(&self, share: Share) -> Result<Self::Reader>;

    /// Emits about `budget` records; fewer if that takes long. It must not wait for long either: a worker answers
    /// nothing during a call.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn read<E: Emit<Self::Out>>(&self, reader: &mut Self::Reader, budget: usize, emit: &mut E) -> Result<Pull>;

    /// How far the reader has come, if there is an end to come to.
    fn progress(&self, reader: &Self::Reader) -> Option<Progress> {
        let _ = reader;
        None
    }

    /// Says where the reader is: what [`resume`](Source::resume) needs so that another one reads what this one has not
    /// emitted, and nothing else. As [`Part::Unit`](crate::id::Part::Unit)s, each of which any worker may go on with,
    /// numbered as no other worker's are; or with [`Snapshot::put`], which only a worker of the same number goes on
    /// with.
    ///
    /// The default says nothing: a source that cannot go back. After a failure it is opened anew, and what it emits
    /// from then on is all that is read.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn position(&self, reader: &mut Self::Reader, snapshot: &mut Snapshot) -> Result<()> {
        let _ = (reader, snapshot);
        Ok(())
    }

    /// Opens a share where readers were. With as many workers as before, `saved` is what the reader of this share has
    /// said; else the units of all readers have been dealt out.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn resume(&self, share: Share, saved: &Saved) -> Result<Self::Reader> {
        let _ = saved;
        self.open(share)
    }
}

/// An operation that is told: records come from outside when they come (a socket, an embedding program).
///
/// It gets a thread of its own, on which it may block.
pub trait Passive: React {
    /// Takes records in until the source ends or [`Intake::is_closed`](super::Intake::is_closed); runs on a thread of
    /// its own, once for each worker. Its worker then handles them by [`React::react`].
    ///
    /// A call that blocks must come back within a second or so of the intake's closing, so use time-outs.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn listen(&self, share: Share, intake: &mut super::Intake<Self::In>) -> Result<()>;
}
