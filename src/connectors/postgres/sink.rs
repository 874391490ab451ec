//! Records into a table.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::link::Link;
use super::{SCHEMES, sql};
use crate::connectors::batches::{Batches, KeptBatches};
use crate::connectors::columns::Columns;
use crate::connectors::retry::{FIRST_PATIENCE, PATIENCE};
use crate::connectors::server::ServerUrl;
use crate::workflow::{ByHand, Commit, Emit, Error, Operation, React, Result, Saved, Snapshot};

/// How many records are sent in one statement: enough that the way there and back, and the end of the transaction, are
/// little beside the work of the server.
const AT_ONCE: usize = 1000;

/// Writes records to a table of PostgreSQL, as rows.
///
/// Of a struct or map the fields are written that are named, each to the column of its name; of a tuple all, to the
/// columns in the order in which they are named; of a single value that value. A table may be named with its schema:
/// `shop.orders`. Values travel as JSON, and the server makes of each what the type of its column is: times, `uuid` and
/// `numeric` from text, arrays from sequences, `json` from anything; `None`, and a number that JSON has not (NaN), are
/// NULL. A column that is not named has its default.
///
/// | sink | when something fails |
/// |---|---|
/// | [`upsert`](PostgresSink::upsert) | each key has its last row, though older ones may come again in between: what was written since the last checkpoint is written again |
/// | [`exactly_once`](PostgresSink::exactly_once) | exactly once: rows appear when their checkpoint is complete, all of a worker in one transaction; also by key |
/// | [`insert`](PostgresSink::insert) | at least once: rows since the last checkpoint may be there twice |
///
/// Records of one worker are written in order, at the latest a tenth of a second after they came, and before a
/// checkpoint is complete. A server that is away is waited for; see [`patience`](PostgresSink::patience). TLS is as
/// with [`PostgresQuery`](super::PostgresQuery).
///
/// With the strategy [`Chained`](crate::strategies::Chained) each worker before it writes over a connection of its own.
/// Use [`Sedentary`](crate::strategies::Sedentary) with `exactly_once`, so that a workflow can go on with another
/// number of workers.
///
/// ```no_run
/// use skitter::connectors::PostgresSink;
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// let url = "postgres://app:${PGPASSWORD}@db.example.org/shop";
/// workflow
///     .source(TextFiles::new(["words.txt"]))
///     .count_by(|text: &String| text.clone())
///     .sink(PostgresSink::upsert(url, "counts", ["word"], ["word", "count"]), Chained);
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or a name is empty. The deployment fails before it starts when the server
/// cannot be reached within 10 s, refuses the login, or has no such table or column; while it runs, when the server is
/// away for too long, when a record has not the fields that are named, and when the server refuses a row: by the type
/// of a column, or by a constraint. All name the server and the cause. A constraint that refuses a row of a complete
/// checkpoint refuses it again when the workflow goes on: mend the table, or begin anew.
pub struct PostgresSink<T> {
    server: ServerUrl,
    table: String,
    key: Vec<String>,
    columns: Columns,
    exactly_once: bool,
    patience: Duration,
    types: PhantomData<fn(T)>,
}

impl<T> PostgresSink<T> {
    /// Inserts a row for each record.
    pub fn insert(
        url: impl Into<String>,
        table: impl Into<String>,
        columns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        PostgresSink {
            server: ServerUrl::new(url),
            table: table.into(),
            key: Vec::new(),
            columns: Columns::new(columns),
            exactly_once: false,
            patience: PATIENCE,
            types: PhantomData,
        }
    }

    /// Inserts a row for each record, or changes that with the same `key`: some of the columns, which have a unique
    /// index.
    pub fn upsert(
        url: impl Into<String>,
        table: impl Into<String>,
        key: impl IntoIterator<Item = impl Into<String>>,
        columns: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let key = key.into_iter().map(Into::into).collect();
        PostgresSink { key, ..PostgresSink::insert(url, table, columns) }
    }

    /// Has each record written once: it is put aside first, in a table `skitter_aside` beside the other one, and moved
    /// by one transaction when its checkpoint is complete. That table is made if it is not there, for which the right
    /// to do so is needed. Without checkpoints rows appear at the end.
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

    fn writer(&self, batches: Option<Batches>) -> PostgresWriter {
        PostgresWriter { link: Link::new(&self.server, self.patience), rows: Vec::new(), batches, added: 0 }
    }

    /// Sends all rows that are held.
    fn send(&self, writer: &mut PostgresWriter) -> Result<()> {
        let PostgresWriter { link, rows, batches, added } = writer;
        if rows.is_empty() {
            return Ok(());
        }
        let records = serde_json::to_string(&rows)
            .map_err(|error| Error::Operation(format!("the records cannot be written as JSON: {error}")))?;
        let table = &self.table;
        let what = format!("write to table `{table}`");
        match batches {
            Some(batches) => {
                let (batch, statement) = (batches.at_hand(), sql::put_aside(table));
                link.call(&what, async |client| client.execute(&statement, &[&batch, &*added, &records]).await)?;
                *added += i64::try_from(rows.len()).unwrap_or(i64::MAX);
            }
            None => {
                let statement = sql::insert(table, self.columns.names(), &self.key);
                link.call(&what, async |client| client.execute(&statement, &[&records]).await)?;
            }
        }
        rows.clear();
        Ok(())
    }
}

/// What a worker keeps of the table that it writes to.
#[derive(Debug)]
pub struct PostgresWriter {
    link: Link,
    /// What has not been sent yet.
    rows: Vec<Map<String, Value>>,
    /// Where records are put aside, if they are.
    batches: Option<Batches>,
    /// How many are in the batch at hand, in which they are numbered.
    added: i64,
}

impl<T> Clone for PostgresSink<T> {
    fn clone(&self) -> Self {
        PostgresSink {
            server: self.server.clone(),
            table: self.table.clone(),
            key: self.key.clone(),
            columns: self.columns.clone(),
            types: PhantomData,
            ..*self
        }
    }
}

impl<T> std::fmt::Debug for PostgresSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSink").field("server", &self.server).field("table", &self.table).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operation for PostgresSink<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "postgres sink";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.check(SCHEMES)?;
        self.columns.check()?;
        if self.table.split('.').any(str::is_empty) {
            return Err(Error::Operation(format!("`{}` is not the name of a table", self.table)));
        }
        match self.key.iter().find(|key| !self.columns.names().contains(key)) {
            Some(key) => Err(Error::Operation(format!("`{key}`, of the key, is none of the columns"))),
            None => Ok(()),
        }
    }

    fn conf(&mut self) -> Result<()> {
        let mut link = Link::new(&self.server, FIRST_PATIENCE);
        let (table, columns) = (&self.table, self.columns.names());
        link.call(&format!("write to table `{table}`"), async |client| {
            client.prepare(&sql::probe(table, columns)).await?;
            client.prepare(&sql::insert(table, columns, &self.key)).await.map(|_| ())
        })?;
        if !self.exactly_once {
            return Ok(());
        }
        link.call("make the table `skitter_aside`", async |client| {
            if client.prepare(&sql::put_aside(table)).await.is_ok() {
                return Ok(());
            }
            let made = client.batch_execute(&sql::create_aside(table)).await;
            // Another node may have made it at the same time.
            if client.prepare(&sql::put_aside(table)).await.is_ok() { Ok(()) } else { made }
        })
    }
}

impl<T: Serialize + Send + 'static> React for PostgresSink<T> {
    type State = ByHand<Result<PostgresWriter>>;

    fn init(&self) -> Self::State {
        ByHand(if self.exactly_once { Batches::new().map(|new| self.writer(Some(new))) } else { Ok(self.writer(None)) })
    }

    fn react<E: Emit<Infallible>>(&self, state: &mut Self::State, record: T, _emit: &mut E) -> Result<()> {
        let writer = state.as_mut().map_err(|error| error.clone())?;
        let values = self.columns.values(&record)?;
        writer.rows.push(self.columns.names().iter().cloned().zip(values).collect());
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
        let sealed: Vec<&str> = kept.sealed.iter().map(|(_, batch)| batch.as_str()).collect();
        let statement = sql::sweep(&self.table);
        let what = "delete what was put aside";
        writer.link.call(what, async |client| client.execute(&statement, &[&kept.life, &sealed]).await)?;
        Ok(ByHand(Ok(writer)))
    }

    fn commit(&self, state: &mut Self::State, commit: Commit) -> Result<()> {
        let PostgresWriter { link, batches, .. } = state.as_mut().map_err(|error| error.clone())?;
        let Some(batches) = batches else { return Ok(()) };
        let what = format!("write to table `{}`", self.table);
        for batch in batches.due(commit) {
            let statement = sql::publish(&self.table, self.columns.names(), &self.key);
            link.call(&what, async |client| client.execute(&statement, &[&batch]).await)?;
            batches.done(&batch);
        }
        Ok(())
    }
}
