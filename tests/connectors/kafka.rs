//! Kafka, as librdkafka plays its brokers: they speak the protocol, and keep messages in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use skitter::connectors::{KafkaMessage, KafkaSink, KafkaSource};
use skitter::id::Part;
use skitter::operations::{Collected, Paced};
use skitter::prelude::*;
use skitter::workflow::{Operation, Pull, Saved, Share, Snapshot, Source};

use crate::fault::{House, ended};
use crate::server::{eventually, free_port};

const COUNT: u64 = 3000;

/// How many partitions the topics have.
const PARTITIONS: usize = 4;

/// Numbers of requests and of errors in the protocol.
const PRODUCE: i32 = 0;
const FETCH: i32 = 1;
const NOT_LEADER: i32 = 6;
const MESSAGE_TOO_LARGE: i32 = 10;
const TOPIC_AUTHORIZATION_FAILED: i32 = 29;

/// Brokers that live as long as a test.
struct Brokers {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    url: String,
}

impl Brokers {
    /// So many of them, with these topics.
    fn start(count: usize, topics: &[&str]) -> Brokers {
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/connectors/kafka_mock.py")).arg(count.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("no python3 ({error}): scripts/kafka"));
        let commands = child.stdin.take();
        let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("its first line");
        assert!(!line.is_empty(), "the brokers do not come up: is librdkafka.so.1 installed? scripts/kafka");
        let mut brokers = Brokers { child, commands, answers, url: format!("kafka://{}", line.trim()) };
        for topic in topics {
            brokers.tell(&format!("topic {topic} {PARTITIONS}"));
        }
        brokers
    }

    /// Has them do something.
    fn tell(&mut self, command: &str) {
        writeln!(self.commands.as_mut().expect("a pipe"), "{command}").expect("they listen");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        assert_eq!(line, "done\n", "{command}");
    }

    /// Sends numbers, each with a key of its own.
    fn fill(&self, topic: &str, numbers: std::ops::Range<u64>) {
        let (house, workflow) = (House::new(), WorkflowBuilder::new());
        let sink = KafkaSink::new(&self.url, topic).key(key).timestamp(|n: &u64| *n as i64);
        workflow.source(StreamSource::new(move || numbers.clone())).sink(sink, Sedentary);
        house.run(workflow).expect("it takes them");
    }

    /// All messages of a topic.
    fn messages(&self, topic: &str) -> Vec<KafkaMessage> {
        let (house, collected, workflow) = (House::new(), Collected::new(), WorkflowBuilder::new());
        workflow.source(KafkaSource::new(&self.url, topic).bounded()).collect(&collected);
        house.run(workflow).expect("messages");
        collected.take()
    }

    fn numbers(&self, topic: &str) -> Vec<u64> {
        self.messages(topic).into_iter().map(number).collect()
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        // They end with their input.
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}

fn key(n: &u64) -> Vec<u8> {
    format!("key {n}").into_bytes()
}

fn number(message: KafkaMessage) -> u64 {
    message.json().expect("a number")
}

/// The offsets of each partition ascend by one, from 0.
fn assert_in_order(messages: &[KafkaMessage]) {
    let mut next = BTreeMap::new();
    for KafkaMessage { partition, offset, .. } in messages {
        let next = next.entry(*partition).or_insert(0);
        assert_eq!((partition, *offset), (partition, *next));
        *next += 1;
    }
}

#[test]
fn what_is_sent_is_read_from_all_partitions_in_order() {
    let brokers = Brokers::start(2, &["t"]);
    brokers.fill("t", 0..COUNT);
    let messages = brokers.messages("t");
    assert_in_order(&messages);
    assert_eq!(messages.iter().map(|message| message.partition).collect::<BTreeSet<_>>().len(), PARTITIONS);
    for message in &messages {
        let n = message.json::<u64>().expect("a number");
        assert_eq!((message.key_text(), message.timestamp), (Some(format!("key {n}").as_str()), n as i64));
    }
    let numbers: BTreeSet<u64> = messages.into_iter().map(number).collect();
    assert!(numbers == (0..COUNT).collect());
}

#[test]
fn keys_are_in_the_partitions_of_other_clients() {
    let brokers = Brokers::start(1, &["t"]);
    brokers.fill("t", 0..100);
    // What `murmur2` of Kafka's clients gives for these keys, without the sign and modulo 4.
    let found: BTreeMap<u64, i32> = brokers
        .messages("t")
        .into_iter()
        .map(|message| (message.json().expect("a number"), message.partition))
        .collect();
    assert_eq!([0, 1, 2, 3, 42].map(|n| found[&n]), EXPECTED_PARTITIONS);
}

/// Of the keys `key 0`, `key 1`, `key 2`, `key 3` and `key 42`, as librdkafka's partitioner `murmur2` has them.
const EXPECTED_PARTITIONS: [i32; 5] = [3, 0, 0, 3, 3];

#[test]
fn each_message_counts_once_although_an_operation_panics() {
    let (brokers, house) = (Brokers::start(2, &["t"]), House::new());
    brokers.fill("t", 0..COUNT);
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    workflow
        .source(Paced::new(KafkaSource::new(&brokers.url, "t").bounded(), 3000))
        .map(move |message| {
            once.pass(COUNT / 2);
            number(message)
        })
        .write_tsv(house.at("numbers.tsv"));
    house.run(workflow).expect("it goes on");
    assert!(fault.has_failed());
    let text = std::fs::read_to_string(house.at("numbers.tsv")).expect("a file");
    let mut found: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    found.sort_unstable();
    assert!(found == (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn messages_are_read_as_they_come_although_brokers_go_away() {
    let (mut brokers, house) = (Brokers::start(2, &["t"]), House::new());
    brokers.fill("t", 0..10);
    let (sender, seen) = std::sync::mpsc::sync_channel(10_000);
    let workflow = WorkflowBuilder::new();
    workflow.source(KafkaSource::new(&brokers.url, "t")).map(number).send(sender);
    let deployment = house.deploy(workflow);
    let take = |count| seen.iter().take(count).collect::<BTreeSet<u64>>();
    assert_eq!(take(10), (0..10).collect());
    for broker in ["1", "2"] {
        brokers.tell(&format!("down {broker}"));
    }
    for broker in ["1", "2"] {
        brokers.tell(&format!("up {broker}"));
    }
    brokers.fill("t", 10..1000);
    assert!(take(990) == (10..1000).collect(), "none twice, none lost");
    deployment.stop();
    ended(&deployment).expect("it stops");
    assert_eq!(seen.iter().count(), 0);
}

#[test]
fn another_broker_becomes_the_leader() {
    let (mut brokers, house) = (Brokers::start(2, &["t"]), House::new());
    let (sender, seen) = std::sync::mpsc::sync_channel(10_000);
    let workflow = WorkflowBuilder::new();
    workflow.source(KafkaSource::new(&brokers.url, "t")).map(number).send(sender);
    let deployment = house.deploy(workflow);
    for (leader, begin) in [(1, 0), (2, 100), (1, 200)] {
        for partition in 0..PARTITIONS {
            brokers.tell(&format!("lead t {partition} {leader}"));
        }
        brokers.tell(&format!("fail {FETCH} {NOT_LEADER} 2"));
        brokers.fill("t", begin..begin + 100);
        assert!(seen.iter().take(100).collect::<BTreeSet<u64>>() == (begin..begin + 100).collect());
    }
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn what_one_broker_has_is_read_although_another_one_is_away() {
    let (mut brokers, house) = (Brokers::start(2, &["t"]), House::new());
    // Each of two workers has partitions of both brokers.
    for (partition, leader) in [1, 1, 2, 2].iter().enumerate() {
        brokers.tell(&format!("lead t {partition} {leader}"));
    }
    brokers.fill("t", 0..10);
    let (sender, seen) = std::sync::mpsc::sync_channel(10_000);
    let workflow = WorkflowBuilder::new();
    let source = KafkaSource::new(&brokers.url, "t");
    workflow.source(source).map(|message| (message.partition, number(message))).send(sender);
    let deployment = house.deploy(workflow);
    assert_eq!(seen.iter().take(10).count(), 10);
    brokers.tell("down 2");
    // Its key is in the first partition.
    brokers.fill("t", 1..2);
    assert_eq!(seen.iter().next(), Some((0, 1)));
    brokers.tell("up 2");
    // And this one in the last.
    brokers.fill("t", 3..4);
    assert_eq!(seen.iter().next(), Some((3, 3)));
    deployment.stop();
    ended(&deployment).expect("it stops");
}

#[test]
fn who_begins_with_the_latest_sees_what_comes_then() {
    let (brokers, house) = (Brokers::start(1, &["t"]), House::new());
    brokers.fill("t", 0..100);
    let (sender, seen) = std::sync::mpsc::sync_channel(10_000);
    let workflow = WorkflowBuilder::new();
    workflow.source(KafkaSource::new(&brokers.url, "t").from_latest()).map(number).send(sender);
    let deployment = house.deploy(workflow);
    // It has begun when a checkpoint has its positions.
    eventually("there is no checkpoint", || crate::fault::manifests(&house.at("checkpoints")) > 0);
    brokers.fill("t", 100..200);
    assert!(seen.iter().take(100).collect::<BTreeSet<u64>>() == (100..200).collect());
    deployment.stop();
    ended(&deployment).expect("it stops");
}

/// Reads until there is nothing.
fn drain(source: &KafkaSource, reader: &mut <KafkaSource as Source>::Reader, most: usize) -> Vec<u64> {
    let mut found: Vec<KafkaMessage> = Vec::new();
    eventually("it does not give messages", || {
        found.len() >= most || source.read(reader, 50, &mut found).expect("messages") == Pull::End
    });
    found.into_iter().map(number).collect()
}

#[test]
fn partitions_are_dealt_out_anew_with_other_numbers_of_workers() {
    let brokers = Brokers::start(2, &["t"]);
    brokers.fill("t", 0..COUNT);
    let source = KafkaSource::new(&brokers.url, "t").bounded();
    source.check().expect("a source");
    let mut readers: Vec<_> = (0..2).map(|index| source.open(Share { index, of: 2 }).expect("a reader")).collect();
    let mut found = Vec::new();
    for of in [3, 1, 4] {
        found.extend(readers.iter_mut().flat_map(|reader| drain(&source, reader, 100)));
        let mut dealt = vec![BTreeMap::new(); of];
        let mut units = 0;
        for (number, reader) in readers.iter_mut().enumerate() {
            let mut snapshot = Snapshot::new(1).by(number as u32);
            source.position(reader, &mut snapshot).expect("a position");
            for (_, part, pieces) in snapshot.finish().parts {
                let to = match part {
                    Part::Unit(_) => units % of..units % of + 1,
                    Part::Shared(_) => 0..of,
                    _ => panic!("{part:?}"),
                };
                units += usize::from(matches!(part, Part::Unit(_)));
                for heir in &mut dealt[to] {
                    assert!(heir.insert(part, pieces.concat().into()).is_none(), "{part:?} is there twice");
                }
            }
        }
        assert_eq!(units, PARTITIONS);
        let saved = dealt.into_iter().map(|parts| Saved::new(parts, 0));
        readers = saved
            .enumerate()
            .map(|(index, saved)| source.resume(Share { index, of }, &saved).expect("a reader"))
            .collect();
    }
    found.extend(readers.iter_mut().flat_map(|reader| drain(&source, reader, usize::MAX)));
    found.sort_unstable();
    assert!(found == (0..COUNT).collect::<Vec<_>>(), "{} of {COUNT}", found.len());
}

#[test]
fn a_position_behind_the_end_is_an_error() {
    let (brokers, other) = (Brokers::start(1, &["t"]), Brokers::start(1, &["t"]));
    brokers.fill("t", 0..COUNT);
    let source = |brokers: &Brokers| KafkaSource::new(&brokers.url, "t");
    let alone = Share { index: 0, of: 1 };
    let mut reader = source(&brokers).open(alone).expect("a reader");
    drain(&source(&brokers), &mut reader, COUNT as usize);
    let mut snapshot = Snapshot::new(1);
    source(&brokers).position(&mut reader, &mut snapshot).expect("a position");
    let saved = snapshot.finish().into_saved(0).expect("all of it");
    let mut reader = source(&other).resume(alone, &saved).expect("a reader");
    let mut error = String::new();
    eventually("nothing is wrong", || {
        error = source(&other).read(&mut reader, 50, &mut Vec::new()).err().map_or_else(String::new, |e| e.to_string());
        !error.is_empty()
    });
    assert!(error.contains("ends at 0") && error.contains("start the workflow anew"), "{error}");
}

#[test]
fn messages_that_were_deleted_unread_are_passed_over() {
    let (brokers, house, workflow) = (Brokers::start(1, &["t"]), House::new(), WorkflowBuilder::new());
    let source = KafkaSource::new(&brokers.url, "t");
    let mut reader = source.open(Share { index: 0, of: 1 }).expect("a reader");
    // The brokers keep 5 MiB of each partition.
    let sent = 100;
    let sink = KafkaSink::new(&brokers.url, "t").payload(|n: &u64| vec![*n as u8; 300 << 10]);
    workflow.source(StreamSource::new(move || 0..sent)).sink(sink, Sedentary);
    house.run(workflow).expect("it takes them");
    let left = brokers.messages("t");
    assert!(!left.is_empty() && (left.len() as u64) < sent, "{} are left", left.len());
    let mut found: Vec<KafkaMessage> = Vec::new();
    eventually("it does not give messages", || {
        source.read(&mut reader, 50, &mut found).expect("messages");
        found.len() >= left.len()
    });
    let places = |messages: &[KafkaMessage]| messages.iter().map(|m| (m.partition, m.offset)).collect::<BTreeSet<_>>();
    assert_eq!((found.len(), places(&found)), (left.len(), places(&left)));
}

#[test]
fn no_record_is_lost_although_an_operation_panics() {
    let (brokers, house) = (Brokers::start(2, &["t"]), House::new());
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    workflow
        .source(Paced::new(StreamSource::new(|| 0..COUNT), 3000))
        .map(move |n| {
            once.pass(COUNT / 2);
            n
        })
        .sink(KafkaSink::new(&brokers.url, "t"), Chained);
    house.run(workflow).expect("it goes on");
    assert!(fault.has_failed());
    assert!(brokers.numbers("t").into_iter().collect::<BTreeSet<_>>() == (0..COUNT).collect());
}

#[test]
fn no_record_is_lost_although_brokers_go_away() {
    let (mut brokers, house) = (Brokers::start(2, &["t"]), House::new());
    let workflow = WorkflowBuilder::new();
    let sink = KafkaSink::new(&brokers.url, "t").key(key);
    workflow.source(Paced::new(StreamSource::new(|| 0..COUNT), 3000)).sink(sink, Sedentary);
    let deployment = house.deploy(workflow);
    eventually("nothing is sent", || brokers.numbers("t").len() > 100);
    for command in ["down 1", "down 2", "up 1", "up 2"] {
        brokers.tell(command);
    }
    brokers.tell(&format!("fail {PRODUCE} {NOT_LEADER} 3"));
    ended(&deployment).expect("it waits for the brokers");
    assert!(brokers.numbers("t").into_iter().collect::<BTreeSet<_>>() == (0..COUNT).collect());
}

#[test]
fn large_messages_are_sent_in_batches_that_fit() {
    let (brokers, house, workflow) = (Brokers::start(1, &["t"]), House::new(), WorkflowBuilder::new());
    let sink = KafkaSink::new(&brokers.url, "t").payload(|n: &u64| vec![*n as u8; 300 << 10]);
    workflow.source(StreamSource::new(|| 0..12u64)).sink(sink, Sedentary);
    house.run(workflow).expect("it takes them");
    let found: BTreeSet<u8> = brokers.messages("t").into_iter().filter_map(|m| m.payload?.first().copied()).collect();
    assert_eq!(found, (0..12).collect());
}

#[test]
fn what_is_wrong_is_named_without_a_password() {
    let (brokers, house) = (Brokers::start(1, &["t"]), House::new());
    let run = |workflow| house.run(workflow).expect_err("it is refused").to_string();
    let read = |url: String, topic: &str| {
        let workflow = WorkflowBuilder::new();
        workflow.source(KafkaSource::new(url, topic)).discard();
        workflow
    };
    let error = run(read(brokers.url.clone(), "nothing"));
    assert!(error.contains("there is no topic `nothing`") && error.contains("create it"), "{error}");
    let port = free_port();
    let error = run(read(format!("kafka://me:hunter2@127.0.0.1:{port}"), "t"));
    let expected = format!("cannot reach Kafka at `kafka://me:***@127.0.0.1:{port}`");
    assert!(error.contains(&expected) && error.contains("is it running") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_brokers_refuse_is_an_error_that_says_what_to_do() {
    let house = House::new();
    let run = |workflow| house.run(workflow).expect_err("it is refused").to_string();
    // As often as the deployment is started anew.
    let refusing = |api: i32, code: i32| {
        let mut brokers = Brokers::start(1, &["t"]);
        brokers.tell(&format!("fail {api} {code} 100"));
        brokers
    };
    let write = |brokers: &Brokers| {
        let workflow = WorkflowBuilder::new();
        workflow.source(StreamSource::new(|| 0..10u64)).sink(KafkaSink::new(&brokers.url, "t"), Sedentary);
        workflow
    };
    let brokers = refusing(PRODUCE, MESSAGE_TOO_LARGE);
    let error = run(write(&brokers));
    assert!(error.contains("larger than partition") && error.contains("max.message.bytes"), "{error}");
    let brokers = refusing(PRODUCE, TOPIC_AUTHORIZATION_FAILED);
    let error = run(write(&brokers));
    assert!(error.contains("not authorized") && error.contains("topic `t`") && error.contains("ACL"), "{error}");
    let (brokers, workflow) = (refusing(FETCH, TOPIC_AUTHORIZATION_FAILED), WorkflowBuilder::new());
    workflow.source(KafkaSource::new(&brokers.url, "t")).discard();
    let error = run(workflow);
    assert!(error.contains("not authorized") && error.contains("topic `t`") && error.contains("ACL"), "{error}");
}
