//! A workflow in one process goes on after a panic.

use super::{HELD, go_on, others, sums, written};
use crate::cli::process::Ended;
use crate::cluster::node::{Host, Node};

const COUNT: u64 = 150_000;

fn start(host: &Host, interval: &str, options: &[&str]) -> Node {
    let count = COUNT.to_string();
    let before =
        ["local", "--checkpoint-interval", interval, "--checkpoint-store", "checkpoints", "--log-level", "debug"];
    let behind = ["--", "--output", "sums.tsv", "--pace", "100", "--count", &count];
    host.start(before.iter().chain(&behind).chain(options))
}

/// One that panics, with a checkpoint before the number at which it does.
fn panics(host: &Host, options: &[&str]) -> Ended {
    let node = start(host, "50ms", &[options, &HELD, &["--first", "50000", "--panic-at", "140000"]].concat());
    node.says("A checkpoint is complete");
    go_on(host);
    node.ended()
}

#[test]
fn each_number_counts_once_although_an_operation_panics() {
    for strategy in ["keyed", "combining", "partial-key", "ring"] {
        let host = Host::exact();
        let ended = panics(&host, &["--strategy", strategy, "--once", "panicked"]);
        let ended = ended.expect(0);
        assert!(ended.stderr.contains("Recovering `exact`: vertex `watch`, worker "), "{}", ended.stderr);
        assert!(ended.stderr.contains("Recovered `exact`, from checkpoint "), "{}", ended.stderr);
        assert!(written(&host.directory().join("sums.tsv")) == sums(COUNT, 1000), "{strategy}: {}", ended.stderr);
        let left = others(host.directory(), &["sums.tsv", "panicked", "checkpoints", ".skitter.cookie", "go"]);
        assert!(left.is_empty(), "{left:?}");
        assert!(files(&host.directory().join("checkpoints")).is_empty(), "checkpoints that nobody needs are deleted");
    }
}

fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn one_that_panics_again_and_again_fails_with_its_history() {
    let host = Host::exact();
    let ended = panics(&host, &[]).expect(1);
    assert_eq!(ended.stderr.matches("Recovering `exact`: ").count(), 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("at 140000, as asked for"), "{}", ended.stderr);
    assert!(ended.stderr.contains("(after 3 restarts within 60 s; before that: vertex `watch`"), "{}", ended.stderr);
    assert!(!host.directory().join("sums.tsv").exists());
    assert!(!files(&host.directory().join("checkpoints")).is_empty(), "somebody may want to go on later");
}

#[test]
fn without_checkpoints_a_panic_is_the_end() {
    let host = Host::exact();
    let ended = start(&host, "off", &["--panic-at", "90000"]).ended().expect(1);
    assert!(!ended.stderr.contains("Recovering"), "{}", ended.stderr);
}

#[test]
fn what_is_wrong_from_the_start_is_not_tried_again() {
    let host = Host::exact();
    let ended = start(&host, "50ms", &["--output", "missing/sums.tsv"]).ended();
    assert_ne!(ended.status, Some(0));
    assert!(!ended.stderr.contains("Recovering"), "{}", ended.stderr);
}

#[test]
fn a_store_that_cannot_be_used_is_named() {
    let host = Host::exact();
    std::fs::write(host.directory().join("checkpoints"), "a file").expect("a file");
    let ended = start(&host, "50ms", &[]).ended();
    // It is only needed when something fails; so the workflow completes, and says what was wrong.
    let ended = ended.expect(0);
    assert!(ended.stderr.contains("checkpoint 1 failed: "), "{}", ended.stderr);
    assert!(written(&host.directory().join("sums.tsv")) == sums(COUNT, 1000), "{}", ended.stderr);
}
