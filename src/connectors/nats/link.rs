//! A connection that is made anew when it is lost.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::{Client, ConnectErrorKind, ConnectOptions};

use crate::connectors::driver::Driver;
use crate::connectors::retry::{ANSWER_TIMEOUT, Attempt, Attempts, CONNECT_TIMEOUT, Failure, wait};
use crate::connectors::server::{Resolved, ServerUrl};
use crate::workflow::Result;

/// Where a NATS server is, and as whom it is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub url: ServerUrl,
    /// The file of a user's credentials, if there is one.
    pub credentials: Option<PathBuf>,
}

/// A connection to a NATS server, with something of the caller that lives as long as that.
pub(super) struct Link<S> {
    server: Server,
    attempts: Attempts,
    session: Option<Session<S>>,
}

/// A connection, and who runs it.
struct Session<S> {
    own: S,
    nats: Nats,
    driver: Driver,
}

/// How a NATS server is spoken to.
pub(super) struct Nats {
    pub client: Client,
    pub jetstream: Context,
}

/// Why something was not done.
pub(super) enum Trouble {
    Refused(String),
    Away(String),
}

impl Trouble {
    pub fn refused(why: impl Display) -> Self {
        Trouble::Refused(why.to_string())
    }

    pub fn away(why: impl Display) -> Self {
        Trouble::Away(why.to_string())
    }
}

impl<S: Default> Link<S> {
    /// One that is made when it is needed.
    pub fn new(server: &Server, patience: Duration) -> Self {
        Link { server: server.clone(), attempts: Attempts::new("NATS", &server.url, patience), session: None }
    }

    /// Does something once, within some time; `what` names it for messages.
    ///
    /// # Errors
    /// When the server refuses it, or has been away for too long.
    pub fn attempt<R>(
        &mut self,
        what: &str,
        within: Duration,
        call: impl AsyncFnOnce(&Nats, &mut S) -> Result<R, Trouble>,
    ) -> Result<Attempt<R>> {
        let resolved = self.server.url.resolve()?;
        let session = match &mut self.session {
            Some(session) => Ok(session),
            none => connect(&resolved, &self.server).map(|session| none.insert(session)),
        };
        let result = session.and_then(|Session { own, nats, driver }| {
            let late = || Failure::Away(format!("no answer within {} s", within.as_secs()));
            let result = driver.run(within, call(nats, own)).ok_or_else(late)?;
            result.map_err(|trouble| match trouble {
                Trouble::Refused(why) => Failure::Refused(resolved.scrub(why)),
                Trouble::Away(why) => Failure::Away(resolved.scrub(why)),
            })
        });
        if result.is_err() {
            self.session = None;
        }
        self.attempts.judge(what, result)
    }

    /// Does something, again and again while the server is away: it may be done more than once.
    ///
    /// # Errors
    /// As [`attempt`](Link::attempt).
    pub fn call<R>(&mut self, what: &str, mut call: impl AsyncFnMut(&Nats, &mut S) -> Result<R, Trouble>) -> Result<R> {
        loop {
            match self.attempt(what, ANSWER_TIMEOUT, &mut call)? {
                Attempt::Done(result) => return Ok(result),
                Attempt::Away(time) => wait(time),
            }
        }
    }
}

impl<S> std::fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

fn connect<S: Default>(resolved: &Resolved, server: &Server) -> Result<Session<S>, Failure> {
    let parts = resolved.parts();
    let driver = Driver::new().map_err(Failure::Other)?;
    let connected = driver.run(ANSWER_TIMEOUT, async {
        // It is made anew here, with what the caller keeps for it.
        let mut options = ConnectOptions::new().name("skitter").connection_timeout(CONNECT_TIMEOUT).max_reconnects(1);
        options = match (parts.user, parts.password) {
            (Some(user), Some(password)) => options.user_and_password(user, password),
            (Some(token), None) => options.token(token),
            (None, _) => options,
        };
        if let Some(path) = &server.credentials {
            let refused = |error| Failure::Refused(format!("credentials `{}`: {error}", path.display()));
            options = options.credentials_file(path).await.map_err(refused)?;
        }
        options.connect(format!("{}://{}", parts.scheme, parts.rest)).await.map_err(|error| {
            let reason = resolved.scrub(&error);
            match error.kind() {
                ConnectErrorKind::Io | ConnectErrorKind::Dns | ConnectErrorKind::TimedOut => Failure::Away(reason),
                _ => Failure::Refused(reason),
            }
        })
    });
    let late = || Failure::Away(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()));
    let client = connected.ok_or_else(late)??;
    let jetstream = async_nats::jetstream::new(client.clone());
    Ok(Session { own: S::default(), nats: Nats { client, jetstream }, driver })
}
