//! Who waits for which time.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::Hash;

use hashbrown::HashTable;

use crate::codec::stable_hash;
use crate::workflow::Timestamp;

/// The keys that have a timer at a time: mostly one, for which nothing is allocated. What is kept of more is apart, so
/// that the tree is small.
enum Due<K> {
    One(K),
    Several(Box<HashTable<K>>),
}

impl<K: Hash + Eq + Clone> Due<K> {
    fn add(&mut self, key: &K) {
        match self {
            Due::One(one) if one == key => {}
            Due::One(one) => {
                let mut keys = HashTable::with_capacity(2);
                for key in [&*one, key] {
                    keys.insert_unique(stable_hash(key), key.clone(), |key| stable_hash(key));
                }
                *self = Due::Several(Box::new(keys));
            }
            Due::Several(keys) => {
                keys.entry(stable_hash(key), |other| other == key, |key| stable_hash(key))
                    .or_insert_with(|| key.clone());
            }
        }
    }

    /// Removes a key; whether there are others.
    fn remove(&mut self, key: &K) -> bool {
        match self {
            Due::One(one) => one != key,
            Due::Several(keys) => {
                if let Ok(entry) = keys.find_entry(stable_hash(key), |other| other == key) {
                    entry.remove();
                }
                !keys.is_empty()
            }
        }
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
        match self.0.entry(time) {
            Entry::Vacant(place) => drop(place.insert(Due::One(key.clone()))),
            Entry::Occupied(mut due) => due.get_mut().add(key),
        }
    }

    /// It does not any more.
    pub(super) fn remove(&mut self, time: Timestamp, key: &K) {
        if let Entry::Occupied(mut due) = self.0.entry(time)
            && !due.get_mut().remove(key)
        {
            due.remove();
        }
    }

    /// The first time that somebody waits for, if it has come, and who does.
    pub(super) fn pop(&mut self, time: Timestamp) -> Option<(Timestamp, impl Iterator<Item = K> + use<K>)> {
        let first = self.0.first_entry().filter(|first| *first.key() <= time)?;
        let (due, keys) = first.remove_entry();
        let (one, several) = match keys {
            Due::One(key) => (Some(key), None),
            Due::Several(keys) => (None, Some(*keys)),
        };
        Some((due, one.into_iter().chain(several.into_iter().flatten())))
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
