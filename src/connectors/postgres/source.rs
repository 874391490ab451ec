//! The rows of a query.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::link::Link;
use super::{SCHEMES, sql};
use crate::connectors::retry::{Attempt, FIRST_PATIENCE, PATIENCE};
use crate::connectors::server::ServerUrl;
use crate::workflow::{Emit, Error, Operation, Pull, Result, Saved, Share, Snapshot, Source};

/// How many rows are asked for at once at most: what fits into memory several times, where they are of kilobytes.
const MOST_AT_ONCE: usize = 1000;

/// A source of the rows of a PostgreSQL query, in the order of a column, its key. One worker reads them, a page at a
/// time, so that nothing is held open in the server between two reads. It ends behind the last row, unless it
/// [polls](Self::poll_every) for more.
///
/// A row becomes a record by serde: the names of its columns are those of the fields of a struct. What a type of
/// PostgreSQL looks like is said by its `row_to_json`: numbers, booleans and text as such, times as text, arrays as
/// sequences, `json` as it is.
///
/// - **On failure** each row has its effect exactly once: the key of the last row is a part of the checkpoint, and
///   reading goes on behind it.
/// - **The key** needs an order and an index, for each page is asked for by it. Rows without one are left out. Rows
///   that are added later with a key that has been passed are not read; and so it is with rows of a transaction that
///   has taken its number from a sequence before others, and commits behind them. Where that happens, let the query
///   leave out the youngest rows: `WHERE added < now() - interval '1 minute'`.
/// - **A server that is away** is waited for; see [`patience`](Self::patience). A page may take 30 s.
/// - **TLS** is used unless the server is on this host, and its certificate is checked against those that the host
///   trusts (`SSL_CERT_FILE` names others); `?sslmode=disable` or `require` in the URL says otherwise.
///
/// ```no_run
/// use serde::Deserialize;
/// use skitter::connectors::PostgresQuery;
/// use skitter::prelude::*;
///
/// #[derive(Deserialize)]
/// struct Order {
///     id: i64,
///     customer: String,
/// }
///
/// let workflow = WorkflowBuilder::new();
/// let url = "postgres://app:${PGPASSWORD}@db.example.org/shop";
/// workflow
///     .source(PostgresQuery::new(url, "SELECT id, customer FROM orders", "id"))
///     .map(|order: Order| order.customer)
///     .count_by(|text: &String| text.clone())
///     .print();
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or the query or key is empty. The deployment fails before it starts when the
/// server cannot be reached within 10 s, refuses the login, or does not understand the query; while it runs, when the
/// server is away for too long, and when a row does not fit the record. All name the server and the cause.
pub struct PostgresQuery<T> {
    server: ServerUrl,
    query: String,
    key: String,
    poll: Option<Duration>,
    patience: Duration,
    types: PhantomData<fn() -> T>,
}

impl<T> PostgresQuery<T> {
    /// A source of the rows of a query, which has no parameters and no semicolon, in the order of the column `key`.
    pub fn new(url: impl Into<String>, query: impl Into<String>, key: impl Into<String>) -> Self {
        PostgresQuery {
            server: ServerUrl::new(url),
            query: query.into(),
            key: key.into(),
            poll: None,
            patience: PATIENCE,
            types: PhantomData,
        }
    }

    /// Asks for more rows, behind the last one, each time that this has passed, until the workflow is stopped.
    #[must_use]
    pub fn poll_every(mut self, time: Duration) -> Self {
        self.poll = Some(time);
        self
    }

    /// How long a server that is away is waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    fn reader(&self, last: Option<String>) -> PostgresReader {
        PostgresReader { link: Link::new(&self.server, self.patience), last, key_type: None }
    }

    /// The type of the key, as a statement names it.
    async fn key_type(&self, client: &tokio_postgres::Client) -> Result<String, tokio_postgres::Error> {
        let statement = client.prepare(&sql::key_of(&self.query, &self.key)).await?;
        let of_type = statement.columns().first().map(tokio_postgres::Column::type_);
        Ok(of_type
            .map(|of_type| sql::quoted_table(&format!("{}.{}", of_type.schema(), of_type.name())))
            .unwrap_or_default())
    }
}

/// The place that a worker reads rows from.
#[derive(Debug)]
pub struct PostgresReader {
    link: Link,
    /// The key of the last row, as text.
    last: Option<String>,
    /// The type of the key, when it is known.
    key_type: Option<String>,
}

impl<T> Clone for PostgresQuery<T> {
    fn clone(&self) -> Self {
        let PostgresQuery { server, query, key, poll, patience, types: _ } = self;
        let (server, query, key) = (server.clone(), query.clone(), key.clone());
        PostgresQuery { server, query, key, poll: *poll, patience: *patience, types: PhantomData }
    }
}

impl<T> std::fmt::Debug for PostgresQuery<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresQuery")
            .field("server", &self.server)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned + Send + 'static> Operation for PostgresQuery<T> {
    type In = Infallible;
    type Out = T;
    const NAME: &'static str = "postgres query";
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.check(SCHEMES)?;
        if self.query.trim().is_empty() || self.key.is_empty() {
            return Err(Error::from(
                "a query and the column that orders its rows are needed, and one of them is empty",
            ));
        }
        Ok(())
    }

    fn conf(&mut self) -> Result<()> {
        let mut link = Link::new(&self.server, FIRST_PATIENCE);
        link.call("prepare the query", async |client| self.key_type(client).await).map(|_| ())
    }
}

impl<T: DeserializeOwned + Send + 'static> Source for PostgresQuery<T> {
    type Reader = PostgresReader;

    fn open(&self, _share: Share) -> Result<PostgresReader> {
        Ok(self.reader(None))
    }

    fn read<E: Emit<T>>(&self, reader: &mut PostgresReader, budget: usize, emit: &mut E) -> Result<Pull> {
        let PostgresReader { link, last, key_type } = reader;
        let rows = budget.clamp(1, MOST_AT_ONCE);
        let attempt = link.attempt("run the query", async |client| {
            let Some(last) = &last else {
                return client.query(&sql::page(&self.query, &self.key, None, rows), &[]).await;
            };
            let of_type = match &key_type {
                Some(of_type) => of_type,
                None => key_type.insert(self.key_type(client).await?),
            };
            client.query(&sql::page(&self.query, &self.key, Some(of_type), rows), &[last]).await
        })?;
        let page = match attempt {
            Attempt::Done(page) => page,
            Attempt::Away(time) => return Ok(Pull::After(time)),
        };
        for row in &page {
            let odd = |why: String| Error::Operation(format!("a row of PostgreSQL at `{}`: {why}", self.server));
            let key: String = row.try_get(0).map_err(|error| odd(error.to_string()))?;
            let text: &str = row.try_get(1).map_err(|error| odd(error.to_string()))?;
            let record = serde_json::from_str(text)
                .map_err(|error| odd(format!("that of key `{key}` does not fit the record: {error}")))?;
            emit.emit(record);
            *last = Some(key);
        }
        Ok(match self.poll {
            _ if page.len() >= rows => Pull::More,
            Some(time) => Pull::After(time),
            None if page.is_empty() => Pull::End,
            None => Pull::More,
        })
    }

    fn position(&self, reader: &mut PostgresReader, snapshot: &mut Snapshot) -> Result<()> {
        snapshot.put(&reader.last)
    }

    fn resume(&self, _share: Share, saved: &Saved) -> Result<PostgresReader> {
        Ok(self.reader(saved.whole::<Option<String>>()?.flatten()))
    }
}
