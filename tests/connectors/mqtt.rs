//! MQTT.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rustix::process::Signal;
use skitter::connectors::{MqttMessage, MqttSink, MqttSource};
use skitter::operations::Paced;
use skitter::prelude::*;
use skitter::runtime::DeploymentHandle;

use crate::fault::{Fault, House, ended};
use crate::server::{PATIENCE, Server, eventually, free_port};

const COUNT: u64 = 2000;

/// A broker that keeps what it has in a file when it is asked to end, and queues all that there is.
fn server(more: &'static str) -> Server {
    Server::start_in(tempfile::tempdir().expect("a directory"), Signal::TERM, move |port, directory| {
        let path = directory.path().join("mosquitto.conf");
        let at = directory.path().display();
        let config = format!(
            "listener {port} 127.0.0.1\nuser root\npersistence true\npersistence_location {at}/\n\
             max_inflight_messages 0\nmax_queued_messages 0\n{more}"
        );
        std::fs::write(&path, config.replace("DIR", &at.to_string())).expect("a file");
        let program =
            if std::path::Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let mut command = Command::new(program);
        command.arg("-c").arg(path);
        command
    })
}

const ANYBODY: &str = "allow_anonymous true\n";

fn url(server: &Server) -> String {
    format!("mqtt://127.0.0.1:{}", server.port)
}

fn number(message: MqttMessage) -> u64 {
    message.text().and_then(|text| text.parse().ok()).expect("a number")
}

/// Publishes numbers.
fn publish(server: &Server, numbers: std::ops::Range<u64>) {
    let (house, workflow) = (House::new(), WorkflowBuilder::new());
    workflow.source(StreamSource::new(move || numbers.clone())).sink(MqttSink::new(url(server), "n/x"), Sedentary);
    house.run(workflow).expect("published");
}

/// Numbers that a source gives, with a panic in the middle if that is asked for.
fn listen(house: &House, source: MqttSource, panics: bool) -> (DeploymentHandle, Receiver<u64>, Fault) {
    let (sender, seen) = sync_channel(100_000);
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    let map = move |message| {
        once.pass(if panics { COUNT / 2 } else { u64::MAX });
        number(message)
    };
    workflow.listen(source).map(map).send(sender);
    (house.deploy(workflow), seen, fault)
}

/// A number that nothing else has.
const PROBE: u64 = 1_000_000;

/// Publishes until the source is there.
fn probe(server: &Server, seen: &Receiver<u64>) {
    eventually("nothing is heard", || {
        publish(server, PROBE..PROBE + 1);
        seen.recv_timeout(Duration::from_millis(100)).is_ok()
    });
}

/// Takes numbers until all of these have come.
fn take(seen: &Receiver<u64>, numbers: std::ops::Range<u64>) -> Vec<u64> {
    let (mut left, mut taken): (BTreeSet<u64>, _) = (numbers.collect(), Vec::new());
    while !left.is_empty() {
        let number = seen.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{} are lost", left.len()));
        left.remove(&number);
        if number != PROBE {
            taken.push(number);
        }
    }
    taken
}

#[test]
fn messages_are_read_in_order() {
    let (server, house) = (server(ANYBODY), House::new());
    let (deployment, seen, _) = listen(&house, MqttSource::new(url(&server), ["n/+", "other"]), false);
    probe(&server, &seen);
    publish(&server, 0..COUNT);
    assert!(take(&seen, 0..COUNT) == (0..COUNT).collect::<Vec<_>>());
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn with_a_session_none_is_lost_although_an_operation_panics() {
    let (server, house) = (server(ANYBODY), House::new());
    let (deployment, seen, fault) = listen(&house, MqttSource::new(url(&server), ["n/+"]).session("me"), true);
    probe(&server, &seen);
    publish(&server, 0..COUNT);
    take(&seen, 0..COUNT);
    assert!(fault.has_failed());
    deployment.stop();
    ended(&deployment).expect("it stops");
    // The broker keeps what comes while nobody listens.
    publish(&server, COUNT..COUNT + 100);
    let (deployment, seen, _) = listen(&house, MqttSource::new(url(&server), ["n/+"]).session("me"), false);
    take(&seen, COUNT..COUNT + 100);
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn what_is_in_a_complete_checkpoint_is_acknowledged() {
    let (server, house) = (server(ANYBODY), House::new());
    let source = MqttSource::new(url(&server), ["n/+"]).session("me");
    let (deployment, seen, _) = listen(&house, source.clone(), false);
    probe(&server, &seen);
    publish(&server, 0..100);
    take(&seen, 0..100);
    let before = crate::fault::manifests(&house.at("checkpoints"));
    let store = house.at("checkpoints");
    let newest = || {
        let run = std::fs::read_dir(store.join("test")).ok()?.filter_map(|entry| Some(entry.ok()?.path())).max()?;
        std::fs::read_dir(run.join("manifests")).ok()?.filter_map(|entry| Some(entry.ok()?.file_name())).max()
    };
    assert!(before > 0);
    // Two more are complete when the next but one is there.
    for _ in 0..4 {
        let last = newest();
        eventually("no checkpoint", || newest() != last);
    }
    deployment.stop();
    ended(&deployment).expect("it stops");
    let (deployment, seen, _) = listen(&house, source, false);
    publish(&server, 200..201);
    assert_eq!(take(&seen, 200..201), [200], "and does not come again");
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn with_a_session_none_is_lost_although_the_broker_dies() {
    let (mut server, house) = (server(ANYBODY), House::new());
    let (deployment, seen, _) = listen(&house, MqttSource::new(url(&server), ["n/+"]).session("me"), false);
    probe(&server, &seen);
    let (writer, workflow) = (House::new(), WorkflowBuilder::new());
    let numbers = Paced::new(StreamSource::new(|| 0..COUNT), 2000);
    workflow.source(numbers).sink(MqttSink::new(url(&server), "n/x"), Sedentary);
    let writing = writer.deploy(workflow);
    take(&seen, 0..100);
    server.kill();
    server.up();
    take(&seen, 100..COUNT);
    ended(&writing).expect("it waits for the broker");
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn no_record_is_lost_on_its_way_to_the_broker() {
    let (server, house) = (server(ANYBODY), House::new());
    let (deployment, seen, _) = listen(&house, MqttSource::new(url(&server), ["n/+"]), false);
    probe(&server, &seen);
    let (writer, workflow) = (House::new(), WorkflowBuilder::new());
    let fault = writer.fault();
    let once = fault.clone();
    workflow
        .source(Paced::new(StreamSource::new(|| 0..COUNT), 3000))
        .map(move |n| {
            once.pass(COUNT / 2);
            n
        })
        .sink(MqttSink::new(url(&server), "n/x").payload(|n: &u64| n.to_string().into_bytes()), Chained);
    writer.run(workflow).expect("it goes on");
    assert!(fault.has_failed());
    take(&seen, 0..COUNT);
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn what_is_wrong_is_named_without_a_password() {
    let house = House::new();
    let run = |url: String, topic: &str| {
        let workflow = WorkflowBuilder::new();
        workflow.listen(MqttSource::new(url, [topic])).discard();
        house.run(workflow).expect_err("it is refused").to_string()
    };
    let port = free_port();
    let error = run(format!("mqtt://me:hunter2@127.0.0.1:{port}"), "x");
    let expected = format!("cannot reach MQTT at `mqtt://me:***@127.0.0.1:{port}`");
    assert!(error.contains(&expected) && error.contains("is it running") && !error.contains("hunter2"), "{error}");
    let open = server(ANYBODY);
    assert!(run(url(&open), "a/#/b").contains("topic of `a/#/b` is not valid"));
    let closed = server("allow_anonymous false\n");
    let error = run(url(&closed).replace("://", "://me:hunter2@"), "x");
    assert!(error.contains("it refuses the connection: NotAuthorized") && !error.contains("hunter2"), "{error}");
    let error = run(url(&open).replace("mqtt://", "mqtts://"), "x");
    assert!(error.contains("MQTT at `mqtts://"), "{error}");
}
