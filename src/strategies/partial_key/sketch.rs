//! The most frequent keys of a stream, in constant memory.

use hashbrown::HashTable;

/// Counts the most frequent of any number of keys with a fixed number of counters: SpaceSaving (Metwally, Agrawal and
/// El Abbadi: Efficient computation of frequent and top-k elements in data streams, ICDT 2005).
///
/// A key that has no counter takes over the one with the smallest count `m`, which becomes `m + 1` with a possible
/// error of `m`. Of `n` keys in all, and `c` counters:
///
/// - a count is at least the true one, and at most its error above it;
/// - no error is above `n / c`;
/// - each key with more than `n / c` records has a counter.
///
/// Keys are told apart by their hashes. The smallest counter is found by a hand that goes round: it stops at counters
/// that have the smallest count, which can only grow, so that a round costs `c` steps and there are at most `n / c` of
/// them: amortised constant time, without the linked lists of the paper.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    /// Places in the vectors below, by hash.
    places: HashTable<u32>,
    hashes: Vec<u64>,
    counts: Vec<u64>,
    errors: Vec<u64>,
    capacity: usize,
    /// The sum of all counts.
    total: u64,
    /// The smallest count, and the place before which no counter has it any more.
    least: u64,
    hand: usize,
}

/// A frequent key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frequent {
    /// The hash of the key.
    pub hash: u64,
    /// How many records it had, at most.
    pub count: u64,
    /// How many fewer it may have had.
    pub error: u64,
}

impl Sketch {
    /// A sketch with this number of counters.
    pub fn new(capacity: usize) -> Self {
        Sketch {
            places: HashTable::with_capacity(capacity),
            hashes: Vec::with_capacity(capacity),
            counts: Vec::with_capacity(capacity),
            errors: Vec::with_capacity(capacity),
            capacity,
            total: 0,
            least: 0,
            hand: capacity,
        }
    }

    /// The sum of all counts: the number of records, as far as it has not been halved.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Counts a record of the key with this hash.
    pub fn add(&mut self, hash: u64) {
        self.total += 1;
        let Sketch { places, hashes, .. } = self;
        if let Some(&place) = places.find(hash, |&place| hashes[place as usize] == hash) {
            self.counts[place as usize] += 1;
            return;
        }
        let place = if hashes.len() < self.capacity {
            self.hashes.push(hash);
            self.counts.push(1);
            self.errors.push(0);
            self.hashes.len() - 1
        } else {
            let place = self.take_least();
            self.hashes[place] = hash;
            self.errors[place] = self.least;
            self.counts[place] = self.least + 1;
            place
        };
        let hashes = &self.hashes;
        self.places.insert_unique(hash, place as u32, |&place| hashes[place as usize]);
    }

    /// Takes a counter with the smallest count away from its key.
    fn take_least(&mut self) -> usize {
        loop {
            let counts = self.counts.get(self.hand..).unwrap_or_default();
            if let Some(steps) = counts.iter().position(|&count| count == self.least) {
                let place = self.hand + steps;
                self.hand = place + 1;
                let hash = self.hashes[place];
                if let Ok(entry) = self.places.find_entry(hash, |&other| other as usize == place) {
                    entry.remove();
                }
                return place;
            }
            self.hand = 0;
            self.least = self.counts.iter().min().copied().unwrap_or_default();
        }
    }

    /// The keys that surely had at least this number of records, the most frequent first.
    pub fn at_least(&self, records: u64) -> Vec<Frequent> {
        let counters = self.hashes.iter().zip(&self.counts).zip(&self.errors);
        let mut frequent: Vec<Frequent> = counters
            .map(|((&hash, &count), &error)| Frequent { hash, count, error })
            .filter(|frequent| frequent.count - frequent.error >= records)
            .collect();
        // The hash decides between equal counts, so that the result does not depend on who came first.
        frequent.sort_unstable_by_key(|frequent| (std::cmp::Reverse(frequent.count), frequent.hash));
        frequent
    }

    /// Halves all counts, so that what comes from now on weighs twice as much. Rounds such that the guarantees stay.
    pub fn halve(&mut self) {
        for (count, error) in self.counts.iter_mut().zip(&mut self.errors) {
            *error = (*error + *count % 2).div_ceil(2);
            *count = count.div_ceil(2);
        }
        self.total = self.counts.iter().sum();
        self.least = 0;
        self.hand = self.capacity;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn guarantees_hold(sketch: &Sketch, truth: &HashMap<u64, f64>) -> Result<(), TestCaseError> {
        let all = sketch.at_least(0);
        prop_assert!(all.len() <= sketch.capacity && sketch.places.len() == all.len());
        prop_assert_eq!(all.iter().map(|frequent| frequent.count).sum::<u64>(), sketch.total());
        let bound = sketch.total() / sketch.capacity as u64;
        for frequent in &all {
            let records = truth.get(&frequent.hash).copied().unwrap_or_default();
            prop_assert!(frequent.count as f64 >= records, "{frequent:?} of {records}");
            prop_assert!((frequent.count - frequent.error) as f64 <= records, "{frequent:?} of {records}");
            prop_assert!(frequent.error <= bound, "{frequent:?} with bound {bound}");
        }
        let known = |hash| all.iter().any(|frequent| frequent.hash == hash);
        for (&hash, &records) in truth {
            prop_assert!(records <= bound as f64 || known(hash), "{hash} had {records} of {}", sketch.total());
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn its_guarantees_hold(
            capacity in 1usize..20,
            // The smaller, the likelier.
            keys in vec((1u64..60).prop_flat_map(|most| 0..most), 0..1500),
        ) {
            let mut sketch = Sketch::new(capacity);
            let mut truth = HashMap::new();
            for key in keys {
                sketch.add(key);
                *truth.entry(key).or_insert(0.0) += 1.0;
            }
            guarantees_hold(&sketch, &truth)?;
        }

        #[test]
        fn halving_keeps_counts_above_and_below_the_truth(
            capacity in 1usize..20,
            parts in vec(vec((1u64..60).prop_flat_map(|most| 0..most), 0..400), 1..5),
        ) {
            let mut sketch = Sketch::new(capacity);
            let mut truth: HashMap<u64, f64> = HashMap::new();
            for keys in parts {
                sketch.halve();
                truth.values_mut().for_each(|records| *records /= 2.0);
                for key in keys {
                    sketch.add(key);
                    *truth.entry(key).or_insert(0.0) += 1.0;
                }
            }
            for frequent in sketch.at_least(0) {
                let records = truth.get(&frequent.hash).copied().unwrap_or_default();
                prop_assert!(frequent.count as f64 >= records, "{frequent:?} of {records}");
                prop_assert!((frequent.count - frequent.error) as f64 <= records, "{frequent:?} of {records}");
            }
        }
    }

    #[test]
    fn the_heaviest_come_first() {
        let mut sketch = Sketch::new(8);
        for (hash, records) in [(1u64, 5), (2, 50), (3, 20)] {
            (0..records).for_each(|_| sketch.add(hash));
        }
        let frequent = |hash, count| Frequent { hash, count, error: 0 };
        assert_eq!(sketch.at_least(10), [frequent(2, 50), frequent(3, 20)]);
    }

    /// The hand must not make it quadratic: 200,000 keys that all differ, in 1,024 counters.
    #[test]
    fn new_keys_cost_a_few_steps_each() {
        let mut sketch = Sketch::new(1024);
        (0..200_000u64).for_each(|key| sketch.add(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        assert_eq!(sketch.total(), 200_000);
        assert!(sketch.at_least(2).is_empty());
    }
}
