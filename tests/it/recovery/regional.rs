//! Two flows that no link joins: one is started anew, and the other goes on.

use rustix::process::Signal;

use super::{HELD, go_on, sums, written};
use crate::cluster::node::{Host, Node};

const COUNT: u64 = 150_000;

fn start(host: &Host, mode: &[&str], options: &[&str]) -> Node {
    let count = COUNT.to_string();
    let store = ["--checkpoint-interval", "50ms", "--checkpoint-store", "checkpoints", "--log-level", "debug"];
    let behind = ["--", "--output", "sums.tsv", "--second", "second.tsv", "--count", &count];
    let pace: &[&str] = if options.contains(&"--pace") { &[] } else { &["--pace", "60"] };
    host.start(mode.iter().chain(&store).chain(&behind).chain(&HELD).chain(pace).chain(options))
}

const LOCAL: &[&str] = &["local"];
const CLUSTER: &[&str] = &["master", "start", "w1@localhost", "w2@localhost", "--recovery-wait", "2"];

/// Panics once, in the first flow, not before [`go_on`].
const PANICS: &[&str] = &["--panic-at", "140000", "--once", "panicked", "--first", "20000"];

/// Both flows have counted each number once, and in order; gives what was said.
fn completes(host: &Host, node: Node) -> String {
    go_on(host);
    let ended = node.ended().expect(0);
    for file in ["sums.tsv", "second.tsv"] {
        assert!(written(&host.directory().join(file)) == sums(COUNT, 1000), "{file}: {}", ended.stderr);
    }
    ended.stderr
}

/// As [`completes`], where what was left to read was dealt out anew: the numbers of a key then come from two sources
/// that are near each other, of whose order nothing can be said.
fn completes_in_any_order(host: &Host, node: Node) -> String {
    go_on(host);
    let ended = node.ended().expect(0);
    let without_order = |row: &String| row.rsplit_once('\t').map(|(sum, _)| sum.to_owned());
    for file in ["sums.tsv", "second.tsv"] {
        let (written, sums) = (written(&host.directory().join(file)), sums(COUNT, 1000));
        assert!(written.iter().map(without_order).eq(sums.iter().map(without_order)), "{file}: {}", ended.stderr);
    }
    ended.stderr
}

/// Counts begin anew with each attempt: who has emitted all that there is has not been started anew.
fn has_gone_on(said: &str) {
    let all = format!("second 0 -> {COUNT}");
    assert!(said.contains(&all) && !said.contains("Recovering `second`"), "{all}: {said}");
    assert!(!said.contains("Recovering `exact`"), "{said}");
}

#[test]
fn who_does_not_depend_on_what_panics_goes_on() {
    for strategy in ["keyed", "partial-key"] {
        let host = Host::exact();
        let node = start(&host, LOCAL, &[PANICS, &["--strategy", strategy]].concat());
        node.says_times("A checkpoint is complete", 3);
        let said = completes(&host, node);
        assert!(said.contains("Recovering `numbers`, ") && said.contains("` of `exact`: vertex `watch`, "), "{said}");
        assert!(said.contains("Recovered `numbers`, ") && said.contains("` of `exact`, from checkpoint "), "{said}");
        has_gone_on(&said);
    }
}

#[test]
fn over_nodes_it_goes_on_too() {
    let host = Host::exact();
    let _workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
    let node = start(&host, CLUSTER, PANICS);
    let said = completes(&host, node);
    assert!(said.contains("Recovered `numbers`, "), "{said}");
    has_gone_on(&said);
}

/// Both flows have workers there, and each is started anew.
#[test]
fn a_node_that_dies_is_missed_by_all_that_are_there() {
    let host = Host::exact();
    let mut workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
    let node = start(&host, CLUSTER, &["--pace", "15"]);
    node.says_times("A checkpoint is complete", 3);
    workers[1].signal(Signal::KILL);
    workers[1] = host.worker("w2", &[]);
    let said = completes(&host, node);
    assert!(said.contains("Recovered `numbers`, ") && said.contains("Recovered `second`, "), "{said}");
    assert!(!said.contains("Recovering `exact`"), "{said}");
}

#[test]
fn where_nobody_comes_back_all_go_on_with_fewer() {
    let host = Host::exact();
    let workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
    let node = start(&host, &[CLUSTER, &["--max-restarts", "2"]].concat(), &["--pace", "15"]);
    node.says_times("A checkpoint is complete", 3);
    workers[1].signal(Signal::KILL);
    let said = completes_in_any_order(&host, node);
    assert!(said.contains("Recovering `exact`: ") && said.contains("Recovered `exact`, from checkpoint "), "{said}");
}

#[test]
fn one_that_panics_again_and_again_is_the_end_of_all() {
    let host = Host::exact();
    let ended = start(&host, LOCAL, &["--panic-at", "90000"]).ended().expect(1);
    assert_eq!(ended.stderr.matches("Recovering `numbers`, ").count(), 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("(after 3 restarts within 60 s; before that: vertex `watch`"), "{}", ended.stderr);
    assert!(!host.directory().join("second.tsv").exists(), "its effects wait for the last checkpoint");
}

#[test]
fn a_stop_reaches_who_is_started_anew() {
    let host = Host::exact();
    let node = start(&host, LOCAL, &[PANICS, &["--pace", "30"]].concat());
    go_on(&host);
    node.says("Recovering `numbers`, ");
    node.signal(Signal::TERM);
    let ended = node.ended().expect(0);
    assert!(ended.stderr.contains("Stopped `exact`: "), "{}", ended.stderr);
}
