//! A workflow in one process goes on after a panic.

use super::{others, sums, written};
use crate::cli::process::Ended;
use crate::cluster::node::Host;

const COUNT: u64 = 150_000;

fn run(host: &Host, interval: &str, options: &[&str]) -> Ended {
    let count = COUNT.to_string();
    let before =
        ["local", "--checkpoint-interval", interval, "--checkpoint-store", "checkpoints", "--log-level", "debug"];
    let behind = ["--", "--output", "sums.tsv", "--pace", "100", "--count", &count];
    host.start(before.iter().chain(&behind).chain(options)).ended()
}

#[test]
fn each_number_counts_once_although_an_operation_panics() {
    for strategy in ["keyed", "combining", "partial-key", "ring"] {
        let host = Host::exact();
        // Late enough that there are checkpoints before.
        let ended = run(&host, "50ms", &["--strategy", strategy, "--panic-at", "140000", "--once", "panicked"]);
        let ended = ended.expect(0);
        assert!(ended.stderr.contains("Recovering `exact`: vertex `watch`, worker "), "{}", ended.stderr);
        assert!(ended.stderr.contains("Recovered `exact`, from checkpoint "), "{}", ended.stderr);
        assert!(written(&host.directory().join("sums.tsv")) == sums(COUNT, 1000), "{strategy}: {}", ended.stderr);
        let left = others(host.directory(), &["sums.tsv", "panicked", "checkpoints", ".skitter.cookie"]);
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
    let ended = run(&host, "50ms", &["--panic-at", "140000"]).expect(1);
    assert_eq!(ended.stderr.matches("Recovering `exact`: ").count(), 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("at 140000, as asked for"), "{}", ended.stderr);
    assert!(ended.stderr.contains("(after 3 restarts within 60 s; before that: vertex `watch`"), "{}", ended.stderr);
    assert!(!host.directory().join("sums.tsv").exists());
    assert!(!files(&host.directory().join("checkpoints")).is_empty(), "somebody may want to go on later");
}

#[test]
fn without_checkpoints_a_panic_is_the_end() {
    let host = Host::exact();
    let ended = run(&host, "off", &["--panic-at", "90000"]).expect(1);
    assert!(!ended.stderr.contains("Recovering"), "{}", ended.stderr);
}

#[test]
fn what_is_wrong_from_the_start_is_not_tried_again() {
    let host = Host::exact();
    let ended = run(&host, "50ms", &["--output", "missing/sums.tsv"]);
    assert_ne!(ended.status, Some(0));
    assert!(!ended.stderr.contains("Recovering"), "{}", ended.stderr);
}

#[test]
fn a_store_that_cannot_be_used_is_named() {
    let host = Host::exact();
    std::fs::write(host.directory().join("checkpoints"), "a file").expect("a file");
    let ended = run(&host, "50ms", &[]);
    // It is only needed when something fails; so the workflow completes, and says what was wrong.
    let ended = ended.expect(0);
    assert!(ended.stderr.contains("checkpoint 1 failed: "), "{}", ended.stderr);
    assert!(written(&host.directory().join("sums.tsv")) == sums(COUNT, 1000), "{}", ended.stderr);
}
