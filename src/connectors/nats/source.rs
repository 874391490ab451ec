//! The messages of a stream.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::context::GetStreamErrorKind;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::SCHEMES;
use super::link::{Link, Nats, Server, Trouble};
use crate::connectors::retry::{Attempt, FIRST_PATIENCE, PATIENCE};
use crate::connectors::server::ServerUrl;
use crate::workflow::{Emit, Error, Operation, Pull, Result, Saved, Share, Snapshot, Source};

/// How long the server is asked to wait for the next message: that long a worker answers nothing else. Short enough
/// that checkpoints and stops do not wait, long enough that an empty stream is asked for seldom.
const TURN: Duration = Duration::from_millis(20);

/// How long an answer may take while the stream is read. A server that takes longer is away: a worker answers nothing
/// else meanwhile.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// How many messages are asked for at once: what fits into memory several times, where they are of kilobytes.
const MOST_AT_ONCE: usize = 500;

/// How long the server keeps a consumer that nobody asks: longer than a worker is kept from it by those behind it. One
/// that is gone is made anew.
const UNUSED: Duration = Duration::from_secs(300);

/// A message of a stream of JetStream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsMessage {
    /// Its subject.
    pub subject: String,
    /// Its number in the stream, from 1.
    pub sequence: u64,
    /// Its headers. One with several values is there several times.
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub payload: Vec<u8>,
}

impl NatsMessage {
    /// The payload as text; none if it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.payload).ok()
    }
}

/// A source of the messages of a stream of NATS JetStream, in their order, read by one worker. It ends when its
/// workflow is stopped, or with what there was at the start, if it is [`bounded`](Self::bounded).
///
/// The number of the last message is a part of the checkpoint. Nothing is acknowledged: the worker makes a consumer of
/// its own, without a name and in memory, which begins where it goes on and is deleted when nobody asks it any more.
///
/// - **On failure** each message has its effect exactly once: a worker that goes on reads from where the checkpoint
///   was.
/// - **Discarded** messages (limits of the stream, a purge) that have not been read are lost: keep as much as a
///   workflow may be away. A stream that ends before the position, because it was deleted and made anew, is an error.
///   So streams with the retention `interest` or `workqueue` are none for it.
/// - **A server that is away** is waited for; see [`patience`](Self::patience).
///
/// ```no_run
/// use skitter::connectors::{NatsMessage, NatsStream};
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// workflow
///     .source(NatsStream::new("nats://app:${NATS_PASSWORD}@localhost:4222", "orders").subject("orders.eu.*"))
///     .map(|message: NatsMessage| message.subject)
///     .count_by(|text: &String| text.clone())
///     .print();
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or the stream has no name. The deployment fails before it starts when the
/// server cannot be reached within 10 s, refuses the login, or has no such stream; while it runs, when the server is
/// away for too long, or the stream ends before the position. All name the server and the cause.
#[derive(Clone, Debug)]
pub struct NatsStream {
    server: Server,
    stream: String,
    subject: Option<String>,
    latest: bool,
    bounded: bool,
    patience: Duration,
}

impl NatsStream {
    /// A source of the messages of a stream, from its first one. In the URL there may be a user with a password, or a
    /// token in the place of a user.
    pub fn new(url: impl Into<String>, stream: impl Into<String>) -> Self {
        NatsStream {
            server: Server { url: ServerUrl::new(url), credentials: None },
            stream: stream.into(),
            subject: None,
            latest: false,
            bounded: false,
            patience: PATIENCE,
        }
    }

    /// Reads messages of this subject only, in which `*` and `>` stand for any.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Logs in by the credentials in this file, which is read on the node that connects.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.server.credentials = Some(path.into());
        self
    }

    /// Reads what is added from now on only, unless a checkpoint says where to go on.
    #[must_use]
    pub fn from_latest(mut self) -> Self {
        self.latest = true;
        self
    }

    /// Ends when what was there at the start has been read.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.bounded = true;
        self
    }

    /// How long a server that is away is waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// The number of the last message of the stream.
    async fn newest(&self, nats: &Nats) -> Result<u64, Trouble> {
        let found = nats.jetstream.get_stream(&self.stream).await.map_err(|error| match error.kind() {
            GetStreamErrorKind::Request => Trouble::away(error),
            _ => Trouble::refused(error),
        })?;
        Ok(found.cached_info().state.last_sequence)
    }

    /// The next messages behind one.
    async fn next(
        &self,
        nats: &Nats,
        feed: &mut Feed,
        place: &Place,
        count: usize,
    ) -> Result<Vec<NatsMessage>, Trouble> {
        let consumer = match &mut feed.consumer {
            Some(consumer) => consumer,
            none => {
                let newest = self.newest(nats).await?;
                if newest < place.last {
                    return Err(Trouble::Refused(format!(
                        "it ends at {newest}, and has been read up to {}: it was made anew, or the server has \
                         lost data; start the workflow anew, without its checkpoints, if that is right",
                        place.last
                    )));
                }
                feed.taken = 0;
                none.insert(self.consumer(nats, place.last + 1).await?)
            }
        };
        let batch = if place.end.is_some() {
            consumer.fetch().max_messages(count).messages().await
        } else {
            consumer.batch().max_messages(count).expires(TURN).messages().await
        };
        let mut batch = batch.map_err(Trouble::away)?;
        let mut messages = Vec::new();
        while let Some(message) = batch.next().await {
            let message = message.map_err(Trouble::away)?;
            let info = message.info().map_err(Trouble::refused)?;
            // One that was sent and did not come is not sent again, as nothing is acknowledged.
            if info.consumer_sequence != feed.taken + 1 {
                return Err(Trouble::Away("messages were lost on the way".to_owned()));
            }
            feed.taken += 1;
            let sequence = info.stream_sequence;
            let headers = message.headers.iter().flat_map(|headers| headers.iter());
            messages.push(NatsMessage {
                sequence,
                headers: headers
                    .flat_map(|(name, values)| values.iter().map(|value| (name.to_string(), value.to_string())))
                    .collect(),
                subject: message.subject.to_string(),
                payload: message.payload.to_vec(),
            });
        }
        Ok(messages)
    }

    /// A consumer of what begins with this message.
    async fn consumer(&self, nats: &Nats, start_sequence: u64) -> Result<Consumer<Config>, Trouble> {
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ack_policy: AckPolicy::None,
            filter_subject: self.subject.clone().unwrap_or_default(),
            inactive_threshold: UNUSED,
            memory_storage: true,
            ..Config::default()
        };
        nats.jetstream.create_consumer_on_stream(config, &self.stream).await.map_err(Trouble::away)
    }
}

/// What gives messages, as long as a connection lives.
#[derive(Default)]
struct Feed {
    consumer: Option<Consumer<Config>>,
    /// How many messages it has given.
    taken: u64,
}

/// How far the stream has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    last: u64,
    /// The last message to read, if there is one.
    end: Option<u64>,
}

/// The place that a worker reads a stream from.
pub struct NatsReader {
    link: Link<Feed>,
    place: Place,
}

impl std::fmt::Debug for NatsReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsReader").field("link", &self.link).field("place", &self.place).finish()
    }
}

impl Operation for NatsStream {
    type In = Infallible;
    type Out = NatsMessage;
    const NAME: &'static str = "nats stream";
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.url.check(SCHEMES)?;
        if self.stream.is_empty() { Err(Error::from("the stream to read has an empty name")) } else { Ok(()) }
    }

    fn conf(&mut self) -> Result<()> {
        let mut link = Link::<()>::new(&self.server, FIRST_PATIENCE);
        link.call(&format!("find stream `{}`", self.stream), async |nats, ()| self.newest(nats).await).map(|_| ())
    }
}

impl Source for NatsStream {
    type Reader = NatsReader;

    fn open(&self, _share: Share) -> Result<NatsReader> {
        let mut link = Link::new(&self.server, self.patience);
        let what = format!("find stream `{}`", self.stream);
        let newest = link.call(&what, async |nats, _: &mut Feed| self.newest(nats).await)?;
        let last = if self.latest { newest } else { 0 };
        Ok(NatsReader { link, place: Place { last, end: self.bounded.then_some(newest) } })
    }

    fn read<E: Emit<NatsMessage>>(&self, reader: &mut NatsReader, budget: usize, emit: &mut E) -> Result<Pull> {
        let NatsReader { link, place } = reader;
        if place.end.is_some_and(|end| place.last >= end) {
            return Ok(Pull::End);
        }
        let (what, count) = (format!("give stream `{}`", self.stream), budget.clamp(1, MOST_AT_ONCE));
        let read = link.attempt(&what, READ_TIMEOUT, async |nats, feed| self.next(nats, feed, place, count).await)?;
        let messages = match read {
            Attempt::Done(messages) => messages,
            Attempt::Away(time) => return Ok(Pull::After(time)),
        };
        let none = messages.is_empty();
        for message in messages {
            place.last = message.sequence;
            if place.end.is_some_and(|end| message.sequence > end) {
                break;
            }
            emit.emit(message);
        }
        Ok(match (none, place.end) {
            (false, _) => Pull::More,
            (true, None) => Pull::Again,
            // What was there at the start and is not there any more will not come.
            (true, Some(_)) => Pull::End,
        })
    }

    fn position(&self, reader: &mut NatsReader, snapshot: &mut Snapshot) -> Result<()> {
        snapshot.put(&reader.place)
    }

    fn resume(&self, share: Share, saved: &Saved) -> Result<NatsReader> {
        match saved.whole()? {
            Some(place) => Ok(NatsReader { link: Link::new(&self.server, self.patience), place }),
            None => self.open(share),
        }
    }
}
