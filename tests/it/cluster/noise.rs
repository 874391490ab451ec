//! What comes from strangers harms nobody: a node says so, closes that connection, and goes on.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::node::{Host, Node, PATIENCE, free_port};

/// Connections at a time, of which none says what it should.
const STRANGERS: usize = 1000;

/// A worker that listens at a port that is known.
fn worker(host: &Host) -> (Node, u16) {
    let port = free_port();
    (host.worker("w1", &["--listen", &format!("127.0.0.1:{port}"), "--no-shutdown-with-master"]), port)
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

/// That it still serves, and takes no more memory than before, but for some that a heap keeps.
fn is_unharmed(host: &Host, node: &Node, before: u64) {
    host.master(&["w1@localhost"]).expect(0);
    let now = node.memory();
    assert!(now < before + 24 * 1024, "{before} KB before, {now} KB now");
}

/// Sends bytes until the other side does not want them any more; gives how many it took.
fn pour(port: u16, chunk: &[u8], most: usize) -> usize {
    let mut stream = connect(port);
    let mut sent = 0;
    while sent < most && stream.write_all(chunk).is_ok() {
        sent += chunk.len();
    }
    // It closes the connection, one way or the other.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 4096, "{} bytes for a stranger", rest.len());
    sent
}

#[test]
fn floods_are_cut_off() {
    let host = Host::new();
    let (node, port) = worker(&host);
    host.master(&["w1@localhost"]).expect(0);
    let before = node.memory();
    let noise: Vec<u8> = (0..65_536u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let web = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec();
    for chunk in [vec![0; noise.len()], vec![0xff; noise.len()], noise, web] {
        pour(port, &chunk, 1 << 30);
    }
    // A line for the first, and one a second for all that come meanwhile.
    let mut told = 0;
    for line in 1.. {
        let said = node.says_times("Refused a connection from 127.0.0.1:", line);
        let more = said.rsplit_once("; and ").and_then(|(_, more)| more.strip_suffix(" more")?.parse::<usize>().ok());
        told += 1 + more.unwrap_or(0);
        if told >= 4 {
            break;
        }
    }
    assert_eq!(told, 4);
    is_unharmed(&host, &node, before);
}

#[test]
fn silence_and_half_handshakes_keep_nobody_out() {
    let host = Host::new();
    let (node, port) = worker(&host);
    host.master(&["w1@localhost"]).expect(0);
    let before = node.memory();
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        let mut stream = connect(port);
        // Some say nothing, some begin as a node does.
        if number % 2 == 1 && stream.write_all(b"skitter").is_err() {
            continue;
        }
        strangers.push(stream);
    }
    is_unharmed(&host, &node, before);
    drop(strangers);
    is_unharmed(&host, &node, before);
}
