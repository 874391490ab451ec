//! Event time in workflows that run: whoever says how far it has come, those behind hear of it, and what cannot work is
//! refused by name.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use skitter::operations::windows::{Collect, Count, Late, OnTime, Windowed, Windows};
use skitter::operations::{MessageSender, MessageSource, Watermarks};
use skitter::prelude::*;
use skitter::runtime::{DeploymentHandle, Runtime, Settings};
use skitter::workflow::Timestamp;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

fn tens() -> Windows {
    Windows::tumbling(SECOND * 10)
}

fn runtime() -> Runtime {
    Runtime::with(Settings { cores: 2, threads: 2, ..Settings::default() }).expect("a runtime")
}

/// A workflow that runs, fed by hand, and what its windows give.
struct Fed<T> {
    sender: MessageSender<Timestamp>,
    results: Receiver<T>,
    deployment: DeploymentHandle,
    _runtime: Runtime,
}

impl<T> Fed<T> {
    /// Waits for the next result.
    fn next(&self) -> T {
        self.results.recv_timeout(PATIENCE).expect("a result in time")
    }

    fn end(self) -> Vec<T> {
        drop(self.sender);
        self.deployment.wait().expect("completed");
        self.results.iter().collect()
    }
}

/// The last windows of a stream that pauses are given, wherever in it time is kept.
#[test]
fn who_pauses_does_not_keep_a_window_back() {
    for moved in [false, true] {
        let (sender, source) = MessageSource::new(64);
        let (send, results) = sync_channel(64);
        let workflow = WorkflowBuilder::new();
        let seconds = workflow.listen(source);
        let watermarks = Watermarks::ascending(|second: &Timestamp| second * 1000).idle_after(SECOND / 10);
        let time = |second: &Timestamp| second * 1000;
        if moved {
            // One of these workers never has a record.
            let moved = seconds.map(|second: Timestamp| second).with(RoundRobin).vertex(watermarks, Chained);
            moved.keyed_window(|_| 'k', time, tens(), Count).map(|count| count.value).send(send);
        } else {
            let timed = seconds.vertex(watermarks, Chained);
            timed.keyed_window(|_| 'k', time, tens(), Count).map(|count| count.value).send(send);
        }
        let runtime = runtime();
        let deployment = runtime.deploy("fed", workflow.build().expect("a workflow")).expect("deployed");
        let fed = Fed { sender, results, deployment, _runtime: runtime };
        for second in [1, 2, 11] {
            fed.sender.send(second).expect("taken");
        }
        assert_eq!(fed.next(), 2, "moved: {moved}");
        fed.sender.send(25).expect("taken");
        assert_eq!(fed.next(), 1, "moved: {moved}");
        assert_eq!(fed.end(), [1]);
    }
}

/// Windows by the clock end although nothing comes any more.
#[test]
fn the_clock_goes_on_without_records() {
    let (sender, source) = MessageSource::new(64);
    let (send, results) = sync_channel(64);
    let workflow = WorkflowBuilder::new();
    let timed = workflow.listen(source).processing_time();
    let windows = Windows::tumbling(Duration::from_millis(50));
    let counts = timed.keyed_window(|(_, key): &(Timestamp, Timestamp)| *key, |(time, _)| *time, windows, Count);
    counts.map(|count| count.key).send(send);
    let runtime = runtime();
    let deployment = runtime.deploy("fed", workflow.build().expect("a workflow")).expect("deployed");
    let fed = Fed { sender, results, deployment, _runtime: runtime };
    fed.sender.send(7).expect("taken");
    let sent = Instant::now();
    assert_eq!(fed.next(), 7);
    assert!(sent.elapsed() < PATIENCE / 2, "{:?}", sent.elapsed());
    assert_eq!(fed.end(), [0; 0]);
}

#[test]
fn what_is_late_leaves_by_its_port() {
    let (sender, source) = MessageSource::new(64);
    let (send, results) = sync_channel(64);
    let workflow = WorkflowBuilder::new();
    let timed = workflow.listen(source).watermarks(|second: &Timestamp| second * 1000, SECOND * 2);
    let ports = timed.keyed_window(|_| 'k', |second| second * 1000, tens(), Collect).ports();
    ports.stream(OnTime).map(|window: Windowed<char, Vec<Timestamp>>| (true, window.value)).send(send.clone());
    ports.stream(Late).map(|second: Timestamp| (false, vec![second])).send(send);
    // It holds what is behind it, and with that the way to this test.
    drop(ports);
    let runtime = runtime();
    let deployment = runtime.deploy("fed", workflow.build().expect("a workflow")).expect("deployed");
    let fed = Fed { sender, results, deployment, _runtime: runtime };
    // Two seconds late is not late.
    for second in [1, 11, 9, 12] {
        fed.sender.send(second).expect("taken");
    }
    assert_eq!(fed.next(), (true, vec![1, 9]));
    fed.sender.send(8).expect("taken");
    assert_eq!(fed.next(), (false, vec![8]));
    assert_eq!(fed.end(), [(true, vec![11, 12])]);
}

#[track_caller]
fn refused(build: impl FnOnce(&WorkflowBuilder)) -> String {
    let workflow = WorkflowBuilder::new();
    build(&workflow);
    let deployed = workflow.build().and_then(|workflow| runtime().deploy("refused", workflow).map(drop));
    deployed.expect_err("it cannot work").to_string()
}

#[test]
fn windows_that_would_wait_for_ever_are_refused() {
    let numbers = || skitter::operations::Numbers::new(0..10);
    let time = |n: &u64| *n as Timestamp;
    let error = refused(|workflow| {
        workflow.source(numbers()).keyed_window(|n| *n, time, tens(), Count).discard();
    });
    assert!(error.contains("`keyed window`") && error.contains("put `.watermarks(…)` behind"), "{error}");
    // Another branch has some.
    let error = refused(|workflow| {
        let numbers = workflow.source(numbers()).shared();
        let timed = numbers.clone().map(|n| n).with(Rebalance).watermarks(time, SECOND);
        timed.keyed_window(|n| *n, time, tens(), Count).discard();
        numbers.map(|n| n).with(RoundRobin).session_window(|n| *n, time, SECOND, Count).discard();
    });
    assert!(error.contains("`session window`") && error.contains("nothing before it says"), "{error}");
    // Another branch of the same worker has some.
    let error = refused(|workflow| {
        let numbers = workflow.source(numbers()).shared();
        numbers.clone().watermarks(time, SECOND).keyed_window(|n| *n, time, tens(), Count).discard();
        numbers.session_window(|n| *n, time, SECOND, Count).discard();
    });
    assert!(error.contains("`session window`") && error.contains("nothing before it says"), "{error}");
    let error = refused(|workflow| {
        let timed = workflow.source(numbers()).watermarks(time, SECOND);
        timed.keyed_window(|n| *n, time, tens(), Count).with(KeyedState).discard();
    });
    assert!(error.contains("strategy `keyed state` does not tell it how far time has come"), "{error}");
    let error = refused(|workflow| {
        let timed = workflow.source(numbers()).watermarks(time, SECOND);
        let sums = timed.keyed_combine(|n| n % 3, |n| *n, |sum, n| *sum += n).with(PartialKey);
        sums.keyed_window(|sum| sum.0, |sum| sum.1 as Timestamp, tens(), Count).discard();
    });
    assert!(error.contains("does not pass `keyed combine`"), "{error}");
    let error = refused(|workflow| {
        let numbers = workflow.source(numbers()).shared();
        numbers.clone().join(numbers, |n| *n, |n| *n).with(Chained).discard();
    });
    assert!(error.contains("these would never meet"), "{error}");
    let error = refused(|workflow| {
        let timed = workflow.source(numbers()).vertex(Watermarks::ascending(time), RoundRobin);
        timed.keyed_window(|n| *n, time, tens(), Count).discard();
    });
    assert!(error.contains("leave it `Chained`"), "{error}");
}

/// A table that is looked up has no time, and nobody waits for it.
#[test]
fn a_stream_without_time_holds_nobody_up() {
    let (sender, source) = MessageSource::new(64);
    let (_table, never) = MessageSource::new(1);
    let (send, results) = sync_channel(64);
    let workflow = WorkflowBuilder::new();
    let timed = workflow.listen(source).watermarks(|second: &Timestamp| second * 1000, Duration::ZERO);
    let table = workflow.listen(never).named("table");
    let found = timed.lookup(table, |second| *second, |(key, value): (Timestamp, u64)| (key, Some(value)));
    let counts = found.keyed_window(|_| 'k', |(second, _)| second * 1000, tens(), Count);
    counts.map(|count| count.value).send(send);
    let runtime = runtime();
    let deployment = runtime.deploy("fed", workflow.build().expect("a workflow")).expect("deployed");
    for second in [1, 2, 3, 14] {
        sender.send(second).expect("taken");
    }
    assert_eq!(results.recv_timeout(PATIENCE).expect("a result in time"), 3);
    deployment.stop();
    deployment.wait().expect("stopped in order");
}
