//! A workflow over nodes goes on after nodes die.

use rustix::process::Signal;

use super::{HELD, go_on, sums, written};
use crate::cluster::node::{Host, Node};

const COUNT: u64 = 400_000;

fn master(host: &Host, options: &[&str], arguments: &[&str]) -> Node {
    paced(host, COUNT, "60", options, arguments)
}

/// So many numbers, with so many a millisecond of each of four workers.
fn paced(host: &Host, count: u64, pace: &str, options: &[&str], arguments: &[&str]) -> Node {
    let count = count.to_string();
    let before = ["master", "start", "w1@localhost", "w2@localhost", "--log-level", "debug"];
    let store = ["--checkpoint-interval", "100ms", "--checkpoint-store", "checkpoints"];
    let behind = ["--", "--output", "sums.tsv", "--pace", pace, "--count", &count];
    host.start(before.iter().chain(&store).chain(options).chain(&behind).chain(&HELD).chain(arguments))
}

fn completes(host: &Host, master: Node) {
    completes_with(COUNT, 1000, host, master);
}

fn completes_with(count: u64, keys: u64, host: &Host, master: Node) {
    go_on(host);
    let ended = master.ended().expect(0);
    assert!(written(&host.directory().join("sums.tsv")) == sums(count, keys), "{}", ended.stderr);
}

#[test]
fn each_number_counts_once_although_a_worker_is_killed_and_started_again() {
    for (strategy, victim) in [("keyed", 0), ("combining", 1), ("partial-key", 0), ("ring", 1)] {
        survives(&["--strategy", strategy], (COUNT, 1000), victim);
    }
}

#[cfg(feature = "disk")]
#[test]
fn states_on_disk_outlive_their_worker() {
    // More keys than are in memory; and fewer numbers, for each of which another one has to be written to disk. So few
    // of a key that it had better have them of one source: those of two are in order only if they are far apart.
    survives(&["--strategy", "disk", "--input", "iterator"], (100_000, 8000), 0);
}

/// A worker is killed in the middle, and started again.
fn survives(arguments: &[&str], (count, keys): (u64, u64), victim: usize) {
    let host = Host::exact();
    let mut workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
    let master = paced(&host, count, "60", &[], &[arguments, &["--keys", &keys.to_string()]].concat());
    master.says_times("A checkpoint is complete", 3);
    workers[victim].signal(Signal::KILL);
    workers[victim] = host.worker(["w1", "w2"][victim], &[]);
    master.says("Recovered `exact`, from checkpoint ");
    completes_with(count, keys, &host, master);
}

/// What the README promises of sources, over nodes that die.
#[test]
fn each_source_keeps_its_promise() {
    for input in ["iterator", "numbers.txt"] {
        let host = Host::exact();
        let numbers: String = (0..COUNT).map(|number| format!("{number}\n")).collect();
        std::fs::write(host.directory().join("numbers.txt"), numbers).expect("a file");
        let mut workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
        // Lines of a file are dealt in parts, so numbers of a key are in order in each of them only.
        let master = master(&host, &[], &["--input", input, "--strategy", "combining"]);
        master.says_times("A checkpoint is complete", 3);
        workers[0].signal(Signal::KILL);
        workers[0] = host.worker("w1", &[]);
        master.says("Recovered `exact`, from checkpoint ");
        completes(&host, master);
    }
}

#[test]
fn it_goes_on_with_fewer_workers_when_nobody_comes_back() {
    let host = Host::exact();
    let (_first, second) = (host.worker("w1", &[]), host.worker("w2", &[]));
    let master = master(&host, &["--recovery-wait", "0.2"], &[]);
    master.says_times("A checkpoint is complete", 3);
    second.signal(Signal::KILL);
    master.says("Recovered `exact`, from checkpoint ");
    completes(&host, master);
}

/// A ring cannot hand on what its workers have kept to another number of them.
#[test]
fn a_strategy_that_cannot_be_rescaled_says_so() {
    let host = Host::exact();
    let (_first, second) = (host.worker("w1", &[]), host.worker("w2", &[]));
    let master = master(&host, &["--recovery-wait", "0.1"], &["--strategy", "ring"]);
    master.says_times("A checkpoint is complete", 3);
    second.signal(Signal::KILL);
    let ended = master.ended().expect(1);
    let why = "vertex `keyed reduce` had 2 workers and has 1: its strategy cannot hand on what each has kept";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
}

/// It is killed again and again, each time after a checkpoint of its own.
#[test]
fn many_deaths_change_nothing() {
    let host = Host::exact();
    let mut workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
    let master = paced(&host, COUNT, "20", &["--max-restarts", "20"], &[]);
    for round in 0..6 {
        master.says_times("A checkpoint is complete", 2 * (round + 1));
        let victim = round % 2;
        workers[victim].signal(Signal::KILL);
        workers[victim] = host.worker(["w1", "w2"][victim], &[]);
        master.says_times("Recovered `exact`, from checkpoint ", round + 1);
    }
    completes(&host, master);
}

/// A worker that was frozen wakes when others have gone on without it: it writes to nothing that counts.
#[test]
fn a_zombie_changes_nothing() {
    let host = Host::exact();
    // The file is written by the first one.
    let (first, _second) = (host.worker("w1", &[]), host.worker("w2", &[]));
    let master = master(&host, &["--recovery-wait", "0.1"], &[]);
    master.says_times("A checkpoint is complete", 3);
    first.signal(Signal::STOP);
    master.says("Recovered `exact`, from checkpoint ");
    first.signal(Signal::CONT);
    completes(&host, master);
    first.ended().expect(4);
}
