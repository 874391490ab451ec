//! Records that user code fails on, where that is not the end of their deployment.

use std::collections::BTreeMap;
use std::path::Path;

use skitter::operations::Collected;
use skitter::prelude::*;
use skitter::runtime::{DeadLetter, OnError, Runtime, Settings, Summary};
use skitter::workflow::Error;

use crate::cluster::node::Host;
use crate::support::run;

fn runtime(on_error: OnError, directory: Option<&Path>) -> Runtime {
    let dead_letters = directory.map(Path::to_owned);
    Runtime::with(Settings { cores: 3, threads: 2, on_error, dead_letters, ..Settings::default() }).expect("a runtime")
}

/// All letters below a directory.
fn letters(directory: &Path) -> Vec<DeadLetter> {
    let mut all = Vec::new();
    for workflow in std::fs::read_dir(directory).expect("a directory") {
        for file in std::fs::read_dir(workflow.expect("readable").path()).expect("a directory") {
            let text = std::fs::read_to_string(file.expect("readable").path()).expect("text");
            all.extend(text.lines().map(|line| serde_json::from_str::<DeadLetter>(line).expect("a letter")));
        }
    }
    all
}

fn failed(summary: &Summary, vertex: &str) -> u64 {
    summary.vertex(vertex).expect("it is there").failed
}

/// One of four lines is no number.
fn lines() -> impl Iterator<Item = String> {
    (0..1000).map(|n| if n % 4 == 0 { format!("no {n}") } else { n.to_string() })
}

fn read(line: &str) -> u64 {
    line.parse().unwrap_or_else(|_| panic!("`{line}` is no number"))
}

/// In the worker of the source, in front of keyed state, and behind a fork.
fn parses(runtime: &Runtime) -> (Summary, Vec<u64>, Vec<u64>) {
    let (sums, twins) = (Collected::new(), Collected::new());
    let workflow = WorkflowBuilder::new();
    let numbers = workflow.source(StreamSource::new(lines)).map(|line: String| read(&line)).named("parse").shared();
    numbers
        .clone()
        .keyed_reduce(
            |n| n % 2,
            0u64,
            |sum, n| {
                *sum += n;
                *sum
            },
        )
        .named("sum")
        .collect(&sums);
    numbers.map(|n| if n == 501 { panic!("not {n}") } else { n }).named("twin").collect(&twins);
    let summary = run(runtime, workflow).expect("it completes");
    (summary, sums.take(), twins.take())
}

#[test]
fn records_that_fail_are_skipped() {
    let (summary, sums, twins) = parses(&runtime(OnError::Skip, None));
    assert_eq!((failed(&summary, "parse"), failed(&summary, "sum"), failed(&summary, "twin")), (250, 0, 1));
    let parse = summary.vertex("parse").expect("it is there");
    assert_eq!((parse.received(), parse.emitted()), (1000, 750));
    assert_eq!(summary.vertex("twin").expect("it is there").received(), 750);
    assert_eq!(twins.len(), 749);
    assert_eq!(sums.iter().max(), Some(&(0..1000).filter(|n| n % 2 == 1).sum()), "all odd ones count");
    assert!(summary.to_string().contains("parse 1000 -> 750 (250 failed)"), "{summary}");
}

#[test]
fn records_that_fail_are_kept_with_their_cause() {
    let directory = tempfile::tempdir().expect("a directory");
    parses(&runtime(OnError::DeadLetter, Some(directory.path())));
    let mut letters = letters(directory.path());
    assert_eq!(letters.len(), 251);
    let twin = letters.iter().position(|letter| letter.vertex == "twin").expect("one of them");
    let twin = letters.remove(twin);
    assert_eq!((twin.record, twin.r#type.as_str()), (Some(501.into()), "u64"));
    assert!(twin.cause.starts_with("panicked: not 501"), "{}", twin.cause);
    let lines: Vec<_> = letters.iter().map(|letter| letter.record.clone().expect("a line")).collect();
    let expected: Vec<_> = (0..1000).step_by(4).map(|n| serde_json::Value::from(format!("no {n}"))).collect();
    assert!(expected.iter().all(|line| lines.contains(line)), "{lines:?}");
}

/// What only the strategy of a vertex with workers of its own knows: its messages, and who gets a record.
#[test]
fn messages_and_keys_may_fail() {
    let directory = tempfile::tempdir().expect("a directory");
    let counts = Collected::new();
    let workflow = WorkflowBuilder::new();
    #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
    struct Order {
        id: u64,
        price: f64,
    }
    let orders = workflow.source(StreamSource::new(|| 0..100u64)).map(|id| Order { id, price: id as f64 / 2.0 });
    let key = |order: &Order| if order.id == 7 { panic!("nobody's") } else { order.id % 10 };
    let count = |count: &mut u64, order: Order| {
        assert!(order.id != 42, "not that one");
        *count += 1;
        (order.id % 10, *count)
    };
    orders.keyed_reduce(key, 0u64, count).named("count").collect(&counts);
    let summary = run(&runtime(OnError::DeadLetter, Some(directory.path())), workflow).expect("it completes");
    assert_eq!(failed(&summary, "count"), 2);
    assert_eq!(summary.vertex("count").expect("it is there").workers.len(), 3, "senders are not among its workers");
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for (key, count) in counts.take() {
        let most = last.entry(key).or_default();
        *most = count.max(*most);
    }
    assert_eq!(last.values().sum::<u64>(), 98);
    let mut letters = letters(directory.path());
    letters.sort_by_key(|letter| letter.record.is_none());
    // A message travels, so it can be written; nobody knows how to write what has not been sent.
    assert_eq!(letters[0].record, Some(serde_json::json!({"id": 42, "price": 21.0})));
    assert!(letters[0].cause.contains("not that one"), "{}", letters[0].cause);
    assert_eq!(letters[1].record, None);
    assert!(letters[1].r#type.ends_with("Order") && letters[1].cause.contains("nobody's"), "{:?}", letters[1]);
}

#[test]
fn what_is_not_the_fault_of_a_record_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("a file");
    // There is no place for letters.
    let workflow = WorkflowBuilder::new();
    workflow.source(StreamSource::new(lines)).map(|line: String| read(&line)).discard();
    let failed = run(&runtime(OnError::DeadLetter, Some(&file)), workflow).expect_err("it fails").to_string();
    assert!(failed.contains("a dead letter cannot be written to `"), "{failed}");
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    drop(receiver);
    let workflow = WorkflowBuilder::new();
    workflow.source(StreamSource::new(|| 0..10u64)).send(sender);
    let failed = run(&runtime(OnError::Skip, None), workflow).expect_err("it fails");
    assert!(matches!(&failed, Error::Failed { cause, .. } if matches!(**cause, Error::Outside(_))), "{failed:?}");
    let workflow = WorkflowBuilder::new();
    workflow.source(StreamSource::new(|| 0..10u64)).discard();
    let refused = runtime(OnError::DeadLetter, None).deploy("x", workflow.build().expect("valid"));
    assert!(refused.expect_err("no directory").to_string().contains("--dead-letters"));
}

#[test]
fn workers_keep_what_fails_there() {
    let host = Host::faulty();
    let _workers = ["w1", "w2"].map(|name| host.worker(name, &["--dead-letters", "letters"]));
    let options = ["w1@localhost", "w2@localhost", "-d", "panics", "--on-error", "dead-letter"];
    let master = host.master(&options).expect(0);
    assert!(master.stderr.contains("picky 10000 -> 9999 (1 failed)"), "{}", master.stderr);
    let letters = letters(&host.directory().join("letters"));
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].vertex.as_str(), &letters[0].record), ("picky", &Some(5000.into())));
}

#[test]
fn what_cannot_be_written_is_not_in_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows.tsv");
    let workflow = WorkflowBuilder::new();
    let rows = workflow.source(StreamSource::new(|| 0..100u64));
    // A tab has no place in a raw field.
    let rows = rows.map(|n| (n, if n % 10 == 0 { "a\tb" } else { "ab" }.to_owned()));
    rows.write_raw_tsv(&path).named("write");
    let summary = run(&runtime(OnError::Skip, None), workflow).expect("it completes");
    assert_eq!(failed(&summary, "write"), 10);
    assert_eq!(std::fs::read_to_string(&path).expect("the file").lines().count(), 90);
}
