//! Hosts that lose their power, and cables that are cut for longer than silence is borne: a workflow goes on, and each
//! record counts once. Hosts share no disk, so what workers have saved is where the master is.

use rustix::process::Signal;

use super::cluster::{Cluster, expected};
use super::program::Program;

/// How often the text is repeated: some seconds' work.
const TIMES: usize = 200;

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_that_loses_its_power_costs_nothing_but_time() {
    let mut cluster = Cluster::new(3);
    cluster.put("text", &super::cluster::text(TIMES));
    let (near, _far) = (cluster.worker("host-b", &[]), cluster.worker("host-c", &[]));
    let master = cluster.master(
        "host-a",
        &[
            "w@host-b",
            "w@host-c",
            "-d",
            "wordcount",
            "--log-level",
            "debug",
            "--checkpoint-interval",
            "200ms",
            "--recovery-wait",
            "0.5",
            "--",
            "--input",
            "/tmp/text",
            "--output",
            "/tmp/counts.tsv",
            "--strategy",
            "keyed",
        ],
    );
    master.wait_for_times("A checkpoint is complete", 2);
    // The counts are written by the first worker.
    cluster.bed.order(&["kill", "host-c"]);
    master.wait_for("Recovered `wordcount`, from checkpoint ");
    master.ended().with(0);
    near.ended().with(0);
    assert_eq!(cluster.counts(), Some(expected(TIMES)));
}

/// Sums numbers on host-b and host-c.
fn sums(cluster: &Cluster, count: u64, recovery_wait: &str) -> (Program, [Program; 2]) {
    let workers = ["host-b", "host-c"].map(|host| cluster.worker(host, &["--no-shutdown-with-master"]));
    let saving = ["w@host-b", "w@host-c", "--log-level", "debug", "--checkpoint-interval", "500ms", "--max-restarts"];
    let wait = ["20", "--recovery-wait", recovery_wait, "--"];
    let count = count.to_string();
    let sums = ["--output", "/tmp/sums.tsv", "--pace", "20", "--count", &count];
    let master = cluster.master("host-a", &[&saving[..], &wait, &sums].concat());
    master.wait_for_times("A checkpoint is complete", 2);
    (master, workers)
}

/// Waits for its end, and checks the sums.
fn is_exact(cluster: Cluster, count: u64, (master, workers): (Program, [Program; 2])) {
    master.ended().with(0);
    for worker in workers {
        worker.signal(Signal::TERM);
        worker.ended().with(0);
    }
    cluster.is_exact(count);
    cluster.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn cables_that_are_cut_and_heal_cost_nothing_but_time() {
    // Some fifteen seconds' work of both, of whom none does any while they are apart.
    let (cluster, count) = (Cluster::exact(3), 600_000);
    let (master, workers) = sums(&cluster, count, "20");
    // Each side finds that the other one is silent.
    cluster.bed.order(&["cut", "host-a", "host-c"]);
    master.wait_for("Worker `w@host-c` disconnected");
    workers[1].wait_for("Waiting for a master");
    cluster.bed.order(&["heal", "host-a", "host-c"]);
    master.wait_for_times("Connected to `w@host-c`", 2);
    master.wait_for("Recovered `exact`, from checkpoint ");
    master.wait_for_times("A checkpoint is complete", master.said_times("A checkpoint is complete") + 2);
    // The master hears both, which do not hear each other.
    let recovering = master.said_times("Recovering `exact`: ");
    cluster.bed.order(&["cut", "host-b", "host-c"]);
    master.wait_for_times("Recovering `exact`: ", recovering + 1);
    // Not even connections can be made.
    master.wait_for_times("Recovering `exact`: ", recovering + 2);
    let recovered = master.said_times("Recovered `exact`, from checkpoint ");
    cluster.bed.order(&["heal", "host-b", "host-c"]);
    master.wait_for_times("Recovered `exact`, from checkpoint ", recovered + 1);
    assert_eq!(master.said_times("disconnected"), 1, "only the first cut costs a worker");
    is_exact(cluster, count, (master, workers));
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_that_was_cut_off_for_too_long_changes_nothing() {
    let (cluster, count) = (Cluster::exact(3), 400_000);
    let (master, workers) = sums(&cluster, count, "0.5");
    // What the others send still comes.
    cluster.bed.order(&["cut", "--one-way", "host-c", "host-a"]);
    master.wait_for("Recovered `exact`, from checkpoint ");
    cluster.bed.order(&["heal", "--one-way", "host-c", "host-a"]);
    master.wait_for_times("Connected to `w@host-c`", 2);
    is_exact(cluster, count, (master, workers));
}
