//! A count over three hosts is the same as one without Skitter, on any network.

use super::cluster::{Cluster, expected, text};

/// How often the text is counted: what travels fills many batches of each link.
const TIMES: usize = 40;

fn three_hosts_count(strategy: &str, cables: &[&[&str]]) {
    let mut cluster = Cluster::new(3);
    cluster.put("text", &text(TIMES));
    for cable in cables {
        for host in cluster.bed.hosts() {
            cluster.bed.order(&[&[cable[0], host], &cable[1..]].concat());
        }
    }
    let workers = ["host-a", "host-b", "host-c"].map(|host| cluster.worker(host, &[]));
    let deploy = ["w@host-a", "w@host-b", "w@host-c", "-d", "wordcount", "--"];
    let count = ["--input", "/tmp/text", "--output", "/tmp/counts.tsv", "--strategy", strategy];
    let master = cluster.master("host-a", &[&deploy[..], &count].concat()).ended().with(0);
    master.said(&["Connected to `w@host-c`, tags: []", "Deploying `wordcount`", "Completed `wordcount`"]);
    for worker in workers {
        let worker = worker.ended().with(0);
        worker.said(&["Connected to master: `m@host-a`", "Lost connection to master, shutting down..."]);
    }
    assert!(cluster.counts() == Some(expected(TIMES)), "the counts differ: {:?}", cluster.counts());
    cluster.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn three_hosts_count_each_word_where_it_belongs() {
    three_hosts_count("keyed", &[]);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn three_hosts_count_where_they_read() {
    three_hosts_count("combining", &[]);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn three_hosts_share_frequent_words() {
    three_hosts_count("partial-key", &[]);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn three_hosts_count_over_long_cables() {
    three_hosts_count("keyed", &[&["delay", "20", "8"]]);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn three_hosts_count_over_bad_cables() {
    three_hosts_count("keyed", &[&["loss", "1"]]);
}
