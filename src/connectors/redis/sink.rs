//! Records into streams and hashes.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::Duration;

use redis::Pipeline;
use serde::Serialize;

use super::SCHEMES;
use super::link::{Link, newest};
use crate::connectors::batches::{self, Batches, KeptBatches};
use crate::connectors::columns::{Columns, text};
use crate::connectors::retry::PATIENCE;
use crate::connectors::server::ServerUrl;
use crate::workflow::{ByHand, Commit, Emit, Error, Operation, React, Result, Saved, Snapshot};

/// How many records are sent at once: enough that the way there and back is little beside the work of the server, which
/// does nothing else meanwhile.
const AT_ONCE: usize = 500;

/// Moves up to so many entries from one stream to another one. A script is a transaction: an entry is in one of them.
const MOVE: &str = "local moved = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1]) \
    for _, entry in ipairs(moved) do \
    redis.call('XADD', KEYS[2], '*', unpack(entry[2])) redis.call('XDEL', KEYS[1], entry[1]) end \
    if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[1]) end return #moved";

/// Writes records to Redis: as entries of a stream, or as hashes, each at the key of its record.
///
/// Of a struct or map the fields are written that are named, of a tuple all, under the names that are given in order,
/// of a single value that value. Text is written as it is, nothing (`None`) as empty text, all else as JSON.
///
/// | sink | when something fails |
/// |---|---|
/// | [`hashes`](RedisSink::hashes) | each key has its last value, though older ones may come again in between: what was written since the last checkpoint is written again |
/// | [`stream`](RedisSink::stream) | at least once: entries since the last checkpoint may be there twice |
/// | [`stream`](RedisSink::stream) with [`exactly_once`](RedisSink::exactly_once) | exactly once: entries appear when their checkpoint is complete |
///
/// A record is on its way at the latest a tenth of a second after it came, and before a checkpoint is complete. What
/// the server has taken it may lose in a crash of its own, as far as its `appendfsync` says; nobody notices then. A
/// server that is away is waited for; see [`patience`](RedisSink::patience). Records of one worker are written in
/// order.
///
/// With the strategy [`Chained`](crate::strategies::Chained) each worker before it writes over a connection of its own.
/// Use [`Sedentary`](crate::strategies::Sedentary) with `exactly_once`, so that a workflow can go on with another
/// number of workers. Not for Redis Cluster, unless all keys are on one node.
///
/// ```no_run
/// use skitter::connectors::RedisSink;
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// workflow
///     .source(TextFiles::new(["words.txt"]))
///     .count_by(|text: &String| text.clone())
///     .sink(RedisSink::hashes("redis://localhost", "count:", "word", ["word", "count"]), Chained);
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or a name is empty. The deployment fails before it starts when the server
/// cannot be reached within 10 s, or refuses the login; while it runs, when the server is away for too long or refuses
/// a command, and when a record has not the fields that are named. All name the server and the cause.
pub struct RedisSink<T> {
    server: ServerUrl,
    target: Target,
    columns: Columns,
    exactly_once: bool,
    patience: Duration,
    types: PhantomData<fn(T)>,
}

#[derive(Clone, Debug)]
enum Target {
    Stream(String),
    Hashes { prefix: String, key: String },
}

impl<T> RedisSink<T> {
    /// Adds an entry for each record to a stream, with these fields.
    pub fn stream(
        url: impl Into<String>,
        stream: impl Into<String>,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        RedisSink::new(url.into(), Target::Stream(stream.into()), Columns::new(fields))
    }

    /// Sets the fields of a hash for each record: that at `prefix` and the value of the field `key`, which is one of
    /// these.
    pub fn hashes(
        url: impl Into<String>,
        prefix: impl Into<String>,
        key: impl Into<String>,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let target = Target::Hashes { prefix: prefix.into(), key: key.into() };
        RedisSink::new(url.into(), target, Columns::new(fields))
    }

    fn new(url: String, target: Target, columns: Columns) -> Self {
        let server = ServerUrl::new(url);
        RedisSink { server, target, columns, exactly_once: false, patience: PATIENCE, types: PhantomData }
    }

    /// Has each entry in the stream once: it is put aside first, in a stream `{STREAM}:skitter:BATCH` of the same
    /// server, and moved when its checkpoint is complete. Without checkpoints entries appear at the end.
    ///
    /// What is aside and will never be moved is deleted by the worker that goes on; it stays if there is none, or if
    /// the first checkpoint was never complete.
    #[must_use]
    pub fn exactly_once(mut self) -> Self {
        self.exactly_once = true;
        self
    }

    /// How long a server that is away is waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    fn writer(&self, batches: Option<Batches>) -> RedisWriter {
        RedisWriter { link: Link::new(&self.server, self.patience), rows: Vec::new(), batches, added: 0 }
    }

    /// The key of a batch that is aside; in a cluster it is where the stream is.
    fn aside(&self, batch: &str) -> Result<String> {
        match &self.target {
            Target::Stream(stream) => Ok(format!("{{{stream}}}:skitter:{batch}")),
            Target::Hashes { .. } => Err(Error::from("hashes are not put aside")),
        }
    }

    /// Sends all rows that are held.
    fn send(&self, writer: &mut RedisWriter) -> Result<()> {
        let RedisWriter { link, rows, batches, added } = writer;
        if rows.is_empty() {
            return Ok(());
        }
        let Some(batches) = batches else {
            let mut pipeline = Pipeline::with_capacity(rows.len());
            for (key, values) in rows.iter() {
                match &self.target {
                    Target::Stream(stream) => self.command(pipeline.cmd("XADD").arg(stream).arg("*"), values),
                    Target::Hashes { .. } => self.command(pipeline.cmd("HSET").arg(key), values),
                }
            }
            link.call("take records", |connection| pipeline.exec(connection))?;
            rows.clear();
            return Ok(());
        };
        let aside = self.aside(&batches.at_hand())?;
        let mut again = false;
        let there = link.call("take records", |connection| {
            // Of an attempt whose answer was lost, some may be there.
            let there = if std::mem::replace(&mut again, true) { newest(connection, &aside)?.number } else { *added };
            let mut pipeline = Pipeline::new();
            for (number, (_, values)) in (*added + 1..).zip(rows.iter()).filter(|(number, _)| *number > there) {
                self.command(pipeline.cmd("XADD").arg(&aside).arg(format!("0-{number}")), values);
            }
            if there >= *added {
                pipeline.exec(connection)?;
            }
            Ok(there)
        })?;
        if there < *added {
            let why = "it has lost what it was given, which is given again from the last checkpoint";
            return Err(Error::Outside(format!("Redis at `{}`: {why}", self.server)));
        }
        *added += rows.len() as u64;
        rows.clear();
        Ok(())
    }

    /// Completes the last command by the fields of a record.
    fn command(&self, pipeline: &mut Pipeline, values: &[String]) {
        for (name, value) in self.columns.names().iter().zip(values) {
            pipeline.arg(name).arg(value);
        }
        pipeline.ignore();
    }

    /// Moves a batch to where it belongs.
    fn publish(&self, link: &mut Link, batch: &str) -> Result<()> {
        let (Target::Stream(stream), aside) = (&self.target, self.aside(batch)?) else { return Ok(()) };
        let mut script = redis::cmd("EVAL");
        script.arg(MOVE).arg(2).arg(aside).arg(stream).arg(AT_ONCE);
        while link.call("move entries", |connection| script.query::<usize>(connection))? > 0 {}
        Ok(())
    }

    /// Deletes what was put aside by a worker whose state was lost.
    fn sweep(&self, link: &mut Link, kept: &KeptBatches) -> Result<()> {
        for number in kept.next.. {
            let aside = self.aside(&batches::name(&kept.life, number))?;
            let found: usize =
                link.call("delete entries", |connection| redis::cmd("DEL").arg(&aside).query(connection))?;
            if found == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// What a worker keeps of the server that it writes to.
#[derive(Debug)]
pub struct RedisWriter {
    link: Link,
    /// What has not been sent yet: keys, and values in the order of the fields.
    rows: Vec<(String, Vec<String>)>,
    /// Where records are put aside, if they are.
    batches: Option<Batches>,
    /// How many are in the batch at hand, where they have the ids `0-1`, `0-2`, …
    added: u64,
}

impl<T> Clone for RedisSink<T> {
    fn clone(&self) -> Self {
        let RedisSink { server, target, columns, exactly_once, patience, types: _ } = self;
        let (server, target, columns) = (server.clone(), target.clone(), columns.clone());
        RedisSink { server, target, columns, exactly_once: *exactly_once, patience: *patience, types: PhantomData }
    }
}

impl<T> std::fmt::Debug for RedisSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSink").field("server", &self.server).field("target", &self.target).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operation for RedisSink<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "redis sink";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.check(SCHEMES)?;
        self.columns.check()?;
        match &self.target {
            Target::Stream(stream) if stream.is_empty() => Err(Error::from("the stream to write has an empty name")),
            Target::Hashes { .. } if self.exactly_once => {
                Err(Error::from("hashes are written again after a failure; `exactly_once` is for streams"))
            }
            Target::Hashes { key, .. } if !self.columns.names().contains(key) => {
                Err(Error::Operation(format!("`{key}`, the key of the hashes, is none of the fields")))
            }
            _ => Ok(()),
        }
    }

    fn conf(&mut self) -> Result<()> {
        Link::check(&self.server)
    }
}

impl<T: Serialize + Send + 'static> React for RedisSink<T> {
    type State = ByHand<Result<RedisWriter>>;

    fn init(&self) -> Self::State {
        ByHand(if self.exactly_once { Batches::new().map(|new| self.writer(Some(new))) } else { Ok(self.writer(None)) })
    }

    fn react<E: Emit<Infallible>>(&self, state: &mut Self::State, record: T, _emit: &mut E) -> Result<()> {
        let writer = state.as_mut().map_err(|error| error.clone())?;
        let values: Vec<_> = self.columns.values(&record)?.into_iter().map(text).collect();
        let key = match &self.target {
            Target::Hashes { prefix, key } => {
                let place = self.columns.names().iter().position(|name| name == key).unwrap_or_default();
                format!("{prefix}{}", values[place])
            }
            Target::Stream(_) => String::new(),
        };
        writer.rows.push((key, values));
        if writer.rows.len() >= AT_ONCE { self.send(writer) } else { Ok(()) }
    }

    fn flush(&self, state: &mut Self::State) -> Result<()> {
        state.as_mut().map_or(Ok(()), |writer| self.send(writer))
    }

    fn finish<E: Emit<Infallible>>(&self, state: &mut Self::State, _emit: &mut E) -> Result<()> {
        self.flush(state)
    }

    fn snapshot(&self, state: &mut Self::State, snapshot: &mut Snapshot) -> Result<()> {
        let writer = state.as_mut().map_err(|error| error.clone())?;
        self.send(writer)?;
        match &mut writer.batches {
            Some(batches) => {
                batches.seal(snapshot.checkpoint());
                writer.added = 0;
                snapshot.put(&batches.keep())
            }
            None => Ok(()),
        }
    }

    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        let kept = saved.whole::<KeptBatches>()?.filter(|_| self.exactly_once);
        let Some(kept) = kept else { return Ok(self.init()) };
        let mut writer = self.writer(Some(Batches::resume(&kept)?));
        self.sweep(&mut writer.link, &kept)?;
        Ok(ByHand(Ok(writer)))
    }

    fn commit(&self, state: &mut Self::State, commit: Commit) -> Result<()> {
        let RedisWriter { link, batches, .. } = state.as_mut().map_err(|error| error.clone())?;
        let Some(batches) = batches else { return Ok(()) };
        for batch in batches.due(commit) {
            self.publish(link, &batch)?;
            batches.done(&batch);
        }
        Ok(())
    }
}
