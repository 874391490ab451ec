//! Workflows over workers give what they give in one process.

use std::collections::BTreeMap;

use super::node::{Host, Node, sorted};
use crate::cli::process::run;
use crate::cli::wordcount::update;

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/workflows/texts/constitution.txt");

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("w{number}")).collect()
}

fn workers(host: &Host, count: usize) -> Vec<Node> {
    names(count).iter().map(|name| host.worker(name, &["--no-shutdown-with-master"])).collect()
}

fn addresses(count: usize) -> Vec<String> {
    names(count).iter().map(|name| format!("{name}@localhost")).collect()
}

fn expected() -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(TEXT).expect("the text");
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_owned()).or_insert(0) += 1;
    }
    counts
}

#[test]
fn words_are_counted_over_any_number_of_workers() {
    let expected = expected();
    for count in [1, 2, 3, 8] {
        let host = Host::new();
        let _workers = workers(&host, count);
        for strategy in ["keyed", "combining", "partial-key"] {
            let file = format!("{strategy}.tsv");
            let addresses = addresses(count);
            let arguments = ["-d", "wordcount", "--", "--input", TEXT, "--output", &file, "--strategy", strategy];
            let arguments: Vec<&str> = addresses.iter().map(String::as_str).chain(arguments).collect();
            let master = host.master(&arguments).expect(0);
            assert!(master.stderr.contains("7670"), "the summary counts the words: {}", master.stderr);
            let written = std::fs::read_to_string(host.directory().join(&file)).expect("the file");
            let rows = written.lines().map(|line| line.split_once('\t').expect("a tab"));
            let counts: BTreeMap<String, u64> =
                rows.map(|(word, count)| (word.to_owned(), count.parse().expect("a number"))).collect();
            assert!(counts == expected, "{strategy}, {count} workers");
            assert_eq!(written.lines().count(), expected.len(), "each word once");
        }
    }
}

/// Runs a bundled workflow in one process and over three, one of which has a tag.
fn alike(workflow: &[&str]) {
    let host = Host::new();
    let local = run(host.command(["local", "-d"].iter().chain(workflow)), [""; 0]).expect(0);
    let (plain, tagged) = (workers(&host, 2), host.worker("w3", &["--tag", "gpu", "--tag", "ssd"]));
    let nodes = ["w1@localhost", "w2@localhost", "w3@localhost", "-d"];
    let master = host.master(&[&nodes[..], workflow].concat()).expect(0);
    assert!(master.stderr.contains("Connected to `w3@localhost`, tags: [gpu, ssd]"), "{}", master.stderr);
    let tagged = tagged.ended().expect(0);
    let mut printed = tagged.stdout;
    for worker in plain {
        worker.signal(rustix::process::Signal::TERM);
        printed += &worker.ended().expect(0).stdout;
    }
    assert_eq!(sorted(&printed), sorted(&local.stdout));
}

#[test]
fn hello_is_said_over_workers() {
    alike(&["hello"]);
}

#[test]
fn nested_workflows_run_over_workers() {
    alike(&["nested"]);
}

#[test]
fn primes_are_found_over_workers() {
    alike(&["primes", "--", "--tag", "gpu"]);
}

#[test]
fn a_tag_that_nobody_has_is_named() {
    let host = Host::new();
    let _workers = workers(&host, 1);
    let master = host.master(&["w1@localhost", "-d", "primes", "--", "--tag", "gpu"]).expect(0);
    assert!(master.stderr.contains("no worker node has the tag `gpu`"), "{}", master.stderr);
}

/// What fails on a worker is told by the master, with the vertex, the worker and the node.
#[test]
fn a_failure_names_its_place() {
    let host = Host::faulty();
    let _workers = workers(&host, 2);
    let master = host.master(&["w1@localhost", "w2@localhost", "-d", "panics"]).expect(1);
    let failed = master.stderr.lines().find(|line| line.contains("failed: ")).expect("it says so").to_owned();
    assert!(failed.contains("vertex `") && failed.contains("@localhost`: panicked: "), "{failed}");
    // The workers live, and serve the next master.
    host.master(&["w1@localhost", "w2@localhost", "-d", "panics"]).expect(1);
}

/// The program is an application of a user's, and so is the strategy.
#[test]
fn a_strategy_of_a_user_runs_over_three_workers() {
    let host = Host::ring();
    let workers = ["w1", "w2", "w3"].map(|name| host.worker(name, &[]));
    host.master(&["w1@localhost", "w2@localhost", "w3@localhost", "--", "--input", TEXT]).expect(0);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for worker in workers {
        let printed = worker.ended().expect(0).stdout;
        assert!(!printed.is_empty(), "each has some of the keys");
        let mut own: BTreeMap<String, u64> = BTreeMap::new();
        for line in printed.lines() {
            let (word, count) = update(line);
            assert!(own.insert(word, count) < Some(count), "{line} is out of order");
        }
        for (word, count) in own {
            assert_eq!(counts.insert(word, count), None, "each key has one worker");
        }
    }
    assert!(counts == expected(), "other counts than one process has");
}
