//! Nodes that cannot be reached, or refuse: the master says why, for each, and the others go back to waiting.

use std::net::TcpListener;

use super::node::{Host, PATIENCE, free_port};
use crate::cli::process::Ended;

/// What a master says of the one worker that it cannot connect to.
fn reason(master: &Ended, address: &str) -> String {
    let start = format!("Could not connect to `{address}`: ");
    let lines: Vec<&str> =
        master.stderr.lines().filter_map(|line| line.split_once(&start)).map(|(_, why)| why).collect();
    assert_eq!(lines.len(), 1, "{}", master.stderr);
    lines[0].split(':').next().expect("a word").to_owned()
}

#[test]
fn each_refusal_has_its_reason() {
    let host = Host::new();
    let worker = host.worker("w1", &[]);

    for (address, word) in [
        ("nobody@localhost", "not_connected"),
        ("w1@no-such-host.invalid", "not_connected"),
        (&format!("w9@localhost:{}", free_port()), "not_connected"),
    ] {
        let master = host.master(&["w1@localhost", address]).expect(3);
        assert_eq!(reason(&master, address), word, "{}", master.stderr);
        assert!(!master.stderr.contains("Deploying"), "{}", master.stderr);
    }
    // It was connected three times, and let go.
    worker.says_times("Waiting for a master", 3);

    let master = host.start(["master", "start", "--no-deploy", "--name", "m1", "w1@localhost"]);
    master.says("Connected to `w1@localhost`");
    let second = host.master(&["--name", "m2", "w1@localhost"]).expect(3);
    assert_eq!(reason(&second, "w1@localhost"), "has_master");
    let third = host.master(&["--name", "m3", "m1@localhost"]).expect(3);
    assert_eq!(reason(&third, "m1@localhost"), "mode_mismatch");
}

#[test]
fn another_cookie_is_refused_on_both_sides() {
    let host = Host::new();
    let worker = host.worker("w1", &[]);
    let mut command = host.command(["master", "start", "w1@localhost"]);
    command.env("SKITTER_COOKIE", "this is not the one in the home");
    let master = super::node::Node::start(command).ended().expect(3);
    assert_eq!(reason(&master, "w1@localhost"), "bad_cookie");
    worker.says("bad_cookie");
    host.master(&["w1@localhost"]).expect(0);
}

#[test]
fn another_build_is_refused() {
    let (host, other) = (Host::new(), Host::faulty());
    let _worker = host.worker("w1", &[]);
    let mut command = other.command(["master", "start", "w1@localhost", "-d", "ticks"]);
    command.env("HOME", host.directory()).env("SKITTER_MAPPER_PORT", host.mapper().to_string());
    let master = super::node::Node::start(command).ended().expect(3);
    assert_eq!(reason(&master, "w1@localhost"), "incompatible");
    assert!(master.stderr.contains("builds of the application"), "{}", master.stderr);
}

#[test]
fn two_nodes_of_one_name_do_not_start() {
    let host = Host::new();
    let _worker = host.worker("w1", &[]);
    let second = host.start(["worker", "start", "--name", "w1"]).ended().expect(3);
    assert!(second.stderr.contains("`w1@localhost`") && second.stderr.contains("name_taken"), "{}", second.stderr);
    // A master is a node as any other.
    let third = host.master(&["--name", "w1", "--no-deploy"]).expect(3);
    assert!(third.stderr.contains("name_taken"), "{}", third.stderr);
}

/// Something that is no node answers: a web server, for example.
#[test]
#[expect(clippy::disallowed_methods, reason = "a server has to answer beside the test")]
fn a_web_server_is_no_node() {
    use std::io::{Read, Write};

    let host = Host::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut some = [0; 16];
        let _ = stream.read(&mut some);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").expect("it reads");
    });
    let address = format!("w1@localhost:{port}");
    let master = host.master(&[address.as_str()]).expect(3);
    assert_eq!(reason(&master, &address), "not_skitter");
    server.join().expect("no panic");
}
