//! Files that appear in a directory are read once each, although a worker dies, and until the workflow is stopped.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cluster::node::{Host, PATIENCE};

/// Puts a file there as a whole: `once` in each of its lines, and a word of its own in the last one.
fn put(host: &Host, number: usize) {
    let inbox = host.directory().join("inbox");
    let hidden = inbox.join(format!(".{number}"));
    fs::write(&hidden, format!("{}last{number}\n", "once\n".repeat(1000))).expect("a file");
    fs::rename(&hidden, inbox.join(format!("{number:02}.txt"))).expect("renamed");
}

fn wait_until(done: impl Fn() -> bool, what: impl Fn() -> String) {
    let limit = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < limit, "{}", what());
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

fn counts(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("the counts");
    let mut rows: Vec<_> = text.lines().map(str::to_owned).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn files_that_appear_count_once_although_a_worker_is_killed() {
    let host = Host::new();
    fs::create_dir(host.directory().join("inbox")).expect("a directory");
    put(&host, 0);
    let debug = ["--log-level", "debug"];
    let mut workers = ["w1", "w2"].map(|name| host.worker(name, &debug));
    let command = [
        "master",
        "start",
        "w1@localhost",
        "w2@localhost",
        "--log-level",
        "debug",
        "--checkpoint-interval",
        "100ms",
        "--checkpoint-store",
        "checkpoints",
        "-d",
        "wordcount",
        "--",
        "--input",
        "inbox",
        "--watch",
        "--strategy",
        "keyed",
    ];
    let master = host.start(command.iter().chain(&["--output", "counts.tsv"]));
    master.says_times("A checkpoint is complete", 2);
    (1..20).for_each(|number| put(&host, number));
    master.says_times("A checkpoint is complete", 4);
    workers[1].signal(Signal::KILL);
    workers[1] = host.worker("w2", &debug);
    master.says("Recovered `wordcount`, from checkpoint ");
    (20..40).for_each(|number| put(&host, number));
    let all = || workers.iter().map(|worker| worker.said_times("Read `inbox/")).sum::<usize>();
    // Each worker reads what it finds in alphabetical order, and what was begun before the failure first.
    let last = |number| format!("Read `inbox/{number:02}.txt`");
    let is_read = |number| workers.iter().any(|worker| worker.said_times(&last(number)) > 0);
    wait_until(|| (20..40).all(is_read), || format!("{} files have been read", all()));
    master.signal(Signal::TERM);
    master.ended().expect(0);
    let mut expected: Vec<_> = (0..40).map(|number| format!("last{number}\t1")).collect();
    expected.push("once\t40000".to_owned());
    expected.sort_unstable();
    assert_eq!(counts(&host.directory().join("counts.tsv")), expected);
}
