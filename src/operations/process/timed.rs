//! Lists and maps whose elements are forgotten one by one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::codec::{Record, StableBuildHasher};
use crate::workflow::Timestamp;

/// A list, each element of which has a time: as the state of a [`Process`](super::Process), of what came lately.
///
/// ```
/// use skitter::operations::TimedList;
///
/// let mut visits = TimedList::new();
/// visits.push(3000, "second");
/// visits.push(1000, "first");
/// assert_eq!(visits.forget(1000).collect::<Vec<_>>(), [(1000, "first")]);
/// assert_eq!(visits.iter().next(), Some((3000, &"second")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "T: Record")]
pub struct TimedList<T>(VecDeque<(Timestamp, T)>);

impl<T> Default for TimedList<T> {
    fn default() -> Self {
        TimedList::new()
    }
}

impl<T> TimedList<T> {
    /// An empty one.
    pub fn new() -> Self {
        TimedList(VecDeque::new())
    }

    /// Adds an element behind those of its time and of earlier ones. Constant time if there are no later ones, linear
    /// in their number if there are.
    pub fn push(&mut self, time: Timestamp, element: T) {
        let later = self.0.iter().rev().take_while(|(other, _)| *other > time).count();
        self.0.insert(self.0.len() - later, (time, element));
    }

    /// Takes out what is not later than `time`, in order of time. What is not asked for goes, too.
    pub fn forget(&mut self, time: Timestamp) -> impl Iterator<Item = (Timestamp, T)> {
        let past = self.0.partition_point(|(other, _)| *other <= time);
        self.0.drain(..past)
    }

    /// The elements in order of time.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Timestamp, &T)> {
        self.0.iter().map(|(time, element)| (*time, element))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A map, each entry of which has the time at which it was last written: as the state of a
/// [`Process`](super::Process) that forgets some of what it knows of a key and keeps the rest.
///
/// ```
/// use skitter::operations::TimedMap;
///
/// let mut sessions = TimedMap::new();
/// sessions.insert(1000, "a", 1);
/// sessions.insert(2000, "b", 2);
/// sessions.insert(3000, "a", 3);
/// assert_eq!(sessions.forget(2000).collect::<Vec<_>>(), [("b", 2)]);
/// assert_eq!(sessions.get(&"a"), Some(&3));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "K: Record + Eq + Hash + Clone, V: Record", from = "Entries<K, V>", into = "Entries<K, V>")]
pub struct TimedMap<K: Eq + Hash + Clone, V: Clone> {
    entries: HashMap<K, (Timestamp, V), StableBuildHasher>,
    /// Who was written when; some may have been written again since.
    times: BTreeMap<Timestamp, Vec<K>>,
}

/// As it is saved.
type Entries<K, V> = Vec<(Timestamp, K, V)>;

impl<K: Eq + Hash + Clone, V: Clone> From<Entries<K, V>> for TimedMap<K, V> {
    fn from(entries: Entries<K, V>) -> Self {
        let mut map = TimedMap::new();
        entries.into_iter().for_each(|(time, key, value)| drop(map.insert(time, key, value)));
        map
    }
}

impl<K: Eq + Hash + Clone, V: Clone> From<TimedMap<K, V>> for Entries<K, V> {
    fn from(map: TimedMap<K, V>) -> Self {
        map.entries.into_iter().map(|(key, (time, value))| (time, key, value)).collect()
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Default for TimedMap<K, V> {
    fn default() -> Self {
        TimedMap::new()
    }
}

impl<K: Eq + Hash + Clone, V: Clone> TimedMap<K, V> {
    /// An empty one.
    pub fn new() -> Self {
        TimedMap { entries: HashMap::default(), times: BTreeMap::new() }
    }

    /// Writes an entry at a time, and gives what there was before. Logarithmic in the number of times.
    pub fn insert(&mut self, time: Timestamp, key: K, value: V) -> Option<V> {
        let before = self.entries.insert(key.clone(), (time, value));
        if before.as_ref().is_none_or(|(other, _)| *other != time) {
            self.times.entry(time).or_default().push(key);
        }
        before.map(|(_, value)| value)
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// When a key was last written.
    pub fn written(&self, key: &K) -> Option<Timestamp> {
        self.entries.get(key).map(|(time, _)| *time)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|(_, value)| value)
    }

    /// Takes out what was last written at `time` or before, in order of time. What is not asked for goes, too.
    pub fn forget(&mut self, time: Timestamp) -> impl Iterator<Item = (K, V)> {
        let mut past = Vec::new();
        while let Some(first) = self.times.first_entry().filter(|first| *first.key() <= time) {
            let (written, keys) = first.remove_entry();
            for key in keys {
                if self.written(&key) == Some(written) {
                    past.extend(self.entries.remove_entry(&key).map(|(key, (_, value))| (key, value)));
                }
            }
        }
        past.into_iter()
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode, encode};

    proptest! {
        #[test]
        fn a_list_is_in_order_and_forgets_what_is_past(
            elements in prop::collection::vec((0i64..50, any::<u8>()), 0..60),
            past in 0i64..60,
        ) {
            let mut list = TimedList::new();
            elements.iter().for_each(|(time, element)| list.push(*time, *element));
            let mut sorted = elements;
            sorted.sort_by_key(|(time, _)| *time);
            let (over, left): (Vec<_>, Vec<_>) = sorted.into_iter().partition(|(time, _)| *time <= past);
            prop_assert_eq!(list.forget(past).collect::<Vec<_>>(), over);
            prop_assert_eq!(list.iter().map(|(time, element)| (time, *element)).collect::<Vec<_>>(), left);
        }

        #[test]
        fn a_map_forgets_what_was_not_written_lately(
            steps in prop::collection::vec((0i64..50, 0u8..8, any::<u8>(), 0u8..6), 0..80),
        ) {
            let mut map = TimedMap::new();
            let mut model = BTreeMap::<u8, (i64, u8)>::new();
            for (time, key, value, what) in steps {
                match what {
                    0 => prop_assert_eq!(map.remove(&key), model.remove(&key).map(|(_, value)| value)),
                    1 => {
                        let mut forgotten: Vec<_> = map.forget(time).collect();
                        forgotten.sort_unstable();
                        let over = model.extract_if(.., |_, (written, _)| *written <= time);
                        prop_assert_eq!(forgotten, over.map(|(key, (_, value))| (key, value)).collect::<Vec<_>>());
                    }
                    2 => {
                        let mut bytes = Vec::new();
                        encode(&map, &mut bytes).expect("written");
                        map = decode(&bytes).expect("read");
                    }
                    _ => {
                        let before = model.insert(key, (time, value)).map(|(_, value)| value);
                        prop_assert_eq!(map.insert(time, key, value), before);
                    }
                }
                let mut all: Vec<_> = map.iter().map(|(key, value)| (*key, *value)).collect();
                all.sort_unstable();
                prop_assert_eq!(all, model.iter().map(|(key, (_, value))| (*key, *value)).collect::<Vec<_>>());
                prop_assert_eq!(map.written(&key), model.get(&key).map(|(time, _)| *time));
            }
        }
    }
}
