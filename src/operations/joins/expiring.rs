//! Pairs of a key, of records that are kept for a while.

use std::hash::Hash;
use std::marker::PhantomData;
use std::time::Duration;

use super::interval::{Kept, Waiting, passed, put};
use super::keyed::JoinOf;
use super::{Either, JoinKind, Joined, Left, PORTS, Right};
use crate::codec::Record;
use crate::operations::process::{AtKey, Process, Processing};
use crate::operations::watermarks::milliseconds;
use crate::strategies::Partitioned;
use crate::workflow::{Chain, Emit, Out, OutPort, Result, Stream, Timestamp};

/// Joins each record with those of the other stream that have its key and are kept: each is, for so long in event time
/// after it has come.
pub struct ExpiringJoin<L, R, K, LK, RK> {
    keys: (LK, RK),
    time_to_live: Timestamp,
    kind: JoinKind,
    types: PhantomData<fn(L, R) -> K>,
}

impl<L, R, K, LK: Clone, RK: Clone> Clone for ExpiringJoin<L, R, K, LK, RK> {
    fn clone(&self) -> Self {
        let ExpiringJoin { keys, time_to_live, kind, .. } = self;
        ExpiringJoin { keys: keys.clone(), time_to_live: *time_to_live, kind: *kind, types: PhantomData }
    }
}

impl<L, R, K, LK, RK> std::fmt::Debug for ExpiringJoin<L, R, K, LK, RK> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExpiringJoin").field("time_to_live", &self.time_to_live).finish_non_exhaustive()
    }
}

impl<L, R, K, LK: Fn(&L) -> K, RK: Fn(&R) -> K> ExpiringJoin<L, R, K, LK, RK> {
    /// A process that joins by these keys, and forgets a record so long after it has come.
    pub fn new(keys: (LK, RK), time_to_live: Duration, kind: JoinKind) -> Self {
        ExpiringJoin { keys, time_to_live: milliseconds(time_to_live), kind, types: PhantomData }
    }

    /// Forgets what has been kept for long enough by `time`, and gives what is asked for of it.
    fn let_go<E: Emit<Joined<L, R>>>(&self, kept: &mut Kept<L, R>, time: Timestamp, emit: &mut E) {
        for one in passed(&mut kept.left, self.time_to_live, time) {
            if !one.joined && self.kind != JoinKind::Inner {
                emit.emit(Joined::Left(one.record));
            }
        }
        for one in passed(&mut kept.right, self.time_to_live, time) {
            if !one.joined && self.kind == JoinKind::Outer {
                emit.emit(Joined::Right(one.record));
            }
        }
    }

    /// When the first record is forgotten.
    fn due(&self, kept: &Kept<L, R>) -> Option<Timestamp> {
        let came = kept.left.front().map(|one| one.time).into_iter().chain(kept.right.front().map(|one| one.time));
        came.min().map(|came| self.expires(came))
    }

    /// When a record is forgotten that came at this time: when time has passed the last millisecond of its life.
    fn expires(&self, came: Timestamp) -> Timestamp {
        came.saturating_add(self.time_to_live).saturating_add(1)
    }
}

impl<L, R, K, LK, RK> Process for ExpiringJoin<L, R, K, LK, RK>
where
    L: Record + Clone,
    R: Record + Clone,
    K: Record + Hash + Eq + Clone,
    LK: Fn(&L) -> K + Clone + Send + Sync + 'static,
    RK: Fn(&R) -> K + Clone + Send + Sync + 'static,
{
    type In = Either<L, R>;
    type Out = Joined<L, R>;
    type Key = K;
    /// Records with the time at which they came; the lowest number if nobody knew it yet.
    type State = Kept<L, R>;
    const NAME: &'static str = "expiring join";
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
        let time = at.time();
        let kept = at.state().get_or_insert_default();
        match record {
            Either::Left(record) => {
                let joined = !kept.right.is_empty();
                for right in &mut kept.right {
                    right.joined = true;
                    emit.emit(Joined::Both(record.clone(), right.record.clone()));
                }
                put(&mut kept.left, Waiting { time, record, joined });
            }
            Either::Right(record) => {
                let joined = !kept.left.is_empty();
                for left in &mut kept.left {
                    left.joined = true;
                    emit.emit(Joined::Both(left.record.clone(), record.clone()));
                }
                put(&mut kept.right, Waiting { time, record, joined });
            }
        }
        // What comes before time is known lives from the first time that is told, which the timer is for.
        if at.next_timer().is_none() {
            at.set_timer(if time == Timestamp::MIN { time } else { self.expires(time) });
        }
        Ok(())
    }

    /// A key has a timer for the first record that it forgets: when that comes, it is set again for the next one.
    fn timer<E: Emit<Joined<L, R>>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let now = at.time();
        let Some(kept) = at.state() else { return Ok(()) };
        kept.left.iter_mut().take_while(|one| one.time == Timestamp::MIN).for_each(|one| one.time = now);
        kept.right.iter_mut().take_while(|one| one.time == Timestamp::MIN).for_each(|one| one.time = now);
        self.let_go(kept, time, emit);
        match self.due(kept) {
            Some(due) => at.set_timer(due),
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
    /// Joins each record of this stream with those of another one that have its key, whichever comes first, as long as
    /// both are kept: each is kept for `time_to_live` after it has come, in event time, as far as that had come then.
    /// What comes before any time is known is kept from the first time that is. A pair is given when the later of its
    /// records comes. Nothing that was given is taken back: of a left or outer join, a record is given alone when it is
    /// forgotten, or at the end of the streams, if it was in no pair until then.
    ///
    /// Which pairs there are depends on when records come. Where records have times, and pairs are to be the same in
    /// each run, [`interval_join`](Stream::interval_join) is the one to take. Needs [`watermarks`](Stream::watermarks)
    /// before it, which say when a record is to be forgotten. Distributed by [`Partitioned`].
    ///
    /// ```
    /// use skitter::operations::joins::{Joined, JoinKind};
    /// use std::time::Duration;
    ///
    /// let seconds = vec![1i64, 2, 3];
    /// let joined = skitter::testing::run(seconds, |seconds| {
    ///     let seconds = seconds.watermarks(|second| second * 1000, Duration::ZERO).shared();
    ///     let even = seconds.clone().filter(|second| second % 2 == 0);
    ///     let (itself, hour) = (|second: &i64| *second, Duration::from_secs(3600));
    ///     seconds.expiring_join(even, (itself, itself), hour, JoinKind::Left)
    /// })?;
    /// assert!(joined.contains(&Joined::Both(2, 2)) && joined.contains(&Joined::Left(3)));
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn expiring_join<C2, P2, K, LK, RK>(
        self,
        right: Stream<C2, P2>,
        keys: (LK, RK),
        time_to_live: Duration,
        kind: JoinKind,
    ) -> Stream<JoinOf<C, P, C2, P2, Processing<ExpiringJoin<P::Record, P2::Record, K, LK, RK>>, Partitioned>>
    where
        C2: Chain,
        P2: OutPort<C2::Out>,
        P::Record: Record + Clone,
        P2::Record: Record + Clone,
        K: Record + Hash + Eq + Clone,
        LK: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        RK: Fn(&P2::Record) -> K + Clone + Send + Sync + 'static,
    {
        let join = Processing::new(ExpiringJoin::new(keys, time_to_live, kind));
        self.vertex_of_two::<Left, Right, Out, _, _, _, _>(right, join, Partitioned)
    }
}
