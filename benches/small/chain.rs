//! Five maps and a filter behind a source, summed: one loop in one worker. An iteration is a whole deployment over a
//! million records, so milliseconds read as nanoseconds a record; starting and ending the deployment are a part of it.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use skitter::Runtime;
use skitter::operations::{Collected, Numbers};
use skitter::prelude::*;
use skitter::runtime::Settings;

/// Records of an iteration.
const MILLION: u64 = 1_000_000;

fn one_worker() -> Runtime {
    Runtime::with(Settings { cores: 1, threads: 1, ..Settings::default() }).expect("threads")
}

#[divan::bench(sample_count = 50)]
fn five_maps(bencher: Bencher) {
    let runtime = one_worker();
    bencher.counter(ItemsCount::new(MILLION)).bench_local(|| {
        let workflow = WorkflowBuilder::new();
        let sum = Collected::new();
        workflow
            .source(Numbers::new(0..black_box(MILLION)))
            .map(|n| n.wrapping_mul(3))
            .map(|n| n ^ (n >> 7))
            .map(|n| n.wrapping_add(11))
            .map(|n| n.wrapping_mul(5))
            .map(|n| n ^ (n >> 3))
            .filter(|n| n % 3 != 0)
            .fold_combine(0u64, |sum, n| *sum = sum.wrapping_add(n), |sum, part| *sum = sum.wrapping_add(part))
            .collect(&sum);
        runtime.deploy("maps", workflow.build().expect("a workflow")).expect("a deployment").wait().expect("an end");
        sum.take()
    });
}

/// A deployment of a source without records: what starting and ending takes.
#[divan::bench(sample_count = 50)]
fn nothing(bencher: Bencher) {
    let runtime = one_worker();
    bencher.bench_local(|| {
        let workflow = WorkflowBuilder::new();
        workflow.source(Numbers::new(0..0)).discard();
        runtime.deploy("nothing", workflow.build().expect("a workflow")).expect("a deployment").wait().expect("an end")
    });
}
