//! The hash is what it was, and it is good: every bit of a key changes every bit of the hash half of the time, and keys
//! spread over key groups, and over the bits that hash maps use, as balls thrown at random do.

use std::collections::BTreeSet;

use super::*;

/// Key, hash and key group; computed a second time by a program of a few lines in another language.
const GOLDEN: [&str; 21] = [
    "0u64 e7157c6bd1493c30 977",
    "42u64 94d2d1a5ec2d9471 492",
    "u64::MAX e3b9b2980f199e0c 15",
    "-1i32 4505ece74bf5aa61 843",
    "255u8 a0c6cde0b3c0b165 179",
    "7u128 a1d39e8e1e145519 542",
    "true 81a6eba9921185e0 402",
    "'ü' 208b7cdd495e4536 329",
    "() 0850f9794d5108b4 333",
    "Some(3u16) e5688884ac22b725 172",
    "empty 4822b1fc3bda8dfa 59",
    "a e357a9adc9c1619d 457",
    "the ad5d0f262ebf923d 558",
    "Hello e8940b88b4772882 180",
    "distributed 6ad16940488622f7 72",
    "sixteen bytes .. c50beb134dc1c4b1 845",
    "Hello Skitter Hello World! 29cbe7393c760db6 316",
    "long dbc2487fe7f9429e 999",
    "bytes 4cd710a5012e9968 257",
    "pair 84fb8c888032eaf3 128",
    "list 224c52ae09357d69 521",
];

/// Golden values: routing must not change between versions, or restored state would be on the wrong worker.
#[test]
fn hashes_never_change() {
    let long = "Forty-two bytes are more than two words, yes.";
    let hashes = [
        ("0u64", stable_hash(&0u64)),
        ("42u64", stable_hash(&42u64)),
        ("u64::MAX", stable_hash(&u64::MAX)),
        ("-1i32", stable_hash(&-1i32)),
        ("255u8", stable_hash(&255u8)),
        ("7u128", stable_hash(&7u128)),
        ("true", stable_hash(&true)),
        ("'ü'", stable_hash(&'ü')),
        ("()", stable_hash(&())),
        ("Some(3u16)", stable_hash(&Some(3u16))),
        ("empty", stable_hash("")),
        ("a", stable_hash("a")),
        ("the", stable_hash("the")),
        ("Hello", stable_hash("Hello")),
        ("distributed", stable_hash("distributed")),
        ("sixteen bytes ..", stable_hash("sixteen bytes ..")),
        ("Hello Skitter Hello World!", stable_hash("Hello Skitter Hello World!")),
        ("long", stable_hash(long)),
        ("bytes", stable_hash(long.as_bytes())),
        ("pair", stable_hash(&("x", 7u32))),
        ("list", stable_hash(&vec![1u64, 2, 3])),
    ];
    let found = hashes.map(|(key, hash)| format!("{key} {hash:016x} {}", key_group(hash)));
    assert_eq!(found, GOLDEN);
}

#[test]
fn a_string_hashes_alike_however_it_is_held() {
    let text = "Hello Skitter";
    assert_eq!(stable_hash(text), stable_hash(&text.to_owned()));
    assert_eq!(stable_hash(text), stable_hash(&compact_str::CompactString::from(text)));
    assert_eq!(stable_hash(text), stable_hash(&std::borrow::Cow::Borrowed(text)));
}

/// How far counts are from those of a random throw, in standard deviations: more than 6 happens once in 10^9 throws.
fn surprise(counts: &[u64]) -> f64 {
    let mean = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let chi_square: f64 = counts.iter().map(|count| (*count as f64 - mean).powi(2) / mean).sum();
    let freedom = counts.len() as f64 - 1.0;
    (chi_square - freedom) / (2.0 * freedom).sqrt()
}

/// Checks the hashes of keys of one kind, all different.
fn spreads<K: Hash>(kind: &str, keys: impl Iterator<Item = K>) {
    let hashes: Vec<u64> = keys.map(|key| stable_hash(&key)).collect();
    let different: BTreeSet<&u64> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len(), "some {kind} have equal hashes");
    let check = |what: &str, hashes: &mut dyn Iterator<Item = u64>, size: usize, place: fn(u64) -> usize| {
        let mut counts = vec![0; size];
        hashes.for_each(|hash| counts[place(hash)] += 1);
        let surprise = surprise(&counts);
        assert!(surprise.abs() < 6.0, "{kind}: {what} are {surprise:.1} deviations from random: {counts:?}");
    };
    let (low, high): (fn(u64) -> usize, fn(u64) -> usize) =
        (|hash| (hash & 127) as usize, |hash| (hash >> 57) as usize);
    check("groups", &mut hashes.iter().copied(), KEY_GROUPS as usize, |hash| key_group(hash) as usize);
    check("low bits", &mut hashes.iter().copied(), 128, low);
    check("high bits", &mut hashes.iter().copied(), 128, high);
    // The table of a worker holds the keys of a range of groups only.
    let mut owned =
        hashes.iter().copied().filter(|hash| key_group(*hash) < KEY_GROUPS / 8).collect::<Vec<_>>().into_iter();
    check("low bits of one of 8 workers", &mut owned.clone(), 128, low);
    check("high bits of one of 8 workers", &mut owned, 128, high);
}

#[test]
fn keys_spread_evenly() {
    const N: u64 = 1 << 16;
    spreads("numbers in sequence", 0..N);
    spreads("multiples of 1024", (0..N).map(|n| n * 1024));
    spreads("numbers in the high half", (0..N).map(|n| n << 44));
    spreads("negative numbers", (0..N as i64).map(|n| -n));
    spreads("pairs", (0..256u32).flat_map(|a| (0..256u64).map(move |b| (a, b))));
    spreads("pairs of bytes", (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b))));
    spreads("decimals", (0..N).map(|n| n.to_string()));
    spreads("names", (0..N).map(|n| format!("user-{n:06}")));
    spreads("long keys", (0..N).map(|n| format!("a long prefix that all the keys begin with/{n:06}/and a suffix")));
    let letters = || (b'a'..=b'z').map(char::from);
    let words = |a| letters().flat_map(move |b| letters().map(move |c| [a, b, c].into_iter().collect::<String>()));
    spreads("words of three letters", letters().flat_map(words));
}

/// In how many of the `inputs` a bit of the hash changes with a bit of the input: at worst over all pairs of bits.
fn avalanche(inputs: &[Vec<u8>]) -> f64 {
    let bits = inputs[0].len() * 8;
    let mut worst = 0.0f64;
    for bit in 0..bits {
        let mut changes = [0u32; 64];
        for input in inputs {
            let mut other = input.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let changed = stable_hash(&input[..]) ^ stable_hash(&other[..]);
            changes.iter_mut().enumerate().for_each(|(place, count)| *count += (changed >> place & 1) as u32);
        }
        let bias = |count: &u32| (f64::from(*count) / inputs.len() as f64 - 0.5).abs();
        worst = changes.iter().map(bias).fold(worst, f64::max);
    }
    worst
}

#[test]
fn every_bit_changes_every_bit() {
    const INPUTS: u64 = 512;
    for length in [3, 4, 7, 8, 9, 16, 17, 24, 33] {
        let text = |n: u64| (0..length).map(|at| b'a' + (stable_hash(&(n, at)) % 26) as u8).collect();
        let inputs: Vec<Vec<u8>> = (0..INPUTS).map(text).collect();
        let worst = avalanche(&inputs);
        // The deviation of a fair coin over 512 throws is 0.022; the worst of 17,000 coins is within six of them.
        assert!(
            worst < 0.135,
            "texts of {length} bytes: a bit of the hash changes with a bit of the key by 0.5 ± {worst:.3}"
        );
    }
}
