//! Workflows in one process.

use std::time::Duration;

use skitter::operations::Collected;
use skitter::prelude::*;
use skitter::runtime::{Runtime, Settings};

fn runtime(cores: usize) -> Runtime {
    Runtime::with(Settings { cores, ..Settings::default() }).expect("a runtime")
}

#[test]
fn words_are_counted() {
    for cores in [1, 2, 8] {
        let runtime = runtime(cores);
        let updates = Collected::new();
        let workflow = WorkflowBuilder::new();
        workflow
            .source(StreamSource::new(|| "Hello Skitter Hello World!".split(' ').map(str::to_owned)))
            .keyed_reduce(String::clone, 0u64, |count, word| {
                *count += 1;
                (word, *count)
            })
            .collect(&updates);
        let summary = runtime.deploy("hello", workflow.build().expect("valid")).expect("deployable").wait();
        let summary = summary.expect("it completes");
        let mut updates = updates.take();
        updates.sort();
        let expected = [("Hello", 1), ("Hello", 2), ("Skitter", 1), ("World!", 1)];
        assert_eq!(updates, expected.map(|(word, n)| (word.to_owned(), n)));
        assert_eq!(summary.vertex("keyed reduce").map(|v| (v.received(), v.emitted())), Some((4, 4)));
        wait_until_nobody_lives(&runtime);
    }
}

#[test]
fn many_records_pass_several_shuffles() {
    let runtime = runtime(4);
    let sums = Collected::new();
    let workflow = WorkflowBuilder::new();
    const N: u64 = 1_000_000;
    workflow
        .source(StreamSource::split(|share| (share.index as u64..N).step_by(share.of)))
        .map(|n| n + 1)
        .with(RoundRobin)
        .keyed_reduce(
            |n| n % 1000,
            0u64,
            |sum, n| {
                *sum += n;
                n
            },
        )
        .map(|n| n)
        .with(Rebalance)
        .fold_combine(0u64, |sum, n| *sum += n, |sum, n| *sum += n)
        .collect(&sums);
    runtime.deploy("sums", workflow.build().expect("valid")).expect("deployable").wait().expect("it completes");
    assert_eq!(sums.take(), [N * (N + 1) / 2]);
    wait_until_nobody_lives(&runtime);
}

fn wait_until_nobody_lives(runtime: &Runtime) {
    let limit = std::time::Instant::now() + Duration::from_secs(5);
    while runtime.living() > 0 {
        assert!(std::time::Instant::now() < limit, "{} actors are left", runtime.living());
        std::thread::yield_now();
    }
}
