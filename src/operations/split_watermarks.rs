//! How far the time of records has come that come from several places in turn.

use std::hash::Hash;
use std::marker::PhantomData;
use std::time::Duration;

use super::watermarks::milliseconds;
use crate::codec::{Record, stable_hash};
use crate::strategies::Chained;
use crate::workflow::{
    Alignment, Behind, ByHand, Chain, Emit, Flush, KeyedTable, Operation, OutPort, React, Result, Saved, Snapshot,
    Stream, Timestamp, Watermark,
};

/// Passes records on that each worker has from several *splits* in turn (partitions of a topic, files, devices), and
/// says how far their time has come: as far as in the split that is most behind, each as [`Watermarks`] has it. So one
/// that is behind the others is not late.
///
/// Splits are those of which records come, and are kept for as long as the worker lives: there should be few. One that
/// pauses, or has come to its end, holds up the others, unless [`idle_after`](SplitWatermarks::idle_after) says that it
/// does not. One that nobody knows yet does not, unless [`at_least`](SplitWatermarks::at_least) says so. Nothing of
/// this is saved.
///
/// [`Watermarks`]: super::Watermarks
pub struct SplitWatermarks<T, K, S, F> {
    split: S,
    time: F,
    late: Timestamp,
    idle: Option<Duration>,
    at_least: usize,
    alignment: Option<Alignment>,
    types: PhantomData<fn(T) -> K>,
}

impl<T, K, S: Clone, F: Clone> Clone for SplitWatermarks<T, K, S, F> {
    fn clone(&self) -> Self {
        let SplitWatermarks { split, time, alignment, .. } = self;
        SplitWatermarks { split: split.clone(), time: time.clone(), alignment: alignment.clone(), ..*self }
    }
}

impl<T, K, S, F> std::fmt::Debug for SplitWatermarks<T, K, S, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SplitWatermarks { late, idle, at_least, .. } = self;
        let mut shown = f.debug_struct("SplitWatermarks");
        shown.field("late", late).field("idle", idle).field("at_least", at_least).finish_non_exhaustive()
    }
}

impl<T, K, S: Fn(&T) -> K, F: Fn(&T) -> Timestamp> SplitWatermarks<T, K, S, F> {
    /// Watermarks for records that come at most so much later, in event time and in each split, than those of the
    /// latest time in it.
    pub fn bounded(split: S, time: F, late: Duration) -> Self {
        let late = milliseconds(late);
        SplitWatermarks { split, time, late, idle: None, at_least: 0, alignment: None, types: PhantomData }
    }

    /// A split that gives nothing for so long is not waited for until it has a record, which may be late then. While a
    /// worker is held up, by those behind it, no split is taken for one that pauses.
    #[must_use]
    pub fn idle_after(self, pause: Duration) -> Self {
        SplitWatermarks { idle: Some(pause), ..self }
    }

    /// Each worker has so many splits at least: it says nothing of time before it has had a record of so many, or has
    /// waited for as long as [`idle_after`](SplitWatermarks::idle_after) says. Without it, those that have not had a
    /// record when the first watermark is made, a few milliseconds after the first record, may be late.
    #[must_use]
    pub fn at_least(self, splits: usize) -> Self {
        SplitWatermarks { at_least: splits, ..self }
    }

    /// As [`Watermarks::aligned`](super::Watermarks::aligned).
    #[must_use]
    pub fn aligned(self, group: impl Into<String>, drift: Duration) -> Self {
        SplitWatermarks { alignment: Some(Alignment { group: group.into(), drift: milliseconds(drift) }), ..self }
    }
}

/// A split.
#[derive(Clone, Copy, Debug)]
struct Split {
    latest: Timestamp,
    /// Whether something has come since it was asked last, and when that was.
    fresh: bool,
    asked: Option<Duration>,
    is_idle: bool,
}

/// The splits of a worker.
#[derive(Debug)]
pub struct Splits<K> {
    splits: KeyedTable<K, Split>,
    /// When it was asked first, and how far it has said that time has come.
    begun: Option<Duration>,
    told: Timestamp,
    /// Those that are missing are not waited for any more.
    has_waited: bool,
}

impl<T, K, S, F> Operation for SplitWatermarks<T, K, S, F>
where
    T: Send + 'static,
    K: 'static,
    S: Fn(&T) -> K + Clone + Send + Sync + 'static,
    F: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = T;
    const NAME: &'static str = "split watermarks";
    const KEEPS_TIME: bool = true;
}

impl<T, K, S, F> React for SplitWatermarks<T, K, S, F>
where
    T: Send + 'static,
    K: Record + Hash + Eq,
    S: Fn(&T) -> K + Clone + Send + Sync + 'static,
    F: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
{
    type State = ByHand<Splits<K>>;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> Self::State {
        ByHand(Splits { splits: KeyedTable::new(), begun: None, told: Timestamp::MIN, has_waited: false })
    }

    #[inline(always)]
    fn react<E: Emit<T>>(&self, state: &mut Self::State, record: T, emit: &mut E) -> Result<()> {
        let (key, time) = ((self.split)(&record), (self.time)(&record));
        let hash = stable_hash(&key);
        match state.splits.find(hash, |other| *other == key) {
            Some(split) => (split.latest, split.fresh) = (split.latest.max(time), true),
            None => {
                let split = Split { latest: time, fresh: true, asked: None, is_idle: false };
                state.splits.insert(hash, key, split);
            }
        }
        emit.emit(record);
        Ok(())
    }

    fn watermark(&self, state: &mut Self::State, due: Flush) -> Option<Watermark> {
        if let (Flush::Busy { now } | Flush::Idle { now }, Some(pause)) = (due, self.idle) {
            state.look_for_pauses(now, pause, matches!(due, Flush::Busy { .. }));
        } else {
            state.splits.iter_mut().for_each(|(_, split)| split.is_idle &= !split.fresh);
        }
        if state.splits.len() < self.at_least && !state.has_waited {
            return None;
        }
        let live = state.splits.iter().filter(|(_, split)| !split.is_idle).map(|(_, split)| split.latest).min();
        match live {
            Some(time) => {
                state.told = state.told.max(time.saturating_sub(self.late));
                Some(Watermark::At(state.told))
            }
            None if state.has_waited || !state.splits.is_empty() => Some(Watermark::Idle),
            None => None,
        }
    }

    fn alignment(&self) -> Option<Alignment> {
        self.alignment.clone()
    }

    fn snapshot(&self, _state: &mut Self::State, _snapshot: &mut Snapshot) -> Result<()> {
        Ok(())
    }

    fn restore(&self, _saved: &Saved) -> Result<Self::State> {
        Ok(self.init())
    }
}

impl<K> Splits<K> {
    /// Finds out which splits pause.
    fn look_for_pauses(&mut self, now: Duration, pause: Duration, is_busy: bool) {
        // Who is busy and has had nothing may have something that it cannot give yet.
        let is_held_up = is_busy && self.splits.iter().all(|(_, split)| !split.fresh);
        if is_held_up {
            self.splits.iter_mut().for_each(|(_, split)| split.asked = Some(now));
        }
        for (_, split) in self.splits.iter_mut() {
            if std::mem::take(&mut split.fresh) {
                (split.asked, split.is_idle) = (Some(now), false);
            }
            split.is_idle |= now.saturating_sub(*split.asked.get_or_insert(now)) >= pause;
        }
        let begun = if is_held_up { self.begun.insert(now) } else { self.begun.get_or_insert(now) };
        self.has_waited |= now.saturating_sub(*begun) >= pause;
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Says how far the event time of this stream has come, where each worker has records from several splits in turn:
    /// as [`watermarks`](Stream::watermarks), for each split by itself. To say that splits may pause, or how many there
    /// are, see [`SplitWatermarks`].
    ///
    /// ```
    /// use skitter::operations::windows::{Count, Windows};
    /// use std::time::Duration;
    ///
    /// // Of two devices, of which one is a minute behind.
    /// let readings = vec![('a', 61i64), ('b', 1), ('a', 62), ('b', 2), ('a', 75), ('b', 15)];
    /// let counts = skitter::testing::run(readings, |readings| {
    ///     let timed = readings.split_watermarks(|(who, _)| *who, |(_, second)| second * 1000, Duration::ZERO);
    ///     timed.window(|(_, second)| second * 1000, Windows::tumbling(Duration::from_secs(10)), Count)
    /// })?;
    /// let counts: Vec<_> = counts.iter().map(|count| (count.window.start, count.value)).collect();
    /// assert_eq!(counts, [(0, 2), (10_000, 1), (60_000, 2), (70_000, 1)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn split_watermarks<K, S, F>(
        self,
        split: S,
        time: F,
        late: Duration,
    ) -> Stream<Behind<C, P, SplitWatermarks<P::Record, K, S, F>, Chained>>
    where
        P::Record: Send,
        K: Record + Hash + Eq,
        S: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        F: Fn(&P::Record) -> Timestamp + Clone + Send + Sync + 'static,
    {
        self.vertex(SplitWatermarks::bounded(split, time, late), Chained)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Record(u8, i64),
        /// It is asked so many seconds later, with nothing to do or not.
        Ask(u64, bool),
    }

    proptest! {
        /// Time is that of the split that is most behind, of those that do not pause; and it ascends.
        #[test]
        fn time_is_that_of_the_split_that_is_most_behind(
            at_least in 0usize..4,
            pause in prop::option::of(1u64..6),
            steps in prop::collection::vec(prop_oneof![
                3 => (0u8..4, 0i64..1000).prop_map(|(split, time)| Step::Record(split, time)),
                2 => (0u64..4, any::<bool>()).prop_map(|(later, idle)| Step::Ask(later, idle)),
            ], 1..80),
        ) {
            let late = Duration::from_millis(7);
            let operation = SplitWatermarks::bounded(|(split, _): &(u8, i64)| *split, |(_, time)| *time, late);
            let operation = operation.at_least(at_least);
            let operation = pause.map_or(operation.clone(), |pause| operation.idle_after(Duration::from_secs(pause)));
            let (mut state, mut emitted) = (operation.init(), Vec::new());
            // Of each split, its latest time, and for how long it has had nothing.
            let mut splits = std::collections::BTreeMap::<u8, (i64, u64, bool)>::new();
            let (mut now, mut told, mut waited, mut begun, mut has_waited) = (0, i64::MIN, 0, false, false);
            for step in steps {
                match step {
                    Step::Record(split, time) => {
                        operation.react(&mut state, (split, time), &mut emitted).expect("accepted");
                        let known = splits.entry(split).or_insert((time, 0, true));
                        *known = (known.0.max(time), 0, true);
                    }
                    Step::Ask(later, idle) => {
                        now += later;
                        let since = Duration::from_secs(now);
                        let due = if idle { Flush::Idle { now: since } } else { Flush::Busy { now: since } };
                        let is_held_up = !idle && splits.values().all(|(.., fresh)| !fresh);
                        // Nobody has waited before it was asked first.
                        waited = if is_held_up || !begun { 0 } else { waited + later };
                        begun = true;
                        for (_, quiet, fresh) in splits.values_mut() {
                            // One that pauses does so until it has a record.
                            let pauses = pause.is_some_and(|pause| *quiet >= pause);
                            *quiet = match (std::mem::take(fresh), is_held_up && !pauses) {
                                (true, _) | (_, true) => 0,
                                _ => *quiet + later,
                            };
                        }
                        has_waited |= pause.is_some_and(|pause| waited >= pause);
                        let expected = if splits.len() < at_least && !has_waited {
                            None
                        } else {
                            let live = splits.values().filter(|(_, quiet, _)| pause.is_none_or(|pause| *quiet < pause));
                            match live.map(|(latest, ..)| *latest).min() {
                                Some(time) => {
                                    told = told.max(time - 7);
                                    Some(Watermark::At(told))
                                }
                                None if has_waited || !splits.is_empty() => Some(Watermark::Idle),
                                None => None,
                            }
                        };
                        prop_assert_eq!(operation.watermark(&mut state, due), expected);
                    }
                }
            }
        }
    }
}
