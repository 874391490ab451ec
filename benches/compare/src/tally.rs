//! What sinks and keyed states add up, so that results can be compared and nothing is optimised out.
//!
//! Engines clone closures for their replicas: a clone of a tally starts empty, and each adds what it
//! saw to the shared [`Totals`] when it is dropped.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use compact_str::CompactString;
use hashbrown::HashTable;

use crate::hash::{self, FastBuild};
use crate::pace::Latencies;

/// The sums over all threads of one run.
#[derive(Debug, Default)]
pub struct Totals {
    pub updates: AtomicU64,
    pub sum: AtomicU64,
    pub xor: AtomicU64,
    /// The sum over all keys of [`mix`] of the key's hash and its final value.
    pub state: AtomicU64,
    /// How long the records of J4 took.
    pub latency: Mutex<Option<Latencies>>,
}

/// One number that stands for a key and its final value.
#[inline]
pub fn mix(key_hash: u64, value: u64) -> u64 {
    hash::of_number(key_hash ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Counts updates and adds up their values.
pub struct Sink {
    updates: u64,
    sum: u64,
    xor: u64,
    totals: Arc<Totals>,
}

impl Sink {
    pub fn new(totals: &Arc<Totals>) -> Sink {
        Sink { updates: 0, sum: 0, xor: 0, totals: Arc::clone(totals) }
    }

    /// One more update.
    #[inline(always)]
    pub fn update(&mut self, value: u64) {
        self.updates += 1;
        self.sum = self.sum.wrapping_add(value);
        self.xor ^= value;
    }
}

impl Clone for Sink {
    fn clone(&self) -> Sink {
        Sink::new(&self.totals)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.totals.updates.fetch_add(self.updates, Relaxed);
        self.totals.sum.fetch_add(self.sum, Relaxed);
        self.totals.xor.fetch_xor(self.xor, Relaxed);
    }
}

/// Running counts by word.
#[derive(Clone, Default)]
pub struct WordCounts {
    table: HashTable<(CompactString, u64)>,
}

impl WordCounts {
    /// Adds `count` to that of `word`, whose hash is `hash`, and returns the sum.
    #[inline(always)]
    pub fn add(&mut self, hash: u64, word: &str, count: u64) -> u64 {
        if let Some(entry) = self.table.find_mut(hash, |(w, _)| w == word) {
            entry.1 += count;
            return entry.1;
        }
        self.insert(hash, CompactString::new(word), count)
    }

    /// As [`add`](Self::add), for a word that is owned already.
    #[inline(always)]
    pub fn add_owned(&mut self, word: CompactString, count: u64) -> u64 {
        let hash = hash::of_word(&word);
        self.add(hash, &word, count)
    }

    #[inline(never)]
    fn insert(&mut self, hash: u64, word: CompactString, count: u64) -> u64 {
        let rehash = |(w, _): &(CompactString, u64)| hash::of_word(w);
        self.table.insert_unique(hash, (word, count), rehash);
        count
    }

    /// Takes all words with their counts.
    pub fn drain(&mut self) -> impl Iterator<Item = (CompactString, u64)> {
        std::mem::take(&mut self.table).into_iter()
    }

    /// Adds the final counts to `totals`; each word counts as one update.
    pub fn report(&self, totals: &Totals) {
        let mut sink = FinalCounts::new(totals);
        for (word, count) in &self.table {
            sink.word(word, *count);
        }
    }
}

/// Adds final counts of words to the totals.
pub struct FinalCounts<'a> {
    totals: &'a Totals,
    words: u64,
    sum: u64,
    state: u64,
}

impl FinalCounts<'_> {
    pub fn new(totals: &Totals) -> FinalCounts<'_> {
        FinalCounts { totals, words: 0, sum: 0, state: 0 }
    }

    /// The final count of one word.
    #[inline]
    pub fn word(&mut self, word: &str, count: u64) {
        self.words += 1;
        self.sum += count;
        self.state = self.state.wrapping_add(mix(hash::of_word(word), count));
    }
}

impl Drop for FinalCounts<'_> {
    fn drop(&mut self) {
        self.totals.updates.fetch_add(self.words, Relaxed);
        self.totals.sum.fetch_add(self.sum, Relaxed);
        self.totals.state.fetch_add(self.state, Relaxed);
    }
}

/// Running sums by number; reports the final ones when dropped.
pub struct KeySums {
    map: HashMap<u64, u64, FastBuild>,
    totals: Arc<Totals>,
}

impl KeySums {
    pub fn new(totals: &Arc<Totals>) -> KeySums {
        KeySums { map: HashMap::default(), totals: Arc::clone(totals) }
    }

    /// Adds `value` to the sum of `key` and returns it.
    #[inline(always)]
    pub fn add(&mut self, key: u64, value: u64) -> u64 {
        let sum = self.map.entry(key).or_insert(0);
        *sum = sum.wrapping_add(value);
        *sum
    }
}

impl Clone for KeySums {
    fn clone(&self) -> KeySums {
        KeySums::new(&self.totals)
    }
}

impl Drop for KeySums {
    fn drop(&mut self) {
        let finals = self.map.iter().map(|(k, sum)| mix(hash::of_number(*k), *sum));
        let state = finals.fold(0u64, u64::wrapping_add);
        self.totals.state.fetch_add(state, Relaxed);
    }
}

/// The running sum of one key, for engines whose documented form keeps one state for each key.
pub struct OneSum {
    key: Option<u64>,
    sum: u64,
    totals: Arc<Totals>,
}

impl OneSum {
    pub fn new(totals: &Arc<Totals>) -> OneSum {
        OneSum { key: None, sum: 0, totals: Arc::clone(totals) }
    }

    /// Adds `value` and returns the sum.
    #[inline]
    pub fn add(&mut self, key: u64, value: u64) -> u64 {
        self.key = Some(key);
        self.sum = self.sum.wrapping_add(value);
        self.sum
    }
}

impl Clone for OneSum {
    fn clone(&self) -> OneSum {
        OneSum::new(&self.totals)
    }
}

impl Drop for OneSum {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let state = mix(hash::of_number(key), self.sum);
            self.totals.state.fetch_add(state, Relaxed);
        }
    }
}
