//! Workers that join a master whose workflow runs: it grows, where that changes no result.

use std::collections::BTreeMap;

use rustix::process::Signal;

use super::node::{Host, Node};
use crate::cli::process::Ended;

/// Workers, and a master that prints and counts numbers on them.
fn running(host: &Host, options: &[&str]) -> ([Node; 2], Node) {
    running_with(host, &[], options)
}

/// The same, where a failure is the end.
fn running_once(host: &Host, options: &[&str]) -> ([Node; 2], Node) {
    running_with(host, &["--checkpoint-interval", "off"], options)
}

fn running_with(host: &Host, of_master: &[&str], options: &[&str]) -> ([Node; 2], Node) {
    let workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
    let arguments = ["master", "start", "w1@localhost", "w2@localhost", "-d", "spreads"];
    let master = host.start(arguments.iter().chain(of_master).chain(&["--"]).chain(options));
    master.says("Deploying `spreads`");
    (workers, master)
}

/// A worker that joins the master.
fn join(host: &Host, name: &str) -> Node {
    host.start(["worker", "start", "skitter_master@localhost", "--name", name])
}

/// Each number was printed once, from 0 on, and counted once. Gives how many there were.
fn printed(ended: &[Ended]) -> u64 {
    let (mut numbers, mut counts) = (Vec::new(), BTreeMap::new());
    for line in ended.iter().flat_map(|node| node.stdout.lines()) {
        match line.strip_prefix('(').and_then(|line| line.strip_suffix(')')) {
            Some(pair) => {
                let (key, count) = pair.split_once(", ").expect("a pair");
                let count: u64 = count.parse().expect("a count");
                let highest: &mut u64 = counts.entry(key.parse::<u64>().expect("a key")).or_default();
                *highest = count.max(*highest);
            }
            None => numbers.push(line.parse::<u64>().expect("a number")),
        }
    }
    numbers.sort_unstable();
    let count = numbers.len() as u64;
    assert!(numbers.into_iter().eq(0..count), "numbers are missing, or there twice");
    for (key, highest) in counts {
        assert_eq!(highest, (0..count).filter(|n| n % 7 == key).count() as u64, "key {key}");
    }
    count
}

#[test]
fn a_workflow_grows_onto_workers_that_join() {
    let host = Host::faulty();
    let (workers, master) = running(&host, &[]);
    let joined = ["w3", "w4"].map(|name| join(&host, name));
    for name in ["w3", "w4"] {
        for vertex in ["spread", "again"] {
            master.says(&format!("`{vertex}` grew by 2 workers on `{name}@localhost`"));
        }
    }
    joined.iter().for_each(|node| drop(node.says("has work")));
    master.signal(Signal::INT);
    let master = master.ended().expect(0);
    assert!(master.stderr.contains("Stopped `spreads`: "), "{}", master.stderr);
    let ended: Vec<Ended> = workers.into_iter().chain(joined).map(|node| node.ended().expect(0)).collect();
    let count = printed(&ended);
    assert!(ended[2..].iter().all(|node| !node.stdout.is_empty()), "those who join print, too");
    // What the master counts of those who joined is in its summary.
    let summary = master.stderr.lines().find(|line| line.contains("Stopped")).expect("a summary");
    assert!(summary.contains(&format!("{count} -> {count}")), "{count}: {summary}");
}

/// From workflows that are over before the worker is there to such that end while it takes part.
#[test]
fn a_worker_may_join_when_the_workflow_ends() {
    let mut grown = 0;
    for round in 0..16u64 {
        let host = Host::faulty();
        let count = 20 + round * 25;
        let (workers, master) = running(&host, &["--count", &count.to_string()]);
        let joined = join(&host, "w3");
        let master = master.ended().expect(0);
        assert!(master.stderr.contains("Completed `spreads`: "), "{}", master.stderr);
        grown += usize::from(master.stderr.contains("`spread` grew"));
        joined.signal(Signal::TERM);
        let ended: Vec<Ended> =
            workers.into_iter().map(|node| node.ended().expect(0)).chain([joined.ended().expect(0)]).collect();
        assert_eq!(printed(&ended), count, "{}", master.stderr);
    }
    assert!(grown < 16, "some were over before");
}

#[test]
fn keyed_state_stays_where_it_is() {
    let host = Host::faulty();
    let (workers, master) = running(&host, &["--keyed"]);
    let joined = join(&host, "w3");
    master.says("`spreads` goes on without `w3@localhost`: no strategy of it adds workers");
    master.signal(Signal::INT);
    let master = master.ended().expect(0);
    assert!(!master.stderr.contains("grew"), "{}", master.stderr);
    let ended: Vec<Ended> = workers.into_iter().chain([joined]).map(|node| node.ended().expect(0)).collect();
    printed(&ended);
    assert_eq!(ended[2].stdout, "");
}

#[test]
fn a_worker_that_has_joined_is_missed_as_all_others() {
    let host = Host::faulty();
    let (_workers, master) = running_once(&host, &[]);
    let joined = join(&host, "w3");
    master.says("`again` grew by 2 workers on `w3@localhost`");
    joined.signal(Signal::KILL);
    is_missed(&master.ended().expect(1));
}

/// Whoever sees it first says so: the master, or a worker that is connected to it.
fn is_missed(master: &Ended) {
    let failed = master.stderr.lines().find(|line| line.contains("failed: ")).expect("it says why");
    assert!(failed.contains("`w3@localhost`"), "{failed}");
}

/// It is gone on without, unless it was quick enough to take part; then it is missed.
#[test]
fn a_worker_that_dies_while_it_joins_harms_nobody_or_is_missed() {
    for _ in 0..4 {
        let host = Host::faulty();
        let (workers, master) = running_once(&host, &["--count", "1000"]);
        let joined = join(&host, "w3");
        joined.says("Connected to master: ");
        joined.signal(Signal::KILL);
        let master = master.ended();
        if master.status == Some(1) {
            is_missed(&master);
        } else {
            assert_eq!(master.status, Some(0), "{}", master.stderr);
            assert_eq!(printed(&workers.map(|node| node.ended().expect(0))), 1000);
        }
    }
}
