//! The sessions of the guide.

use super::node::{Host, messages, sorted};

const TUPLES: [&str; 4] = ["(\"Hello\", 1)", "(\"Hello\", 2)", "(\"Skitter\", 1)", "(\"World!\", 1)"];

/// What a worker says from its start until its master has ended.
fn is_a_workers_log(log: &str, name: &str) {
    let started = format!("⬡⬢⬡⬢ Skitter v{} started in worker mode", env!("CARGO_PKG_VERSION"));
    let expected = [
        started.as_str(),
        &format!("Reachable at `{name}@localhost`"),
        "Connected to master: `skitter_master@localhost`",
        "Master `skitter_master@localhost` disconnected",
        "Lost connection to master, shutting down...",
    ];
    assert_eq!(messages(log), expected);
}

/// What a master says; workers connect in any order.
fn is_a_masters_log(log: &str, workers: &[&str]) {
    let said = messages(log);
    let started = format!("⬡⬢⬡⬢ Skitter v{} started in master mode", env!("CARGO_PKG_VERSION"));
    assert_eq!(said[..2], [started.as_str(), "Reachable at `skitter_master@localhost`"]);
    let behind = 2 + workers.len();
    let mut connected = said[2..behind].to_vec();
    connected.sort_unstable();
    let expected: Vec<_> = workers.iter().map(|name| format!("Connected to `{name}@localhost`, tags: []")).collect();
    assert_eq!(connected, expected);
    assert_eq!(said[behind], "Deploying `hello`");
    assert!(said[behind + 1].starts_with("Completed `hello`: "), "{said:?}");
    assert_eq!(said.len(), behind + 2);
}

#[test]
fn one_worker_prints_the_tuples() {
    let host = Host::new();
    for _ in 0..5 {
        let worker = host.worker("worker1", &[]);
        let master = host.master(&["worker1@localhost"]).expect(0);
        let worker = worker.ended().expect(0);
        assert_eq!((master.stdout.as_str(), sorted(&worker.stdout)), ("", TUPLES.to_vec()));
        is_a_masters_log(&master.stderr, &["worker1"]);
        is_a_workers_log(&worker.stderr, "worker1");
    }
}

#[test]
fn two_workers_print_the_tuples() {
    let host = Host::new();
    for _ in 0..5 {
        let workers = ["worker1", "worker2"].map(|name| host.worker(name, &[]));
        let master = host.master(&["worker1@localhost", "worker2@localhost"]).expect(0);
        is_a_masters_log(&master.stderr, &["worker1", "worker2"]);
        let ended = workers.map(|worker| worker.ended().expect(0));
        let printed = format!("{}{}", ended[0].stdout, ended[1].stdout);
        assert_eq!(sorted(&printed), TUPLES);
        is_a_workers_log(&ended[0].stderr, "worker1");
        is_a_workers_log(&ended[1].stderr, "worker2");
    }
}

/// Whoever comes first: the worker looks for its master, and warns and stays if there is none.
#[test]
fn a_worker_joins_its_master() {
    let host = Host::new();
    let worker = host.worker("worker1", &["skitter_master@localhost"]);
    worker.says("Could not connect to `skitter_master@localhost`: not_connected: ");
    let master = host.start(["master", "start", "--no-deploy"]);
    master.says("Connected to `worker1@localhost`, tags: []");
    worker.says("Connected to master: `skitter_master@localhost`");
    master.signal(rustix::process::Signal::INT);
    master.ended().expect(0);
    worker.ended().expect(0);
}
