//! A value for each key.

use std::hash::Hash;

use hashbrown::HashTable;

use crate::codec::stable_hash;

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
pub struct KeyedTable<K, V>(HashTable<(K, V)>);

impl<K, V> Default for KeyedTable<K, V> {
    fn default() -> Self {
        KeyedTable(HashTable::new())
    }
}

impl<K, V> std::fmt::Debug for KeyedTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedTable").field("keys", &self.0.len()).finish()
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
        self.0.find_mut(hash, |(key, _)| is(key)).map(|(_, value)| value)
    }

    /// The key that has this stable hash and passes the test, and its value.
    #[inline(always)]
    pub fn find_key(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Option<(&K, &mut V)> {
        self.0.find_mut(hash, |(key, _)| is(key)).map(|(key, value)| (&*key, value))
    }

    /// Adds a key that is not there, with its stable hash. Amortised constant time.
    #[cold]
    #[inline(never)]
    pub fn insert(&mut self, hash: u64, key: K, value: V) -> (&K, &mut V)
    where
        K: Hash,
    {
        let (key, value) = self.0.insert_unique(hash, (key, value), |(key, _)| stable_hash(key)).into_mut();
        (&*key, value)
    }

    /// The number of keys.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys and values, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Takes all keys and values out, in no order; the table keeps its memory.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, V)> {
        self.0.drain()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_table_keeps_the_values_of_many_keys() {
        let mut table = KeyedTable::new();
        for _ in 0..3 {
            for key in 0..20_000u64 {
                let hash = stable_hash(&key);
                match table.find_key(hash, |other| *other == key) {
                    Some((_, count)) => *count += 1,
                    None => assert_eq!(table.insert(hash, key, 1), (&key, &mut 1)),
                }
            }
        }
        assert_eq!(table.len(), 20_000);
        assert_eq!(table.iter_mut().filter(|(_, count)| **count == 3).count(), 20_000);
        let taken: HashMap<u64, i32> = table.drain().collect();
        assert_eq!(taken, (0..20_000).map(|key| (key, 3)).collect());
        assert!(table.is_empty() && table.find(stable_hash(&7u64), |_| true).is_none());
    }

    #[test]
    fn keys_with_one_hash_are_different_keys() {
        let mut table = KeyedTable::new();
        table.insert(1, "a", 10);
        table.insert(1, "b", 20);
        assert_eq!(table.find(1, |key| *key == "a"), Some(&mut 10));
        assert_eq!(table.find_key(1, |key| *key == "b"), Some((&"b", &mut 20)));
        assert_eq!(table.find(1, |key| *key == "c"), None);
    }
}
