//! Workflows in one process.

use std::collections::HashSet;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::ThreadId;
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

/// Waits for the other workers at its first record, in a future, and notes where it is called.
#[derive(Clone)]
struct Meets {
    others: Arc<Barrier>,
    called_on: Arc<Mutex<HashSet<ThreadId>>>,
}

impl Operation for Meets {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "meets";
    const BLOCKS: bool = true;
}

impl React for Meets {
    type State = bool;

    fn init(&self) -> bool {
        false
    }

    fn react<E: Emit<u64>>(&self, met: &mut bool, record: u64, emit: &mut E) -> Result<()> {
        self.called_on.lock().expect("nobody panics").insert(std::thread::current().id());
        if !std::mem::replace(met, true) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async { self.others.wait() });
        }
        emit.emit(record);
        Ok(())
    }
}

#[test]
fn who_may_wait_has_a_thread_apart() {
    let runtime = Runtime::with(Settings { cores: 3, threads: 2, ..Settings::default() }).expect("a runtime");
    let meets = Meets { others: Arc::new(Barrier::new(3)), called_on: Arc::default() };
    let (made_on, met_on) = (Arc::<Mutex<HashSet<ThreadId>>>::default(), Arc::clone(&meets.called_on));
    let (noted, sum) = (Arc::clone(&made_on), Collected::new());
    let workflow = WorkflowBuilder::new();
    const N: u64 = 300_000;
    workflow
        .source(StreamSource::split(|share| (share.index as u64..N).step_by(share.of)))
        .inspect(move |n| {
            if n % 1000 < 3 {
                noted.lock().expect("nobody panics").insert(std::thread::current().id());
            }
        })
        .vertex(meets, RoundRobin)
        .fold_combine(0u64, |sum, n| *sum += n, |sum, n| *sum += n)
        .collect(&sum);
    runtime.deploy("meets", workflow.build().expect("valid")).expect("deployable").wait().expect("it completes");
    assert_eq!(sum.take(), [N * (N - 1) / 2]);
    let (made_on, met_on) = (made_on.lock().expect("nobody panics"), met_on.lock().expect("nobody panics"));
    assert!(met_on.len() >= 3, "{} threads for three who may wait", met_on.len());
    assert!(made_on.is_disjoint(&met_on), "nobody else is called there");
}

fn wait_until_nobody_lives(runtime: &Runtime) {
    let limit = std::time::Instant::now() + Duration::from_secs(5);
    while runtime.living() > 0 {
        assert!(std::time::Instant::now() < limit, "{} actors are left", runtime.living());
        std::thread::yield_now();
    }
}
