//! Operations that go wrong.

use std::process::Stdio;

use rustix::process::Signal;
use tempfile::tempdir;

use super::process::{faulty, log, run, with};

#[test]
fn a_panic_is_told_with_its_place() {
    let directory = tempdir().expect("a directory");
    let ended = run(faulty(directory.path()), ["local", "-d", "panics", "--cores", "2"]).expect(1);
    assert_eq!(ended.stdout, "");
    let (said, _peak) = ended.stderr.rsplit_once("peak memory").expect("it came to its end");
    assert!(said.contains("[error] Workflow `panics` failed: vertex `picky`, worker "), "{said}");
    assert!(said.contains(" on `local`: panicked: no 5000 please\n    not here (at examples/faulty.rs:"), "{said}");
    // Neither what the standard library would print, nor a backtrace.
    assert!(!said.contains("thread '") && !said.contains("RUST_BACKTRACE"), "{said}");

    let mut command = faulty(directory.path());
    command.env("RUST_BACKTRACE", "1");
    let ended = run(command, ["local", "-d", "panics"]).expect(1);
    assert!(ended.stderr.contains("rust_begin_unwind"), "{ended:?}");
}

#[test]
fn a_workflow_that_cannot_be_built_fails() {
    let directory = tempdir().expect("a directory");
    let ended = run(faulty(directory.path()), ["local", "-d", "fails"]).expect(1);
    assert!(ended.stderr.contains("[error] Workflow `fails` failed: ") && ended.stderr.contains("`twin`"), "{ended:?}");
    let ended = run(faulty(directory.path()), ["local", "-d", "panics-early"]).expect(1);
    assert!(ended.stderr.contains("panicked: cannot build this (at examples/faulty.rs:"), "{ended:?}");
    let ended = run(faulty(directory.path()), ["graph", "fails"]).expect(1);
    assert!(ended.stderr.starts_with("error: workflow `fails`: "), "{ended:?}");
}

#[test]
fn an_operation_that_does_not_return_is_named_and_a_second_signal_ends_it() {
    let directory = tempdir().expect("a directory");
    let mut command = faulty(directory.path());
    command.args(["local", "-d", "hangs", "--cores", "2", "--threads", "2"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    with(command, |running| {
        running.wait_for("hanging");
        running.signal(Signal::INT);
        running.wait_for("[info] Stopping on SIGINT; a second signal ends it at once");
        let line = running.wait_for("Still waiting for ");
        let who = "vertex `stubborn`, worker 0 on `local`, whose operation has not returned; another signal";
        assert!(line.contains(who), "{line}");
        running.signal(Signal::TERM);
        assert_eq!(running.wait().code(), Some(128 + 15));
    });
}

#[test]
fn a_burst_of_records_takes_little_memory() {
    let directory = tempdir().expect("a directory");
    let ended = run(faulty(directory.path()), ["local", "-d", "bursts", "--cores", "2"]).expect(0);
    assert_eq!(ended.stdout, "8000000\n");
    let peak = ended.stderr.rsplit("peak memory: ").next().and_then(|rest| rest.split(' ').next());
    let kilobytes: u64 = peak.and_then(|peak| peak.parse().ok()).expect("Linux says it");
    // The records would take 256 MB.
    assert!(kilobytes < 100_000, "{ended:?}");
}

#[test]
fn the_log_of_a_failure_is_in_order() {
    let directory = tempdir().expect("a directory");
    let ended = run(faulty(directory.path()), ["local", "-d", "fails"]).expect(1);
    let (said, _peak) = ended.stderr.rsplit_once("peak memory").expect("it came to its end");
    assert_eq!(log(said).iter().map(|(level, _)| *level).collect::<Vec<_>>(), ["error"]);
}
