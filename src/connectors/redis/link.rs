//! A connection that is made anew when it is lost.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Client, Connection, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

use super::entry::EntryId;
use crate::connectors::retry::{ANSWER_TIMEOUT, Attempt, Attempts, CONNECT_TIMEOUT, FIRST_PATIENCE, Failure, wait};
use crate::connectors::server::{Resolved, ServerUrl};
use crate::workflow::Result;

/// A connection to a Redis server.
pub(super) struct Link {
    attempts: Attempts,
    connection: Option<Connection>,
    /// How often it has been made.
    times: u64,
}

impl Link {
    /// One that is made when it is needed.
    pub fn new(server: &ServerUrl, patience: Duration) -> Self {
        Link { attempts: Attempts::new("Redis", server, patience), connection: None, times: 0 }
    }

    /// Sees whether the server can be reached.
    ///
    /// # Errors
    /// When it cannot, for as long as is waited for it at the start, or when it refuses the login.
    pub fn check(server: &ServerUrl) -> Result<()> {
        Link::new(server, FIRST_PATIENCE).call("connect", |connection| redis::cmd("PING").exec(connection))
    }

    /// How often the connection has been made: with each time the server may be another one.
    pub fn times(&self) -> u64 {
        self.times
    }

    /// Does something once; `what` names it for messages.
    ///
    /// # Errors
    /// When the server refuses it, or has been away for too long.
    pub fn attempt<R>(
        &mut self,
        what: &str,
        call: impl FnOnce(&mut Connection) -> RedisResult<R>,
    ) -> Result<Attempt<R>> {
        let resolved = self.attempts.server().resolve()?;
        let result = match &mut self.connection {
            Some(connection) => call(connection),
            none => connect(&resolved).and_then(|connection| {
                self.times += 1;
                call(none.insert(connection))
            }),
        };
        if result.is_err() {
            // What comes on it next may be the answer to what has failed.
            self.connection = None;
        }
        let failure = |error: RedisError| {
            let reason = resolved.scrub(&error);
            if is_away(&error) { Failure::Away(reason) } else { Failure::Refused(reason) }
        };
        self.attempts.judge(what, result.map_err(failure))
    }

    /// Does something, again and again while the server is away: it may be done more than once.
    ///
    /// # Errors
    /// As [`attempt`](Link::attempt).
    pub fn call<R>(&mut self, what: &str, mut call: impl FnMut(&mut Connection) -> RedisResult<R>) -> Result<R> {
        loop {
            match self.attempt(what, &mut call)? {
                Attempt::Done(result) => return Ok(result),
                Attempt::Away(time) => wait(time),
            }
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("attempts", &self.attempts).field("times", &self.times).finish_non_exhaustive()
    }
}

fn connect(server: &Resolved) -> RedisResult<Connection> {
    let connection = Client::open(server.url.as_str())?.get_connection_with_timeout(CONNECT_TIMEOUT)?;
    connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    connection.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(connection)
}

/// Whether the server cannot answer now, and may do so later: it is not there, starts, or is about to hand over.
fn is_away(error: &RedisError) -> bool {
    let soon = matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
        )
    );
    soon || error.is_io_error() || error.is_connection_dropped() || error.is_timeout()
}

/// The id of the last entry that a stream has had; the first of all ids if there is no stream.
pub(super) fn newest(connection: &mut Connection, stream: &str) -> RedisResult<EntryId> {
    let exists: bool = redis::cmd("EXISTS").arg(stream).query(connection)?;
    if !exists {
        return Ok(EntryId::default());
    }
    let info: HashMap<String, Value> = redis::cmd("XINFO").arg("STREAM").arg(stream).query(connection)?;
    let newest: Option<String> = info.get("last-generated-id").map(redis::from_redis_value_ref).transpose()?;
    Ok(newest.and_then(|id| id.parse().ok()).unwrap_or_default())
}
