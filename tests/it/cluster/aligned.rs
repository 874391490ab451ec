//! Sources that stay near each other, over workers.

use super::node::Host;

/// How many records there were, and how far a worker was ahead of the slow one.
fn ahead(options: &[&str]) -> (u64, i64) {
    let host = Host::faulty();
    let _workers = ["w1", "w2"].map(|name| host.worker(name, &[]));
    let nodes = ["master", "start", "w1@localhost", "w2@localhost", "-d", "drifts", "--", "--output", "ahead.tsv"];
    host.start(nodes.iter().chain(options)).ended().expect(0);
    let line = std::fs::read_to_string(host.directory().join("ahead.tsv")).expect("a line");
    let (count, ahead) = line.trim().split_once('\t').expect("two columns");
    (count.parse().expect("a number"), ahead.parse().expect("a number"))
}

/// The first worker of the source, on one node, takes two seconds or more; the others would be at the end at once.
#[test]
fn sources_on_other_nodes_are_held_back() {
    let (all, free) = ahead(&[]);
    assert!(free > 6000, "{free}");
    let (count, aligned) = ahead(&["--drift", "500"]);
    assert_eq!(count, all, "nothing is lost");
    // It is seen behind connections, over which those of the slow one may come later on a machine that is busy.
    assert!(aligned < 4000, "{aligned}");
}
