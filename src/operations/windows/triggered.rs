//! Windows that give results when a trigger says so.

use std::hash::Hash;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::keyed::PORTS;
use super::triggers::TriggerContext;
use super::{Aggregate, Fire, Firing, OnTime, Outcome, Trigger, Window, Windowed, Windows};
use crate::codec::Record;
use crate::operations::process::{AtKey, Process, Processing};
use crate::strategies::Partitioned;
use crate::workflow::{Behind, Chain, Emit, OutPort, Result, Stream, Timestamp};

/// One window for all records of a key, which ends with the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Global;

/// Which windows a record is in: [`Windows`], or [`Global`].
pub trait Spans: Copy + Send + Sync + 'static {
    /// Whether their ends are waited for.
    const NEEDS_TIME: bool;
    /// The windows that a time is in, the earlier one first.
    fn of(&self, time: Timestamp) -> impl Iterator<Item = Window>;
    /// How long a window is kept after its end.
    fn late(&self) -> Timestamp;
    /// Refuses what are no windows.
    ///
    /// # Errors
    /// When there are no such windows.
    fn check(&self) -> Result<()>;
}

/// All of time.
const ALWAYS: Window = Window { start: Timestamp::MIN, end: Timestamp::MAX };

impl Spans for Global {
    const NEEDS_TIME: bool = false;

    fn of(&self, _time: Timestamp) -> impl Iterator<Item = Window> {
        std::iter::once(ALWAYS)
    }

    fn late(&self) -> Timestamp {
        0
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl Spans for Windows {
    const NEEDS_TIME: bool = true;

    fn of(&self, time: Timestamp) -> impl Iterator<Item = Window> {
        // Of times that are too far off for any, there are none.
        let slice = Some(self.slice_of(time)).filter(|_| Windows::are_at(time));
        let step = usize::try_from(self.slide()).unwrap_or(usize::MAX);
        let ends = slice.map(|slice| (self.end_after(slice)..=self.last_end(slice)).step_by(step));
        ends.into_iter().flatten().map(|end| self.ending(end))
    }

    fn late(&self) -> Timestamp {
        Windows::late(self)
    }

    fn check(&self) -> Result<()> {
        Windows::check(self)
    }
}

/// A window of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triggered<A, S> {
    window: Window,
    /// From its first record to behind its last one; none before a record has been added.
    span: Option<Window>,
    value: A,
    state: S,
    alarm: Option<Timestamp>,
    /// Whether its end has come.
    ended: bool,
}

impl<A, S> Triggered<A, S> {
    /// When something is to be done for it next.
    fn due(&self, gone_at: Timestamp) -> Option<Timestamp> {
        if self.ended {
            return Some(gone_at);
        }
        let end = Some(self.window.end).filter(|end| *end < Timestamp::MAX);
        self.alarm.into_iter().chain(end).min()
    }
}

/// Windows of each key, by their times, with triggers.
pub struct TriggeredWindow<T, K, KF, TF, W, R, G> {
    key: KF,
    time: TF,
    windows: W,
    trigger: R,
    aggregate: G,
    types: PhantomData<fn(T) -> K>,
}

impl<T, K, KF: Clone, TF: Clone, W: Clone, R: Clone, G: Clone> Clone for TriggeredWindow<T, K, KF, TF, W, R, G> {
    fn clone(&self) -> Self {
        TriggeredWindow {
            key: self.key.clone(),
            time: self.time.clone(),
            windows: self.windows.clone(),
            trigger: self.trigger.clone(),
            aggregate: self.aggregate.clone(),
            types: PhantomData,
        }
    }
}

impl<T, K, KF, TF, W: std::fmt::Debug, R, G> std::fmt::Debug for TriggeredWindow<T, K, KF, TF, W, R, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TriggeredWindow").field("windows", &self.windows).finish_non_exhaustive()
    }
}

impl<T, K, KF, TF, W, R, G> TriggeredWindow<T, K, KF, TF, W, R, G>
where
    KF: Fn(&T) -> K,
    TF: Fn(&T) -> Timestamp,
    W: Spans,
    R: Trigger<T>,
    G: Aggregate<T>,
{
    /// A process that aggregates the records of each key in each window, and gives results when the trigger says so and
    /// at their ends.
    pub fn new(key: KF, time: TF, windows: W, trigger: R, aggregate: G) -> Self {
        TriggeredWindow { key, time, windows, trigger, aggregate, types: PhantomData }
    }

    /// When a window is not kept any more.
    fn gone_at(&self, window: Window) -> Timestamp {
        window.end.saturating_add(self.windows.late())
    }

    /// The window of a key; where there is none, it begins. Windows are in order.
    fn find<'a>(
        &self,
        windows: &'a mut Open<T, R, G>,
        window: Window,
        now: Timestamp,
    ) -> (usize, &'a mut Triggered<G::Accumulator, R::State>) {
        let place = windows.partition_point(|other| other.window < window);
        if windows.get(place).is_none_or(|other| other.window != window) {
            let (value, state) = (self.aggregate.create(), R::State::default());
            let ended = window.end <= now;
            windows.insert(place, Triggered { window, span: None, value, state, alarm: None, ended });
        }
        (place, &mut windows[place])
    }

    fn result(&self, of: Triggered<G::Accumulator, R::State>, key: K, firing: Firing) -> Option<Given<T, K, G>> {
        let span = of.span?;
        // One that has no end of its own is as long as what is in it.
        let window = if of.window == ALWAYS { span } else { of.window };
        Some(Outcome::Result(Windowed { window, key, value: self.aggregate.finish(of.value), firing }))
    }

    /// Asks the trigger about a record; of a window that has ended, each gives a result.
    fn ask(&self, of: &mut Triggered<G::Accumulator, R::State>, record: &T, time: Timestamp, now: Timestamp) -> Fire {
        if of.ended {
            return Fire::Keep;
        }
        let mut context = TriggerContext { state: &mut of.state, alarm: &mut of.alarm, of_record: time, time: now };
        self.trigger.record(&mut context, record)
    }

    /// Lets the alarm of a window come, or its end.
    fn come(&self, of: &mut Triggered<G::Accumulator, R::State>, due: Timestamp, now: Timestamp) -> (Fire, Firing) {
        if of.ended {
            return (Fire::No, Firing::Late);
        }
        if of.window.end <= due {
            of.ended = true;
            return (Fire::Keep, Firing::OnTime);
        }
        let Some(alarm) = of.alarm.take_if(|alarm| *alarm <= due) else { return (Fire::No, Firing::Early) };
        let mut context = TriggerContext { state: &mut of.state, alarm: &mut of.alarm, of_record: alarm, time: now };
        (self.trigger.alarm(&mut context), Firing::Early)
    }
}

/// The windows of a key that are kept, by their times.
type Open<T, R, G> = Vec<Triggered<<G as Aggregate<T>>::Accumulator, <R as Trigger<T>>::State>>;

/// What comes of a window.
type Given<T, K, G> = Outcome<Windowed<K, <G as Aggregate<T>>::Out>, T>;

impl<T, K, KF, TF, W, R, G> Process for TriggeredWindow<T, K, KF, TF, W, R, G>
where
    T: Record + Clone,
    K: Record + Hash + Eq + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    TF: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
    W: Spans,
    R: Trigger<T>,
    G: Aggregate<T>,
{
    type In = T;
    type Out = Given<T, K, G>;
    type Key = K;
    type State = Open<T, R, G>;
    const NAME: &'static str = "triggered window";
    const OUT_PORTS: &'static [&'static str] = PORTS;
    const NEEDS_TIME: bool = W::NEEDS_TIME || R::NEEDS_TIME;

    #[inline(always)]
    fn key(&self, record: &T) -> K {
        (self.key)(record)
    }

    fn check(&self) -> Result<()> {
        self.windows.check()
    }

    fn record<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, record: T, emit: &mut E) -> Result<()> {
        let (time, now) = ((self.time)(&record), at.time());
        let mut kept = self.windows.of(time).filter(|window| self.gone_at(*window) > now);
        let Some(mut window) = kept.next() else {
            emit.emit(Outcome::Late(record));
            return Ok(());
        };
        for next in kept {
            self.put(at, window, record.clone(), (time, now), emit);
            window = next;
        }
        self.put(at, window, record, (time, now), emit);
        Ok(())
    }

    /// A window has a timer for what is to be done for it next.
    fn timer<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, time: Timestamp, emit: &mut E) -> Result<()> {
        let (key, now) = (at.key().clone(), at.time());
        let Some(open) = at.state() else { return Ok(()) };
        let mut given = Vec::new();
        open.retain_mut(|of| {
            let (fire, firing) = self.come(of, time, now);
            let stays = fire != Fire::Purge && self.gone_at(of.window) > time;
            if fire != Fire::No {
                given.extend(self.result(of.clone(), key.clone(), firing));
            }
            stays
        });
        let due = open.iter().filter_map(|of| of.due(self.gone_at(of.window))).min();
        if open.is_empty() {
            *at.state() = None;
        }
        if let Some(due) = due {
            at.set_timer(due);
        }
        given.into_iter().for_each(|given| emit.emit(given));
        Ok(())
    }

    fn end<E: Emit<Self::Out>>(&self, at: &mut AtKey<'_, Self>, emit: &mut E) -> Result<()> {
        for of in at.state().take().into_iter().flatten().filter(|of| !of.ended) {
            if let Some(result) = self.result(of, at.key().clone(), Firing::OnTime) {
                emit.emit(result);
            }
        }
        Ok(())
    }
}

impl<T, K, KF, TF, W, R, G> TriggeredWindow<T, K, KF, TF, W, R, G>
where
    Self: Process<In = T, Key = K, Out = Given<T, K, G>, State = Open<T, R, G>>,
    K: Clone,
    KF: Fn(&T) -> K,
    TF: Fn(&T) -> Timestamp,
    W: Spans,
    R: Trigger<T>,
    G: Aggregate<T>,
{
    /// Puts a record into a window.
    fn put<E: Emit<Given<T, K, G>>>(
        &self,
        at: &mut AtKey<'_, Self>,
        window: Window,
        record: T,
        (time, now): (Timestamp, Timestamp),
        emit: &mut E,
    ) {
        let open = at.state().get_or_insert_default();
        let (place, of) = self.find(open, window, now);
        let fire = self.ask(of, &record, time, now);
        self.aggregate.add(&mut of.value, record);
        let behind = time.saturating_add(1);
        let span = of.span.get_or_insert(Window { start: time, end: behind });
        (span.start, span.end) = (span.start.min(time), span.end.max(behind));
        let (firing, due) = (if of.ended { Firing::Late } else { Firing::Early }, of.due(self.gone_at(window)));
        let given = match fire {
            Fire::No => None,
            Fire::Keep => Some(of.clone()),
            // It begins anew with its next record.
            Fire::Purge => Some(open.remove(place)),
        };
        if open.is_empty() {
            *at.state() = None;
        } else if let Some(due) = due {
            at.set_timer(due);
        }
        if let Some(result) = given.and_then(|of| self.result(of, at.key().clone(), firing)) {
            emit.emit(result);
        }
    }
}

/// Windows with triggers behind a stream.
pub type TriggeredWindowOf<C, P, T, K, KF, TF, W, R, G> =
    Behind<C, P, Processing<TriggeredWindow<T, K, KF, TF, W, R, G>>, Partitioned>;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Aggregates the records of each key in each window, and gives results when a [`Trigger`] says so, marked
    /// [`Firing::Early`], and at the end of the window. `windows` are [`Windows`], or [`Global`]: one window, which
    /// ends with the stream, and whose results are from its first record to behind its last one. A window that has been
    /// purged begins anew with its next record; one that has none gives nothing.
    ///
    /// Needs [`watermarks`](Stream::watermarks) before it, unless windows are global and the trigger does not need
    /// them. As long as [`Windows::allowed_lateness`] says, a record that comes behind the end of its window gives the
    /// result again; the trigger is not asked. What comes later leaves by port
    /// [`Late`](crate::operations::windows::Late). [`Windows::early_every`] says nothing here. Distributed by
    /// [`Partitioned`].
    ///
    /// It keeps a value for each key in each window: windows that overlap do not share it, as they may be purged. Each
    /// record is added to each window that it is in.
    ///
    /// ```
    /// use skitter::operations::windows::{Count, CountTrigger, Firing, Windows};
    /// use std::time::Duration;
    ///
    /// // Of each minute, also every two clicks.
    /// let clicks = vec![1i64, 2, 3, 61];
    /// let counts = skitter::testing::run(clicks, |clicks| {
    ///     let minutes = Windows::tumbling(Duration::from_secs(60));
    ///     let timed = clicks.watermarks(|second| second * 1000, Duration::ZERO);
    ///     timed.triggered_window(|_| (), |second| second * 1000, minutes, CountTrigger::every(2), Count)
    /// })?;
    /// let counts: Vec<_> = counts.iter().map(|count| (count.firing, count.value)).collect();
    /// assert_eq!(counts, [(Firing::Early, 2), (Firing::OnTime, 3), (Firing::OnTime, 1)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn triggered_window<K, KF, TF, W, R, G>(
        self,
        key: KF,
        time: TF,
        windows: W,
        trigger: R,
        aggregate: G,
    ) -> Stream<TriggeredWindowOf<C, P, P::Record, K, KF, TF, W, R, G>, OnTime>
    where
        P::Record: Record + Clone,
        K: Record + Hash + Eq + Clone,
        KF: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        TF: Fn(&P::Record) -> Timestamp + Clone + Send + Sync + 'static,
        W: Spans,
        R: Trigger<P::Record>,
        G: Aggregate<P::Record>,
    {
        self.process_to(TriggeredWindow::new(key, time, windows, trigger, aggregate), OnTime)
    }
}
