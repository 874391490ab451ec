//! Nodes under systemd, and workers that nobody wants.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::process::Signal;

use super::home::Home;
use crate::cluster::node::{Node, PATIENCE};

#[test]
fn systemd_is_told_when_a_node_is_up_and_when_it_stops() {
    let home = Home::new();
    let path = home.path().join("notify");
    let name = format!("skitter-test-{}", std::process::id());
    let abstract_address = SocketAddr::from_abstract_name(name.as_bytes()).expect("a name");
    for (socket, variable) in [
        (UnixDatagram::bind(&path).expect("a socket"), path.display().to_string()),
        (UnixDatagram::bind_addr(&abstract_address).expect("a socket"), format!("@{name}")),
    ] {
        socket.set_read_timeout(Some(PATIENCE)).expect("a time");
        let heard = || {
            let mut text = [0; 100];
            let read = socket.recv(&mut text).expect("it is told");
            String::from_utf8_lossy(&text[..read]).into_owned()
        };
        for arguments in [&["worker", "start"][..], &["local", "--no-deploy"], &["master", "start", "--no-deploy"]] {
            let mut command = home.command();
            command.args(arguments).env("NOTIFY_SOCKET", &variable);
            let node = Node::start(command);
            assert_eq!(heard(), "READY=1");
            node.signal(Signal::TERM);
            assert_eq!(heard(), "STOPPING=1");
            node.ended().expect(0);
            socket.set_nonblocking(true).expect("set");
            while socket.recv(&mut [0; 100]).is_ok() {}
            socket.set_nonblocking(false).expect("set");
        }
    }
}

#[test]
fn a_worker_that_nobody_adopts_ends() {
    let home = Home::new();
    let start = |seconds: &str| {
        let mut command = home.command();
        command.args(["worker", "start", "-n", "w1", "--adopt-timeout", seconds]);
        Node::start(command)
    };
    let ended = start("0.2").ended().expect(0);
    assert!(ended.stderr.contains("No master has come within 0.2 s, shutting down..."), "{ended:?}");
    // One that has a master stays as long as that does.
    let worker = start("1");
    worker.says("Reachable at");
    let mut command = home.command();
    command.args(["master", "start", "--no-deploy", "w1@localhost"]);
    let master = Node::start(command);
    worker.says("Connected to master");
    worker.does_not_say("No master has come", Duration::from_millis(1500));
    master.signal(Signal::TERM);
    master.ended().expect(0);
    worker.ended().expect(0);
    // One that was let go of before anything was deployed waits as long again.
    let worker = start("1");
    worker.says("Reachable at");
    home.say(["master", "start", "w1@localhost", "w2@localhost"]).expect(3);
    worker.says("Waiting for a master");
    assert!(worker.ended().expect(0).stderr.contains("No master has come within 1 s"));
    // The same as a daemon.
    let mut command = home.command();
    command.env("SKITTER_ADOPT_TIMEOUT", "300ms");
    crate::cli::process::run(command, ["worker", "daemon"]).expect(0);
    home.nobody_is_left();
}
