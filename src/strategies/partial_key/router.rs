//! The sender's half: which of its candidates a record goes to.

use super::choices::{IMBALANCE, candidates, needed, second};
use super::sketch::Sketch;
use crate::strategies::keyed_state::owner;

/// Counters of a sender's sketch. A key is heavy from a fifth of a worker's share on; with 1,024 counters the error is
/// below that for up to 200 workers, and the sketch takes up 32 KiB, which a second-level cache has to spare.
const COUNTERS: usize = 1024;

/// One record in this many, on average, goes into the sketch: counting all of them would cost more than sending them,
/// and a heavy key is found all the same. The distances are random, so that a period in the stream cannot hide a key.
const SAMPLING: u64 = 16;

/// Records of a heavy key that go to one worker before the sender looks again who has had least: so few that they are a
/// small part of a batch, so many that looking at a hundred candidates costs little for each record.
const RUN: u32 = 32;

/// A key is heavy if it has at least the mean share of a worker divided by this: what is lighter balances itself out
/// with two choices (the threshold that the paper uses).
const HEAVY: u64 = 5;

/// Samples of a key below which it is not called heavy, however few there are in all: with fewer, chance decides.
const LEAST_SAMPLES: u64 = 8;

/// Samples before the first review of the heavy keys; each further one comes after twice as many ...
const FIRST_REVIEW: u64 = 32;
/// ... up to this number: at one record in sixteen this is every 32,768 records, which costs a nanosecond a record or
/// so even with a hundred workers.
const LONGEST_REVIEW: u64 = 2048;

/// Samples after which everything is halved, so that what a sender knows is about the last half million records and not
/// about a morning that is over: a key that becomes heavy is found soon, and nobody is given more than the others for
/// long because he once had less. Enough of them that chance is a small part of the share of a heavy key.
const AGE: u64 = 1 << 14;

/// Records that a worker may be above the mean at least: a batch is larger, so there is no point in splitting keys for
/// it.
const SLACK: u64 = 32;

/// What a sender knows: how much it has sent to whom, and which keys are heavy.
#[derive(Clone, Debug)]
pub struct Router {
    /// Records sent to each worker.
    sent: Vec<u64>,
    /// A worker that was sent fewer gets its own keys.
    limit: u64,
    /// Records until the next sample, and the distance that this was in the beginning.
    countdown: u64,
    distance: u64,
    /// All records, up to the last sample.
    total: u64,
    bits: u64,
    sketch: Sketch,
    /// Samples until the next review, and the number that this was in the beginning.
    review: u64,
    between: u64,
    heavy: Heavy,
}

impl Router {
    pub(super) fn new(workers: usize, sender: usize) -> Self {
        Router {
            sent: vec![0; workers],
            limit: SLACK,
            countdown: 1,
            distance: 1,
            total: 0,
            // Any number but 0; another one for each sender, so that they do not take the same samples.
            bits: 0x9E37_79B9_7F4A_7C15 ^ sender as u64,
            sketch: Sketch::new(if workers > 2 { COUNTERS } else { 0 }),
            review: FIRST_REVIEW,
            between: FIRST_REVIEW,
            heavy: Heavy::default(),
        }
    }

    /// The worker for a record of the key with this hash.
    #[inline(always)]
    pub(super) fn route(&mut self, hash: u64) -> usize {
        self.countdown -= 1;
        if self.countdown == 0 {
            self.sample(hash);
        }
        let owner = owner(hash, self.sent.len());
        let worker = if self.sent[owner] < self.limit { owner } else { self.choose(hash, owner) };
        self.sent[worker] += 1;
        worker
    }

    /// The candidate that has been sent least.
    #[inline(always)]
    fn choose(&mut self, hash: u64, owner: usize) -> usize {
        match self.heavy.find(hash) {
            None => {
                let second = second(hash, owner, self.sent.len());
                if self.sent[second] < self.sent[owner] { second } else { owner }
            }
            Some(place) => {
                if self.heavy.table[place].left == 0 {
                    let worker = self.look(place, owner) as u32;
                    let key = &mut self.heavy.table[place];
                    (key.worker, key.left) = (worker, RUN);
                }
                let key = &mut self.heavy.table[place];
                key.left -= 1;
                key.worker as usize
            }
        }
    }

    /// The candidate of a heavy key that has been sent least. The number of candidates is right for most keys, not for
    /// any: those of a few heavy ones may coincide. A heavy key all of whose candidates have had too much goes to any
    /// worker.
    #[cold]
    #[inline(never)]
    fn look(&self, place: usize, owner: usize) -> usize {
        let least = |a: usize, b: usize| if self.sent[b] < self.sent[a] { b } else { a };
        let worker = self.heavy.candidates(place).iter().fold(owner, |best, &worker| least(best, worker as usize));
        if self.sent[worker] < self.limit { worker } else { (0..self.sent.len()).fold(worker, least) }
    }

    #[cold]
    #[inline(never)]
    fn sample(&mut self, hash: u64) {
        self.total += self.distance;
        let workers = self.sent.len() as u64;
        let mean = self.total / workers;
        self.limit = mean + mean / IMBALANCE + SLACK;
        // Xorshift (Marsaglia 2003): cheap, and nobody plays against it.
        self.bits ^= self.bits << 13;
        self.bits ^= self.bits >> 7;
        self.bits ^= self.bits << 17;
        self.distance = 1 + (self.bits >> 32) % (2 * SAMPLING - 1);
        self.countdown = self.distance;
        if workers > 2 {
            self.sketch.add(hash);
            self.review -= 1;
            if self.review == 0 {
                self.review();
            }
        }
        if self.total >= AGE * SAMPLING {
            self.age();
        }
    }

    /// Looks which keys are heavy and how many candidates they need.
    fn review(&mut self) {
        self.between = (self.between * 2).min(LONGEST_REVIEW);
        self.review = self.between;
        let workers = self.sent.len();
        let total = self.sketch.total();
        let least = (total / (HEAVY * workers as u64)).max(LEAST_SAMPLES);
        let frequent = self.sketch.at_least(least);
        let shares: Vec<f64> = frequent.iter().map(|key| key.count as f64 / total as f64).collect();
        let count = needed(&shares, workers);
        self.heavy = Heavy::new(frequent.iter().map(|key| key.hash), workers, count);
    }

    fn age(&mut self) {
        self.sketch.halve();
        let least = self.sent.iter().min().copied().unwrap_or_default();
        self.sent.iter_mut().for_each(|sent| *sent = (*sent - least) / 2);
        self.total = self.sent.iter().sum();
    }
}

/// The heavy keys, by hash, with their candidates. A table with open addressing that is at most a quarter full: a key
/// is found, or found missing, at the first place as a rule.
#[derive(Clone, Debug, Default)]
struct Heavy {
    table: Vec<HeavyKey>,
    /// The candidates of all keys, `count` each; none if all workers are candidates.
    candidates: Vec<u32>,
    count: usize,
}

/// A heavy key, or a free place.
#[derive(Clone, Copy, Debug)]
struct HeavyKey {
    hash: u64,
    /// The place of its first candidate; [`FREE`] in a free place.
    first: u32,
    /// The worker that its records go to, and how many more of them.
    worker: u32,
    left: u32,
}

const FREE: u32 = u32::MAX;

impl Heavy {
    fn new(hashes: impl ExactSizeIterator<Item = u64>, workers: usize, count: usize) -> Self {
        if workers <= 2 || hashes.len() == 0 {
            return Heavy::default();
        }
        let count = if count < workers { count } else { 0 };
        let free = HeavyKey { hash: 0, first: FREE, worker: 0, left: 0 };
        let mut heavy =
            Heavy { table: vec![free; (4 * hashes.len()).next_power_of_two()], candidates: Vec::new(), count };
        let mask = heavy.table.len() - 1;
        for hash in hashes {
            let mut place = hash as usize & mask;
            while heavy.table[place].first != FREE {
                place = (place + 1) & mask;
            }
            heavy.table[place] = HeavyKey { hash, first: heavy.candidates.len() as u32, worker: 0, left: 0 };
            heavy.candidates.extend(candidates(hash, owner(hash, workers), workers, count));
        }
        heavy
    }

    /// The place of a heavy key.
    #[inline(always)]
    fn find(&self, hash: u64) -> Option<usize> {
        let mask = self.table.len().wrapping_sub(1);
        let mut place = hash as usize & mask;
        loop {
            match self.table.get(place) {
                Some(key) if key.first != FREE => {
                    if key.hash == hash {
                        return Some(place);
                    }
                    place = (place + 1) & mask;
                }
                _ => return None,
            }
        }
    }

    /// The candidates of the heavy key in this place; empty if these are all workers.
    fn candidates(&self, place: usize) -> &[u32] {
        let first = self.table[place].first as usize;
        &self.candidates[first..first + self.count]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::stable_hash;

    #[test]
    fn heavy_keys_are_found_and_others_are_not() {
        let hashes: Vec<u64> = (0..300u64).map(|key| stable_hash(&key)).collect();
        for (count, expected) in [(5, 5), (8, 0)] {
            let heavy = Heavy::new(hashes.iter().copied(), 8, count);
            let found = |hash: &u64| heavy.find(*hash).map(|place| heavy.candidates(place).len());
            assert!(hashes.iter().all(|hash| found(hash) == Some(expected)));
            assert!((300..10_000u64).all(|key| heavy.find(stable_hash(&key)).is_none()));
        }
        assert_eq!(Heavy::default().find(7), None);
        assert_eq!(Heavy::new([7].into_iter(), 2, 2).find(7), None);
    }

    /// Shares of the busiest worker, as a multiple of the mean.
    fn busiest(router: &Router, loads: &[u64]) -> f64 {
        let sum: u64 = loads.iter().sum();
        loads.iter().max().copied().unwrap_or_default() as f64 * router.sent.len() as f64 / sum as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// A stream in which a few keys have any shares.
        #[test]
        fn any_mixture_of_heavy_keys_is_balanced(
            weights in prop::collection::vec(0u32..100, 1..8), tail in 0u32..100, workers in 1usize..24, seed: u64,
        ) {
            let sum = weights.iter().sum::<u32>() + tail;
            prop_assume!(sum > 0);
            let mut router = Router::new(workers, 0);
            let mut loads = vec![0; workers];
            for record in 0..100_000u64 {
                let pick = stable_hash(&(seed, record));
                let mut weight = (pick % u64::from(sum)) as u32;
                let heavy = weights.iter().position(|&w| weight < w || { weight -= w; false });
                let key = heavy.map_or(1_000 + (pick >> 40) % 50_000, |key| key as u64);
                loads[router.route(stable_hash(&(seed, key)))] += 1;
            }
            let busiest = busiest(&router, &loads);
            prop_assert!(busiest < 1.15, "{busiest} of {loads:?}");
        }
    }

    #[test]
    fn even_keys_stay_with_their_owners() {
        let mut router = Router::new(8, 0);
        let records = 400_000u64;
        let away = (0..records).map(|record| stable_hash(&(stable_hash(&record) % 100_000)));
        let away = away.filter(|&hash| router.route(hash) != owner(hash, 8)).count();
        assert!((away as u64) < records / 50, "{away} of {records}");
    }

    #[test]
    fn a_change_of_the_heaviest_key_is_followed() {
        let mut router = Router::new(8, 0);
        for heaviest in 0..3u64 {
            let mut loads = vec![0; 8];
            for record in 0..1_000_000u64 {
                let key = if record % 2 == 0 { heaviest } else { 10 + stable_hash(&record) % 10_000 };
                loads[router.route(stable_hash(&key))] += 1;
            }
            let busiest = busiest(&router, &loads);
            assert!(busiest < 1.15, "{busiest} of {loads:?}");
        }
    }
}
