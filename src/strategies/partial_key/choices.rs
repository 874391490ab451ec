//! Which workers a key may go to, and how many of them it needs.

/// How far above the mean a worker may be: one part in this many.
///
/// A sixteenth is well below the fifth that users would notice, and enough that keys which are spread evenly by their
/// hashes stay with their owners: what stays there need not be merged.
pub(super) const IMBALANCE: u64 = 16;

/// The finishing steps of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): makes a new hash of a hash.
#[inline(always)]
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

/// A number below `bound` (above 0), evenly from the bits of a hash.
#[inline(always)]
fn below(hash: u64, bound: usize) -> usize {
    ((u128::from(hash) * bound as u128) >> 64) as usize
}

/// The other worker that any key may go to: not its owner, if there are two workers.
#[inline(always)]
pub(super) fn second(hash: u64, owner: usize, workers: usize) -> usize {
    let worker = owner + 1 + below(mix(hash), workers.max(2) - 1);
    if worker < workers { worker } else { worker - workers }
}

/// The first `count` workers that a key may go to, all different: its owner, its [`second`], and so on, each by another
/// hash of the key. Those for a smaller count are the beginning of those for a larger one, so that a key that becomes
/// heavier keeps its workers.
pub(super) fn candidates(hash: u64, owner: usize, workers: usize, count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..workers as u32).collect();
    let count = count.min(workers);
    let mut bits = hash;
    for place in 0..count {
        let chosen = match place {
            0 => owner,
            1 => {
                let second = second(hash, owner, workers) as u32;
                order.iter().position(|&worker| worker == second).unwrap_or(place)
            }
            _ => {
                bits = mix(bits.wrapping_add(0x9E37_79B9_7F4A_7C15));
                place + below(bits, workers - place)
            }
        };
        order.swap(place, chosen);
    }
    order.truncate(count);
    order
}

/// How many candidates each of the heaviest keys needs so that no worker is expected to get more than [`IMBALANCE`]
/// allows: at least 2, and all `workers` if nothing less will do. `heavy` has the shares of those keys in all records,
/// the largest first.
///
/// This is the rule of D-Choices. Take the `h` heaviest keys, for each `h`. Their candidates are expected to be
/// `b = n · (1 − (1 − d/n)^h)` of the `n` workers. On these workers there is, at the least: all of these keys; of the
/// other heavy keys, those whose `d` candidates all lie in there, which is a part of `(b/n)^d`; of all other keys a
/// part of `(b/n)^2`. That must not be more than `b` workers may have. (In the paper the candidates of a key may
/// coincide, so that the expected number of workers there is `n · (1 − (1 − 1/n)^(h·d))`; here they are all different.)
///
/// Time: `heavy × workers` at worst, much less as a rule, because a number that is too small fails at a small `h`.
pub(super) fn needed(heavy: &[f64], workers: usize) -> usize {
    let most = (1.0 + 1.0 / IMBALANCE as f64) / workers as f64;
    let heaviest = heavy.first().copied().unwrap_or_default();
    let least = ((heaviest / most).ceil() as usize).max(2);
    (least..workers).find(|&count| is_enough(heavy, workers, count, most)).unwrap_or(workers.max(1))
}

/// Whether this number of candidates keeps the expected share of each worker below `most`.
fn is_enough(heavy: &[f64], workers: usize, count: usize, most: f64) -> bool {
    let workers = workers as f64;
    let mut others: f64 = heavy.iter().sum();
    let tail = (1.0 - others).max(0.0);
    let mut share = 0.0;
    let mut uncovered = 1.0;
    heavy.iter().all(|&key| {
        share += key;
        others -= key;
        uncovered *= 1.0 - count as f64 / workers;
        let covered = 1.0 - uncovered;
        let inside = share + others.max(0.0) * covered.powi(count as i32) + tail * covered * covered;
        inside <= covered * workers * most
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::stable_hash;

    fn zipf(exponent: f64, keys: usize) -> Vec<f64> {
        let weights: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-exponent)).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    proptest! {
        #[test]
        fn candidates_are_different_workers_and_grow_at_the_end(
            hash: u64, workers in 1usize..200, owner: prop::sample::Index, counts in (0usize..200, 0usize..200),
        ) {
            let owner = owner.index(workers);
            let (few, many) = (counts.0.min(counts.1), counts.0.max(counts.1));
            let all = candidates(hash, owner, workers, many);
            prop_assert_eq!(all.len(), many.min(workers));
            prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            prop_assert!(all.iter().all(|&worker| (worker as usize) < workers));
            prop_assert!(all.first().is_none_or(|&first| first as usize == owner));
            prop_assert!(all.get(1).is_none_or(|&other| other as usize == second(hash, owner, workers)));
            prop_assert!(all.starts_with(&candidates(hash, owner, workers, few)));
        }

        #[test]
        fn the_number_needed_is_the_least_that_is_enough(
            weights in prop::collection::vec(0.001f64..1.0, 1..40), tail in 0.0f64..20.0, workers in 1usize..80,
        ) {
            let sum = weights.iter().sum::<f64>() + tail;
            let mut heavy: Vec<f64> = weights.into_iter().map(|weight| weight / sum).collect();
            heavy.sort_by(|a, b| b.total_cmp(a));
            let most = (1.0 + 1.0 / IMBALANCE as f64) / workers as f64;
            let count = needed(&heavy, workers);
            prop_assert!(count >= 2.min(workers) && count <= workers);
            // No worker gets too much of the heaviest key alone.
            prop_assert!(count == workers || heavy[0] / count as f64 <= most * 1.000_001);
            prop_assert!(count == workers || is_enough(&heavy, workers, count, most));
            let too_few = |fewer| !is_enough(&heavy, workers, fewer, most) || heavy[0] / fewer as f64 > most;
            prop_assert!((2..count).all(too_few));
        }
    }

    #[test]
    fn even_keys_need_no_more_than_two() {
        assert_eq!(needed(&[], 8), 2);
        assert_eq!(needed(&[0.01, 0.01, 0.01], 8), 2);
        assert_eq!(needed(&[], 1), 1);
    }

    /// By hand, with at most 17/128 = 0.1328 for each of eight workers.
    #[test]
    fn the_rule_is_that_of_d_choices() {
        // One key with half of all records. Five workers: 0.5 + 0.5 · (5/8)^2 = 0.695 is more than 5 · 0.1328 = 0.664;
        // six: 0.5 + 0.5 · (6/8)^2 = 0.781 is not more than 0.797.
        assert_eq!(needed(&[0.5], 8), 6);
        // Two keys with a quarter each. Three workers: together they have 8 · (1 − (5/8)^2) = 4.875 of them and on
        // these 0.5 + 0.5 · 0.609^2 = 0.686, which is more than 0.647; four: 6 of them, and 0.781 is not more than
        // 0.797.
        assert_eq!(needed(&[0.25, 0.25], 8), 4);
        // Four keys with a fifth each. Two workers, for one key: 0.2 + 0.6 · (2/8)^2 + 0.2 · (2/8)^2 = 0.25 of at most
        // 0.266. For two, on 3.5 workers: 0.4 + 0.4 · 0.4375^2 + 0.2 · 0.4375^2 = 0.515 of at most 0.465. Three: 0.2 +
        // 0.6 · (3/8)^3 + 0.2 · (3/8)^2 = 0.26 of 0.398; 0.4 + 0.4 · 0.609^3 + 0.2 · 0.609^2 = 0.565 of 0.647; 0.6 +
        // 0.2 · 0.756^3 + 0.2 · 0.756^2 = 0.801 of 0.803; 0.8 + 0.2 · 0.847^2 = 0.944 of at most 0.9.
        assert_eq!(needed(&[0.2; 4], 8), 4);
        // One key with 0.35 and four with a tenth: three workers have nearly enough room for the first one, but not for
        // what others bring: 0.35 + 0.4 · (3/8)^3 + 0.25 · (3/8)^2 = 0.406 of at most 0.398.
        assert_eq!(needed(&[0.35, 0.1, 0.1, 0.1, 0.1], 8), 4);
    }

    #[test]
    fn skewed_keys_need_more() {
        // The head as the sender sees it: keys with at least a fifth of a worker's share.
        for (workers, least, most) in [(8, 3, 6), (32, 12, 20), (128, 47, 80)] {
            let head: Vec<f64> =
                zipf(1.5, 100_000).into_iter().take_while(|share| *share >= 0.2 / workers as f64).collect();
            let count = needed(&head, workers);
            assert!((least..=most).contains(&count), "{count} of {workers}");
        }
        assert_eq!(needed(&[1.0], 8), 8);
    }

    #[test]
    fn candidates_spread_evenly() {
        let mut times = [0u32; 8];
        for key in 0..8000u64 {
            for worker in candidates(stable_hash(&key), 3, 8, 4) {
                times[worker as usize] += 1;
            }
        }
        assert_eq!(times[3], 8000);
        let others = times.iter().enumerate().filter(|(worker, _)| *worker != 3).map(|(_, times)| *times);
        let expected = 8000 * 3 / 7;
        assert!(others.clone().all(|times| times.abs_diff(expected) < 250), "{times:?}");
    }
}
