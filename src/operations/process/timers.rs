//! Who waits for which time.

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;

use hashbrown::HashTable;

use crate::codec::stable_hash;
use crate::workflow::Timestamp;

/// The keys that have a timer at a time: mostly one, for which nothing is allocated.
struct Due<K> {
    one: Option<K>,
    others: HashTable<K>,
}

impl<K: Hash + Eq> Due<K> {
    fn add(&mut self, key: K) {
        let hash = stable_hash(&key);
        if self.one.as_ref() == Some(&key) || self.others.find(hash, |other| *other == key).is_some() {
            return;
        }
        if self.one.is_none() {
            self.one = Some(key);
        } else {
            self.others.insert_unique(hash, key, |key| stable_hash(key));
        }
    }

    fn remove(&mut self, key: &K) {
        if self.one.as_ref() == Some(key) {
            self.one = None;
        } else if let Ok(entry) = self.others.find_entry(stable_hash(key), |other| other == key) {
            entry.remove();
        }
    }

    fn is_empty(&self) -> bool {
        self.one.is_none() && self.others.is_empty()
    }
}

/// The keys that have timers, by the times of these.
pub(super) struct Queue<K>(BTreeMap<Timestamp, Due<K>>);

impl<K: Hash + Eq + Clone> Queue<K> {
    pub(super) fn new() -> Self {
        Queue(BTreeMap::new())
    }

    /// A key waits for a time; once, however often this is said.
    pub(super) fn add(&mut self, time: Timestamp, key: &K) {
        let due = self.0.entry(time).or_insert_with(|| Due { one: None, others: HashTable::new() });
        due.add(key.clone());
    }

    /// It does not any more.
    pub(super) fn remove(&mut self, time: Timestamp, key: &K) {
        let Some(due) = self.0.get_mut(&time) else { return };
        due.remove(key);
        if due.is_empty() {
            self.0.remove(&time);
        }
    }

    /// The first time that somebody waits for, if it has come, and who does.
    pub(super) fn pop(&mut self, time: Timestamp) -> Option<(Timestamp, impl Iterator<Item = K> + use<K>)> {
        let first = self.0.first_entry().filter(|first| *first.key() <= time)?;
        let (due, keys) = first.remove_entry();
        Some((due, keys.one.into_iter().chain(keys.others)))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Adds a time; whether it is new.
pub(super) fn add_time(times: &mut VecDeque<Timestamp>, time: Timestamp) -> bool {
    match times.binary_search(&time) {
        Ok(_) => false,
        Err(place) => {
            times.insert(place, time);
            true
        }
    }
}

/// Removes a time; whether it was there.
pub(super) fn remove_time(times: &mut VecDeque<Timestamp>, time: Timestamp) -> bool {
    let place = times.binary_search(&time);
    place.is_ok_and(|place| times.remove(place).is_some())
}
