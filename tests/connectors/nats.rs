//! NATS JetStream.

use std::collections::BTreeSet;
use std::process::Command;

use async_nats::jetstream::{Context, stream};
use skitter::connectors::{NatsMessage, NatsSink, NatsStream};
use skitter::operations::{Collected, Paced};
use skitter::prelude::*;

use crate::fault::{House, ended};
use crate::server::{Server, eventually, free_port};

const COUNT: u64 = 3000;

fn server() -> Server {
    Server::start(|port, directory| {
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"]);
        command.arg(directory.path().join("data"));
        command
    })
}

fn url(server: &Server) -> String {
    format!("nats://127.0.0.1:{}", server.port)
}

/// Does something with a client of the server.
fn with<R>(server: &Server, work: impl AsyncFn(Context) -> Option<R>) -> R {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
    let mut result = None;
    eventually("the server does not do it", || {
        result = executor.block_on(async {
            let client = async_nats::connect(url(server)).await.ok()?;
            work(async_nats::jetstream::new(client)).await
        });
        result.is_some()
    });
    result.expect("just given")
}

/// Makes a stream of the subjects `NAME.*`.
fn make(server: &Server, name: &str) {
    let config = stream::Config { name: name.to_owned(), subjects: vec![format!("{name}.*")], ..Default::default() };
    with(server, async |context| context.create_stream(config.clone()).await.ok().map(|_| ()));
}

/// Publishes numbers.
fn fill(server: &Server, subject: &str, numbers: std::ops::Range<u64>) {
    with(server, async |context| {
        for number in numbers.clone() {
            // Those of an attempt before are left out by their ids.
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Msg-Id", format!("{subject} {number}"));
            let sent = context.publish_with_headers(subject.to_owned(), headers, number.to_string().into()).await;
            sent.ok()?.await.ok()?;
        }
        Some(())
    });
}

/// All numbers of a stream, in its order.
fn numbers(server: &Server, stream: &str) -> Vec<u64> {
    let (house, collected, workflow) = (House::new(), Collected::new(), WorkflowBuilder::new());
    workflow.source(NatsStream::new(url(server), stream).bounded()).map(number).collect(&collected);
    house.run(workflow).expect("messages");
    collected.take()
}

fn number(message: NatsMessage) -> u64 {
    message.text().and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn each_message_counts_once_although_an_operation_panics() {
    let (server, house) = (server(), House::new());
    make(&server, "s");
    fill(&server, "s.a", 0..COUNT);
    fill(&server, "s.b", 0..10);
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    let source = NatsStream::new(url(&server), "s").subject("s.a").bounded();
    workflow
        .source(Paced::new(source, 3000))
        .map(move |message| {
            once.pass(COUNT / 2);
            number(message)
        })
        .write_tsv(house.at("numbers.tsv"));
    house.run(workflow).expect("it goes on");
    assert!(fault.has_failed());
    let text = std::fs::read_to_string(house.at("numbers.tsv")).expect("a file");
    let found: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(found == (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn messages_are_read_as_they_come_although_the_server_dies() {
    let (mut server, house) = (server(), House::new());
    make(&server, "s");
    fill(&server, "s.a", 0..10);
    let (sender, seen) = std::sync::mpsc::sync_channel(10_000);
    let workflow = WorkflowBuilder::new();
    workflow.source(NatsStream::new(url(&server), "s")).map(number).send(sender);
    let deployment = house.deploy(workflow);
    let take = |count| seen.iter().take(count).collect::<Vec<u64>>();
    assert_eq!(take(10), (0..10).collect::<Vec<_>>());
    server.kill();
    server.up();
    fill(&server, "s.a", 10..1000);
    assert_eq!(take(990), (10..1000).collect::<Vec<_>>(), "none twice, none lost");
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn a_stream_that_was_made_anew_is_an_error() {
    let (server, house) = (server(), House::new());
    make(&server, "s");
    fill(&server, "s.a", 0..COUNT);
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let (once, server) = (fault.clone(), std::sync::Arc::new(server));
    workflow
        .source(Paced::new(NatsStream::new(url(&server), "s").bounded(), 3000))
        .map(move |message: NatsMessage| {
            if message.sequence == COUNT / 2 && !once.has_failed() {
                std::thread::scope(|scope| {
                    let renewed = scope.spawn(|| {
                        with(&server, async |context| context.delete_stream("s").await.ok().map(|_| ()));
                        make(&server, "s");
                    });
                    renewed.join().expect("a new stream");
                });
            }
            once.pass(COUNT / 2 - 1);
            message.sequence
        })
        .discard();
    let error = house.run(workflow).expect_err("messages are lost").to_string();
    assert!(error.contains("give stream `s`: it ends at 0") && error.contains("start the workflow anew"), "{error}");
}

/// Numbers at a pace, with a panic in the middle, into a sink.
fn through(house: &House, sink: NatsSink<u64>) {
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    workflow
        .source(Paced::new(StreamSource::new(|| 0..COUNT), 3000))
        .map(move |n| {
            once.pass(COUNT / 2);
            n
        })
        .sink(sink, Chained);
    house.run(workflow).expect("it goes on");
    assert!(fault.has_failed());
}

#[test]
fn each_record_is_published_once_by_its_id() {
    let (server, house) = (server(), House::new());
    make(&server, "out");
    through(&house, NatsSink::new(url(&server), "out.n").message_id(|n: &u64| n.to_string()));
    assert!(numbers(&server, "out") == (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn without_ids_no_record_is_lost() {
    let (server, house) = (server(), House::new());
    make(&server, "out");
    through(&house, NatsSink::new(url(&server), "out.n").payload(|n: &u64| n.to_string().into_bytes()));
    assert_eq!(numbers(&server, "out").into_iter().collect::<BTreeSet<_>>().len() as u64, COUNT);
}

#[test]
fn each_record_is_published_once_although_the_server_dies() {
    let (mut server, house) = (server(), House::new());
    make(&server, "out");
    let workflow = WorkflowBuilder::new();
    let sink = NatsSink::new(url(&server), "out.n").message_id(|n: &u64| n.to_string());
    workflow.source(Paced::new(StreamSource::new(|| 0..COUNT), 3000)).sink(sink, Sedentary);
    let deployment = house.deploy(workflow);
    eventually("nothing is published", || numbers(&server, "out").len() > 100);
    server.kill();
    server.up();
    ended(&deployment).expect("it waits for the server");
    let mut found = numbers(&server, "out");
    found.sort_unstable();
    assert!(found == (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn what_is_wrong_is_named_without_a_password() {
    let (server, house) = (server(), House::new());
    let run = |workflow| house.run(workflow).expect_err("it is refused").to_string();
    let read = |url: String| {
        let workflow = WorkflowBuilder::new();
        workflow.source(NatsStream::new(url, "nothing")).discard();
        workflow
    };
    let error = run(read(url(&server)));
    assert!(error.contains("cannot find stream `nothing`") && error.contains("stream not found"), "{error}");
    let port = free_port();
    let error = run(read(format!("nats://me:hunter2@127.0.0.1:{port}")));
    let expected = format!("cannot reach NATS at `nats://me:***@127.0.0.1:{port}`");
    assert!(error.contains(&expected) && error.contains("is it running") && !error.contains("hunter2"), "{error}");
    let write = |subject: &str, text: String| {
        let workflow = WorkflowBuilder::new();
        let sink = NatsSink::new(url(&server), subject);
        workflow.source(StreamSource::new(move || [text.clone()])).sink(sink, Sedentary);
        workflow
    };
    let error = run(write("nowhere", String::new()));
    assert!(error.contains("cannot find a stream of subject `nowhere`"), "{error}");
    make(&server, "out");
    let error = run(write("out.n", "x".repeat(2 << 20)));
    assert!(error.contains("a message has 2097152 bytes, and the server allows 1048576"), "{error}");
}

#[test]
fn who_may_not_log_in_is_told_so() {
    let house = House::new();
    let server = Server::start(|port, directory| {
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"]);
        command.arg(directory.path().join("data")).args(["--user", "me", "--pass", "open sesame"]);
        command
    });
    let run = |login: &str| {
        let workflow = WorkflowBuilder::new();
        workflow.source(NatsStream::new(url(&server).replace("://", &format!("://{login}@")), "s")).discard();
        house.run(workflow).expect_err("there is no stream").to_string()
    };
    let error = run("me:hunter2");
    assert!(error.contains("authorization violation") && !error.contains("hunter2"), "{error}");
    let error = run("me:open%20sesame");
    assert!(error.contains("stream not found"), "{error}");
}
