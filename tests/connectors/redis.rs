//! Redis.

use std::collections::BTreeMap;
use std::process::Command;

use skitter::connectors::{RedisEntry, RedisSink, RedisStreams};
use skitter::operations::{Collected, Paced};
use skitter::prelude::*;

use crate::fault::{House, ended, fates_of_a_zombie};
use crate::server::{Server, eventually, free_port};

const COUNT: u64 = 3000;

/// A server that has what it has said on its disk.
fn server() -> Server {
    Server::start(|port, directory| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir"]);
        command.arg(directory.path()).args(["--port", &port.to_string()]);
        command
    })
}

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

fn client(server: &Server) -> redis::Connection {
    let client = redis::Client::open(url(server)).expect("a URL");
    let mut connection = None;
    eventually("the server does not answer", || {
        connection = client.get_connection().ok().and_then(|mut connection| {
            redis::cmd("PING").exec(&mut connection).ok()?;
            Some(connection)
        });
        connection.is_some()
    });
    connection.expect("just made")
}

/// Adds numbers to a stream.
fn fill(connection: &mut redis::Connection, stream: &str, numbers: impl Iterator<Item = u64>) {
    let mut pipeline = redis::pipe();
    for number in numbers {
        pipeline.cmd("XADD").arg(stream).arg("*").arg("n").arg(number).ignore();
    }
    pipeline.exec(connection).expect("added");
}

/// The numbers of a stream, in its order.
fn numbers(connection: &mut redis::Connection, stream: &str) -> Vec<u64> {
    let entries: Vec<(String, Vec<(String, u64)>)> =
        redis::cmd("XRANGE").arg(stream).arg("-").arg("+").query(connection).expect("entries");
    entries.into_iter().map(|(_, fields)| fields[0].1).collect()
}

fn number(entry: RedisEntry) -> u64 {
    entry.text("n").and_then(|n| n.parse().ok()).expect("a number")
}

fn lines(path: &std::path::Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).expect("a file");
    let mut numbers: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn each_entry_counts_once_although_an_operation_panics() {
    let (server, house) = (server(), House::new());
    let mut client = client(&server);
    for stream in 0..3 {
        fill(&mut client, &format!("s{stream}"), (0..COUNT).filter(|n| n % 3 == stream));
    }
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    let source = RedisStreams::new(url(&server), ["s0", "s1", "s2"]).bounded();
    workflow
        .source(Paced::new(source, 3000))
        .map(move |entry| {
            once.pass(COUNT / 2);
            number(entry)
        })
        .write_tsv(house.at("numbers.tsv"));
    house.run(workflow).expect("it goes on");
    assert!(fault.has_failed());
    assert!(lines(&house.at("numbers.tsv")) == (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn entries_are_read_as_they_come_although_the_server_dies() {
    let (mut server, house) = (server(), House::new());
    let mut connection = client(&server);
    fill(&mut connection, "s", 0..10);
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let (sender, seen) = std::sync::mpsc::sync_channel(10_000);
    let once = fault.clone();
    let source = RedisStreams::new(url(&server), ["s"]);
    workflow
        .source(source)
        .map(move |entry| {
            once.pass(u64::MAX);
            number(entry)
        })
        .send(sender);
    let deployment = house.deploy(workflow);
    let take = |count| seen.iter().take(count).collect::<Vec<u64>>();
    assert_eq!(take(10), (0..10).collect::<Vec<_>>());
    server.kill();
    server.up();
    connection = client(&server);
    fill(&mut connection, "s", 10..2000);
    assert_eq!(take(1990), (10..2000).collect::<Vec<_>>(), "none twice, none lost");
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn what_was_there_before_is_left_out_if_that_is_asked_for() {
    let (server, house) = (server(), House::new());
    let mut client = client(&server);
    fill(&mut client, "s", 0..10);
    let (collected, workflow) = (Collected::new(), WorkflowBuilder::new());
    workflow
        .source(RedisStreams::new(url(&server), ["s", "none"]).from_latest().bounded())
        .map(number)
        .collect(&collected);
    house.run(workflow).expect("it ends at once");
    assert!(collected.take().is_empty());
}

#[test]
fn a_stream_that_has_lost_entries_is_an_error() {
    let (server, house) = (server(), House::new());
    let mut client = client(&server);
    fill(&mut client, "s", 0..COUNT);
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    let lose = std::sync::Mutex::new(client);
    let workflow_of = |client: std::sync::Arc<std::sync::Mutex<redis::Connection>>| {
        workflow
            .source(Paced::new(RedisStreams::new(url(&server), ["s"]).bounded(), 3000))
            .map(move |entry| {
                if once.seen() == COUNT / 2 {
                    redis::cmd("DEL").arg("s").exec(&mut client.lock().expect("no panic")).expect("deleted");
                }
                once.pass(COUNT / 2);
                number(entry)
            })
            .discard();
        workflow
    };
    let error = house.run(workflow_of(std::sync::Arc::new(lose))).expect_err("entries are lost").to_string();
    assert!(error.contains("stream `s` of Redis") && error.contains("start the workflow anew"), "{error}");
}

#[test]
fn a_server_that_is_away_is_named_without_its_password() {
    let house = House::new();
    let port = free_port();
    let workflow = WorkflowBuilder::new();
    workflow.source(RedisStreams::new(format!("redis://me:hunter2@127.0.0.1:{port}"), ["s"])).discard();
    let error = house.run(workflow).expect_err("nobody is there").to_string();
    let expected = format!("cannot reach Redis at `redis://me:***@127.0.0.1:{port}`");
    assert!(error.contains(&expected) && error.contains("is it running") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_wrong_password_and_a_key_that_is_no_stream_are_named() {
    let (server, house) = (server(), House::new());
    let mut client = client(&server);
    redis::cmd("SET").arg("s").arg("text").exec(&mut client).expect("set");
    let run = |url: String| {
        let workflow = WorkflowBuilder::new();
        workflow.source(RedisStreams::new(url, ["s"]).bounded()).discard();
        house.run(workflow).expect_err("it is refused").to_string()
    };
    let error = run(url(&server));
    assert!(error.contains("look at a stream") && error.contains("wrong kind of value"), "{error}");
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("open-sesame").exec(&mut client).expect("set");
    let error = run(format!("redis://:hunter2@127.0.0.1:{}", server.port));
    assert!(error.contains("cannot connect") && !error.contains("hunter2"), "{error}");
}

/// Numbers at a pace, with a panic in the middle, into a sink.
fn through<S>(house: &House, sink: S) -> crate::fault::Fault
where
    S: React<In = (u64, u64), Out = std::convert::Infallible>,
{
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    workflow
        .source(Paced::new(StreamSource::new(|| 0..COUNT), 3000))
        .map(move |n| {
            once.pass(COUNT / 2);
            (n, n * 2)
        })
        .sink(sink, Sedentary);
    house.run(workflow).expect("it goes on");
    assert!(fault.has_failed());
    fault
}

#[test]
fn each_record_is_in_the_stream_once() {
    let (server, house) = (server(), House::new());
    through(&house, RedisSink::stream(url(&server), "out", ["n", "double"]).exactly_once());
    let mut client = client(&server);
    let mut found = numbers(&mut client, "out");
    found.sort_unstable();
    assert!(found == (0..COUNT).collect::<Vec<_>>());
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).expect("keys");
    assert_eq!(keys, ["out"], "nothing is left aside");
}

#[test]
fn each_record_is_in_the_stream_once_although_the_server_dies() {
    let (mut server, house) = (server(), House::new());
    let workflow = WorkflowBuilder::new();
    let sink = RedisSink::stream(url(&server), "out", ["n"]).exactly_once();
    workflow.source(Paced::new(StreamSource::new(|| 0..COUNT), 3000)).sink(sink, Sedentary);
    let deployment = house.deploy(workflow);
    eventually("nothing is moved", || numbers(&mut client(&server), "out").len() > 100);
    server.kill();
    server.up();
    ended(&deployment).expect("it waits for the server");
    let mut found = numbers(&mut client(&server), "out");
    found.sort_unstable();
    assert!(found == (0..COUNT).collect::<Vec<_>>(), "none twice, none lost");
}

#[test]
fn a_worker_that_was_taken_for_dead_writes_nothing_twice() {
    let server = server();
    let mut client = client(&server);
    let sink = RedisSink::stream(url(&server), "out", ["n", "double"]).exactly_once();
    fates_of_a_zombie(&sink, || redis::cmd("XLEN").arg("out").query(&mut client).expect("a length"));
    assert_eq!(numbers(&mut client, "out"), [1, 2, 3]);
}

#[test]
fn without_exactly_once_no_record_is_lost() {
    let (server, house) = (server(), House::new());
    through(&house, RedisSink::stream(url(&server), "out", ["n", "double"]));
    let found: std::collections::BTreeSet<u64> = numbers(&mut client(&server), "out").into_iter().collect();
    assert_eq!(found.len() as u64, COUNT);
}

#[test]
fn each_hash_has_its_last_value() {
    let (server, house) = (server(), House::new());
    through(&house, RedisSink::hashes(url(&server), "h:", "n", ["n", "double"]));
    let mut client = client(&server);
    let keys: Vec<String> = redis::cmd("KEYS").arg("h:*").query(&mut client).expect("keys");
    assert_eq!(keys.len() as u64, COUNT);
    let hash: BTreeMap<String, u64> = redis::cmd("HGETALL").arg("h:21").query(&mut client).expect("a hash");
    assert_eq!(hash, BTreeMap::from([("n".to_owned(), 21), ("double".to_owned(), 42)]));
}

#[test]
fn what_is_wrong_with_a_sink_is_found_when_it_is_built() {
    let refused = |sink: RedisSink<(u64, u64)>| {
        let workflow = WorkflowBuilder::new();
        workflow.source(StreamSource::new(|| [(1u64, 2u64)])).sink(sink, Sedentary);
        workflow.build().map(|_| ()).expect_err("refused").to_string()
    };
    assert!(refused(RedisSink::stream("http://x", "out", ["n"])).contains("`http` is no scheme"));
    assert!(refused(RedisSink::stream("redis://x", "", ["n"])).contains("empty name"));
    assert!(refused(RedisSink::hashes("redis://x", "h:", "m", ["n"])).contains("none of the fields"));
    assert!(refused(RedisSink::hashes("redis://x", "h:", "n", ["n"]).exactly_once()).contains("for streams"));
}

#[test]
fn a_record_without_the_field_is_named() {
    let (server, house) = (server(), House::new());
    let workflow = WorkflowBuilder::new();
    let sink = RedisSink::stream(url(&server), "out", ["n", "m", "o"]);
    workflow.source(StreamSource::new(|| [(1u64, 2u64)])).sink(sink, Sedentary);
    let error = house.run(workflow).expect_err("it does not fit").to_string();
    assert!(error.contains("has 2 values, and 3 fields"), "{error}");
}
