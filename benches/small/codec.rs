//! Batches of records to bytes and back, as they cross a link between nodes.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use skitter::Word;
use skitter::codec::{Record, decode_batch, encode_batch};

use super::RECORDS;

/// A record that is made of a number.
trait Sample: Record {
    fn of(number: u64) -> Self;
}

impl Sample for u64 {
    fn of(number: u64) -> Self {
        number * 0x9E37_79B9
    }
}

impl Sample for (u64, u64) {
    fn of(number: u64) -> Self {
        (u64::of(number), number)
    }
}

impl Sample for (String, u64) {
    fn of(number: u64) -> Self {
        (format!("word{number}"), number)
    }
}

impl Sample for (Word, u64) {
    fn of(number: u64) -> Self {
        (Word::new(format!("word{number}")), number)
    }
}

fn samples<T: Sample>() -> Vec<T> {
    (0..RECORDS as u64).map(T::of).collect()
}

#[divan::bench(types = [u64, (u64, u64), (String, u64), (Word, u64)])]
fn encode<T: Sample>(bencher: Bencher) {
    let records = samples::<T>();
    let mut bytes = Vec::new();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        bytes.clear();
        encode_batch(black_box(&records), &mut bytes).expect("records that can be written");
        bytes.len()
    });
}

/// With the drop of the records.
#[divan::bench(types = [u64, (u64, u64), (String, u64), (Word, u64)])]
fn decode<T: Sample>(bencher: Bencher) {
    let mut bytes = Vec::new();
    encode_batch(&samples::<T>(), &mut bytes).expect("records that can be written");
    let mut records: Vec<T> = Vec::new();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        records.clear();
        decode_batch(black_box(&bytes), &mut records).expect("a batch");
        records.len()
    });
}
