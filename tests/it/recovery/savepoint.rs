//! A workflow that was stopped, or whose process was killed, goes on later, in another process.

use rustix::process::Signal;

use super::{HELD, go_on, sums, written};
use crate::cli::process::Ended;
use crate::cluster::node::{Host, Node};

const COUNT: u64 = 200_000;

const OF_NODE: [&str; 6] =
    ["--checkpoint-interval", "50ms", "--checkpoint-store", "checkpoints", "--log-level", "debug"];

fn start(host: &Host, before: &[&str], behind: &[&str]) -> Node {
    let count = COUNT.to_string();
    let arguments = ["--", "--output", "sums.tsv", "--pace", "60", "--count", &count];
    host.start(before.iter().chain(&OF_NODE).chain(&arguments).chain(&HELD).chain(behind))
}

fn ask(host: &Host, arguments: &[&str]) -> Ended {
    host.start(arguments).ended()
}

fn is_exact(host: &Host, ended: &Ended) {
    assert!(written(&host.directory().join("sums.tsv")) == sums(COUNT, 1000), "{}", ended.stderr);
}

#[test]
fn it_goes_on_from_the_newest_checkpoint_when_its_process_was_killed() {
    let host = Host::exact();
    let node = start(&host, &["local"], &[]);
    node.says_times("A checkpoint is complete", 3);
    node.signal(Signal::KILL);
    drop(node.ended());
    go_on(&host);
    let ended = start(&host, &["local", "--from", "latest"], &[]).ended().expect(0);
    assert!(ended.stderr.contains("Recovered `exact`, from checkpoint "), "{}", ended.stderr);
    is_exact(&host, &ended);
}

#[test]
fn it_goes_on_from_where_it_was_stopped() {
    for directory in [None, Some("backup")] {
        let host = Host::exact();
        start(&host, &["local", "daemon"], &[]).ended().expect(0);
        let whole = ask(&host, &["savepoint", "1"]).expect(0).stdout;
        assert!(whole.contains("/checkpoints/exact/"), "{whole}");
        let stop = ["stop", "1", "--savepoint"];
        let stopped = ask(&host, &stop.iter().copied().chain(directory).collect::<Vec<_>>()).expect(0).stdout;
        assert!(stopped.contains(&format!("/{}/exact/", directory.unwrap_or("checkpoints"))), "{stopped}");
        assert!(!host.directory().join("sums.tsv").exists());
        go_on(&host);
        let ended = start(&host, &["local", "--from", stopped.trim()], &[]).ended().expect(0);
        is_exact(&host, &ended);
        // A savepoint stays until somebody deletes it.
        let ended = start(&host, &["local", "--from", whole.trim()], &[]).ended().expect(0);
        is_exact(&host, &ended);
    }
}

#[test]
fn what_does_not_fit_is_refused_unless_it_is_to_be_left_behind() {
    let host = Host::exact();
    let node = start(&host, &["local"], &[]);
    node.says_times("A checkpoint is complete", 3);
    node.signal(Signal::KILL);
    drop(node.ended());
    go_on(&host);
    let ring = ["--strategy", "ring"];
    let ended = start(&host, &["local", "--from", "latest"], &ring).ended().expect(1);
    let why = "vertex `keyed reduce` was distributed by `keyed state` and is by `ring`";
    assert!(ended.stderr.contains(why) && ended.stderr.contains("--allow-dropped-state"), "{}", ended.stderr);
    start(&host, &["local", "--from", "latest", "--allow-dropped-state"], &ring).ended().expect(0);
}

#[test]
fn what_is_not_there_is_named() {
    let host = Host::exact();
    let ended = start(&host, &["local", "--from", "latest"], &[]).ended().expect(1);
    assert!(ended.stderr.contains("there is no checkpoint of `exact` in "), "{}", ended.stderr);
    let ended = start(&host, &["local", "--from", "exact/some-run/7"], &[]).ended().expect(1);
    assert!(ended.stderr.contains("cannot go on from `exact/some-run/7`: "), "{}", ended.stderr);
    let ended = start(&host, &["local", "--from", "nonsense"], &[]).ended().expect(1);
    assert!(ended.stderr.contains("it is neither `latest` nor "), "{}", ended.stderr);
}
