//! The answers to the questions of Nexmark are those of other engines, wherever they are found.

use std::path::Path;

use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::cluster::node::Host;

/// Each query with the number of its rows, and the first bytes of the sum of these when they are sorted: for 100,000
/// events at a rate of 100, and for 1,000,000 at 1000.
const ANSWERS: [(&str, Sum, Sum); 12] = [
    ("q0", (92_000, "314bf10a578bfd62"), (920_000, "09cd9f8657525984")),
    ("q1", (92_000, "1abdbaeb0738b412"), (920_000, "9c68a00f761e56af")),
    ("q2", (351, "e2977e4136187200"), (8308, "17a827d952bf0e78")),
    ("q3", (580, "bc2ba8c2d3d65f88"), (5589, "d0b38f7e9fbfd446")),
    ("q4", (5, "faaf94202ab038d1"), (5, "5e6271ad84fe1b65")),
    ("q5", (613, "6ed5f075b462e5df"), (575, "e8e182a636873347")),
    ("q6", (877, "23d6ce6d10223add"), (10_454, "2db7ec37cc22f707")),
    ("q7", (100, "6126e5f231b7855e"), (100, "4c1749ca43dbbe59")),
    ("q8", (92, "bc80285745df0143"), (1816, "7f9e68e29283176c")),
    ("q11", (15_529, "0e3de5dc517337d3"), (37_964, "1b6bbbb46aadd69c")),
    ("q12", (1919, "7333203a567f9a30"), (19_922, "9429dbbefd97858b")),
    ("q13", (92_000, "681979dcc97dace8"), (920_000, "da66f65edb12b077")),
];

type Sum = (usize, &'static str);

/// How much is asked, with how many events out of order, and how many a second where it is to take its time.
struct Size {
    answer: fn(&(&'static str, Sum, Sum)) -> Sum,
    events: [&'static str; 4],
    group: &'static str,
    throttle: &'static str,
}

const SMALL: Size = Size {
    answer: |(_, small, _)| *small,
    events: ["--events", "100000", "--rate", "100"],
    group: "400",
    throttle: "20000",
};

const LARGE: Size = Size {
    answer: |(_, _, large)| *large,
    events: ["--events", "1000000", "--rate", "1000"],
    group: "1000",
    throttle: "200000",
};

/// What is asked behind the options of a node.
fn question(query: &'static str, size: &Size, group: &'static str) -> Vec<&'static str> {
    let asked = ["-d", "nexmark", "--", "--query", query, "--output", "answer.tsv", "--out-of-order", group];
    asked.into_iter().chain(size.events).collect()
}

fn answer(directory: &Path) -> (usize, String) {
    let written = std::fs::read_to_string(directory.join("answer.tsv")).expect("an answer");
    let mut rows: Vec<&str> = written.lines().collect();
    rows.sort_unstable();
    let mut hasher = Sha256::new();
    rows.iter().for_each(|row| hasher.update(format!("{row}\n")));
    (rows.len(), hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

fn check(host: &Host, query: &str, size: &Size, what: &str) {
    let of_query = ANSWERS.iter().find(|(name, ..)| *name == query).expect("a query");
    let (rows, sum) = (size.answer)(of_query);
    assert_eq!(answer(host.directory()), (rows, sum.to_owned()), "{query}: {what}");
}

fn in_one_process(size: &Size, groups: &[&'static str]) {
    let host = Host::new();
    for (query, ..) in ANSWERS {
        for group in groups {
            host.start(["local"].into_iter().chain(question(query, size, group))).ended().expect(0);
            check(&host, query, size, &format!("out of order by {group}"));
        }
    }
}

const NODES: [&str; 4] = ["master", "start", "w1@localhost", "w2@localhost"];

fn over_two_workers(size: &Size, groups: &[&'static str]) {
    let host = Host::new();
    for (query, ..) in ANSWERS {
        for group in groups {
            let _workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
            host.start(NODES.into_iter().chain(question(query, size, group))).ended().expect(0);
            check(&host, query, size, &format!("out of order by {group}"));
        }
    }
}

fn although_a_worker_is_killed(size: &Size) {
    for (query, ..) in ANSWERS {
        let host = Host::new();
        let mut workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
        let store = ["--checkpoint-interval", "50ms", "--checkpoint-store", "checkpoints", "--log-level", "debug"];
        let asked = question(query, size, size.group);
        let throttle = ["--throttle", size.throttle];
        let master = host.start(NODES.into_iter().chain(store).chain(asked).chain(throttle));
        master.says_times("A checkpoint is complete", 2);
        workers[1].signal(Signal::KILL);
        workers[1] = host.worker("w2", &[]);
        let ended = master.ended().expect(0);
        assert!(ended.stderr.contains("Recovered `nexmark`, from checkpoint "), "{}", ended.stderr);
        check(&host, query, size, &ended.stderr);
    }
}

#[test]
fn in_one_process_of_a_few_events() {
    in_one_process(&SMALL, &["1", SMALL.group]);
}

#[test]
fn in_one_process_of_many_events() {
    in_one_process(&LARGE, &["1"]);
}

#[test]
fn over_two_workers_of_a_few_events() {
    over_two_workers(&SMALL, &["1", SMALL.group]);
}

#[test]
fn over_two_workers_of_many_events() {
    over_two_workers(&LARGE, &[LARGE.group]);
}

#[test]
fn although_a_worker_is_killed_of_a_few_events() {
    although_a_worker_is_killed(&SMALL);
}

#[test]
fn although_a_worker_is_killed_of_many_events() {
    although_a_worker_is_killed(&LARGE);
}
