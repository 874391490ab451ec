//! Records as messages.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use rskafka::chrono::DateTime;
use rskafka::client::partition::Compression;
use rskafka::record::Record;
use serde::Serialize;

use super::SCHEMES;
use super::hash::partition_of;
use super::link::{KafkaLogin, Link, Server, Topic};
use super::trouble::Trouble;
use crate::connectors::retry::PATIENCE;
use crate::connectors::sending::sends_at_flushes;
use crate::connectors::server::ServerUrl;
use crate::workflow::{ByHand, Emit, Error, Operation, React, Result};

/// How many messages are held before they are sent, and how many bytes of them: enough that the way there and back is
/// little beside the work of the brokers.
const AT_ONCE: usize = 1000;
const BYTES_AT_ONCE: usize = 1 << 20;

/// How many bytes of messages are in one batch: what brokers allow unless told otherwise, which is a little more than a
/// MiB, without what is written beside them.
const BATCH_BYTES: usize = 900 << 10;

/// What a message needs in a batch beside its key and payload, at most.
const OVERHEAD: usize = 64;

/// How often partitions that are new are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Sends records to a topic of Kafka, each as a message. Text is written as it is, all else as JSON, unless
/// [`payload`](Self::payload) says otherwise.
///
/// A message with a [key](Self::key) goes to the partition that Kafka's own clients choose (murmur2 of the key, modulo
/// the number of partitions), so that those of one key are in one partition and in order, whoever sends them. Messages
/// without one go to one partition after the other, up to a thousand together.
///
/// All replicas that are in sync have acknowledged a message (`acks=all`) before a checkpoint is complete, and it is
/// sent at the latest a tenth of a second after its record came. Partitions that are added are used within a minute;
/// keys then change their partitions, as they do for other clients.
///
/// **On failure** messages since the last checkpoint are sent again, and those whose acknowledgement was lost with a
/// connection, too: at least once. Brokers that are away are waited for; see [`patience`](Self::patience).
///
/// ```no_run
/// use skitter::connectors::KafkaSink;
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// let sink = KafkaSink::new("kafka://localhost:9092", "orders").key(|order: &String| order.clone().into_bytes());
/// workflow.source(TextFiles::new(["orders.txt"])).sink(sink, Chained);
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or the topic has no name. The deployment fails before it starts when no broker
/// can be reached within 10 s, the login is refused, or there is no such topic; while it runs, when brokers are away
/// for too long, the user may not write to the topic, and when a message is larger than the topic allows. All name the
/// brokers and the cause.
pub struct KafkaSink<T> {
    server: Server,
    payload: Option<Make<T, Vec<u8>>>,
    key: Option<Make<T, Vec<u8>>>,
    time: Option<Make<T, i64>>,
    patience: Duration,
}

/// Makes something of a record.
type Make<T, R> = Arc<dyn Fn(&T) -> R + Send + Sync>;

impl<T> KafkaSink<T> {
    /// Sends to this topic. The URL is `kafka://`, or `kafkas://` for TLS, with one broker or several with commas
    /// between them; those that they name are connected to, too.
    pub fn new(url: impl Into<String>, topic: impl Into<String>) -> Self {
        let server = Server { url: ServerUrl::new(url), login: KafkaLogin::default(), topic: topic.into() };
        KafkaSink { server, payload: None, key: None, time: None, patience: PATIENCE }
    }

    /// Makes the payload of a message by this function.
    #[must_use]
    pub fn payload(mut self, payload: impl Fn(&T) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.payload = Some(Arc::new(payload));
        self
    }

    /// Makes the key of a message by this function.
    #[must_use]
    pub fn key(mut self, key: impl Fn(&T) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.key = Some(Arc::new(key));
        self
    }

    /// Makes the timestamp of a message by this function, in milliseconds since 1970. The time at which its record came
    /// unless set.
    #[must_use]
    pub fn timestamp(mut self, time: impl Fn(&T) -> i64 + Send + Sync + 'static) -> Self {
        self.time = Some(Arc::new(time));
        self
    }

    /// How the user in the URL proves who it is. By its password as it is, unless set.
    #[must_use]
    pub fn login(mut self, login: KafkaLogin) -> Self {
        self.server.login = login;
        self
    }

    /// How long brokers that are away are waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Sends all messages that are held, and waits until they are stored.
    fn send(&self, writer: &mut KafkaWriter) -> Result<()> {
        let KafkaWriter { link, messages, bytes, turn } = writer;
        if messages.is_empty() {
            return Ok(());
        }
        let what = format!("send to topic `{}`", self.server.topic);
        link.call(&what, async |topic| send(topic, messages, *turn).await)?;
        (*bytes, *turn) = (0, turn.wrapping_add(1));
        Ok(())
    }
}

/// Sends messages, and leaves those that have not been acknowledged. Messages without a key go to the partition whose
/// turn it is.
async fn send(topic: &mut Topic, messages: &mut Vec<Record>, turn: usize) -> Result<(), Trouble> {
    if topic.known.1.elapsed() >= LOOK_EVERY {
        topic.look().await?;
    }
    let partitions = topic.known.0.clone();
    let mut dealt: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (number, message) in messages.iter().enumerate() {
        let nth = match &message.key {
            Some(key) => partition_of(key, partitions.len()),
            None => turn % partitions.len().max(1),
        };
        let Some(partition) = partitions.get(nth) else { continue };
        dealt.entry(*partition).or_default().push(number);
    }
    topic.leaders(dealt.keys().copied()).await?;
    let (all, leaders) = (&*messages, &*topic);
    let sent = join_all(dealt.into_iter().map(|(partition, numbers)| async move {
        let mut acknowledged = Vec::with_capacity(numbers.len());
        let result = send_to(leaders, partition, all, &numbers, &mut acknowledged).await;
        (acknowledged, result)
    }));
    let (mut acknowledged, mut troubles) = (BTreeSet::new(), Vec::new());
    for (numbers, result) in sent.await {
        acknowledged.extend(numbers);
        troubles.extend(result.err());
    }
    let mut number = 0..;
    messages.retain(|_| number.next().is_none_or(|number: usize| !acknowledged.contains(&number)));
    let refused = troubles.iter().position(|trouble| matches!(trouble, Trouble::Refused(_)));
    match troubles.into_iter().nth(refused.unwrap_or(0)) {
        Some(trouble) => Err(trouble),
        None => Ok(()),
    }
}

/// Sends those messages that are for a partition, batch by batch, so that they stay in order.
async fn send_to(
    topic: &Topic,
    partition: i32,
    all: &[Record],
    numbers: &[usize],
    acknowledged: &mut Vec<usize>,
) -> Result<(), Trouble> {
    let leader = topic.leader(partition)?;
    let mut left = numbers;
    while !left.is_empty() {
        let sizes = left.iter().filter_map(|number| all.get(*number)).map(size);
        let fit = sizes.scan(0, |sum, size| Some(std::mem::replace(sum, *sum + size) + size));
        // At least one: if it is too large, the broker says so.
        let count = fit.take_while(|sum| *sum <= BATCH_BYTES).count().max(1);
        let (batch, rest) = left.split_at(count.min(left.len()));
        let records = batch.iter().filter_map(|number| all.get(*number).cloned()).collect();
        leader.produce(records, Compression::NoCompression).await?;
        acknowledged.extend_from_slice(batch);
        left = rest;
    }
    Ok(())
}

fn size(message: &Record) -> usize {
    message.approximate_size() + OVERHEAD
}

/// What a worker keeps of the topic that it sends to.
#[derive(Debug)]
pub struct KafkaWriter {
    link: Link,
    /// What has not been acknowledged yet, and its size.
    messages: Vec<Record>,
    bytes: usize,
    /// How often it has sent.
    turn: usize,
}

impl<T> Clone for KafkaSink<T> {
    fn clone(&self) -> Self {
        let KafkaSink { server, payload, key, time, patience } = self;
        let (server, payload, key, time) = (server.clone(), payload.clone(), key.clone(), time.clone());
        KafkaSink { server, payload, key, time, patience: *patience }
    }
}

impl<T> std::fmt::Debug for KafkaSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSink").field("server", &self.server).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operation for KafkaSink<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "kafka sink";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.url.check(SCHEMES)?;
        if self.server.topic.is_empty() { Err(Error::from("the topic to write to has an empty name")) } else { Ok(()) }
    }

    fn conf(&mut self) -> Result<()> {
        Link::check(&self.server)
    }
}

impl<T: Serialize + Send + 'static> React for KafkaSink<T> {
    type State = ByHand<KafkaWriter>;

    fn init(&self) -> Self::State {
        let link = Link::new(&self.server, self.patience);
        ByHand(KafkaWriter { link, messages: Vec::new(), bytes: 0, turn: 0 })
    }

    fn react<E: Emit<Infallible>>(&self, writer: &mut Self::State, record: T, _emit: &mut E) -> Result<()> {
        let payload = match &self.payload {
            Some(payload) => payload(&record),
            None => crate::connectors::payload::bytes(&record)?,
        };
        let time = match &self.time {
            Some(time) => time(&record),
            None => now(),
        };
        let no_time = || Error::Operation(format!("{time} is no timestamp; give milliseconds since 1970"));
        let message = Record {
            key: self.key.as_ref().map(|key| key(&record)),
            value: Some(payload),
            headers: BTreeMap::new(),
            timestamp: DateTime::from_timestamp_millis(time).ok_or_else(no_time)?,
        };
        writer.bytes += size(&message);
        writer.messages.push(message);
        if writer.messages.len() >= AT_ONCE || writer.bytes >= BYTES_AT_ONCE { self.send(writer) } else { Ok(()) }
    }

    sends_at_flushes!();
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
