//! Windows of records that follow each other closely.

use std::hash::Hash;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::triggers::next_multiple;
use super::{Aggregate, Firing, OnTime, Outcome, Window, Windowed};
use crate::codec::Record;
use crate::operations::process::{AtKey, Process, Processing};
use crate::operations::watermarks::milliseconds;
use crate::strategies::Partitioned;
use crate::workflow::{Behind, Chain, Emit, OutPort, Result, Stream, Timestamp};

/// How closely the records of a session follow each other. A plain [`Duration`] is one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    gap: Timestamp,
    late: Timestamp,
    early: Option<Timestamp>,
}

impl Gap {
    /// With less than so much between them; a millisecond at least.
    pub fn of(gap: Duration) -> Self {
        Gap { gap: milliseconds(gap).max(1), late: 0, early: None }
    }

    /// Keeps a session for so long after its end. A record that comes in that time and belongs to it is added, and the
    /// result given again, marked [`Firing::Late`], with the window that it has now. If time has not come to the end of
    /// that, the session is open again, and its result comes at its end. A record that joins sessions gives one result
    /// for all of them: what was given of each before has other windows, and nobody takes that back. What comes so late
    /// that its session would be gone leaves by port [`Late`](super::Late).
    #[must_use]
    pub fn allowed_lateness(self, late: Duration) -> Self {
        Gap { late: milliseconds(late), ..self }
    }

    /// Gives results of sessions before their end, too, as far as they have come, every so much of event time: at
    /// multiples since 1970 (UTC), marked [`Firing::Early`].
    #[must_use]
    pub fn early_every(self, interval: Duration) -> Self {
        Gap { early: Some(milliseconds(interval).max(1)), ..self }
    }
}

impl From<Duration> for Gap {
    fn from(gap: Duration) -> Gap {
        Gap::of(gap)
    }
}

/// Records of a key that follow each other closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session<A> {
    window: Window,
    value: A,
    /// Time has come to its end.
    ended: bool,
    /// When its next result is given early.
    early: Timestamp,
}

impl<A> Session<A> {
    /// When something is to be done for it next.
    fn due(&self, late: Timestamp) -> Timestamp {
        if self.ended { self.window.end.saturating_add(late) } else { self.window.end.min(self.early) }
    }
}

/// The sessions of a key that have not ended, by their times.
pub type Sessions<A> = Vec<Session<A>>;

/// Windows of records that follow each other with less than a gap between them, for each key.
pub struct SessionWindow<T, K, KF, TF, G> {
    key: KF,
    time: TF,
    gap: Gap,
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
    /// A process that aggregates the records of each key that have less than a gap between them.
    pub fn new(key: KF, time: TF, gap: impl Into<Gap>, aggregate: G) -> Self {
        SessionWindow { key, time, gap: gap.into(), aggregate, types: PhantomData }
    }

    fn result(&self, key: K, session: Session<G::Accumulator>, firing: Firing) -> Outcome<Windowed<K, G::Out>, T> {
        let Session { window, value, .. } = session;
        Outcome::Result(Windowed { window, key, value: self.aggregate.finish(value), firing })
    }

    /// When a session that has a record of one time is given early next, when it is another one.
    fn early_after(&self, start: Timestamp, now: Timestamp) -> Timestamp {
        self.gap.early.map_or(Timestamp::MAX, |interval| next_multiple(interval, start.max(now)))
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
        let (start, now) = ((self.time)(&record), at.time());
        let own = Window { start, end: start.saturating_add(self.gap.gap) };
        let sessions = at.state().get_or_insert_default();
        // Those that it is in, or joins: most often the last one, or none.
        let first = sessions.partition_point(|session| session.window.end <= own.start);
        let behind = sessions.partition_point(|session| session.window.start < own.end);
        if first == behind {
            if own.end.saturating_add(self.gap.late) <= now {
                if sessions.is_empty() {
                    *at.state() = None;
                }
                emit.emit(Outcome::Late(record));
                return Ok(());
            }
            let mut value = self.aggregate.create();
            self.aggregate.add(&mut value, record);
            let early = self.early_after(start, now);
            sessions.insert(first, Session { window: own, value, ended: false, early });
            let due = own.end.min(early);
            at.set_timer(due);
        } else {
            let joined: Vec<_> = sessions.drain(first + 1..behind).collect();
            let session = &mut sessions[first];
            session.window.start = session.window.start.min(own.start);
            session.window.end = session.window.end.max(own.end);
            for Session { window, value, ended, early } in joined {
                session.window.end = session.window.end.max(window.end);
                (session.ended, session.early) = (session.ended || ended, session.early.min(early));
                self.aggregate.merge(&mut session.value, value);
            }
            self.aggregate.add(&mut session.value, record);
        }
        if self.gap.late > 0 {
            self.look_late(at, first, now, emit);
        }
        Ok(())
    }

    /// A session has a timer at the end that it had first, and another one when that has come and was not the end.
    fn timer<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let (key, now) = (at.key().clone(), at.time());
        let Some(sessions) = at.state() else { return Ok(()) };
        let late = self.gap.late;
        if late == 0 {
            let behind = sessions.partition_point(|session| session.window.end <= time);
            for session in sessions.drain(..behind) {
                emit.emit(self.result(key.clone(), session, Firing::OnTime));
            }
        } else {
            for session in sessions.iter_mut().filter(|session| !session.ended && session.window.end <= time) {
                session.ended = true;
                emit.emit(self.result(key.clone(), session.clone(), Firing::OnTime));
            }
            sessions.retain(|session| session.window.end.saturating_add(late) > time);
        }
        for session in sessions.iter_mut().filter(|session| session.early <= time) {
            session.early = self.early_after(now, now);
            // Of one that ends with this watermark, that result is the next.
            if session.window.end > now {
                emit.emit(self.result(key.clone(), session.clone(), Firing::Early));
            }
        }
        match sessions.iter().map(|session| session.due(late)).min() {
            Some(due) => at.set_timer(due),
            None => *at.state() = None,
        }
        Ok(())
    }

    fn end<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, emit: &mut E) -> Result<()> {
        for session in at.state().take().into_iter().flatten().filter(|session| !session.ended) {
            emit.emit(self.result(at.key().clone(), session, Firing::OnTime));
        }
        Ok(())
    }
}

impl<T, K, KF, TF, G> SessionWindow<T, K, KF, TF, G>
where
    Self: Process<In = T, Key = K, Out = Outcome<Windowed<K, G::Out>, T>, State = Sessions<G::Accumulator>>,
    K: Clone,
    KF: Fn(&T) -> K,
    TF: Fn(&T) -> Timestamp,
    G: Aggregate<T>,
{
    /// A record has come to a session: if that had ended its result is given again, or it is open again.
    fn look_late<E: Emit<Outcome<Windowed<K, G::Out>, T>>>(
        &self,
        at: &mut AtKey<'_, Self>,
        place: usize,
        now: Timestamp,
        emit: &mut E,
    ) {
        let key = at.key().clone();
        let Some(session) = at.state().as_mut().and_then(|sessions| sessions.get_mut(place)) else { return };
        let had_ended = std::mem::replace(&mut session.ended, session.window.end <= now);
        if session.ended {
            emit.emit(self.result(key, session.clone(), Firing::Late));
        } else if had_ended {
            session.early = self.early_after(now, now);
            let due = session.due(self.gap.late);
            at.set_timer(due);
        }
    }
}

/// Session windows behind a stream.
pub type SessionWindowOf<C, P, T, K, KF, TF, G> = Behind<C, P, Processing<SessionWindow<T, K, KF, TF, G>>, Partitioned>;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Aggregates the records of each key that follow each other with less than `gap` between them, and gives the
    /// result when no further record can come so soon. The window is from the first record to `gap` behind the last.
    /// Records are added in the order in which they arrive. `time` is that of a record. Needs
    /// [`watermarks`](Stream::watermarks) before it; what comes later than they say, and belongs to no session that is
    /// still there, leaves by port [`Late`](crate::operations::windows::Late). A [`Gap`] in place of a duration keeps
    /// sessions for longer, or gives results early. Distributed by [`Partitioned`].
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
        gap: impl Into<Gap>,
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
