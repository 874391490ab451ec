//! Whole workflows on two workers: what watermarks cost, and windows that overlap beside such that do not. An iteration
//! handles as many records as `ItemsCount` says.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use skitter::operations::Numbers;
use skitter::operations::windows::{Count, Windows};
use skitter::prelude::*;
use skitter::runtime::{Runtime, Settings};

/// Numbers of the job whose keys are summed.
const SUMS: u64 = 20_000_000;
/// Its keys.
const KEYS: u64 = 100_000;

/// Records of windows, so many in a second of their own time, and their keys.
const RECORDS: u64 = 20_000_000;
const RATE: u64 = 100_000;
const SENSORS: u64 = 1000;

fn run(workflow: WorkflowBuilder) {
    let runtime = Runtime::with(Settings { cores: 2, threads: 2, ..Settings::default() }).expect("a runtime");
    runtime.deploy("bench", workflow.build().expect("a workflow")).expect("deployed").wait().expect("completed");
}

fn key(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

fn sum(sum: &mut u64, (_, n): (u64, u64)) -> u64 {
    *sum = sum.wrapping_add(n);
    *sum
}

#[divan::bench(sample_count = 7, sample_size = 1)]
fn sums(bencher: Bencher) {
    bencher.counter(ItemsCount::new(SUMS)).bench(|| {
        let workflow = WorkflowBuilder::new();
        let pairs = workflow.source(Numbers::new(0..SUMS)).map(|n| (key(n) % KEYS, n));
        pairs.keyed_reduce(|(key, _)| *key, 0, sum).with(KeyedState).discard();
        run(workflow);
    });
}

#[divan::bench(sample_count = 7, sample_size = 1)]
fn sums_with_watermarks(bencher: Bencher) {
    bencher.counter(ItemsCount::new(SUMS)).bench(|| {
        let workflow = WorkflowBuilder::new();
        let pairs = workflow.source(Numbers::new(0..SUMS)).map(|n| (key(n) % KEYS, n));
        let timed = pairs.watermarks(|(_, n)| *n as i64, Duration::ZERO);
        timed.keyed_reduce(|(key, _)| *key, 0, sum).with(KeyedState).discard();
        run(workflow);
    });
}

fn windows(bencher: Bencher, windows: Windows) {
    bencher.counter(ItemsCount::new(RECORDS)).bench(|| {
        let workflow = WorkflowBuilder::new();
        let numbers = workflow.source(Numbers::in_turn(0..RECORDS, 1000));
        let readings = numbers.map(|n| (key(n) % SENSORS, (n * 1000 / RATE) as i64));
        let timed = readings.watermarks(|(_, time)| *time, Duration::ZERO);
        timed.keyed_window(|(sensor, _)| *sensor, |(_, time)| *time, windows, Count).discard();
        run(workflow);
    });
}

#[divan::bench(sample_count = 7, sample_size = 1)]
fn tumbling_of_60_s(bencher: Bencher) {
    windows(bencher, Windows::tumbling(Duration::from_secs(60)));
}

#[divan::bench(sample_count = 7, sample_size = 1)]
fn sliding_of_60_s_every_1_s(bencher: Bencher) {
    windows(bencher, Windows::sliding(Duration::from_secs(60), Duration::from_secs(1)));
}
