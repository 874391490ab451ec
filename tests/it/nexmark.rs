//! The answers to the questions of Nexmark are those of other engines, wherever they are found.

use std::path::Path;

use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::cluster::node::Host;

/// Each query with the number of its rows, and the first bytes of the sum of these when they are sorted: for 100,000
/// events at a rate of 100.
const ANSWERS: [(&str, usize, &str); 5] = [
    ("q0", 92_000, "314bf10a578bfd62"),
    ("q1", 92_000, "1abdbaeb0738b412"),
    ("q2", 351, "e2977e4136187200"),
    ("q3", 580, "bc2ba8c2d3d65f88"),
    ("q13", 92_000, "681979dcc97dace8"),
];

const EVENTS: &[&str] = &["--events", "100000", "--rate", "100", "--output", "answer.tsv"];

fn answer(directory: &Path) -> (usize, String) {
    let written = std::fs::read_to_string(directory.join("answer.tsv")).expect("an answer");
    let mut rows: Vec<&str> = written.lines().collect();
    rows.sort_unstable();
    let mut hasher = Sha256::new();
    rows.iter().for_each(|row| hasher.update(format!("{row}\n")));
    (rows.len(), hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn in_one_process() {
    let host = Host::new();
    for (query, rows, sum) in ANSWERS {
        for group in ["1", "400"] {
            let question = ["local", "-d", "nexmark", "--", "--query", query, "--out-of-order", group];
            host.start(question.iter().chain(EVENTS)).ended().expect(0);
            assert_eq!(answer(host.directory()), (rows, sum.to_owned()), "{query}, out of order by {group}");
        }
    }
}

#[test]
fn over_two_workers() {
    let host = Host::new();
    for (query, rows, sum) in ANSWERS {
        let _workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
        let question = ["master", "start", "w1@localhost", "w2@localhost", "-d", "nexmark", "--", "--query", query];
        host.start(question.iter().chain(EVENTS)).ended().expect(0);
        assert_eq!(answer(host.directory()), (rows, sum.to_owned()), "{query}");
    }
}

#[test]
fn although_a_worker_is_killed() {
    for (query, rows, sum) in ANSWERS {
        let host = Host::new();
        let mut workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
        let nodes = ["master", "start", "w1@localhost", "w2@localhost", "--log-level", "debug"];
        let store = ["--checkpoint-interval", "50ms", "--checkpoint-store", "checkpoints"];
        let question = ["-d", "nexmark", "--", "--query", query, "--throttle", "20000"];
        let master = host.start(nodes.iter().chain(&store).chain(&question).chain(EVENTS));
        master.says_times("A checkpoint is complete", 2);
        workers[1].signal(Signal::KILL);
        workers[1] = host.worker("w2", &[]);
        let ended = master.ended().expect(0);
        assert!(ended.stderr.contains("Recovered `nexmark`, from checkpoint "), "{}", ended.stderr);
        assert_eq!(answer(host.directory()), (rows, sum.to_owned()), "{query}: {}", ended.stderr);
    }
}
