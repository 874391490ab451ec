//! Lines over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{Scope, ScopedJoinHandle, scope};

use super::super::gate::{Worker, worker};
use super::*;

const ALONE: Share = Share { index: 0, of: 1 };

/// A source that runs.
type Source<'s> = ScopedJoinHandle<'s, Result<()>>;

/// Starts a source whose worker has room for `room` batches.
fn start<'s>(scope: &'s Scope<'s, '_>, source: TcpSource, room: usize) -> (Worker<String>, Source<'s>) {
    let (worker, mut intake) = worker(room);
    (worker, scope.spawn(move || Passive::listen(&source, ALONE, &mut intake)))
}

fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn client(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).expect("somebody listens")
}

fn join(listener: Source<'_>) -> Result<()> {
    listener.join().expect("no panic")
}

/// Closes so that the other side sees a reset.
fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("set");
}

#[test]
fn lines_come_as_they_are_sent() {
    scope(|scope| {
        let (listener, address) = bind();
        let (worker, source) = start(scope, TcpSource::from_listener(listener).until_closed(), 9);
        let mut client = client(address);
        client.write_all(b"to be\r\n\nor ").expect("sent");
        assert_eq!(worker.batch(), ["to be", ""], "what is complete does not wait");
        client.write_all(b"not\nto be").expect("sent");
        drop(client);
        assert_eq!(worker.records(2), ["or not", "to be"]);
        assert_eq!(join(source), Ok(()));
    });
}

#[test]
fn many_connections_are_read_and_lines_longer_than_a_segment_stay_whole() {
    scope(|scope| {
        let (listener, address) = bind();
        let clients: Vec<_> = (0..20)
            .map(|number| {
                let mut client = client(address);
                scope.spawn(move || {
                    let line = format!("{number}:{}", "x".repeat(300_000));
                    (0..3).try_for_each(|_| client.write_all(format!("{line}\n").as_bytes()))
                })
            })
            .collect();
        let (worker, source) = start(scope, TcpSource::from_listener(listener).until_closed().most_connections(3), 1);
        let lines = worker.rest();
        assert_eq!(join(source), Ok(()));
        for client in clients {
            client.join().expect("no panic").expect("sent");
        }
        assert_eq!(lines.len(), 60);
        for number in 0..20 {
            let prefix = format!("{number}:");
            let of_one: Vec<_> = lines.iter().filter(|line| line.starts_with(&prefix)).collect();
            assert!(of_one.len() == 3 && of_one.iter().all(|line| line.len() == prefix.len() + 300_000));
        }
    });
}

#[test]
fn a_closed_worker_is_noticed() {
    scope(|scope| {
        let (listener, address) = bind();
        let (worker, source) = start(scope, TcpSource::from_listener(listener), 9);
        let mut connected = client(address);
        connected.write_all(b"a\n").expect("sent");
        assert_eq!(worker.batch(), ["a"]);
        drop(connected);
        let mut again = client(address);
        again.write_all(b"b\n").expect("sent");
        assert_eq!(worker.batch(), ["b"], "it does not end with its connections");
        worker.close();
        assert_eq!(join(source), Ok(()));
        assert_eq!(again.read(&mut [0]).expect("closed"), 0);
    });
}

#[test]
fn a_full_worker_slows_the_sender_down() {
    scope(|scope| {
        let (listener, address) = bind();
        let mut client = client(address);
        let (worker, source) = start(scope, TcpSource::from_listener(listener).until_closed(), 1);
        client.set_nonblocking(true).expect("set");
        let line = [b'x'; 1000];
        let mut sent = 0usize;
        // Until all buffers between here and the worker are full, and have stayed so for a while.
        let mut idle = Instant::now();
        while idle.elapsed() < Duration::from_millis(500) {
            match client.write(&line) {
                Ok(bytes) => {
                    sent += bytes;
                    idle = Instant::now();
                    assert!(sent < 1 << 30, "nothing holds it back");
                }
                Err(_) => std::thread::yield_now(),
            }
            let _ = client.write(b"\n").map(|bytes| sent += bytes);
        }
        drop(client);
        assert!(worker.rest().iter().map(|line| line.len() + 1).sum::<usize>().abs_diff(sent) <= 1);
        assert_eq!(join(source), Ok(()));
    });
}

#[test]
fn a_server_is_connected_to_again() {
    scope(|scope| {
        let (listener, address) = bind();
        let (worker, source) = start(scope, TcpSource::connect(address.to_string()), 9);
        for round in 0..3 {
            let (mut server, _) = listener.accept().expect("a connection");
            server.write_all(format!("line {round}\ntail {round}").as_bytes()).expect("sent");
            if round == 1 {
                assert_eq!(worker.batch(), ["line 1"]);
                reset(server);
            } else {
                drop(server);
                assert_eq!(worker.records(2), [format!("line {round}"), format!("tail {round}")]);
            }
        }
        worker.close();
        assert_eq!(join(source), Ok(()));
    });
}

#[test]
fn several_servers_are_read_until_all_have_closed() {
    scope(|scope| {
        let (listeners, addresses): (Vec<_>, Vec<_>) = (0..3).map(|_| bind()).unzip();
        let source = TcpSource::connect_all(addresses.iter().map(ToString::to_string)).until_closed();
        let (worker, source) = start(scope, source, 99);
        for (number, listener) in listeners.iter().enumerate() {
            let (mut server, _) = listener.accept().expect("a connection");
            server.write_all(format!("{number}\n").as_bytes()).expect("sent");
            server.shutdown(Shutdown::Write).expect("closed");
        }
        assert_eq!(join(source), Ok(()));
        let mut lines = worker.rest();
        lines.sort();
        assert_eq!(lines, ["0", "1", "2"]);
    });
}

#[test]
fn a_bounded_source_does_not_pass_a_loss_over() {
    scope(|scope| {
        let (listener, address) = bind();
        let (worker, source) = start(scope, TcpSource::connect(address.to_string()).until_closed(), 9);
        let (mut server, _) = listener.accept().expect("a connection");
        server.write_all(b"a\nb").expect("sent");
        assert_eq!(worker.batch(), ["a"]);
        reset(server);
        let message = format!("lost the connection to `{address}`: Connection reset by peer");
        assert_eq!(join(source), Err(Error::Operation(message)));
        assert!(worker.rest().is_empty(), "half a line is none");
    });
}

#[test]
fn bad_lines_are_errors_with_the_address() {
    scope(|scope| {
        for (bytes, why) in [
            (&b"ab\nabcd\n"[..], "the line at byte 3 is longer than 3 bytes"),
            (b"ab\n\xff", "not valid UTF-8 at byte 3"),
        ] {
            let (listener, address) = bind();
            let (worker, source) = start(scope, TcpSource::from_listener(listener).longest_line(3), 9);
            let mut client = client(address);
            client.write_all(bytes).expect("sent");
            client.shutdown(Shutdown::Write).expect("closed");
            let error = join(source).expect_err("refused").to_string();
            let local = client.local_addr().expect("an address");
            assert!(error.starts_with(&format!("cannot read from `{local}`: {why}")), "{error}");
            assert_eq!(worker.rest(), ["ab"], "what was before it is not lost");
        }
        let (listener, address) = bind();
        let (worker, source) = start(scope, TcpSource::from_listener(listener).lossy().until_closed(), 9);
        client(address).write_all(b"a\xff\n").expect("sent");
        assert_eq!(join(source), Ok(()));
        assert_eq!(worker.rest(), ["a\u{fffd}"]);
    });
}

#[test]
fn who_cannot_be_reached_is_named() {
    scope(|scope| {
        let (listener, address) = bind();
        let (_worker, source) = start(scope, TcpSource::listen(address.to_string()), 1);
        let message = format!("cannot listen at `{address}`: Address already in use");
        assert_eq!(join(source), Err(Error::Operation(message)));
        drop(listener);
        let (_worker, source) =
            start(scope, TcpSource::connect(address.to_string()).patience(Duration::from_millis(300)), 1);
        let message = format!("cannot connect to `{address}`: Connection refused");
        assert_eq!(join(source), Err(Error::Operation(message)));
    });
}

#[test]
fn bad_addresses_are_refused_when_the_workflow_is_built() {
    let refused = |source: TcpSource| {
        let workflow = crate::workflow::WorkflowBuilder::new();
        workflow.listen(source).named("input").discard();
        workflow.build().map(|_| ()).expect_err("refused").to_string()
    };
    assert!(refused(TcpSource::connect("localhost")).contains("`localhost` is not an address"));
    assert!(refused(TcpSource::connect_all(["localhost:1", "localhost:0"])).contains("`localhost:0`"));
    assert!(refused(TcpSource::listen("9999")).contains("`9999`"));
    assert!(refused(TcpSource::connect_all(Vec::<String>::new())).contains("there is no address to connect to"));
    assert_eq!(TcpSource::listen("localhost:0").check(), Ok(()));
}

#[test]
fn shares_without_an_address_have_nothing_to_do() {
    let (_worker, mut intake) = worker(1);
    let share = Share { index: 1, of: 2 };
    assert_eq!(Passive::listen(&TcpSource::listen("127.0.0.1:0"), share, &mut intake), Ok(()));
    assert_eq!(Passive::listen(&TcpSource::connect("127.0.0.1:1"), share, &mut intake), Ok(()));
}
