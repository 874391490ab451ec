//! The states of keys, and their timers.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::Process;
use super::storage::{Storage, Table};
use crate::codec::{Record, stable_hash};
use crate::workflow::{Result, Saved, Saving, Snapshot, Timestamp};

/// What is kept for a key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "S: Record")]
pub(super) struct Held<S> {
    state: Option<S>,
    /// The times of its timers, ascending.
    timers: VecDeque<Timestamp>,
}

impl<S> Held<S> {
    fn nothing() -> Self {
        Held { state: None, timers: VecDeque::new() }
    }

    fn is_nothing(&self) -> bool {
        self.state.is_none() && self.timers.is_empty()
    }
}

/// Who has a timer at a time.
struct Due<K>(HashTable<K>);

impl<K> Default for Due<K> {
    fn default() -> Self {
        Due(HashTable::new())
    }
}

impl<K: Hash + Eq + Clone> Due<K> {
    fn add(&mut self, key: &K) {
        let hash = stable_hash(key);
        if self.0.find(hash, |other| other == key).is_none() {
            self.0.insert_unique(hash, key.clone(), |key| stable_hash(key));
        }
    }

    fn remove(&mut self, key: &K) {
        if let Ok(entry) = self.0.find_entry(stable_hash(key), |other| other == key) {
            entry.remove();
        }
    }
}

type Queue<K> = BTreeMap<Timestamp, Due<K>>;

/// The keys of a worker.
pub struct Entries<P: Process> {
    table: Table<P::Key, Held<P::State>>,
    queue: Queue<P::Key>,
    time: Timestamp,
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
    queue: &'a mut Queue<P::Key>,
    time: Timestamp,
    /// What is set to a time that is not later than this waits for the next watermark.
    coming: Option<(Timestamp, &'a mut Vec<(Timestamp, P::Key)>)>,
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
        self.time
    }

    /// Sets a timer; if there is one at that time already, nothing happens. A time that has passed comes with the next
    /// watermark. Logarithmic in the number of times that are waited for.
    pub fn set_timer(&mut self, time: Timestamp) {
        let (key, timers) = (self.key, &mut self.held.timers);
        if let Err(place) = timers.binary_search(&time) {
            timers.insert(place, time);
            match &mut self.coming {
                Some((coming, later)) if time <= *coming => later.push((time, key.clone())),
                _ => self.queue.entry(time).or_default().add(key),
            }
        }
    }

    /// Takes a timer back, if there is one at that time.
    pub fn cancel_timer(&mut self, time: Timestamp) {
        self.take_timer(time);
    }

    /// Takes a timer back; whether there was one at that time.
    pub(super) fn take_timer(&mut self, time: Timestamp) -> bool {
        let (key, timers) = (self.key, &mut self.held.timers);
        let Ok(place) = timers.binary_search(&time) else { return false };
        timers.remove(place);
        if let Some(due) = self.queue.get_mut(&time) {
            due.remove(key);
            if due.0.is_empty() {
                self.queue.remove(&time);
            }
        }
        true
    }

    /// The time of the next timer.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.held.timers.front().copied()
    }

    /// The times that timers are set to, ascending.
    pub fn timers(&self) -> Vec<Timestamp> {
        self.held.timers.iter().copied().collect()
    }
}

impl<P: Process> Entries<P> {
    pub(super) fn new(storage: Storage) -> Self {
        Entries { table: Table::new(storage), queue: BTreeMap::new(), time: Timestamp::MIN, saved: None }
    }

    /// Shows a key, and forgets it if nothing is left of it.
    #[inline(always)]
    pub(super) fn at(
        &mut self,
        hash: u64,
        key: &P::Key,
        show: impl FnOnce(&mut AtKey<'_, P>) -> Result<()>,
    ) -> Result<()> {
        self.at_time(hash, key, None, show)
    }

    #[inline(always)]
    fn at_time(
        &mut self,
        hash: u64,
        key: &P::Key,
        coming: Option<(Timestamp, &mut Vec<(Timestamp, P::Key)>)>,
        show: impl FnOnce(&mut AtKey<'_, P>) -> Result<()>,
    ) -> Result<()> {
        let Entries { table, queue, time, .. } = self;
        let (shown, is_nothing) = table.with(hash, key, Held::nothing, |held| {
            let shown = show(&mut AtKey { key, held, queue, time: *time, coming });
            (shown, held.is_nothing())
        })?;
        if is_nothing {
            table.remove(hash, key)?;
        }
        shown
    }

    /// Time has come to `time`: shows the keys whose timers were set to it or before.
    pub(super) fn advance(
        &mut self,
        time: Timestamp,
        mut show: impl FnMut(&mut AtKey<'_, P>, Timestamp) -> Result<()>,
    ) -> Result<()> {
        self.time = self.time.max(time);
        let mut later = Vec::new();
        while let Some(first) = self.queue.first_entry().filter(|first| *first.key() <= time) {
            let (due, keys) = first.remove_entry();
            for key in keys.0 {
                self.at_time(stable_hash(&key), &key, Some((due, &mut later)), |at| {
                    // One that was set and taken back while others came is not there any more.
                    match at.held.timers.pop_front_if(|time| *time == due) {
                        Some(due) => show(at, due),
                        None => Ok(()),
                    }
                })?;
            }
        }
        for (time, key) in later {
            self.queue.entry(time).or_default().add(&key);
        }
        Ok(())
    }

    /// Shows each key a last time.
    pub(super) fn end(&mut self, mut show: impl FnMut(&mut AtKey<'_, P>) -> Result<()>) -> Result<()> {
        self.queue.clear();
        self.table.drain(|key, mut held| {
            let (key, held, queue) = (&key, &mut held, &mut BTreeMap::new());
            show(&mut AtKey { key, held, queue, time: Timestamp::MAX, coming: None })
        })
    }

    pub(super) fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<Saving> {
        // Called again while it is saved; until then, time may have gone on.
        if self.saved.replace(snapshot.checkpoint()) != Some(snapshot.checkpoint()) {
            snapshot.put_shared(&self.time)?;
        }
        self.table.snapshot(snapshot)
    }

    /// What was saved. Of several that knew of time, who knew least is believed.
    pub(super) fn restore(saved: &Saved, storage: Storage) -> Result<Self> {
        let known: Vec<Timestamp> = saved.shared().collect::<Result<_>>()?;
        let mut queue: Queue<P::Key> = BTreeMap::new();
        let table = Table::restore(saved, storage, |key: &P::Key, held: &Held<P::State>| {
            held.timers.iter().for_each(|time| queue.entry(*time).or_default().add(key));
        })?;
        Ok(Entries { table, queue, time: known.into_iter().min().unwrap_or(Timestamp::MIN), saved: None })
    }
}
