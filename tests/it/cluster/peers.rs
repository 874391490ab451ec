//! Peers that know the cookie and are bad nevertheless: one that stops reading, one that gives no credit, one whose
//! batches claim to be larger than memory, and one that builds another workflow. Nobody's memory grows by them, control
//! is as quick as ever, and other links go on.

use std::time::Duration;

use rustix::process::Signal;

use super::node::{Host, Node};

/// What a node may have more than before it had a deployment: threads, buffers, batches within their credit; in KB.
/// What is kept from a bad peer is three times as much.
const MORE: u64 = 40 * 1024;

/// Longer than a node may be silent.
const STALLED: Duration = Duration::from_secs(4);

/// The flood: 320 MB, a third of it to each node.
const FLOOD: &str = "40000";

/// A node that says so when the trickle goes on.
const TRICKLE: &str = "The trickle goes on";

/// A good worker, a bad one and another good one, in this order, so that the sources are on the first.
struct Scene {
    good: Node,
    bad: Node,
    other: Node,
    master: Node,
    before: u64,
}

impl Scene {
    fn start(host: &Host, fault: &str, arguments: &[&str]) -> Scene {
        let good = host.worker("w1", &[]);
        let bad = host.start(["bad-worker", fault, "w2"]);
        bad.says("Reachable at `w2@localhost`");
        let other = host.worker("w3", &["--tag", "apart"]);
        let before = good.memory();
        let workers = ["master", "start", "w1@localhost", "w2@localhost", "w3@localhost"];
        // Where a failure is the end.
        let deploy = workers.iter().chain(&["-d", "unequal", "--checkpoint-interval", "off", "--"]);
        let master = host.start(deploy.chain(arguments));
        Scene { good, bad, other, master, before }
    }

    /// Whatever becomes of the flood, all others go on for longer than a node may be silent, and nothing piles up.
    fn others_go_on(&self) {
        let seen = self.other.said_times(TRICKLE);
        self.master.does_not_say("disconnected", STALLED);
        // A hundred records of it take some 110 ms.
        self.other.says_times(TRICKLE, seen + 10);
        let now = self.good.memory();
        assert!(now < self.before + MORE, "{} KB before, {now} KB now", self.before);
    }
}

#[test]
fn who_stops_reading_holds_up_its_own_links_until_it_reads_again() {
    let host = Host::peers();
    let scene = Scene::start(&host, "stops-reading", &["--flood", FLOOD, "--trickle", "6000", "--tag", "apart"]);
    scene.bad.says("Nothing is read any more");
    scene.others_go_on();
    scene.bad.signal(Signal::USR1);
    let master = scene.master.ended().expect(0);
    // Nothing is lost, and nothing comes twice.
    for count in ["taken 40000 -> 40000", "seen 6000 -> 6000"] {
        assert!(master.stderr.contains(count), "{count}: {}", master.stderr);
    }
    for node in [scene.good, scene.bad, scene.other] {
        node.ended().expect(0);
    }
}

#[test]
fn who_gives_no_credit_holds_up_its_own_link_until_somebody_ends_it() {
    let host = Host::peers();
    // The trickle goes over the same connection, too.
    let scene = Scene::start(&host, "gives-no-credit", &["--flood", FLOOD, "--trickle", "1000000"]);
    scene.other.says(TRICKLE);
    scene.others_go_on();
    // It cannot be stopped in order; the master says for whom it waits.
    scene.master.signal(Signal::TERM);
    scene.master.says("Still waiting for ");
    // Who has lost patience ends the bad one. Its end is known at once, and the deployment fails.
    scene.bad.signal(Signal::KILL);
    let master = scene.master.ended().expect(1);
    assert!(master.stderr.contains("Workflow `unequal` failed: worker `w2@localhost` disconnected"), "{master:?}");
    scene.good.ended().expect(0);
    scene.other.ended().expect(0);
}

#[test]
fn a_batch_that_claims_more_than_memory_fails_its_deployment() {
    let host = Host::peers();
    let workers = ["w1", "w2"].map(|name| host.worker(name, &["--no-shutdown-with-master"]));
    let before = workers[1].memory();
    for _ in 0..3 {
        let master = host.master(&["w1@localhost", "w2@localhost", "-d", "lies"]).expect(1);
        let failed = master.stderr.lines().find(|line| line.contains("failed: ")).expect("it says so");
        for part in
            ["vertex `believer`, worker ", " on `w2@localhost`: ", "a batch from `w1@localhost` cannot be read: "]
        {
            assert!(failed.contains(part), "{part}: {failed}");
        }
    }
    let now = workers[1].memory();
    assert!(now < before + MORE, "{before} KB before, {now} KB now");
    // They serve on.
    host.master(&["w1@localhost", "w2@localhost", "-d", "differs"]).expect(0);
}

#[test]
fn another_workflow_of_the_same_name_is_refused() {
    let host = Host::peers();
    let good = host.worker("w1", &["--no-shutdown-with-master"]);
    let mut command = host.command(["worker", "start", "--name", "w2", "--no-shutdown-with-master"]);
    command.env("DIFFERS", "yes");
    let other = Node::start(command);
    other.says("Reachable at `w2@localhost`");
    let master = host.master(&["w1@localhost", "w2@localhost", "-d", "differs"]).expect(1);
    let failed = master.stderr.lines().find(|line| line.contains("failed: ")).expect("it says so");
    assert!(failed.contains("`w2@localhost`: ") && !failed.contains("w1@localhost"), "{failed}");
    assert!(failed.contains("workflow `differs` is another one here than on the master: "), "{failed}");
    assert!(
        failed.contains("vertex 1 is `another` (map, round robin) here and `one` (map, round robin) on the master")
    );
    // Whoever is alike goes on, with masters of either kind.
    let printed = |node: Node| {
        node.signal(Signal::TERM);
        node.ended().expect(0).stdout.lines().count()
    };
    host.master(&["w1@localhost", "-d", "differs"]).expect(0);
    let mut command = host.command(["master", "start", "w2@localhost", "-d", "differs"]);
    command.env("DIFFERS", "yes");
    Node::start(command).ended().expect(0);
    assert_eq!((printed(good), printed(other)), (9, 9));
}
