//! How far the time of records has come.

use std::marker::PhantomData;
use std::time::Duration;

use super::closure::clone_and_debug;
use crate::strategies::Chained;
use crate::workflow::{
    Alignment, Behind, ByHand, Chain, Emit, Flush, Operation, OutPort, React, Result, Saved, Snapshot, Stream,
    Timestamp, Watermark,
};

/// Passes records on, and says how far their time has come: as far as that of the latest record, less how much later
/// others may come. Each worker speaks for itself, and those behind go by the one that is most behind.
///
/// Watermarks leave with the records before them, when batches do, and at most every 10 ms.
/// Nothing of this is saved: a worker that goes on knows no time before its first record.
pub struct Watermarks<T, F> {
    time: F,
    late: Timestamp,
    idle: Option<Duration>,
    alignment: Option<Alignment>,
    types: PhantomData<fn(T)>,
}

clone_and_debug!(Watermarks < T, F > { time, late, idle, alignment });

impl<T, F: Fn(&T) -> Timestamp> Watermarks<T, F> {
    /// Watermarks for records that come at most so much later, in event time and in each worker, than those of the
    /// latest time. What comes later than that is late; what becomes of it, windows and joins say.
    ///
    /// `time` is the time of a record, or, where a record itself tells it, the earliest time that may still come.
    pub fn bounded(time: F, late: Duration) -> Self {
        Watermarks { time, late: milliseconds(late), idle: None, alignment: None, types: PhantomData }
    }

    /// Watermarks for records whose times ascend in each worker.
    pub fn ascending(time: F) -> Self {
        Watermarks::bounded(time, Duration::ZERO)
    }

    /// A worker that has nothing to do for so long is not waited for until it has a record. Without it, a source that
    /// pauses holds up the time of all. What it gives when others have gone on may be late.
    #[must_use]
    pub fn idle_after(self, pause: Duration) -> Self {
        Watermarks { idle: Some(pause), ..self }
    }

    /// Keeps sources near each other: those of one workflow that are aligned under one name. One whose time is farther
    /// than `drift` ahead of the one that is most behind is not asked for records until that has caught up, so that
    /// windows and joins behind them need not keep what it would give. Each worker of a source counts by itself.
    ///
    /// One that is idle ([`idle_after`](Watermarks::idle_after)), or has ended, is not waited for. One that has not had
    /// a record yet is. Barriers of checkpoints, stopping, and what comes from others are as they would be otherwise.
    ///
    /// A source may be farther ahead than `drift` by what it gives at once, some 100 microseconds of reading. What it
    /// knows of sources on other nodes is older than what it knows of those on its own, by 25 ms and the time that
    /// messages take to the master and back: so `drift` should be what is read in a second at least, or who waits for
    /// them reads in steps.
    ///
    /// Has to stand in the worker of a source that is asked for records, such as `StreamSource`: a workflow in which it
    /// stands behind an exchange, or a source that listens, is refused.
    #[must_use]
    pub fn aligned(self, group: impl Into<String>, drift: Duration) -> Self {
        Watermarks { alignment: Some(Alignment { group: group.into(), drift: milliseconds(drift) }), ..self }
    }
}

/// A duration in the unit of event time; the longest there is if it is longer.
pub(super) fn milliseconds(duration: Duration) -> Timestamp {
    Timestamp::try_from(duration.as_millis()).unwrap_or(Timestamp::MAX)
}

/// What has come so far.
#[derive(Clone, Copy, Debug)]
pub struct Latest {
    time: Timestamp,
    /// Whether something has come since it was asked last, and when that was.
    fresh: bool,
    asked: Option<Duration>,
}

impl<T, F> Operation for Watermarks<T, F>
where
    T: Send + 'static,
    F: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = T;
    const NAME: &'static str = "watermarks";
    const KEEPS_TIME: bool = true;
}

impl<T, F> React for Watermarks<T, F>
where
    T: Send + 'static,
    F: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
{
    type State = ByHand<Latest>;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> Self::State {
        ByHand(Latest { time: Timestamp::MIN, fresh: false, asked: None })
    }

    #[inline(always)]
    fn react<E: Emit<T>>(&self, state: &mut Self::State, record: T, emit: &mut E) -> Result<()> {
        state.time = state.time.max((self.time)(&record));
        state.fresh = true;
        emit.emit(record);
        Ok(())
    }

    fn watermark(&self, state: &mut Self::State, due: Flush) -> Option<Watermark> {
        if let (Flush::Busy { now } | Flush::Idle { now }, Some(pause)) = (due, self.idle) {
            // Who is busy, or held up, may have something that it cannot give yet.
            if std::mem::take(&mut state.fresh) || matches!(due, Flush::Busy { .. }) {
                state.asked = Some(now);
            }
            if now.saturating_sub(*state.asked.get_or_insert(now)) >= pause {
                return Some(Watermark::Idle);
            }
        }
        (state.time > Timestamp::MIN).then(|| Watermark::At(state.time.saturating_sub(self.late)))
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

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Says how far the event time of this stream has come: what windows and joins behind it need. `time` is that of a
    /// record, and `late` how much later than the latest one a record may come, in each worker. To say that sources may
    /// pause, see [`Watermarks::idle_after`].
    ///
    /// ```
    /// use skitter::operations::windows::{Count, Windows};
    /// use std::time::Duration;
    ///
    /// // In seconds, two seconds out of order at most.
    /// let counts = skitter::testing::run(vec![1i64, 3, 2, 12, 11], |seconds| {
    ///     let timed = seconds.watermarks(|second| second * 1000, Duration::from_secs(2));
    ///     timed.window(|second| second * 1000, Windows::tumbling(Duration::from_secs(10)), Count)
    /// })?;
    /// let counts: Vec<_> = counts.iter().map(|count| (count.window.start, count.value)).collect();
    /// assert_eq!(counts, [(0, 3), (10_000, 2)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn watermarks<F>(self, time: F, late: Duration) -> Stream<Behind<C, P, Watermarks<P::Record, F>, Chained>>
    where
        P::Record: Send,
        F: Fn(&P::Record) -> Timestamp + Clone + Send + Sync + 'static,
    {
        self.vertex(Watermarks::bounded(time, late), Chained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_follows_the_latest_record_and_its_pauses() {
        let (second, at) = (Duration::from_secs(1), |now| Flush::Idle { now });
        let operation = Watermarks::bounded(|time: &i64| *time, second * 2).idle_after(second * 5);
        let (mut state, mut emitted) = (operation.init(), Vec::new());
        assert_eq!(operation.watermark(&mut state, at(second)), None);
        for time in [3000, 9000, 8000] {
            operation.react(&mut state, time, &mut emitted).expect("accepted");
        }
        assert_eq!(operation.watermark(&mut state, at(second * 2)), Some(Watermark::At(7000)));
        assert_eq!(operation.watermark(&mut state, at(second * 6)), Some(Watermark::At(7000)));
        assert_eq!(operation.watermark(&mut state, at(second * 7)), Some(Watermark::Idle));
        operation.react(&mut state, 9500, &mut emitted).expect("accepted");
        assert_eq!(operation.watermark(&mut state, at(second * 8)), Some(Watermark::At(7500)));
        // It is held up.
        let busy = Flush::Busy { now: second * 14 };
        assert_eq!(operation.watermark(&mut state, busy), Some(Watermark::At(7500)));
        assert_eq!(operation.watermark(&mut state, at(second * 15)), Some(Watermark::At(7500)));
        assert_eq!(emitted, [3000, 9000, 8000, 9500]);
    }

    #[test]
    fn who_never_had_a_record_is_idle_after_a_while() {
        let operation = Watermarks::ascending(|time: &i64| *time).idle_after(Duration::from_secs(1));
        let mut state = operation.init();
        assert_eq!(operation.watermark(&mut state, Flush::Idle { now: Duration::from_secs(3) }), None);
        let later = Flush::Idle { now: Duration::from_secs(4) };
        assert_eq!(operation.watermark(&mut state, later), Some(Watermark::Idle));
    }
}
