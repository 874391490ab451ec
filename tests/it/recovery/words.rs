//! The words of a text are counted once each, although a worker dies in the middle, or the master.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rustix::process::{Signal, kill_process};

use super::master::{ask, log, pid, says};
use crate::cluster::node::{Host, Node};

/// Some seconds' work.
const LINES: u64 = 400_000;

/// A line of words, of which there are a few thousand.
fn line(number: u64) -> [String; 6] {
    [7, 61, 499, 1009, 4001, 1].map(|modulus| format!("w{}", number % modulus))
}

fn text(host: &Host) {
    let mut text = String::new();
    for number in 0..LINES {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", line(number).join(" "));
    }
    std::fs::write(host.directory().join("text"), text).expect("a text");
}

fn has_counted(host: &Host) -> bool {
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    (0..LINES).flat_map(line).for_each(|word| *expected.entry(word).or_default() += 1);
    let written = std::fs::read_to_string(host.directory().join("counts.tsv")).expect("the counts");
    let rows = written.lines().map(|row| row.split_once('\t').expect("a word and its count"));
    let counts: BTreeMap<String, u64> =
        rows.map(|(word, count)| (word.to_owned(), count.parse().expect("a number"))).collect();
    written.lines().count() == expected.len() && counts == expected
}

const SAVING: [&str; 6] =
    ["--log-level", "debug", "--checkpoint-interval", "100ms", "--checkpoint-store", "checkpoints"];
const COUNTING: [&str; 9] =
    ["-d", "wordcount", "--", "--input", "text", "--output", "counts.tsv", "--strategy", "keyed"];

fn command(how: &str) -> Vec<&str> {
    ["master", how, "w1@localhost", "w2@localhost"].into_iter().chain(SAVING).chain(COUNTING).collect()
}

#[test]
fn a_worker_is_killed_and_started_again() {
    let host = Host::new();
    text(&host);
    let mut workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
    let master = host.start(command("start"));
    master.says_times("A checkpoint is complete", 2);
    workers[1].signal(Signal::KILL);
    workers[1] = host.worker("w2", &[]);
    let ended = master.ended().expect(0);
    assert!(ended.stderr.contains("Recovered `wordcount`, from checkpoint "), "{}", ended.stderr);
    assert!(has_counted(&host), "{}", ended.stderr);
}

#[test]
fn the_master_is_killed_and_started_again() {
    let host = Host::new();
    text(&host);
    let workers: [Node; 2] = ["w1", "w2"].map(|name| host.worker(name, &["--no-shutdown-with-master"]));
    ask(&host, &command("daemon"));
    says(&host, "A checkpoint is complete", 2);
    kill_process(pid(&host).expect("it runs"), Signal::KILL).expect("it still runs");
    workers.iter().for_each(|worker| drop(worker.says("Waiting for a master")));
    ask(&host, &["master", "restart"]);
    says(&host, "Completed `wordcount`", 1);
    assert!(log(&host).contains("Recovered `wordcount`, from checkpoint "), "{}", log(&host));
    assert!(has_counted(&host), "{}", log(&host));
    for worker in workers {
        worker.signal(Signal::TERM);
        worker.ended().expect(0);
    }
}
