//! What becomes of a cluster when cables are cut, and when machines lose their power or hang: it says so, ends with the
//! right status, and never passes for one that has counted all.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::cluster::{Cluster, FED, Feed, expected};
use super::program::{Ended, Program};

/// How long after a host went silent its master may take to say so: 3 s of silence, half a second until the next look,
/// and what a machine takes that is busy with other tests.
const NOTICED: Duration = Duration::from_secs(6);

/// How long after a process has died its master may take to say so: the system tells it at once, and then as above.
const TOLD: Duration = Duration::from_secs(2);

/// How long workers may take to find that they are cut off from each other: 6 s, or a second and the 5 s that
/// connecting may take when the deployment was so young that they had not begun to watch, and then as above.
const FOUND: Duration = Duration::from_secs(9);

/// How long a host hangs that is not to be waited for.
const HUNG: Duration = Duration::from_secs(10);

const LOST: &str = "Worker `w@host-c` disconnected";
const CUT_OFF: &str = "Workflow `wordcount` failed: `w@host-b`: ";
const FAILED: &str = "Workflow `wordcount` failed";

/// A master on host-a and workers on host-b and host-c.
struct Scene {
    cluster: Cluster,
    master: Program,
    near: Program,
    far: Program,
}

impl Scene {
    /// One that has counted a part of a text, and waits for the rest.
    fn fed(options: &[&str]) -> (Scene, Feed) {
        let mut cluster = Cluster::new(3);
        let mut feed = cluster.put_feed();
        let count = ["--", "--input", Feed::PATH, "--output", "/tmp/counts.tsv", "--strategy", "keyed"];
        let scene = Scene::start(cluster, options, &count);
        feed.is_read();
        (scene, feed)
    }

    /// One that counts as fast as it can, and does not come to an end.
    fn busy(options: &[&str]) -> Scene {
        let mut cluster = Cluster::new(3);
        let files = cluster.put_endless_text();
        let scene = Scene::start(cluster, options, &["--", "--input", files, "--strategy", "keyed"]);
        // One of them prints what all have counted.
        scene.near.wait_for_lines(10_000);
        scene
    }

    fn start(cluster: Cluster, options: &[&str], count: &[&str]) -> Scene {
        let (near, far) = (cluster.worker("host-b", &[]), cluster.worker("host-c", &[]));
        let deploy = ["w@host-b", "w@host-c", "-d", "wordcount"];
        let master = cluster.master("host-a", &[&deploy, options, count].concat());
        Scene { cluster, master, near, far }
    }

    /// Does something to the hosts; returns when.
    fn order(&self, order: &[&str]) -> Instant {
        let at = Instant::now();
        self.cluster.bed.order(order);
        at
    }

    /// The master says this in time, and ends with this status, of which the other worker hears.
    #[track_caller]
    fn fails(self, status: i32, begin: Instant, limit: Duration, text: &str) -> (Cluster, Program) {
        let Scene { cluster, master, near, far } = self;
        let took = master.wait_for(text) - begin;
        let ended = master.ended().with(status);
        assert!(took < limit, "{text:?} was said after {took:?}:\n{}", ended.stderr);
        if status == 1 {
            ended.said(&[FAILED]);
        }
        near.ended().with(0).said(&["Master `m@host-a` disconnected", "Lost connection to master, shutting down..."]);
        (cluster, far)
    }
}

/// A worker has lost its master without a word.
fn is_left(worker: Ended) {
    worker.with(4).said(&["Master `m@host-a` disconnected", "Lost connection to master, shutting down..."]);
}

/// No counts pass for complete, and nothing is left of the nodes.
#[track_caller]
fn counted_nothing(cluster: &Cluster) {
    assert!(cluster.counts().is_none(), "there are counts, of a part of the text");
    cluster.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_loses_its_power() {
    let (scene, _feed) = Scene::fed(&[]);
    let begin = scene.order(&["kill", "host-c"]);
    let (cluster, far) = scene.fails(1, begin, NOTICED, LOST);
    far.ended().with(128 + 9);
    counted_nothing(&cluster);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_that_works_hard_loses_its_power() {
    let scene = Scene::busy(&["--shutdown-with-workers"]);
    let begin = scene.order(&["kill", "host-c"]);
    let (cluster, far) = scene.fails(4, begin, NOTICED, LOST);
    far.ended().with(128 + 9);
    cluster.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_process_is_killed() {
    let (scene, _feed) = Scene::fed(&[]);
    let begin = Instant::now();
    // In the namespace of its host: all processes but the first one and the shell.
    let shell = scene.cluster.bed.start("host-c", &["sh", "-c", "kill -9 -1"]);
    let (cluster, far) = scene.fails(1, begin, TOLD, LOST);
    shell.ended().with(0);
    far.ended().with(128 + 9);
    counted_nothing(&cluster);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn master_and_worker_are_cut_off() {
    let (scene, _feed) = Scene::fed(&[]);
    let begin = scene.order(&["cut", "host-a", "host-c"]);
    let (cluster, far) = scene.fails(1, begin, NOTICED, LOST);
    is_left(far.ended());
    counted_nothing(&cluster);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_master_that_shall_stop_with_its_workers_is_cut_off() {
    let (scene, _feed) = Scene::fed(&["--shutdown-with-workers"]);
    let begin = scene.order(&["cut", "--one-way", "host-c", "host-a"]);
    let (cluster, far) = scene.fails(4, begin, NOTICED, LOST);
    // What it sends does not come, but it hears that the connection is closed.
    is_left(far.ended());
    counted_nothing(&cluster);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn workers_are_cut_off_from_each_other() {
    let (scene, mut feed) = Scene::fed(&[]);
    let begin = scene.order(&["cut", "host-b", "host-c"]);
    feed.write_some();
    let (cluster, far) = scene.fails(1, begin, FOUND, CUT_OFF);
    far.ended().with(0);
    counted_nothing(&cluster);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn workers_that_work_hard_are_cut_off_from_each_other() {
    let scene = Scene::busy(&[]);
    let begin = scene.order(&["cut", "host-b", "host-c"]);
    let (cluster, far) = scene.fails(1, begin, FOUND, CUT_OFF);
    far.ended().with(0);
    cluster.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_that_hangs_for_a_second_harms_nobody() {
    let (scene, mut feed) = Scene::fed(&["--shutdown-with-workers"]);
    scene.order(&["pause", "host-c"]);
    feed.write_some();
    scene.master.goes_on_for(Duration::from_secs(1));
    scene.order(&["resume", "host-c"]);
    feed.write_rest();
    let Scene { cluster, master, near, far } = scene;
    let ended = master.ended().with(0).said(&["Completed `wordcount`"]);
    assert!(!ended.stderr.contains("disconnected"), "{}", ended.stderr);
    near.ended().with(0);
    far.ended().with(0);
    assert!(cluster.counts() == Some(expected(FED)), "the counts differ: {:?}", cluster.counts());
    cluster.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_that_hangs_is_taken_for_dead() {
    let (scene, _feed) = Scene::fed(&[]);
    let begin = scene.order(&["pause", "host-c"]);
    let (cluster, far) = scene.fails(1, begin, NOTICED, LOST);
    far.goes_on_for((begin + HUNG).saturating_duration_since(Instant::now()));
    cluster.bed.order(&["resume", "host-c"]);
    is_left(far.ended());
    counted_nothing(&cluster);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_that_wakes_begins_a_new_life() {
    let cluster = Cluster::new(2);
    let master = cluster.master("host-a", &["--no-deploy"]);
    master.wait_for("Reachable at `m@host-a`");
    let worker = cluster.worker("host-b", &["m@host-a", "--no-shutdown-with-master"]);
    master.wait_for("Connected to `w@host-b`");
    let begin = Instant::now();
    cluster.bed.order(&["pause", "host-b"]);
    let lost = "Worker `w@host-b` disconnected";
    assert!(master.wait_for(lost) - begin < NOTICED);
    master.goes_on_for((begin + HUNG).saturating_duration_since(Instant::now()));
    cluster.bed.order(&["resume", "host-b"]);
    worker.wait_for("Master `m@host-a` disconnected");
    master.wait_for_times("Connected to `w@host-b`", 2);

    // So does one that lost its power.
    let begin = Instant::now();
    cluster.bed.order(&["kill", "host-b"]);
    assert!(master.wait_for_times(lost, 2) - begin < NOTICED);
    worker.ended().with(128 + 9);
    cluster.bed.order(&["boot", "host-b"]);
    let worker = cluster.worker("host-b", &["m@host-a"]);
    master.wait_for_times("Connected to `w@host-b`", 3);
    master.signal(Signal::TERM);
    master.ended().with(0);
    worker.ended().with(0);
    cluster.leaves_nothing();
}
