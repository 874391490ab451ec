//! SIGINT and SIGTERM.

use std::process::Stdio;

use rustix::process::Signal;
use tempfile::tempdir;

use super::process::{faulty, log_line, skitter, with};

#[test]
fn a_signal_in_mid_run_drains() {
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM")] {
        let directory = tempdir().expect("a directory");
        let mut command = faulty(directory.path());
        command.args(["local", "-d", "ticks"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        with(command, |running| {
            let mut numbers = running.stdout.take().expect("stdout is read");
            assert_eq!(numbers.next().expect("a line").expect("UTF-8"), "0");
            running.signal(signal);
            // Nothing is lost and nothing cut off: all numbers follow each other, up to the last one that was emitted.
            let mut last = 0;
            for line in numbers {
                let line = line.expect("UTF-8");
                assert_eq!(line, (last + 1).to_string());
                last += 1;
            }
            let stopping = running.wait_for("Stopping on ");
            assert_eq!(
                log_line(&stopping),
                Some(("info", &*format!("Stopping on {name}; a second signal ends it at once")))
            );
            let summary = running.wait_for("Stopped `ticks`: ");
            let emitted = last + 1;
            assert!(summary.contains(&format!("stream source 0 -> {emitted}, ")), "{summary}");
            assert!(summary.contains(&format!("print {emitted} -> 0 in ")), "{summary}");
            assert_eq!(running.wait().code(), Some(0));
        });
    }
}

#[test]
fn a_node_without_a_workflow_stays_up() {
    let directory = tempdir().expect("a directory");
    let mut command = skitter(directory.path());
    command.args(["local", "--no-deploy"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    with(command, |running| {
        running.wait_for("started in local mode");
        running.signal(Signal::TERM);
        running.wait_for("Stopping on SIGTERM");
        assert_eq!(running.wait().code(), Some(0));
        assert!(running.stdout.take().expect("stdout is read").next().is_none());
    });
}

#[test]
fn a_workflow_on_a_socket_runs_until_it_is_stopped() {
    let directory = tempdir().expect("a directory");
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address").to_string();
    let mut command = skitter(directory.path());
    command.args(["local", "-d", "socket-wordcount", "--", "--address", &address]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    with(command, |running| {
        let (mut client, _) = server.accept().expect("it connects");
        let mut updates = running.stdout.take().expect("stdout is read");
        std::io::Write::write_all(&mut client, b"to be\n").expect("it reads");
        let mut first: Vec<_> = updates.by_ref().take(2).map(|line| line.expect("UTF-8")).collect();
        first.sort_unstable();
        assert_eq!(first, ["(\"be\", 1)", "(\"to\", 1)"]);
        std::io::Write::write_all(&mut client, b"to\n").expect("it reads");
        assert_eq!(updates.next().expect("a line").expect("UTF-8"), "(\"to\", 2)");
        running.signal(Signal::INT);
        assert!(updates.next().is_none());
        running.wait_for("Stopped `socket-wordcount`");
        assert_eq!(running.wait().code(), Some(0));
    });
}
