//! Workers that die while a workflow runs: whoever has deployed them starts them again.

use rustix::process::Signal;

use super::Site;
use crate::cluster::{expected, text};
use crate::program::Program;

/// How often the text is repeated: some seconds' work.
const TIMES: usize = 400;

/// Numbers that one host sums in half a minute: longer than ssh takes to give up the other one.
const COUNT: &str = "600000";

impl Site {
    fn on(&self, host: &str, order: &str) -> String {
        self.cluster.bed.start(host, &["sh", "-c", order]).ended().with(0).stdout
    }

    /// Kills the worker on a host.
    fn kill_worker(&self, host: &str) {
        self.on(host, "kill -9 $(cat /tmp/.local/state/skitter/worker-*/pid)");
    }
}

/// Tells a deployer to end, and waits until it has.
fn end(deploy: Program) {
    deploy.signal(Signal::TERM);
    deploy.ended().with(0);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_worker_that_is_killed_is_started_again_and_each_word_counts_once() {
    let mut site = Site::new(3);
    site.cluster.put("text", &text(TIMES));
    let saving = ["--checkpoint-interval", "200ms", "--log-level", "debug", "host-b", "host-c"];
    let count = ["-d", "wordcount", "--", "--input", "/tmp/text", "--output", "/tmp/counts.tsv", "--strategy", "keyed"];
    let deploy = site.deploy(&[&saving[..], &count].concat());
    deploy.wait_for_times("A checkpoint is complete", 2);
    site.kill_worker("host-c");
    deploy.wait_for("Worker `skitter_worker@host-c` has died, process ");
    deploy.wait_for("Started worker `skitter_worker@host-c` again, process ");
    // Not one of the two that are there.
    deploy.wait_for_times("Connected to `skitter_worker@host-c`", 2);
    deploy.wait_for("Recovered `wordcount`, from checkpoint ");
    let shows = "! grep -s 'a secret[ ]of this test' /proc/[0-9]*/cmdline";
    site.on("host-c", shows);
    let ended = deploy.ended().with(0);
    assert!(ended.stdout.contains("host-c | "), "what it writes comes here: {}", ended.stdout);
    let lives = ended.stdout.lines().filter(|line| line.starts_with("host-c | ") && line.contains("started in worker"));
    assert_eq!(lives.count(), 2, "{}", ended.stdout);
    assert_eq!(site.cluster.counts(), Some(expected(TIMES)));
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_that_does_not_answer_is_said_and_the_rest_goes_on() {
    let mut site = Site::exact(3);
    let saving = ["--checkpoint-interval", "500ms", "--recovery-wait", "0.5", "--log-level", "debug"];
    let count = ["host-b", "host-c", "--", "--output", "/tmp/sums.tsv", "--pace", "10", "--count", COUNT];
    let deploy = site.deploy(&[&saving[..], &count].concat());
    deploy.wait_for_times("A checkpoint is complete", 2);
    // Its sums are not written there: that is done by the first worker.
    site.cluster.bed.order(&["kill", "host-c"]);
    deploy.wait_for("Recovered `exact`, from checkpoint ");
    deploy.wait_for("Worker `skitter_worker@host-c` is not started again: nothing can be done on its host: ");
    let ended = deploy.ended().with(0);
    assert!(!ended.stderr.contains("has died"), "{}", ended.stderr);
    site.cluster.is_exact(COUNT.parse().expect("a number"));
    site.cluster.bed.order(&["boot", "host-c"]);
    site.serve("host-c");
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_worker_that_was_stopped_or_dies_too_often_is_not_started_again() {
    let site = Site::new(3);
    let deploy = site.deploy(&["--no-deploy", "--max-restarts", "1", "host-b", "host-c"]);
    deploy.wait_for("Connected to `skitter_worker@host-c`");
    site.on("host-b", "HOME=/tmp /tmp/release/bin/skitter worker stop");
    deploy.wait_for("Worker `skitter_worker@host-b` is not started again: it was told to stop");
    site.kill_worker("host-c");
    deploy.wait_for_times("Connected to `skitter_worker@host-c`", 2);
    site.kill_worker("host-c");
    deploy.wait_for("Worker `skitter_worker@host-c` is not started again: that is done 1 times within 60 s at most");
    end(deploy);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn workers_that_stay_are_started_again_and_stay() {
    let site = Site::new(2);
    let deploy = site.deploy(&["--no-deploy", "--no-shutdown-with-master", "host-b"]);
    deploy.wait_for("Connected to `skitter_worker@host-b`");
    site.kill_worker("host-b");
    deploy.wait_for_times("Connected to `skitter_worker@host-b`", 2);
    end(deploy);
    let said = site.deploy(&["--no-shutdown-with-master", "host-b"]).ended().with(0).stdout;
    assert!(said.contains("runs already: unchanged"), "{said}");
    site.deploy(&["--stop", "host-b"]).ended().with(0);
    site.leaves_nothing();
}

/// It ends because its master is silent; ssh bears that for longer.
#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_worker_that_was_cut_off_is_started_again_when_the_cable_heals() {
    let site = Site::new(2);
    let deploy = site.deploy(&["--no-deploy", "host-b"]);
    deploy.wait_for("Connected to `skitter_worker@host-b`");
    site.cluster.bed.order(&["cut", "host-a", "host-b"]);
    deploy.wait_for("Worker `skitter_worker@host-b` disconnected");
    site.cluster.bed.order(&["heal", "host-a", "host-b"]);
    deploy.wait_for("Started worker `skitter_worker@host-b` again, process ");
    deploy.wait_for_times("Connected to `skitter_worker@host-b`", 2);
    end(deploy);
    site.leaves_nothing();
}
