//! J3 by hand.

use std::thread;

use super::exchange::{Port, pair};
use crate::hash;
use crate::jobs::{J3_RECORDS, Run, THREADS, j3_key, share};
use crate::tally::{KeySums, Sink};

/// Records in a batch.
const BATCH: usize = 4096;

/// Each number to the owner of its key, who adds it up and emits the sum.
pub fn updates(run: &Run) {
    thread::scope(|scope| {
        for (index, port) in pair().into_iter().enumerate() {
            scope.spawn(move || sum_and_exchange(run, index, port));
        }
    });
}

fn sum_and_exchange(run: &Run, index: usize, mut port: Port<Vec<(u64, u64)>>) {
    let mut sums = KeySums::new(&run.totals);
    let mut sink = Sink::new(&run.totals);
    let mut sum = |batch: &mut Vec<(u64, u64)>| {
        for &(key, value) in batch.iter() {
            sink.update(sums.add(key, value));
        }
    };
    let mut batches: [Vec<(u64, u64)>; THREADS] = Default::default();
    for value in share(J3_RECORDS, index, THREADS) {
        let key = j3_key(value);
        let owner = hash::owner(hash::of_number(key), THREADS);
        batches[owner].push((key, value));
        if batches[owner].len() < BATCH {
            continue;
        }
        if owner == index {
            sum(&mut batches[owner]);
            batches[owner].clear();
        } else {
            port.send(&mut batches[owner], &mut sum);
            port.drain(&mut sum);
        }
    }
    sum(&mut batches[index]);
    port.finish(std::mem::take(&mut batches[1 - index]), sum);
}
