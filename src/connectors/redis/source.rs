//! The entries of streams.

use std::convert::Infallible;
use std::time::Duration;

use redis::{Connection, RedisResult};
use serde::{Deserialize, Serialize};

use super::entry::EntryId;
use super::link::{Link, newest};
use super::{RedisEntry, SCHEMES};
use crate::connectors::retry::{Attempt, PATIENCE};
use crate::connectors::server::ServerUrl;
use crate::id::Part;
use crate::workflow::{self, Emit, Error, Operation, Pull, Result, Saved, Share, Snapshot, Source};

/// How long the server is asked to wait for the next entry: that long a worker answers nothing else. Short enough that
/// checkpoints and stops do not wait, long enough that an empty stream is asked for seldom.
const TURN: Duration = Duration::from_millis(20);

/// How many entries are asked for at once: what fits into memory several times, where they are of kilobytes.
const MOST_AT_ONCE: usize = 1000;

/// A source of the entries of Redis streams. Each stream is read by one worker, in order; several streams by several
/// workers. It ends when its workflow is stopped, or with what there was at the start, if it is
/// [`bounded`](Self::bounded).
///
/// The position in each stream is a part of the checkpoint, and nothing is kept in Redis: there is no consumer group,
/// so nobody has to acknowledge, claim or trim for it, and several workflows read one stream without knowing of each
/// other.
///
/// - **On failure** each entry has its effect exactly once, with any number of workers: a worker that goes on reads
///   from where the checkpoint was.
/// - **Trimmed** entries (`MAXLEN`, `XTRIM`, `XDEL`) that have not been read are lost: keep as much as a workflow may
///   be away. A stream that ends before the position, because it was deleted, or because the server has lost its data
///   in a crash, is an error: nobody knows then what is missing.
/// - **A server that is away** is waited for; see [`patience`](Self::patience).
/// - **The streams** are those that were named at the start; one that is named later is not read by a workflow that
///   goes on from a checkpoint before. One that does not exist yet is empty.
///
/// ```no_run
/// use skitter::connectors::{RedisEntry, RedisStreams};
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// workflow
///     .source(RedisStreams::new("redis://app:${REDIS_PASSWORD}@localhost:6379", ["orders"]))
///     .map(|order: RedisEntry| order.text("customer").unwrap_or("nobody").to_owned())
///     .count_by(|text: &String| text.clone())
///     .print();
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or no stream is named. The deployment fails before it starts when the server
/// cannot be reached within 10 s, or refuses the login; while it runs, when the server is away for too long, a key is
/// no stream, or a stream ends before the position. All name the server and the cause.
#[derive(Clone, Debug)]
pub struct RedisStreams {
    server: ServerUrl,
    streams: Vec<String>,
    latest: bool,
    bounded: bool,
    patience: Duration,
}

impl RedisStreams {
    /// A source of the entries of these streams, from their first ones.
    pub fn new(url: impl Into<String>, streams: impl IntoIterator<Item = impl Into<String>>) -> Self {
        RedisStreams {
            server: ServerUrl::new(url),
            streams: streams.into_iter().map(Into::into).collect(),
            latest: false,
            bounded: false,
            patience: PATIENCE,
        }
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

    fn reader(&self, share: Share, cursors: Vec<Cursor>) -> RedisReader {
        RedisReader { link: Link::new(&self.server, self.patience), cursors, share: share.index, verified: 0 }
    }
}

/// The place that a worker reads streams from.
#[derive(Debug)]
pub struct RedisReader {
    link: Link,
    cursors: Vec<Cursor>,
    /// The number of the worker.
    share: usize,
    /// The time of the connection for which the streams have been looked at.
    verified: u64,
}

/// How far a stream has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    stream: String,
    last: EntryId,
    /// The last entry to read, if there is one.
    end: Option<EntryId>,
}

impl Cursor {
    fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.last >= end)
    }
}

impl Operation for RedisStreams {
    type In = Infallible;
    type Out = RedisEntry;
    const NAME: &'static str = "redis streams";
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.check(SCHEMES)?;
        if self.streams.is_empty() {
            return Err(Error::from("no stream to read was named; name at least one"));
        }
        let twice = |(number, stream): (usize, &String)| self.streams[..number].contains(stream);
        match self.streams.iter().enumerate().find(|found| found.1.is_empty() || twice(*found)) {
            Some((_, stream)) => Err(Error::Operation(format!("stream `{stream}` has no name, or is named twice"))),
            None => Ok(()),
        }
    }

    fn conf(&mut self) -> Result<()> {
        Link::check(&self.server)
    }
}

impl Source for RedisStreams {
    type Reader = RedisReader;

    fn splits(&self) -> bool {
        self.streams.len() > 1
    }

    fn open(&self, share: Share) -> Result<RedisReader> {
        let mut reader = self.reader(share, Vec::new());
        for stream in self.streams.iter().skip(share.index).step_by(share.of.max(1)) {
            let newest = reader.link.call("look at a stream", |connection| newest(connection, stream))?;
            let last = if self.latest { newest } else { EntryId::default() };
            reader.cursors.push(Cursor { stream: stream.clone(), last, end: self.bounded.then_some(newest) });
        }
        reader.verified = reader.link.times();
        Ok(reader)
    }

    fn read<E: Emit<RedisEntry>>(&self, reader: &mut RedisReader, budget: usize, emit: &mut E) -> Result<Pull> {
        reader.cursors.retain(|cursor| !cursor.has_ended());
        if reader.cursors.is_empty() {
            return Ok(Pull::End);
        }
        let RedisReader { link, cursors, verified, .. } = reader;
        if *verified < link.times() || link.times() == 0 {
            let found = match link.attempt("look at its streams", |connection| all_newest(connection, cursors))? {
                Attempt::Done(found) => found,
                Attempt::Away(time) => return Ok(Pull::After(time)),
            };
            self.verify(cursors, &found)?;
            *verified = link.times();
        }
        let names = cursors.iter().map(|cursor| cursor.stream.as_str()).collect::<Vec<_>>().join("`, `");
        let count = (budget / cursors.len()).clamp(1, MOST_AT_ONCE);
        let what = format!("give entries of `{names}`");
        let answer = match link.attempt(&what, |connection| next_entries(connection, cursors, count))? {
            Attempt::Done(answer) => answer,
            Attempt::Away(time) => return Ok(Pull::After(time)),
        };
        let none = answer.is_empty();
        for (stream, entries) in answer {
            let Some(cursor) = cursors.iter_mut().find(|cursor| cursor.stream == stream) else { continue };
            for (id, fields) in entries {
                cursor.last = id.parse().map_err(|error| self.odd(&stream, error))?;
                if cursor.end.is_some_and(|end| cursor.last > end) {
                    break;
                }
                let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
                let fields = fields.into_iter().map(|(field, value)| (name(&field), value)).collect();
                emit.emit(RedisEntry { stream: stream.clone(), id, fields });
            }
        }
        // What was there at the start and is not there any more will not come.
        if none {
            cursors.retain(|cursor| cursor.end.is_none());
        }
        Ok(if none { Pull::Again } else { Pull::More })
    }

    fn position(&self, reader: &mut RedisReader, snapshot: &mut Snapshot) -> Result<()> {
        for (number, cursor) in (0..).zip(&reader.cursors) {
            let mut bytes = Vec::new();
            workflow::save(cursor, &mut bytes)?;
            snapshot.put_part(Part::Unit((reader.share as u64) << 32 | number), bytes);
        }
        Ok(())
    }

    fn resume(&self, share: Share, saved: &Saved) -> Result<RedisReader> {
        let cursors = saved.units().map(|(_, mut bytes)| workflow::load(&mut bytes)).collect::<Result<_>>()?;
        Ok(self.reader(share, cursors))
    }
}

impl RedisStreams {
    /// Sees that no stream ends before what has been read of it.
    fn verify(&self, cursors: &[Cursor], newest: &[EntryId]) -> Result<()> {
        match cursors.iter().zip(newest).find(|(cursor, newest)| cursor.last > **newest) {
            None => Ok(()),
            Some((Cursor { stream, last, .. }, newest)) => Err(Error::Outside(format!(
                "stream `{stream}` of Redis at `{}` ends at {newest}, and has been read up to {last}: it was deleted, \
                 or the server has lost data; start the workflow anew, without its checkpoints, if that is right",
                self.server
            ))),
        }
    }

    fn odd(&self, stream: &str, what: String) -> Error {
        Error::Outside(format!("stream `{stream}` of Redis at `{}`: {what}", self.server))
    }
}

/// Streams with their entries: ids, and fields with their values.
type Answer = Vec<(String, Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)>)>;

fn next_entries(connection: &mut Connection, cursors: &[Cursor], count: usize) -> RedisResult<Answer> {
    let mut command = redis::cmd("XREAD");
    command.arg("COUNT").arg(count);
    if cursors.iter().any(|cursor| cursor.end.is_none()) {
        command.arg("BLOCK").arg(TURN.as_millis() as u64);
    }
    command.arg("STREAMS");
    for cursor in cursors {
        command.arg(&cursor.stream);
    }
    for cursor in cursors {
        command.arg(cursor.last.to_string());
    }
    Ok(command.query::<Option<Answer>>(connection)?.unwrap_or_default())
}

fn all_newest(connection: &mut Connection, cursors: &[Cursor]) -> RedisResult<Vec<EntryId>> {
    cursors.iter().map(|cursor| newest(connection, &cursor.stream)).collect()
}
