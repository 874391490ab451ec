//! A connection that is made anew when it is lost.

use std::error::Error as _;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::connectors::driver::Driver;
use crate::connectors::retry::{ANSWER_TIMEOUT, Attempt, Attempts, CONNECT_TIMEOUT, Failure, wait};
use crate::connectors::server::{Resolved, ServerUrl};
use crate::connectors::tls;
use crate::workflow::{Error, Result};

/// A connection to a PostgreSQL server.
pub(super) struct Link {
    attempts: Attempts,
    session: Option<Session>,
}

/// A connection, and who runs it.
struct Session {
    client: Client,
    /// Carries what the client says; it ends when the connection does.
    connection: Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>,
    driver: Driver,
}

/// Why something was not done.
enum Trouble {
    Of(tokio_postgres::Error),
    Late(Duration),
    Closed,
    /// There is no way to ask.
    Other(Error),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Trouble::Of(error)
    }
}

impl Link {
    /// One that is made when it is needed.
    pub fn new(server: &ServerUrl, patience: Duration) -> Self {
        Link { attempts: Attempts::new("PostgreSQL", server, patience), session: None }
    }

    /// Does something once; `what` names it for messages.
    ///
    /// # Errors
    /// When the server refuses it, or has been away for too long.
    pub fn attempt<R>(
        &mut self,
        what: &str,
        call: impl AsyncFnOnce(&Client) -> Result<R, tokio_postgres::Error>,
    ) -> Result<Attempt<R>> {
        let resolved = self.attempts.server().resolve()?;
        let result = match &mut self.session {
            Some(session) => session.run(call),
            none => connect(&resolved).and_then(|session| none.insert(session).run(call)),
        };
        if result.is_err() {
            self.session = None;
        }
        let failure = |trouble| match trouble {
            Trouble::Of(error) if is_away(&error) => Failure::Away(resolved.scrub(whole(&error))),
            Trouble::Of(error) => Failure::Refused(resolved.scrub(whole(&error))),
            Trouble::Late(limit) => Failure::Away(format!("no answer within {} s", limit.as_secs())),
            Trouble::Closed => Failure::Away("the connection was closed".to_owned()),
            Trouble::Other(error) => Failure::Other(error),
        };
        self.attempts.judge(what, result.map_err(failure))
    }

    /// Does something, again and again while the server is away: it may be done more than once.
    ///
    /// # Errors
    /// As [`attempt`](Link::attempt).
    pub fn call<R>(
        &mut self,
        what: &str,
        mut call: impl AsyncFnMut(&Client) -> Result<R, tokio_postgres::Error>,
    ) -> Result<R> {
        loop {
            match self.attempt(what, &mut call)? {
                Attempt::Done(result) => return Ok(result),
                Attempt::Away(time) => wait(time),
            }
        }
    }
}

impl Session {
    fn run<R>(&mut self, call: impl AsyncFnOnce(&Client) -> Result<R, tokio_postgres::Error>) -> Result<R, Trouble> {
        let Session { client, connection, driver } = self;
        let result = driver.run(ANSWER_TIMEOUT, async {
            tokio::select! {
                // An answer that has come counts although the connection has ended behind it.
                biased;
                result = call(client) => result.map_err(Trouble::Of),
                ended = connection => Err(ended.err().map_or(Trouble::Closed, Trouble::Of)),
            }
        });
        result.unwrap_or(Err(Trouble::Late(ANSWER_TIMEOUT)))
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

/// Whether everything that can be reached by the URL is this host.
fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        Host::Unix(_) => true,
    })
}

fn connect(server: &Resolved) -> Result<Session, Trouble> {
    let mut config: Config = server.url.parse()?;
    config.connect_timeout(CONNECT_TIMEOUT).application_name("skitter");
    if config.get_ssl_mode() == SslMode::Prefer {
        // To ask and to go on without it protects from nobody who is in between.
        config.ssl_mode(if is_local(&config) { SslMode::Disable } else { SslMode::Require });
    }
    let driver = Driver::new().map_err(Trouble::Other)?;
    let made = driver.run(ANSWER_TIMEOUT, async {
        let (client, connection) = if config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = config.connect(NoTls).await?;
            (client, Box::pin(connection) as Pin<Box<dyn Future<Output = _> + Send>>)
        } else {
            let tls = ClientConfig::clone(&*tls::client_config().map_err(Trouble::Other)?);
            let (client, connection) = config.connect(MakeRustlsConnect::new(tls)).await?;
            (client, Box::pin(connection) as _)
        };
        Ok::<_, Trouble>((client, connection))
    });
    let (client, connection) = made.unwrap_or(Err(Trouble::Late(ANSWER_TIMEOUT)))?;
    let mut session = Session { client, connection, driver };
    // Keys are told as text, and have to be read as they were written, whatever the server's settings.
    session
        .run(async |client| client.batch_execute("SET datestyle TO 'ISO'; SET intervalstyle TO 'postgres'").await)?;
    Ok(session)
}

/// A failure with all that it says, where the crate's own words say little.
fn whole(error: &tokio_postgres::Error) -> String {
    if let Some(refused) = error.as_db_error() {
        let detail = refused.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        return format!("{}{detail}", refused.message());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Whether the server cannot answer now, and may do so later: it is not there, starts, stops, has too much to do, or
/// has called off what was in the way of something else.
fn is_away(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        // TLS that does not come about does not do so later.
        return error.is_closed() || cause.is_some_and(|cause| cause.kind() != ErrorKind::InvalidData);
    };
    const SOON: &[SqlState] = &[
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    SOON.contains(code) || code.code().starts_with("08")
}
