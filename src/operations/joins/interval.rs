//! Pairs of a key that are near each other in event time.

use std::collections::VecDeque;
use std::hash::Hash;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keyed::JoinOf;
use super::{Either, JoinKind, Joined, Left, PORTS, Right};
use crate::codec::Record;
use crate::operations::process::{AtKey, Process, Processing};
use crate::operations::watermarks::milliseconds;
use crate::strategies::Partitioned;
use crate::workflow::{Chain, Emit, Out, OutPort, Result, Stream, Timestamp};

/// How far a record of the right stream may be from one of the left stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    before: Timestamp,
    after: Timestamp,
    kind: JoinKind,
}

impl Interval {
    /// From so much before the left record to so much behind it, both inclusive.
    pub fn new(before: Duration, after: Duration) -> Self {
        Interval { before: milliseconds(before), after: milliseconds(after), kind: JoinKind::Inner }
    }

    /// No more than so much before or behind: each record is kept for so long, and joined with all that come meanwhile.
    pub fn within(time_to_live: Duration) -> Self {
        Interval::new(time_to_live, time_to_live)
    }

    /// Gives what the kind says, too: a record that is in no pair, when none can come any more.
    #[must_use]
    pub fn kind(self, kind: JoinKind) -> Self {
        Interval { kind, ..self }
    }
}

/// A record that waits for others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Waiting<T> {
    pub(super) time: Timestamp,
    pub(super) record: T,
    pub(super) joined: bool,
}

/// The records of a key that others may still come for, by their times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept<L, R> {
    pub(super) left: VecDeque<Waiting<L>>,
    pub(super) right: VecDeque<Waiting<R>>,
}

impl<L, R> Default for Kept<L, R> {
    fn default() -> Self {
        Kept { left: VecDeque::new(), right: VecDeque::new() }
    }
}

/// Those of a time from the one to the other, both inclusive.
fn between<T>(
    waiting: &mut VecDeque<Waiting<T>>,
    from: Timestamp,
    to: Timestamp,
) -> impl Iterator<Item = &mut Waiting<T>> {
    let first = waiting.partition_point(|waiting| waiting.time < from);
    let behind = waiting.partition_point(|waiting| waiting.time <= to).max(first);
    waiting.range_mut(first..behind)
}

/// Puts one behind those of its time.
pub(super) fn put<T>(waiting: &mut VecDeque<Waiting<T>>, one: Waiting<T>) {
    waiting.insert(waiting.partition_point(|other| other.time <= one.time), one);
}

/// Takes out those for which time has passed by so much; at the end, all.
pub(super) fn passed<T>(
    waiting: &mut VecDeque<Waiting<T>>,
    by: Timestamp,
    time: Timestamp,
) -> impl Iterator<Item = Waiting<T>> + use<'_, T> {
    let is_over = move |waiting: &Waiting<T>| time == Timestamp::MAX || waiting.time.saturating_add(by) < time;
    waiting.drain(..waiting.partition_point(is_over))
}

/// Joins the records of two streams that have one key and are near each other in event time.
pub struct IntervalJoin<L, R, K, LK, RK, LT, RT> {
    keys: (LK, RK),
    times: (LT, RT),
    interval: Interval,
    types: PhantomData<fn(L, R) -> K>,
}

impl<L, R, K, LK: Clone, RK: Clone, LT: Clone, RT: Clone> Clone for IntervalJoin<L, R, K, LK, RK, LT, RT> {
    fn clone(&self) -> Self {
        IntervalJoin { keys: self.keys.clone(), times: self.times.clone(), interval: self.interval, types: PhantomData }
    }
}

impl<L, R, K, LK, RK, LT, RT> std::fmt::Debug for IntervalJoin<L, R, K, LK, RK, LT, RT> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IntervalJoin").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl<L, R, K, LK, RK, LT, RT> IntervalJoin<L, R, K, LK, RK, LT, RT>
where
    LK: Fn(&L) -> K,
    RK: Fn(&R) -> K,
    LT: Fn(&L) -> Timestamp,
    RT: Fn(&R) -> Timestamp,
{
    /// A process that joins by these keys and times.
    pub fn new(keys: (LK, RK), times: (LT, RT), interval: Interval) -> Self {
        IntervalJoin { keys, times, interval, types: PhantomData }
    }

    /// Gives records that no other can come for any more, if they are asked for.
    fn let_go<E: Emit<Joined<L, R>>>(&self, kept: &mut Kept<L, R>, time: Timestamp, emit: &mut E) {
        let Interval { before: back, after, kind } = self.interval;
        for one in passed(&mut kept.left, after, time) {
            if !one.joined && kind != JoinKind::Inner {
                emit.emit(Joined::Left(one.record));
            }
        }
        for one in passed(&mut kept.right, back, time) {
            if !one.joined && kind == JoinKind::Outer {
                emit.emit(Joined::Right(one.record));
            }
        }
    }
}

impl<L, R, K, LK, RK, LT, RT> Process for IntervalJoin<L, R, K, LK, RK, LT, RT>
where
    L: Record + Clone,
    R: Record + Clone,
    K: Record + Hash + Eq + Clone,
    LK: Fn(&L) -> K + Clone + Send + Sync + 'static,
    RK: Fn(&R) -> K + Clone + Send + Sync + 'static,
    LT: Fn(&L) -> Timestamp + Clone + Send + Sync + 'static,
    RT: Fn(&R) -> Timestamp + Clone + Send + Sync + 'static,
{
    type In = Either<L, R>;
    type Out = Joined<L, R>;
    type Key = K;
    type State = Kept<L, R>;
    const NAME: &'static str = "interval join";
    const IN_PORTS: &'static [&'static str] = PORTS;

    #[inline(always)]
    fn key(&self, record: &Either<L, R>) -> K {
        match record {
            Either::Left(left) => (self.keys.0)(left),
            Either::Right(right) => (self.keys.1)(right),
        }
    }

    fn record<E: Emit<Joined<L, R>>>(
        &self,
        at: &mut AtKey<'_, Self>,
        record: Either<L, R>,
        emit: &mut E,
    ) -> Result<()> {
        let Interval { before, after, .. } = self.interval;
        let now = at.time();
        let kept = at.state().get_or_insert_default();
        let due = match record {
            Either::Left(record) => {
                let time = (self.times.0)(&record);
                let mut joined = false;
                for right in between(&mut kept.right, time.saturating_sub(before), time.saturating_add(after)) {
                    (joined, right.joined) = (true, true);
                    emit.emit(Joined::Both(record.clone(), right.record.clone()));
                }
                put(&mut kept.left, Waiting { time, record, joined });
                time.saturating_add(after)
            }
            Either::Right(record) => {
                let time = (self.times.1)(&record);
                let mut joined = false;
                for left in between(&mut kept.left, time.saturating_sub(after), time.saturating_add(before)) {
                    (joined, left.joined) = (true, true);
                    emit.emit(Joined::Both(left.record.clone(), record.clone()));
                }
                put(&mut kept.right, Waiting { time, record, joined });
                time.saturating_add(before)
            }
        };
        if due < now {
            // It is so late that nobody comes for it any more.
            self.let_go(kept, now, emit);
            if kept.left.is_empty() && kept.right.is_empty() {
                *at.state() = None;
            }
        } else if at.next_timer().is_none_or(|next| next > due) {
            at.set_timer(due.saturating_add(1));
        }
        Ok(())
    }

    /// A key has a timer for the first record that it lets go: when that comes, it is set again for those that wait.
    fn timer<E: Emit<Joined<L, R>>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let Interval { before, after, .. } = self.interval;
        let Some(kept) = at.state() else { return Ok(()) };
        self.let_go(kept, time, emit);
        let left = kept.left.front().map(|one| one.time.saturating_add(after));
        let right = kept.right.front().map(|one| one.time.saturating_add(before));
        match left.into_iter().chain(right).min() {
            Some(due) => at.set_timer(due.saturating_add(1)),
            None => *at.state() = None,
        }
        Ok(())
    }

    fn end<E: Emit<Joined<L, R>>>(&self, at: &mut AtKey<'_, Self>, emit: &mut E) -> Result<()> {
        if let Some(kept) = at.state() {
            self.let_go(kept, Timestamp::MAX, emit);
        }
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Joins the records of this stream with those of another one that have the same key and are near them in event
    /// time, as the interval says. A pair is given when the later of its records arrives; of outer joins, a record that
    /// is in none when time has passed its interval. Needs [`watermarks`](Stream::watermarks) before it, which say when
    /// a record need not be kept any more. Distributed by [`Partitioned`].
    ///
    /// ```
    /// use skitter::operations::joins::{Interval, JoinKind, Joined};
    /// use std::time::Duration;
    ///
    /// // Orders, by number, with the second at which they were made; those under 100 were paid ten seconds later.
    /// let orders = vec![(7u64, 1i64), (300, 2), (8, 4)];
    /// let paid = skitter::testing::run(orders, |orders| {
    ///     let orders = orders.watermarks(|(_, second)| second * 1000, Duration::ZERO).shared();
    ///     let payments = orders.clone().filter(|(order, _)| *order < 100).map(|(order, second)| (order, second + 10));
    ///     let within = Interval::new(Duration::ZERO, Duration::from_secs(60)).kind(JoinKind::Left);
    ///     let (number, time) = (|order: &(u64, i64)| order.0, |order: &(u64, i64)| order.1 * 1000);
    ///     orders.interval_join(payments, (number, number), (time, time), within)
    /// })?;
    /// assert!(paid.contains(&Joined::Both((7, 1), (7, 11))) && paid.contains(&Joined::Left((300, 2))));
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn interval_join<C2, P2, K, LK, RK, LT, RT>(
        self,
        right: Stream<C2, P2>,
        keys: (LK, RK),
        times: (LT, RT),
        interval: Interval,
    ) -> Stream<JoinOf<C, P, C2, P2, Processing<IntervalJoin<P::Record, P2::Record, K, LK, RK, LT, RT>>, Partitioned>>
    where
        C2: Chain,
        P2: OutPort<C2::Out>,
        P::Record: Record + Clone,
        P2::Record: Record + Clone,
        K: Record + Hash + Eq + Clone,
        LK: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        RK: Fn(&P2::Record) -> K + Clone + Send + Sync + 'static,
        LT: Fn(&P::Record) -> Timestamp + Clone + Send + Sync + 'static,
        RT: Fn(&P2::Record) -> Timestamp + Clone + Send + Sync + 'static,
    {
        let join = Processing::new(IntervalJoin::new(keys, times, interval));
        self.vertex_of_two::<Left, Right, Out, _, _, _, _>(right, join, Partitioned)
    }
}
