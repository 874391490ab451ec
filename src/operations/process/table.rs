//! The states of keys, and their timers.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;

use hashbrown::HashTable;

use super::Process;
use crate::codec::{key_group, stable_hash};
use crate::id::Part;
use crate::workflow::{Result, Saved, Snapshot, Timestamp, load, save};

/// What is kept for a key.
struct Entry<P: Process> {
    key: P::Key,
    state: Option<P::State>,
    /// The times of its timers, ascending.
    timers: VecDeque<Timestamp>,
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
    table: HashTable<Entry<P>>,
    queue: Queue<P::Key>,
    time: Timestamp,
}

impl<P: Process> std::fmt::Debug for Entries<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("keys", &self.table.len()).finish_non_exhaustive()
    }
}

/// A key, and what there is of it: what a [`Process`] gets to see.
pub struct AtKey<'a, P: Process> {
    entry: &'a mut Entry<P>,
    queue: &'a mut Queue<P::Key>,
    time: Timestamp,
    /// What is set to a time that is not later than this waits for the next watermark.
    coming: Option<(Timestamp, &'a mut Vec<(Timestamp, P::Key)>)>,
}

impl<P: Process> std::fmt::Debug for AtKey<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AtKey").field("timers", &self.entry.timers).finish_non_exhaustive()
    }
}

impl<P: Process> AtKey<'_, P> {
    /// The key.
    pub fn key(&self) -> &P::Key {
        &self.entry.key
    }

    /// The state; none before it is set. A key without state and timers takes no memory.
    pub fn state(&mut self) -> &mut Option<P::State> {
        &mut self.entry.state
    }

    /// How far event time has come, as far as this worker knows: [`Timestamp::MIN`](i64::MIN) before it is told.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Sets a timer; if there is one at that time already, nothing happens. A time that has passed comes with the next
    /// watermark. Logarithmic in the number of times that are waited for.
    pub fn set_timer(&mut self, time: Timestamp) {
        let Entry { key, timers, .. } = &mut *self.entry;
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
        let Entry { key, timers, .. } = &mut *self.entry;
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
        self.entry.timers.front().copied()
    }

    /// The times that timers are set to, ascending.
    pub fn timers(&self) -> Vec<Timestamp> {
        self.entry.timers.iter().copied().collect()
    }
}

fn hash_of<P: Process>(entry: &Entry<P>) -> u64
where
    P::Key: Hash,
{
    stable_hash(&entry.key)
}

impl<P: Process> Entries<P> {
    pub(super) fn new() -> Self {
        Entries { table: HashTable::new(), queue: BTreeMap::new(), time: Timestamp::MIN }
    }

    /// Shows a key, and forgets it if nothing is left of it.
    #[inline(always)]
    pub(super) fn at<R>(&mut self, hash: u64, key: P::Key, show: impl FnOnce(&mut AtKey<'_, P>) -> R) -> R {
        self.at_time(hash, key, None, show)
    }

    #[inline(always)]
    fn at_time<R>(
        &mut self,
        hash: u64,
        key: P::Key,
        coming: Option<(Timestamp, &mut Vec<(Timestamp, P::Key)>)>,
        show: impl FnOnce(&mut AtKey<'_, P>) -> R,
    ) -> R {
        let Entries { table, queue, time } = self;
        let mut occupied = match table.find_entry(hash, |entry| entry.key == key) {
            Ok(occupied) => occupied,
            Err(absent) => {
                absent.into_table().insert_unique(hash, Entry { key, state: None, timers: VecDeque::new() }, hash_of)
            }
        };
        let entry = occupied.get_mut();
        let result = show(&mut AtKey { entry, queue, time: *time, coming });
        if entry.state.is_none() && entry.timers.is_empty() {
            occupied.remove();
        }
        result
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
                self.at_time(stable_hash(&key), key, Some((due, &mut later)), |at| {
                    // One that was set and taken back while others came is not there any more.
                    match at.entry.timers.pop_front_if(|time| *time == due) {
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
        let time = Timestamp::MAX;
        for mut entry in self.table.drain() {
            show(&mut AtKey { entry: &mut entry, queue: &mut BTreeMap::new(), time, coming: None })?;
        }
        self.queue.clear();
        Ok(())
    }

    pub(super) fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<()> {
        let mut groups: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for Entry { key, state, timers } in &self.table {
            let bytes = groups.entry(key_group(stable_hash(key))).or_default();
            if bytes.is_empty() {
                save(&self.time, bytes)?;
            }
            save(key, bytes)?;
            // A state is written as it is, and not cloned to be in an option.
            save(&state.is_some(), bytes)?;
            if let Some(state) = state {
                save(state, bytes)?;
            }
            save(timers, bytes)?;
        }
        groups.into_iter().for_each(|(group, bytes)| snapshot.put_part(Part::Group(group), bytes));
        Ok(())
    }

    /// What was saved. Of several that knew of time, who knew least is believed.
    pub(super) fn restore(saved: &Saved) -> Result<Self> {
        let (mut entries, mut known) = (Entries::new(), None);
        for (_, mut bytes) in saved.groups() {
            let time: Timestamp = load(&mut bytes)?;
            known = Some(known.map_or(time, |known: Timestamp| known.min(time)));
            while !bytes.is_empty() {
                let key: P::Key = load(&mut bytes)?;
                let has_state: bool = load(&mut bytes)?;
                let state = if has_state { Some(load(&mut bytes)?) } else { None };
                let timers: VecDeque<Timestamp> = load(&mut bytes)?;
                for time in &timers {
                    entries.queue.entry(*time).or_default().add(&key);
                }
                entries.table.insert_unique(stable_hash(&key), Entry { key, state, timers }, hash_of);
            }
        }
        entries.time = known.unwrap_or(Timestamp::MIN);
        Ok(entries)
    }
}
