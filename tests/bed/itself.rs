//! The testbed does what it says, and is gone when it is not needed.

use std::fs;
use std::time::{Duration, Instant};

use super::bed::Bed;
use super::program::PATIENCE;

/// Where a host has its network, as the kernel numbers it.
fn network(bed: &Bed, host: &str) -> String {
    let program = bed.start(host, &["sh", "-c", "readlink /proc/self/ns/net >&2"]);
    program.ended().with(0).stderr
}

fn is_used(network: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let mut networks = processes.filter_map(|process| fs::read_link(process.path().join("ns/net")).ok());
    networks.any(|other| other.to_str() == Some(network))
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn hosts_have_names_addresses_disks_and_cables() {
    let bed = Bed::up(2);
    let listen = "import socket,sys; s=socket.create_server(('', 99)); print('up', file=sys.stderr, flush=True)\n\
                  while True: c, _ = s.accept(); c.sendall(socket.gethostname().encode()); c.close()";
    let server = bed.start("host-b", &["python3", "-c", listen]);
    server.wait_for("up");
    let ask = "import socket; s=socket.create_connection(('host-b', 99), 1); raise SystemExit(s.recv(99).decode())";
    let connect = || bed.start("host-a", &["python3", "-c", ask]).ended();
    connect().with(1).said(&["host-b"]);
    bed.order(&["cut", "--one-way", "host-b", "host-a"]);
    connect().with(1).said(&["timed out"]);
    bed.order(&["heal", "host-a", "host-b"]);
    connect().with(1).said(&["host-b"]);
    bed.order(&["delay", "host-a", "300"]);
    let begin = Instant::now();
    connect().with(1).said(&["host-b"]);
    assert!(begin.elapsed() > Duration::from_millis(300));
    bed.order(&["delay", "host-a", "0"]);
    bed.order(&["loss", "host-b", "100"]);
    connect().with(1).said(&["timed out"]);
    bed.order(&["loss", "host-b", "0"]);
    bed.order(&["pause", "host-b"]);
    connect().with(1).said(&["timed out"]);
    bed.order(&["resume", "host-b"]);
    connect().with(1).said(&["host-b"]);

    bed.start("host-b", &["touch", "/tmp/kept"]).ended().with(0);
    assert!(bed.disk("host-b").join("kept").exists() && !bed.disk("host-a").join("kept").exists());
    bed.order(&["kill", "host-b"]);
    server.ended().with(128 + 9);
    // A time-out, or no route, depending on what is remembered of the host.
    connect().with(1).said(&["Error: "]);
    assert!(bed.order(&["status"]).contains("host-b 10.77.0.12 dead"));
    bed.order(&["boot", "host-b"]);
    connect().with(1).said(&["Connection refused"]);
    bed.start("host-b", &["ls", "/tmp/kept"]).ended().with(0);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn nothing_is_left_of_a_testbed() {
    let bed = Bed::up(1);
    let (directory, network) = (bed.directory().to_owned(), network(&bed, "host-a"));
    let program = bed.start("host-a", &["sh", "-c", "echo up >&2; exec sleep 1000"]);
    program.wait_for("up");
    assert!(is_used(&network));
    drop(bed);
    program.ended().with(128 + 9);
    assert!(!is_used(&network) && !directory.exists());
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn hosts_go_with_a_testbed_that_is_killed() {
    let mut bed = Bed::up(2);
    let (directory, network) = (bed.directory().to_owned(), network(&bed, "host-b"));
    let program = bed.start("host-b", &["sh", "-c", "trap '' TERM; echo up >&2; sleep 1000"]);
    program.wait_for("up");
    bed.order(&["pause", "host-b"]);
    bed.process().kill().expect("it runs");
    program.ended().with(128 + 9);
    let end = Instant::now() + PATIENCE;
    while is_used(&network) {
        assert!(Instant::now() < end, "the host is still there");
        std::thread::yield_now();
    }
    // What was on the disks is all that it could not remove.
    fs::remove_dir_all(directory).expect("it is there");
}
