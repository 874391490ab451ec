//! The messages of a topic.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use rskafka::chrono::{DateTime, Utc};
use rskafka::client::partition::OffsetAt;

use super::SCHEMES;
use super::cursor::{Cursor, Place, bytes_of_each};
use super::deal::new;
use super::link::{KafkaLogin, Link, Server, Topic};
use super::message::KafkaMessage;
use super::trouble::Trouble;
use crate::connectors::retry::{Attempt, PATIENCE};
use crate::connectors::server::ServerUrl;
use crate::id::Part;
use crate::workflow::{self, Emit, Error, Operation, Pull, Result, Saved, Share, Snapshot, Source};

/// How long the brokers are asked to wait for the next message: that long a worker answers nothing else. Short enough
/// that checkpoints and stops do not wait, long enough that an empty topic is asked for seldom.
const TURN: Duration = Duration::from_millis(20);

/// How long an answer may take while the topic is read. A broker that takes longer is away: a worker answers nothing
/// else meanwhile.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// How often partitions that are new are looked for, unless told otherwise: seldom enough that it costs nothing.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A source of the messages of a topic of Kafka. Partitions are dealt out to the workers; each is read in order, by one
/// worker. It ends when its workflow is stopped, or with what there was at the start, if it is
/// [`bounded`](Self::bounded).
///
/// The offset in each partition is a part of the checkpoint, and nothing is kept in Kafka: there is no consumer group,
/// so nothing is rebalanced, and what tools show of groups does not show this source.
///
/// - **On failure** each message has its effect exactly once, with any number of workers: a worker that goes on reads
///   from where the checkpoint was. When the number of workers has changed, the partitions are dealt out anew.
/// - **New partitions** are found within a minute, or [as often as told](Self::find_partitions_every), and read from
///   their first message, also those that came while the workflow was away.
/// - **Deleted** messages (retention) that have not been read are lost, which is logged: keep as much as a workflow may
///   be away. A partition that ends before the position, because its topic was made anew, is an error; one that was
///   made anew and has as many messages again is not noticed.
/// - **Transactions** of producers: messages are read when theirs has ended, and also if it was *aborted*.
/// - **Brokers that are away** are waited for; see [`patience`](Self::patience). What other brokers have is read
///   meanwhile, more slowly.
///
/// A worker that has no partition gives no watermark: have at most as many workers as there are partitions, or let
/// those that are idle be passed over (`idle_after`). To follow the event time of each partition by itself use
/// `split_watermarks` with [`partition`](KafkaMessage::partition).
///
/// ```no_run
/// use skitter::connectors::{KafkaMessage, KafkaSource};
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// workflow
///     .source(KafkaSource::new("kafkas://app:${KAFKA_PASSWORD}@one:9093,two:9093", "orders"))
///     .map(|order: KafkaMessage| order.key_text().unwrap_or("nobody").to_owned())
///     .count_by(|text: &String| text.clone())
///     .print();
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or the topic has no name. The deployment fails before it starts when no broker
/// can be reached within 10 s, the login is refused, or there is no such topic; while it runs, when a broker is away
/// for too long, the user may not read the topic, or a partition ends before the position. All name the brokers and the
/// cause.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    server: Server,
    start: Start,
    bounded: bool,
    every: Duration,
    patience: Duration,
}

/// Where a partition is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Earliest,
    Latest,
    /// With the first message of this time, in milliseconds since 1970, or a later one.
    Time(i64),
}

impl KafkaSource {
    /// A source of the messages of a topic, from the first ones that are there. The URL is `kafka://`, or `kafkas://`
    /// for TLS, with one broker or several with commas between them; those that they name are connected to, too.
    pub fn new(url: impl Into<String>, topic: impl Into<String>) -> Self {
        KafkaSource {
            server: Server { url: ServerUrl::new(url), login: KafkaLogin::default(), topic: topic.into() },
            start: Start::Earliest,
            bounded: false,
            every: LOOK_EVERY,
            patience: PATIENCE,
        }
    }

    /// How the user in the URL proves who it is. By its password as it is, unless set.
    #[must_use]
    pub fn login(mut self, login: KafkaLogin) -> Self {
        self.server.login = login;
        self
    }

    /// Reads what is added from now on only, unless a checkpoint says where to go on.
    #[must_use]
    pub fn from_latest(mut self) -> Self {
        self.start = Start::Latest;
        self
    }

    /// Reads each partition from its first message with this timestamp or a later one, in milliseconds since 1970,
    /// unless a checkpoint says where to go on. Where there is none, it reads what is added from now on.
    #[must_use]
    pub fn from_time(mut self, milliseconds: i64) -> Self {
        self.start = Start::Time(milliseconds);
        self
    }

    /// Ends when what was there at the start has been read. New partitions are not looked for.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.bounded = true;
        self
    }

    /// How often partitions that have been added to the topic are looked for. Every minute unless set.
    #[must_use]
    pub fn find_partitions_every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    /// How long brokers that are away are waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    fn reader(&self, share: Share) -> KafkaReader {
        let link = Link::new(&self.server, self.patience);
        KafkaReader { link, share, places: Vec::new(), known: BTreeSet::new(), look: Instant::now(), turn: TURN }
    }

    /// Begins to read these partitions.
    async fn begin(&self, topic: &mut Topic, partitions: &[i32], start: Start) -> Result<Vec<Place>, Trouble> {
        topic.leaders(partitions.iter().copied()).await?;
        let topic = &*topic;
        let begun = partitions.iter().map(async |partition| {
            let leader = topic.leader(*partition)?;
            let newest = leader.get_offset(OffsetAt::Latest).await?;
            let next = match start {
                Start::Latest => newest,
                Start::Earliest => leader.get_offset(OffsetAt::Earliest).await?,
                Start::Time(time) => {
                    let time: DateTime<Utc> = DateTime::from_timestamp_millis(time).unwrap_or_default();
                    let found = leader.get_offset(OffsetAt::Timestamp(time)).await?;
                    if found < 0 { newest } else { found }
                }
            };
            Ok(Place::from(Cursor { partition: *partition, next, end: self.bounded.then_some(newest) }))
        });
        try_join_all(begun).await
    }

    /// Looks for partitions that are new; how long to wait, if the brokers are away.
    fn find(&self, reader: &mut KafkaReader) -> Result<Option<Duration>> {
        // What is in them was added since, all of it.
        let start = if self.start == Start::Latest { Start::Earliest } else { self.start };
        let what = format!("find the partitions of topic `{}`", self.server.topic);
        let (share, known) = (reader.share, &reader.known);
        let found = reader.link.attempt(&what, READ_TIMEOUT, async |topic| {
            topic.look().await?;
            let mine = new(share, &topic.known.0, known);
            self.begin(topic, &mine, start).await
        })?;
        let places = match found {
            Attempt::Done(places) => places,
            Attempt::Away(time) => return Ok(Some(time)),
        };
        for place in &places {
            let (topic, partition) = (&self.server.topic, place.cursor.partition);
            tracing::info!(topic, partition, "Found a new partition");
        }
        reader.known.extend(places.iter().map(|place| place.cursor.partition));
        reader.places.extend(places);
        reader.look = Instant::now() + self.every;
        Ok(None)
    }
}

/// The place that a worker reads a topic from.
#[derive(Debug)]
pub struct KafkaReader {
    link: Link,
    share: Share,
    places: Vec<Place>,
    /// The partitions that are not new: those of this worker, and those of others as far as it has been told.
    known: BTreeSet<i32>,
    /// When to look for new ones.
    look: Instant,
    /// How long to wait for messages: not at all as long as some partition has any.
    turn: Duration,
}

impl KafkaReader {
    /// Emits what has been fetched; none if there was nothing.
    fn give<E: Emit<KafkaMessage>>(&mut self, budget: usize, emit: &mut E) -> bool {
        let mut left = budget.max(1);
        for place in &mut self.places {
            while left > 0
                && let Some(message) = place.pop()
            {
                emit.emit(message);
                left -= 1;
            }
        }
        left < budget.max(1)
    }
}

/// Fetches what comes next of all of them. What some give is there although others are away.
async fn fetch(topic: &mut Topic, places: &mut [Place], turn: Duration) -> Result<(), Trouble> {
    let mut open: Vec<&mut Place> = places.iter_mut().filter(|place| !place.cursor.has_ended()).collect();
    let connected = topic.leaders(open.iter().map(|place| place.cursor.partition)).await;
    let (bytes, topic) = (bytes_of_each(open.len()), &*topic);
    let results = join_all(open.iter_mut().map(|place| place.fetch(topic, bytes, turn))).await;
    let mut troubles = connected.err().into_iter().chain(results.into_iter().filter_map(Result::err));
    let Some(first) = troubles.next() else { return Ok(()) };
    Err(troubles.find(|trouble| matches!(trouble, Trouble::Refused(_))).unwrap_or(first))
}

impl Operation for KafkaSource {
    type In = Infallible;
    type Out = KafkaMessage;
    const NAME: &'static str = "kafka source";
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.url.check(SCHEMES)?;
        if let Start::Time(time) = self.start
            && DateTime::<Utc>::from_timestamp_millis(time).is_none()
        {
            return Err(Error::Operation(format!("{time} is no time; give milliseconds since 1970")));
        }
        if self.server.topic.is_empty() { Err(Error::from("the topic to read has an empty name")) } else { Ok(()) }
    }

    fn conf(&mut self) -> Result<()> {
        Link::check(&self.server)
    }
}

impl Source for KafkaSource {
    type Reader = KafkaReader;

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, share: Share) -> Result<KafkaReader> {
        let mut reader = self.reader(share);
        let what = format!("find the partitions of topic `{}`", self.server.topic);
        reader.places = reader.link.call(&what, async |topic| {
            let mine = new(share, &topic.known.0, &BTreeSet::new());
            self.begin(topic, &mine, self.start).await
        })?;
        reader.known.extend(reader.places.iter().map(|place| place.cursor.partition));
        reader.look += self.every;
        Ok(reader)
    }

    fn read<E: Emit<KafkaMessage>>(&self, reader: &mut KafkaReader, budget: usize, emit: &mut E) -> Result<Pull> {
        if reader.give(budget, emit) {
            return Ok(Pull::More);
        }
        if self.bounded && reader.places.iter().all(|place| place.cursor.has_ended()) {
            return Ok(Pull::End);
        }
        if !self.bounded {
            if reader.look <= Instant::now()
                && let Some(time) = self.find(reader)?
            {
                return Ok(Pull::After(time));
            }
            if reader.places.is_empty() {
                return Ok(Pull::After(reader.look.saturating_duration_since(Instant::now())));
            }
        }
        let what = format!("give messages of topic `{}`", self.server.topic);
        let KafkaReader { link, places, turn, .. } = reader;
        let fetched = link.attempt(&what, READ_TIMEOUT, async |topic| fetch(topic, places, *turn).await)?;
        let some = reader.give(budget, emit);
        reader.turn = if some { Duration::ZERO } else { TURN };
        Ok(match fetched {
            Attempt::Away(time) if !some => Pull::After(time),
            Attempt::Done(()) if !some => Pull::Again,
            _ => Pull::More,
        })
    }

    fn position(&self, reader: &mut KafkaReader, snapshot: &mut Snapshot) -> Result<()> {
        for Place { cursor, .. } in &reader.places {
            let mut bytes = Vec::new();
            workflow::save(cursor, &mut bytes)?;
            snapshot.put_part(Part::Unit(u64::try_from(cursor.partition).unwrap_or_default()), bytes);
        }
        snapshot.put_shared(&reader.known)
    }

    fn resume(&self, share: Share, saved: &Saved) -> Result<KafkaReader> {
        let mut reader = self.reader(share);
        for (_, mut bytes) in saved.units() {
            reader.places.push(Place::from(workflow::load::<Cursor>(&mut bytes)?));
        }
        for known in saved.shared::<BTreeSet<i32>>() {
            reader.known.extend(known?);
        }
        Ok(reader)
    }
}
