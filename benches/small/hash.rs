//! The hash that picks the owner of a key.

use std::hash::Hash;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use skitter::codec::{key_group, stable_hash};

use super::RECORDS;

fn groups<K: Hash>(bencher: Bencher, key: impl Fn(usize) -> K) {
    let keys: Vec<K> = (0..RECORDS).map(key).collect();
    bencher
        .counter(ItemsCount::new(RECORDS))
        .bench_local(|| black_box(&keys).iter().fold(0, |sum, key| sum + key_group(stable_hash(key))));
}

#[divan::bench]
fn numbers(bencher: Bencher) {
    groups(bencher, |number| number as u64);
}

#[divan::bench]
fn pairs(bencher: Bencher) {
    groups(bencher, |number| (number as u64, 7u64));
}

/// Words of this many bytes.
#[divan::bench(args = [3, 8, 16, 40])]
fn words(bencher: Bencher, length: usize) {
    groups(bencher, |number| format!("{number:0>length$}"));
}

/// Words of 1 to 16 bytes, as they are mixed in a text: the length of the next one is not known before.
#[divan::bench]
fn mixed_words(bencher: Bencher) {
    groups(bencher, |number| "x".repeat(1 + number * number % 16));
}
