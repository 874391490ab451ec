//! When a window gives its result, beside its end.

use std::marker::PhantomData;
use std::time::Duration;

use crate::codec::Record;
use crate::operations::watermarks::milliseconds;
use crate::workflow::Timestamp;

/// Whether a window gives a result now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fire {
    /// No.
    No,
    /// Of all that is in it. It keeps that, so that the next result has it, too.
    Keep,
    /// Of all that is in it. It begins anew, so that each record is in one result.
    Purge,
}

/// Says when a window gives a result before its end. It sees each record and can set an alarm in event time; for each
/// key and window it keeps a state, which is saved with checkpoints.
///
/// Built in are [`CountTrigger`], [`TimeTrigger`] and [`Purging`]. To go by the clock, put
/// [`processing_time`](crate::workflow::Stream::processing_time) before the window.
///
/// ```
/// use skitter::operations::windows::{Collect, Fire, Global, Trigger, TriggerContext};
///
/// /// Gives what there is when a line ends.
/// #[derive(Clone)]
/// struct EndOfLine;
///
/// impl Trigger<char> for EndOfLine {
///     type State = ();
///     const NEEDS_TIME: bool = false;
///
///     fn record(&self, _: &mut TriggerContext<'_, ()>, letter: &char) -> Fire {
///         if *letter == '\n' { Fire::Purge } else { Fire::No }
///     }
/// }
///
/// let text = "to be\nor not\n".chars().collect();
/// let lines = skitter::testing::run(text, |letters| {
///     letters.triggered_window(|_| (), |_| 0, Global, EndOfLine, Collect).map(|line| String::from_iter(line.value))
/// })?;
/// assert_eq!(lines, ["to be\n", "or not\n"]);
/// # Ok::<(), skitter::Error>(())
/// ```
pub trait Trigger<T>: Clone + Send + Sync + 'static {
    /// What it keeps for each key and window; its default when the window begins, and anew when that purges.
    type State: Record + Clone + Default;
    /// Whether it waits for event time: a workflow in which nobody says how far that has come is refused.
    const NEEDS_TIME: bool = true;

    /// A record is about to be added. If it fires, the record is in the result.
    fn record(&self, context: &mut TriggerContext<'_, Self::State>, record: &T) -> Fire;

    /// Time has come to its alarm, or farther: see [`TriggerContext::time`].
    fn alarm(&self, context: &mut TriggerContext<'_, Self::State>) -> Fire {
        let _ = context;
        Fire::No
    }
}

/// What a [`Trigger`] gets to see of a window.
#[derive(Debug)]
pub struct TriggerContext<'a, S> {
    /// What it keeps.
    pub state: &'a mut S,
    pub(super) alarm: &'a mut Option<Timestamp>,
    /// Of the record, in [`Trigger::record`].
    pub(super) of_record: Timestamp,
    pub(super) time: Timestamp,
}

impl<S> TriggerContext<'_, S> {
    /// How far event time has come: the lowest number before it is told.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The time of the record; in [`Trigger::alarm`], that of the alarm.
    pub fn timestamp(&self) -> Timestamp {
        self.of_record
    }

    /// The time of the alarm, if one is set.
    pub fn alarm(&self) -> Option<Timestamp> {
        *self.alarm
    }

    /// Sets the alarm: [`Trigger::alarm`] is called when event time has come to `time`, once, and not when the window
    /// ends before. There is one alarm, so this takes the place of one that is set.
    pub fn set_alarm(&mut self, time: Timestamp) {
        *self.alarm = Some(time);
    }
}

/// Fires with every so many records of a key.
///
/// ```
/// use skitter::operations::windows::{Collect, CountTrigger, Global, Purging};
///
/// // The last result comes at the end of the stream.
/// let pairs = skitter::testing::run(vec![1i64, 2, 3], |numbers| {
///     let pairs = Purging::new(CountTrigger::every(2));
///     numbers.triggered_window(|_| (), |n| *n, Global, pairs, Collect).map(|pair| pair.value)
/// })?;
/// assert_eq!(pairs, [vec![1, 2], vec![3]]);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountTrigger {
    every: u64,
}

impl CountTrigger {
    /// Every so many records; one at least.
    pub fn every(records: u64) -> Self {
        CountTrigger { every: records.max(1) }
    }
}

impl<T> Trigger<T> for CountTrigger {
    /// Records since it has fired.
    type State = u64;
    const NEEDS_TIME: bool = false;

    #[inline]
    fn record(&self, context: &mut TriggerContext<'_, u64>, _record: &T) -> Fire {
        *context.state += 1;
        if *context.state < self.every {
            return Fire::No;
        }
        *context.state = 0;
        Fire::Keep
    }
}

/// Fires every so much of event time, at multiples since 1970 (UTC): at the first one behind a record, and behind what
/// event time was when that came. Where no record comes, nothing is given. When time jumps over several multiples, it
/// fires once.
///
/// ```
/// use skitter::operations::windows::{Count, Global, TimeTrigger};
/// use std::time::Duration;
///
/// let seconds = vec![1i64, 4, 12, 35];
/// let counts = skitter::testing::run(seconds, |seconds| {
///     let timed = seconds.watermarks(|second| second * 1000, Duration::ZERO);
///     let trigger = TimeTrigger::every(Duration::from_secs(10));
///     timed.triggered_window(|_| (), |second| second * 1000, Global, trigger, Count).map(|count| count.value)
/// })?;
/// assert_eq!(counts.last(), Some(&4));
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeTrigger {
    interval: Timestamp,
}

impl TimeTrigger {
    /// Every so much; a millisecond at least.
    pub fn every(interval: Duration) -> Self {
        TimeTrigger { interval: milliseconds(interval).max(1) }
    }
}

/// The first multiple behind a time.
pub(super) fn next_multiple(interval: Timestamp, time: Timestamp) -> Timestamp {
    time.saturating_sub(time.rem_euclid(interval)).saturating_add(interval)
}

impl<T> Trigger<T> for TimeTrigger {
    type State = ();

    #[inline]
    fn record(&self, context: &mut TriggerContext<'_, ()>, _record: &T) -> Fire {
        let next = next_multiple(self.interval, context.timestamp().max(context.time()));
        if context.alarm().is_none_or(|alarm| next < alarm) {
            context.set_alarm(next);
        }
        Fire::No
    }

    fn alarm(&self, _context: &mut TriggerContext<'_, ()>) -> Fire {
        Fire::Keep
    }
}

/// Fires when another trigger does, and lets the window begin anew then.
pub struct Purging<T, G> {
    trigger: G,
    types: PhantomData<fn(T)>,
}

impl<T, G: Clone> Clone for Purging<T, G> {
    fn clone(&self) -> Self {
        Purging { trigger: self.trigger.clone(), types: PhantomData }
    }
}

impl<T, G: std::fmt::Debug> std::fmt::Debug for Purging<T, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Purging").field(&self.trigger).finish()
    }
}

impl<T, G: Trigger<T>> Purging<T, G> {
    /// A trigger that purges when this one fires.
    pub fn new(trigger: G) -> Self {
        Purging { trigger, types: PhantomData }
    }
}

impl<T: 'static, G: Trigger<T>> Trigger<T> for Purging<T, G> {
    type State = G::State;
    const NEEDS_TIME: bool = G::NEEDS_TIME;

    #[inline]
    fn record(&self, context: &mut TriggerContext<'_, G::State>, record: &T) -> Fire {
        purge(self.trigger.record(context, record))
    }

    fn alarm(&self, context: &mut TriggerContext<'_, G::State>) -> Fire {
        purge(self.trigger.alarm(context))
    }
}

fn purge(fire: Fire) -> Fire {
    if fire == Fire::Keep { Fire::Purge } else { fire }
}
