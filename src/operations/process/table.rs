//! The states of keys, and their timers.

use serde::{Deserialize, Serialize};

use super::Process;
use super::storage::{Storage, Table};
use super::timers::Queue;
use super::times::Times;
use crate::codec::{Record, stable_hash};
use crate::workflow::{Result, Saved, Saving, Snapshot, Timestamp};

/// What is kept for a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "S: Record")]
pub(super) struct Held<S> {
    state: Option<S>,
    /// The times of its timers: in event time, and by the clock.
    timers: [Times; 2],
    /// When all of it is forgotten, unless something comes; [`UNKNOWN`] as long as time is. None if it never is.
    until: Option<Timestamp>,
}

impl<S> Held<S> {
    fn nothing() -> Self {
        Held { state: None, timers: Default::default(), until: None }
    }

    fn is_nothing(&self) -> bool {
        self.state.is_none() && self.timers.iter().all(Times::is_empty)
    }
}

/// What time is before it is told.
const UNKNOWN: Timestamp = Timestamp::MIN;

/// By what a timer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    EventTime,
    Clock,
}

/// The keys that wait for a time.
struct Queues<K> {
    /// By [`By`].
    timers: [Queue<K>; 2],
    /// For the time at which they are to be forgotten, or for one before that.
    lives: Queue<K>,
}

impl<K: std::hash::Hash + Eq + Clone> Queues<K> {
    fn new() -> Self {
        Queues { timers: [Queue::new(), Queue::new()], lives: Queue::new() }
    }
}

/// The keys of a worker.
pub struct Entries<P: Process> {
    table: Table<P::Key, Held<P::State>>,
    queues: Queues<P::Key>,
    /// How far time has come, by [`By`].
    times: [Timestamp; 2],
    /// The checkpoint that was saved last.
    saved: Option<u64>,
}

impl<P: Process> std::fmt::Debug for Entries<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("keys", &self.table.len()).finish_non_exhaustive()
    }
}

/// A key, and what there is of it: what a [`Process`] gets to see.
pub struct AtKey<'a, P: Process> {
    key: &'a P::Key,
    held: &'a mut Held<P::State>,
    queues: &'a mut [Queue<P::Key>; 2],
    times: [Timestamp; 2],
    /// What is set to a time that is not later than this waits until time goes on.
    coming: Option<Coming<'a, P::Key>>,
}

/// Timers that have come, and those that are set meanwhile.
struct Coming<'a, K> {
    by: By,
    time: Timestamp,
    later: &'a mut Vec<(Timestamp, K)>,
}

impl<P: Process> std::fmt::Debug for AtKey<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtKey").field("timers", &self.held.timers).finish_non_exhaustive()
    }
}

impl<P: Process> AtKey<'_, P> {
    /// The key.
    pub fn key(&self) -> &P::Key {
        self.key
    }

    /// The state; none before it is set. A key without state and timers takes no memory.
    pub fn state(&mut self) -> &mut Option<P::State> {
        &mut self.held.state
    }

    /// How far event time has come, as far as this worker knows: [`Timestamp::MIN`](i64::MIN) before it is told.
    pub fn time(&self) -> Timestamp {
        self.times[By::EventTime as usize]
    }

    /// What the clock has shown when the worker last looked, some 20 ms ago. Only where the process
    /// [follows it](Process::FOLLOWS_CLOCK).
    pub fn clock(&self) -> Timestamp {
        self.times[By::Clock as usize]
    }

    /// Sets a timer; if there is one at that time already, nothing happens. A time that has passed comes with the next
    /// watermark. Logarithmic in the number of times that are waited for.
    pub fn set_timer(&mut self, time: Timestamp) {
        self.set(By::EventTime, time);
    }

    /// Takes a timer back, if there is one at that time.
    pub fn cancel_timer(&mut self, time: Timestamp) {
        self.take(By::EventTime, time);
    }

    /// The time of the next timer.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.held.timers[By::EventTime as usize].first()
    }

    /// The times that timers are set to, ascending.
    pub fn timers(&self) -> Vec<Timestamp> {
        self.times(By::EventTime)
    }

    /// As [`set_timer`](AtKey::set_timer), for [`Process::clock_timer`]: it comes when the clock shows that time, or
    /// soon after. One that is saved with a checkpoint and has passed when the workflow goes on comes then.
    pub fn set_clock_timer(&mut self, time: Timestamp) {
        self.set(By::Clock, time);
    }

    /// Takes such a timer back, if there is one at that time.
    pub fn cancel_clock_timer(&mut self, time: Timestamp) {
        self.take(By::Clock, time);
    }

    /// The times that such timers are set to, ascending.
    pub fn clock_timers(&self) -> Vec<Timestamp> {
        self.times(By::Clock)
    }

    pub(super) fn times(&self, by: By) -> Vec<Timestamp> {
        self.held.timers[by as usize].iter().collect()
    }

    fn set(&mut self, by: By, time: Timestamp) {
        if self.held.timers[by as usize].add(time) {
            match &mut self.coming {
                Some(coming) if coming.by == by && time <= coming.time => coming.later.push((time, self.key.clone())),
                _ => self.queues[by as usize].add(time, self.key),
            }
        }
    }

    /// Takes a timer back; whether there was one at that time.
    pub(super) fn take(&mut self, by: By, time: Timestamp) -> bool {
        let was_there = self.held.timers[by as usize].remove(time);
        if was_there {
            self.queues[by as usize].remove(time, self.key);
        }
        was_there
    }

    fn forget(&mut self) {
        self.held.state = None;
        for by in [By::EventTime, By::Clock] {
            for time in std::mem::take(&mut self.held.timers[by as usize]).iter() {
                self.queues[by as usize].remove(time, self.key);
            }
        }
    }
}

impl<P: Process> Entries<P> {
    pub(super) fn new(storage: Storage) -> Self {
        Entries { table: Table::new(storage), queues: Queues::new(), times: [UNKNOWN; 2], saved: None }
    }

    /// Shows a key to which something has come, and forgets it if nothing is left of it; and if nothing comes for so
    /// long, in event time or by the clock.
    #[inline(always)]
    pub(super) fn at(
        &mut self,
        key: &P::Key,
        life: Option<(By, Timestamp)>,
        show: impl FnOnce(&mut AtKey<'_, P>) -> Result<()>,
    ) -> Result<()> {
        let Entries { table, queues: Queues { timers, lives }, times, .. } = self;
        let times = *times;
        show_key(table, timers, key, |held, queues| {
            if let Some((by, life)) = life {
                let until = ends(times[by as usize], life);
                // One that waits for an earlier time is looked at then.
                if held.until.replace(until).is_none() {
                    lives.add(until, key);
                }
            }
            show(&mut AtKey { key, held, queues, times, coming: None })
        })
    }

    /// Time has come to `time`: shows the keys whose timers were set to it or before, and forgets those whose life has
    /// ended.
    pub(super) fn advance(
        &mut self,
        by: By,
        time: Timestamp,
        life: Option<(By, Timestamp)>,
        mut show: impl FnMut(&mut AtKey<'_, P>, Timestamp) -> Result<()>,
    ) -> Result<()> {
        self.times[by as usize] = self.times[by as usize].max(time);
        let Entries { table, queues: Queues { timers, lives }, times, .. } = self;
        let (times, mut later) = (*times, Vec::new());
        while let Some((due, keys)) = timers[by as usize].pop(time) {
            for key in keys {
                let coming = Some(Coming { by, time: due, later: &mut later });
                show_key(table, timers, &key, |held, queues| {
                    // One that was set and taken back while others came is not there any more.
                    if !held.timers[by as usize].remove(due) {
                        return Ok(());
                    }
                    show(&mut AtKey { key: &key, held, queues, times, coming }, due)
                })?;
            }
        }
        later.iter().for_each(|(time, key)| timers[by as usize].add(*time, key));
        let Some((_, life)) = life.filter(|(lives_by, _)| *lives_by == by) else { return Ok(()) };
        while let Some((_, keys)) = lives.pop(time) {
            for key in keys {
                show_key(table, timers, &key, |held, queues| {
                    if held.until == Some(UNKNOWN) {
                        held.until = Some(ends(time, life));
                    }
                    match held.until {
                        Some(until) if until > time => lives.add(until, &key),
                        _ => AtKey::<P> { key: &key, held, queues, times, coming: None }.forget(),
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Shows each key a last time.
    pub(super) fn end(&mut self, mut show: impl FnMut(&mut AtKey<'_, P>) -> Result<()>) -> Result<()> {
        self.queues.timers.iter_mut().for_each(Queue::clear);
        self.queues.lives.clear();
        let (queues, times) = (&mut self.queues.timers, [Timestamp::MAX, self.times[By::Clock as usize]]);
        self.table.drain(|key, mut held| show(&mut AtKey { key: &key, held: &mut held, queues, times, coming: None }))
    }

    pub(super) fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<Saving> {
        // Called again while it is saved; until then, time may have gone on.
        if self.saved.replace(snapshot.checkpoint()) != Some(snapshot.checkpoint()) {
            snapshot.put_shared(&self.times[By::EventTime as usize])?;
        }
        self.table.snapshot(snapshot)
    }

    /// What was saved. Of several that knew of time, who knew least is believed.
    pub(super) fn restore(saved: &Saved, storage: Storage) -> Result<Self> {
        let known: Vec<Timestamp> = saved.shared().collect::<Result<_>>()?;
        let mut queues = Queues::new();
        let table = Table::restore(saved, storage, |key: &P::Key, held: &Held<P::State>| {
            for (queue, times) in queues.timers.iter_mut().zip(&held.timers) {
                times.iter().for_each(|time| queue.add(time, key));
            }
            held.until.into_iter().for_each(|until| queues.lives.add(until, key));
        })?;
        let times = [known.into_iter().min().unwrap_or(UNKNOWN), UNKNOWN];
        Ok(Entries { table, queues, times, saved: None })
    }
}

/// When a life ends that begins then.
fn ends(begin: Timestamp, life: Timestamp) -> Timestamp {
    if begin == UNKNOWN { UNKNOWN } else { begin.saturating_add(life) }
}

/// Shows what there is of a key, and lets go of it if that is nothing then.
#[inline(always)]
fn show_key<K: Record + std::hash::Hash + Eq + Clone, S: Record>(
    table: &mut Table<K, Held<S>>,
    queues: &mut [Queue<K>; 2],
    key: &K,
    show: impl FnOnce(&mut Held<S>, &mut [Queue<K>; 2]) -> Result<()>,
) -> Result<()> {
    let hash = stable_hash(key);
    let (shown, is_nothing) = table.with(hash, key, Held::nothing, |held| {
        let shown = show(held, queues);
        (shown, held.is_nothing())
    })?;
    if is_nothing {
        table.remove(hash, key)?;
    }
    shown
}
