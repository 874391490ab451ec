//! Hosts that lose their power: a workflow goes on without them, and each word counts once. Hosts share no disk, so
//! what workers have saved is where the master is.

use super::cluster::{Cluster, expected};

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
