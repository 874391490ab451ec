//! Nodes that go away where no checkpoints are taken: those that depend on them say so, and end as they were told.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::node::{Host, Node};

/// A master that runs a workflow without an end on two workers.
fn running(host: &Host, options: &[&str]) -> Node {
    let arguments =
        ["master", "start", "w1@localhost", "w2@localhost", "-d", "everywhere", "--checkpoint-interval", "off"];
    let master = host.start(arguments.iter().chain(options));
    master.says("Deploying `everywhere`");
    master
}

#[test]
fn a_worker_that_dies_fails_the_deployment() {
    let host = Host::faulty();
    let (first, second) = (host.worker("w1", &[]), host.worker("w2", &[]));
    let master = running(&host, &[]);
    second.signal(Signal::KILL);
    let killed = Instant::now();
    master.says("Worker `w2@localhost` disconnected");
    assert!(killed.elapsed() < Duration::from_secs(2), "a reset is seen at once");
    let master = master.ended().expect(1);
    assert!(
        master.stderr.contains("Workflow `everywhere` failed: worker `w2@localhost` disconnected: "),
        "{}",
        master.stderr
    );
    // It ends with its master, which has ended in order.
    first.ended().expect(0);
}

#[test]
fn a_master_can_stop_with_its_workers() {
    let host = Host::faulty();
    let (_first, second) = (host.worker("w1", &[]), host.worker("w2", &[]));
    let master = running(&host, &["--shutdown-with-workers"]);
    second.signal(Signal::KILL);
    master.ended().expect(4);
}

#[test]
fn a_worker_that_is_stopped_says_goodbye() {
    let host = Host::faulty();
    let (_first, second) = (host.worker("w1", &[]), host.worker("w2", &[]));
    let master = running(&host, &[]);
    second.signal(Signal::TERM);
    second.ended().expect(0);
    let master = master.ended().expect(1);
    assert!(master.stderr.contains("worker `w2@localhost` disconnected: it was stopped"), "{}", master.stderr);
}

#[test]
fn workers_end_with_a_master_that_dies_unless_told_to_stay() {
    let host = Host::faulty();
    let (first, second) = (host.worker("w1", &[]), host.worker("w2", &["--no-shutdown-with-master"]));
    let master = running(&host, &[]);
    master.signal(Signal::KILL);
    first.says("Master `skitter_master@localhost` disconnected");
    let first = first.ended().expect(4);
    assert!(first.stderr.contains("Lost connection to master, shutting down..."), "{}", first.stderr);
    second.says("Waiting for a master");
    // It serves the next one.
    let _first = host.worker("w1", &[]);
    let next = running(&host, &[]);
    next.signal(Signal::INT);
    let next = next.ended().expect(0);
    assert!(next.stderr.contains("Stopped `everywhere`: "), "{}", next.stderr);
}

#[test]
fn a_signal_stops_a_deployment_in_order() {
    let host = Host::faulty();
    let workers = [host.worker("w1", &[]), host.worker("w2", &[])];
    let master = running(&host, &[]);
    master.signal(Signal::TERM);
    let master = master.ended().expect(0);
    assert!(master.stderr.contains("Stopped `everywhere`: "), "{}", master.stderr);
    let printed: usize = workers.into_iter().map(|worker| worker.ended().expect(0).stdout.lines().count()).sum();
    // What the sources have emitted has been printed: nothing was lost on the way.
    let emitted = master.stderr.split("-> ").nth(1).and_then(|rest| rest.split([',', ' ']).next()).expect("a count");
    assert_eq!(emitted.parse(), Ok(printed), "{}", master.stderr);
}

/// A pause is not a death; silence for longer than three seconds is.
#[test]
fn a_frozen_worker_is_declared_down_and_refused_when_it_wakes() {
    let host = Host::faulty();
    let (_first, second) = (host.worker("w1", &[]), host.worker("w2", &[]));
    let master = running(&host, &[]);
    second.signal(Signal::STOP);
    master.does_not_say("disconnected", Duration::from_secs(1));
    second.signal(Signal::CONT);
    master.does_not_say("disconnected", Duration::from_secs(4));

    second.signal(Signal::STOP);
    let frozen = Instant::now();
    master.says("Worker `w2@localhost` disconnected");
    let seen = frozen.elapsed();
    assert!(seen > Duration::from_secs(2) && seen < Duration::from_secs(5), "{seen:?}");
    let master = master.ended().expect(1);
    assert!(master.stderr.contains("nothing was heard of it for 3"), "{}", master.stderr);
    second.signal(Signal::CONT);
    second.ended().expect(4);
}
