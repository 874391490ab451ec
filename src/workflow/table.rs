//! A value for each key.

pub mod encoding;
mod groups;
mod watch;

use std::hash::Hash;

use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use self::encoding::Group;
use self::watch::Watch;
use super::{Result, Saved, Saving, Snapshot};
use crate::codec::{Record, stable_hash};

/// How many keys are restored in a part of the table at a time: what they take up fits into a second-level cache.
const PART: usize = 1 << 14;

/// A hash table by [`stable_hash`], for strategies and for [`Gather`](super::Gather): what is looked up is described by
/// its hash and a test, so that a key is made only when a new one is kept.
///
/// ```
/// use skitter::codec::stable_hash;
/// use skitter::workflow::KeyedTable;
///
/// let mut counts = KeyedTable::<String, u64>::new();
/// for word in ["to", "be", "to"] {
///     let hash = stable_hash(word);
///     match counts.find(hash, |key| key == word) {
///         Some(count) => *count += 1,
///         None => { counts.insert(hash, word.to_owned(), 1); }
///     }
/// }
/// assert_eq!(counts.len(), 2);
/// ```
pub struct KeyedTable<K, V> {
    table: HashTable<(K, V)>,
    /// What is looked at when a key is not in the table; none if it was never saved.
    watch: Option<Box<Watch<K, V>>>,
    /// How many keys are there and not in the table.
    aside: usize,
}

impl<K, V> Default for KeyedTable<K, V> {
    fn default() -> Self {
        KeyedTable { table: HashTable::new(), watch: None, aside: 0 }
    }
}

impl<K, V> std::fmt::Debug for KeyedTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedTable").field("keys", &self.len()).finish()
    }
}

impl<K, V> KeyedTable<K, V> {
    /// A table without keys.
    pub fn new() -> Self {
        KeyedTable::default()
    }

    /// The value of the key that has this stable hash and passes the test. Expected constant time.
    #[inline(always)]
    pub fn find(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Option<&mut V> {
        self.entry(hash, is, |(_, value)| value)
    }

    /// The key that has this stable hash and passes the test, and its value.
    #[inline(always)]
    pub fn find_key(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Option<(&K, &mut V)> {
        self.entry(hash, is, |(key, value)| (&*key, value))
    }

    /// A part of an entry. What is in the table costs nothing beside looking it up, whatever is saved; see [`Watch`].
    /// The part is taken on either way by itself, so that the loop over records has nothing to do where they meet.
    #[inline(always)]
    fn entry<'a, R>(&'a mut self, hash: u64, is: impl Fn(&K) -> bool, part: impl Fn(&'a mut (K, V)) -> R) -> Option<R> {
        match self.table.find_entry(hash, |(key, _)| is(key)) {
            Ok(entry) => Some(part(entry.into_mut())),
            Err(absent) => {
                let watch = self.watch.as_deref_mut()?;
                let mut nth = 0;
                let bucket = loop {
                    let (bucket, key) = watch.candidate(hash, nth)?;
                    if is(key) {
                        break bucket;
                    }
                    nth += 1;
                };
                watch.touch(absent.into_table(), &mut self.aside, hash, bucket).map(part)
            }
        }
    }

    /// Adds a key that is not there, with its stable hash. Amortised constant time.
    #[cold]
    #[inline(never)]
    pub fn insert(&mut self, hash: u64, key: K, value: V) -> (&K, &mut V)
    where
        K: Hash,
    {
        let (key, value) = match &mut self.watch {
            None => self.table.insert_unique(hash, (key, value), |(key, _)| stable_hash(key)).into_mut(),
            Some(watch) => watch.insert(&mut self.table, &mut self.aside, hash, (key, value)),
        };
        (&*key, value)
    }

    /// Takes the key out that has this stable hash and passes the test. Expected constant time.
    pub fn remove(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Option<(K, V)> {
        if let Ok(entry) = self.table.find_entry(hash, |(key, _)| is(key)) {
            return Some(entry.remove().0);
        }
        // What is saved has to be as it was, so the entry is saved before it goes; it may move on this occasion.
        self.find(hash, &is)?;
        if let Ok(entry) = self.table.find_entry(hash, |(key, _)| is(key)) {
            return Some(entry.remove().0);
        }
        let removed = self.watch.as_deref_mut()?.remove(hash, is)?;
        self.aside -= 1;
        Some(removed)
    }

    /// The number of keys.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len() + self.aside
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All keys and values, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.settle();
        self.table.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Takes all keys and values out, in no order; the table keeps its memory.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> {
        self.settle();
        self.table.drain()
    }

    /// Brings all keys to one place.
    fn settle(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.settle(&mut self.table, &mut self.aside);
        }
    }

    /// All keys and values, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.table.iter().chain(self.watch.iter().flat_map(|watch| watch.table().iter()))
    }
}

impl<K: Record + Hash, V: Record> KeyedTable<K, V> {
    /// Saves a slice of all keys and values, by key group, as they were at the first call for this snapshot. Between
    /// two calls, anything may be done to the table: what is not saved yet is, before it is changed. A group that has
    /// not changed since the checkpoint that the snapshot is based on is kept from there.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<Saving> {
        let new = || Box::new(Watch::new(stable_hash, |to, group, (key, value)| to.add(group, key, value)));
        self.watch.get_or_insert_with(new).save(&mut self.table, &mut self.aside, snapshot)
    }

    /// A table of what was saved.
    ///
    /// # Errors
    /// When the bytes are not those of such keys and values.
    pub fn restore(saved: &Saved) -> Result<Self> {
        let mut table = HashTable::new();
        let groups = saved.groups().map(|(_, bytes)| Group::new::<K, V>(bytes));
        let mut groups: Vec<Group<'_>> = groups.collect::<Result<_>>()?;
        let keys: usize = groups.iter().map(Group::len).sum();
        table.reserve(keys, |(key, _)| stable_hash(key));
        // Each group is in the order of buckets, as long as nothing was changed while it was saved. So a part of each
        // in turn fills the table from its begin to its end, in caches, and not all of it a thousand times.
        let parts = keys.div_ceil(PART);
        let steps: Vec<usize> = groups.iter().map(|group| group.len().div_ceil(parts.max(1))).collect();
        for _ in 0..parts.max(1) {
            for (group, step) in groups.iter_mut().zip(&steps) {
                group.take(*step, |key: K, value: V| {
                    table.insert_unique(stable_hash(&key), (key, value), |(key, _)| stable_hash(key));
                })?;
            }
        }
        Ok(KeyedTable { table, ..KeyedTable::default() })
    }
}

/// As a list of keys and values, for a strategy that keeps a table beside other things.
impl<K: Serialize, V: Serialize> Serialize for KeyedTable<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(Exact { entries: self.iter(), left: self.len() })
    }
}

/// Says how many entries there are, as formats want to know before the first.
struct Exact<I> {
    entries: I,
    left: usize,
}

impl<I: Iterator> Iterator for Exact<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.left = self.left.saturating_sub(1);
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'de, K: Deserialize<'de> + Hash, V: Deserialize<'de>> Deserialize<'de> for KeyedTable<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = KeyedTable::new();
        for (key, value) in Vec::<(K, V)>::deserialize(deserializer)? {
            table.insert(stable_hash(&key), key, value);
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests;
