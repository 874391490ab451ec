//! The general form of an operation on keys: state and timers, written by hand.

mod storage;
mod table;
mod timed;
mod timers;
mod times;

use std::hash::Hash;
use std::time::Duration;

pub use self::storage::Storage;
use self::table::By;
pub use self::table::{AtKey, Entries};
pub use self::timed::{TimedList, TimedMap};
use super::watermarks::milliseconds;
use crate::codec::Record;
use crate::strategies::Partitioned;
use crate::workflow::{
    Behind, ByHand, Chain, Emit, Error, In, Keyed, Operation, Out, OutPort, React, Result, Saved, Saving, Snapshot,
    Stream, Timestamp,
};

/// What is done with the records of each key, with a state and with timers in event time. Behind a stream it is put by
/// [`Stream::process`].
///
/// State and timers are saved with checkpoints, by key group, so that a workflow can go on with other numbers of
/// workers: each record and each timer has its effect exactly once.
///
/// ```
/// use skitter::operations::{AtKey, Process};
/// use skitter::prelude::*;
/// use skitter::workflow::Timestamp;
/// use std::time::Duration;
///
/// /// Gives orders that have not been paid within a minute.
/// #[derive(Clone)]
/// struct Unpaid;
///
/// impl Process for Unpaid {
///     /// An order or, if that is true, its payment: which one, and when.
///     type In = (u32, Timestamp, bool);
///     type Out = u32;
///     type Key = u32;
///     /// When it was paid.
///     type State = Timestamp;
///     const NAME: &'static str = "unpaid";
///
///     fn key(&self, (order, ..): &Self::In) -> u32 { *order }
///
///     fn record<E: Emit<u32>>(&self, at: &mut AtKey<'_, Self>, (_, time, paid): Self::In, _: &mut E) -> Result<()> {
///         match paid {
///             true => *at.state() = Some(time),
///             false => at.set_timer(time + 60_000),
///         }
///         Ok(())
///     }
///
///     fn timer<E: Emit<u32>>(&self, at: &mut AtKey<'_, Self>, due: Timestamp, emit: &mut E) -> Result<()> {
///         // Others may have come that are later than this time.
///         if at.state().take().is_none_or(|paid| paid > due) {
///             emit.emit(*at.key());
///         }
///         Ok(())
///     }
/// }
///
/// let events = vec![(1, 0, false), (2, 10_000, false), (1, 30_000, true), (2, 80_000, true)];
/// let unpaid = skitter::testing::run(events, |events| {
///     events.watermarks(|(_, time, _)| *time, Duration::ZERO).process(Unpaid)
/// })?;
/// assert_eq!(unpaid, [2]);
/// # Ok::<(), skitter::Error>(())
/// ```
pub trait Process: Clone + Send + Sync + 'static {
    /// The records it takes: of several in ports, an enum.
    type In: Record;
    /// The records it emits: by several out ports, an enum.
    type Out: Send + 'static;
    /// The key of a record.
    type Key: Record + Hash + Eq + Clone;
    /// What is kept for a key.
    type State: Record;

    /// The name that vertices have unless they are given another.
    const NAME: &'static str = "process";
    /// The names of the in ports.
    const IN_PORTS: &'static [&'static str] = &["in"];
    /// The names of the out ports.
    const OUT_PORTS: &'static [&'static str] = &["out"];
    /// Whether it waits for event time: a workflow in which nobody says how far that has come is refused.
    const NEEDS_TIME: bool = true;
    /// Whether it sets timers by the clock, or forgets by it.
    const FOLLOWS_CLOCK: bool = false;

    /// For how long a key's state and timers are kept when no record of it comes; for ever if that is none. In event
    /// time, as far as the worker knows that; by the clock if the process does not [need time](Process::NEEDS_TIME)
    /// and [follows the clock](Process::FOLLOWS_CLOCK). They are forgotten without a word when that has passed.
    fn time_to_live(&self) -> Option<Duration> {
        None
    }

    /// The key of a record; as [`Keyed::key`].
    fn key(&self, record: &Self::In) -> Self::Key;

    /// Checks the configuration when the workflow is built; as [`Operation::check`].
    ///
    /// # Errors
    /// The error is reported by `build()` with the name of the vertex.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Handles a record. Its time may be far ahead of those that are still to come: what has to be in order waits for a
    /// timer.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn record<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, record: Self::In, emit: &mut E) -> Result<()>;

    /// The time that a timer was set to has come: no record of an earlier time follows. Timers come in the order of
    /// their times, those of one time in no order. One that is set here to a time that is not later than this comes
    /// with the next watermark.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn timer<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let _ = (at, time, emit);
        Ok(())
    }

    /// The clock shows the time that a timer was set to by [`AtKey::set_clock_timer`], or a later one; otherwise as
    /// [`timer`](Process::timer). Only where the process [follows the clock](Process::FOLLOWS_CLOCK).
    ///
    /// # Errors
    /// An error fails the deployment.
    fn clock_timer<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let _ = (at, time, emit);
        Ok(())
    }

    /// All records have come; once for each key that has a state or timers, in no order. The default lets the timers
    /// come that are set; those that are set now do not come.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn end<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, emit: &mut E) -> Result<()> {
        // An earlier one may have taken it back.
        for time in at.times(By::EventTime) {
            if at.take(By::EventTime, time) {
                self.timer(at, time, emit)?;
            }
        }
        for time in at.times(By::Clock) {
            if at.take(By::Clock, time) {
                self.clock_timer(at, time, emit)?;
            }
        }
        Ok(())
    }
}

/// The operation that a [`Process`] is.
#[derive(Clone, Debug)]
pub struct Processing<P> {
    process: P,
    storage: Storage,
}

impl<P: Process> Processing<P> {
    /// The operation, with its states in memory.
    pub fn new(process: P) -> Self {
        Processing { process, storage: Storage::Memory }
    }

    /// For how long keys live, and by what.
    #[inline(always)]
    fn life(&self) -> Option<(By, Timestamp)> {
        let by = if P::FOLLOWS_CLOCK && !P::NEEDS_TIME { By::Clock } else { By::EventTime };
        self.process.time_to_live().map(|life| (by, milliseconds(life)))
    }

    /// With its states there.
    pub fn stored(self, storage: Storage) -> Self {
        Processing { storage, ..self }
    }
}

impl<P: Process> Operation for Processing<P> {
    type In = P::In;
    type Out = P::Out;
    const NAME: &'static str = P::NAME;
    const IN_PORTS: &'static [&'static str] = P::IN_PORTS;
    const OUT_PORTS: &'static [&'static str] = P::OUT_PORTS;
    const NEEDS_TIME: bool = P::NEEDS_TIME;
    const FOLLOWS_CLOCK: bool = P::FOLLOWS_CLOCK;

    fn check(&self) -> Result<()> {
        if !P::NEEDS_TIME && !P::FOLLOWS_CLOCK && self.process.time_to_live().is_some() {
            let why = "it forgets states after a while, and knows of no time: set `NEEDS_TIME` or `FOLLOWS_CLOCK`";
            return Err(Error::Operation(why.to_owned()));
        }
        self.process.check()
    }
}

impl<P: Process> Keyed for Processing<P> {
    type Key = P::Key;

    #[inline(always)]
    fn key(&self, record: &P::In) -> P::Key {
        self.process.key(record)
    }
}

impl<P: Process> React for Processing<P> {
    type State = ByHand<Entries<P>>;

    fn init(&self) -> Self::State {
        ByHand(Entries::new(self.storage))
    }

    #[inline(always)]
    fn react<E: Emit<P::Out>>(&self, entries: &mut Self::State, record: P::In, emit: &mut E) -> Result<()> {
        let key = self.process.key(&record);
        entries.at(&key, self.life(), |at| self.process.record(at, record, emit))
    }

    fn advance<E: Emit<P::Out>>(&self, entries: &mut Self::State, time: Timestamp, emit: &mut E) -> Result<()> {
        entries.advance(By::EventTime, time, self.life(), |at, time| self.process.timer(at, time, emit))
    }

    fn tick<E: Emit<P::Out>>(&self, entries: &mut Self::State, now: Timestamp, emit: &mut E) -> Result<()> {
        entries.advance(By::Clock, now, self.life(), |at, time| self.process.clock_timer(at, time, emit))
    }

    fn finish<E: Emit<P::Out>>(&self, entries: &mut Self::State, emit: &mut E) -> Result<()> {
        entries.end(|at| self.process.end(at, emit))
    }

    fn snapshot_in_slices(&self, entries: &mut Self::State, snapshot: &mut Snapshot) -> Result<Saving> {
        entries.snapshot(snapshot)
    }

    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        Ok(ByHand(Entries::restore(saved, self.storage)?))
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Handles the records of each key with a state and timers; see [`Process`]. Distributed by [`Partitioned`].
    pub fn process<O>(self, process: O) -> Stream<Behind<C, P, Processing<O>, Partitioned>>
    where
        P::Record: Record,
        O: Process<In = P::Record>,
    {
        self.process_in(process, Storage::Memory)
    }

    /// As [`process`](Stream::process), with the states of keys there: on disk there may be more of them than there is
    /// memory. Timers are in memory all the same.
    pub fn process_in<O>(self, process: O, storage: Storage) -> Stream<Behind<C, P, Processing<O>, Partitioned>>
    where
        P::Record: Record,
        O: Process<In = P::Record>,
    {
        self.vertex_at::<In, Out, _, _>(Processing::new(process).stored(storage), Partitioned)
    }

    /// As [`process`](Stream::process), giving the stream of one of several out ports; the others are had by
    /// [`ports`](Stream::ports).
    pub fn process_to<O, OP>(self, process: O, port: OP) -> Stream<Behind<C, P, Processing<O>, Partitioned>, OP>
    where
        P::Record: Record,
        O: Process<In = P::Record>,
        OP: OutPort<O::Out>,
    {
        let _ = port;
        self.vertex_at::<In, OP, _, _>(Processing::new(process), Partitioned)
    }
}

#[cfg(test)]
mod tests;
