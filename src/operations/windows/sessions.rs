//! Windows of records that follow each other closely.

use std::hash::Hash;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Aggregate, Firing, OnTime, Outcome, Window, Windowed};
use crate::codec::Record;
use crate::operations::process::{AtKey, Process, Processing};
use crate::operations::watermarks::milliseconds;
use crate::strategies::Partitioned;
use crate::workflow::{Behind, Chain, Emit, OutPort, Result, Stream, Timestamp};

/// Records of a key that follow each other closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session<A> {
    window: Window,
    value: A,
}

/// The sessions of a key that have not ended, by their times.
pub type Sessions<A> = Vec<Session<A>>;

/// Windows of records that follow each other with less than a gap between them, for each key.
pub struct SessionWindow<T, K, KF, TF, G> {
    key: KF,
    time: TF,
    gap: Timestamp,
    aggregate: G,
    types: PhantomData<fn(T) -> K>,
}

impl<T, K, KF: Clone, TF: Clone, G: Clone> Clone for SessionWindow<T, K, KF, TF, G> {
    fn clone(&self) -> Self {
        SessionWindow {
            key: self.key.clone(),
            time: self.time.clone(),
            gap: self.gap,
            aggregate: self.aggregate.clone(),
            types: PhantomData,
        }
    }
}

impl<T, K, KF, TF, G> std::fmt::Debug for SessionWindow<T, K, KF, TF, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionWindow").field("gap", &self.gap).finish_non_exhaustive()
    }
}

impl<T, K, KF, TF, G> SessionWindow<T, K, KF, TF, G>
where
    KF: Fn(&T) -> K,
    TF: Fn(&T) -> Timestamp,
    G: Aggregate<T>,
{
    /// A process that aggregates the records of each key that have less than `gap` between them; a millisecond at
    /// least.
    pub fn new(key: KF, time: TF, gap: Duration, aggregate: G) -> Self {
        SessionWindow { key, time, gap: milliseconds(gap).max(1), aggregate, types: PhantomData }
    }

    fn result(&self, key: K, session: Session<G::Accumulator>) -> Outcome<Windowed<K, G::Out>, T> {
        let Session { window, value } = session;
        Outcome::Result(Windowed { window, key, value: self.aggregate.finish(value), firing: Firing::OnTime })
    }
}

impl<T, K, KF, TF, G> Process for SessionWindow<T, K, KF, TF, G>
where
    T: Record,
    K: Record + Hash + Eq + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    TF: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    type In = T;
    type Out = Outcome<Windowed<K, G::Out>, T>;
    type Key = K;
    type State = Sessions<G::Accumulator>;
    const NAME: &'static str = "session window";
    const OUT_PORTS: &'static [&'static str] = super::keyed::PORTS;

    #[inline(always)]
    fn key(&self, record: &T) -> K {
        (self.key)(record)
    }

    fn record<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, record: T, emit: &mut E) -> Result<()> {
        let start = (self.time)(&record);
        let own = Window { start, end: start.saturating_add(self.gap) };
        let is_late = own.end <= at.time();
        let sessions = at.state().get_or_insert_default();
        // Those that it is in, or joins: most often the last one, or none.
        let first = sessions.partition_point(|session| session.window.end <= own.start);
        let behind = sessions.partition_point(|session| session.window.start < own.end);
        if first == behind {
            if is_late {
                if sessions.is_empty() {
                    *at.state() = None;
                }
                emit.emit(Outcome::Late(record));
                return Ok(());
            }
            let mut value = self.aggregate.create();
            self.aggregate.add(&mut value, record);
            sessions.insert(first, Session { window: own, value });
            at.set_timer(own.end);
            return Ok(());
        }
        let joined: Vec<_> = sessions.drain(first + 1..behind).collect();
        let session = &mut sessions[first];
        session.window.start = session.window.start.min(own.start);
        session.window.end = session.window.end.max(own.end);
        for Session { window, value } in joined {
            session.window.end = session.window.end.max(window.end);
            self.aggregate.merge(&mut session.value, value);
        }
        self.aggregate.add(&mut session.value, record);
        Ok(())
    }

    /// A session has a timer at the end that it had first, and another one when that has come and was not the end.
    fn timer<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let Some(sessions) = at.state() else { return Ok(()) };
        let behind = sessions.partition_point(|session| session.window.end <= time);
        let ended: Vec<_> = sessions.drain(..behind).collect();
        let next = sessions.first().map(|session| session.window.end);
        match next {
            Some(end) => at.set_timer(end),
            None => *at.state() = None,
        }
        for session in ended {
            emit.emit(self.result(at.key().clone(), session));
        }
        Ok(())
    }

    fn end<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, emit: &mut E) -> Result<()> {
        for session in at.state().take().unwrap_or_default() {
            emit.emit(self.result(at.key().clone(), session));
        }
        Ok(())
    }
}

/// Session windows behind a stream.
pub type SessionWindowOf<C, P, T, K, KF, TF, G> = Behind<C, P, Processing<SessionWindow<T, K, KF, TF, G>>, Partitioned>;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Aggregates the records of each key that follow each other with less than `gap` between them, and gives the
    /// result when no further record can come so soon. The window is from the first record to `gap` behind the last.
    /// Records are added in the order in which they arrive. `time` is that of a record. Needs
    /// [`watermarks`](Stream::watermarks) before it; what comes later than they say, and belongs to no session that is
    /// still there, leaves by port [`Late`](crate::operations::windows::Late). Distributed by [`Partitioned`].
    ///
    /// ```
    /// use skitter::operations::windows::Count;
    /// use std::time::Duration;
    ///
    /// let clicks = vec![(1i64, 'a'), (2, 'b'), (5, 'a'), (20, 'a')];
    /// let mut visits = skitter::testing::run(clicks, |clicks| {
    ///     let timed = clicks.watermarks(|(second, _)| second * 1000, Duration::ZERO);
    ///     timed.session_window(|(_, who)| *who, |(second, _)| second * 1000, Duration::from_secs(10), Count)
    /// })?;
    /// visits.sort_by_key(|visit| (visit.key, visit.window));
    /// let of_a = visits.iter().filter(|visit| visit.key == 'a');
    /// let of_a: Vec<_> = of_a.map(|visit| (visit.window.end, visit.value)).collect();
    /// assert_eq!(of_a, [(15_000, 2), (30_000, 1)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn session_window<K, KF, TF, G>(
        self,
        key: KF,
        time: TF,
        gap: Duration,
        aggregate: G,
    ) -> Stream<SessionWindowOf<C, P, P::Record, K, KF, TF, G>, OnTime>
    where
        P::Record: Record,
        K: Record + Hash + Eq + Clone,
        KF: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        TF: Fn(&P::Record) -> Timestamp + Clone + Send + Sync + 'static,
        G: Aggregate<P::Record>,
    {
        self.process_to(SessionWindow::new(key, time, gap, aggregate), OnTime)
    }
}
