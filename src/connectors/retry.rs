//! How long a server that is away is waited for.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{Timespec, poll};

use super::server::ServerUrl;
use crate::codec::stable_hash;
use crate::workflow::{Error, Result};

/// How long a server may be away at the start: programs that are started together with this one are up by then, and
/// who has mistyped the address learns of it.
pub(super) const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// How long it may be away later, unless told otherwise: within that it has been started again, or another one has
/// taken its place.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a connection may take to come about: a packet that got lost is sent again after 1 and after 3 seconds.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take. A server that takes longer for what is asked here is stuck, or nobody's.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The wait before the second attempt, and the longest one; in between it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What an attempt to do something has come to.
pub(super) enum Attempt<R> {
    Done(R),
    /// The server is away: try again after this time.
    Away(Duration),
}

/// Why a server has not done something.
pub(super) enum Failure {
    /// It refuses, and would do so again.
    Refused(String),
    /// It is away, and may come back.
    Away(String),
    /// It is not at fault.
    #[cfg(any(feature = "http", feature = "kafka", feature = "mqtt", feature = "nats", feature = "postgres"))]
    Other(Error),
}

/// A server, and whether it is there.
#[derive(Debug)]
pub(super) struct Attempts {
    /// What it is a server of, for messages.
    system: &'static str,
    server: ServerUrl,
    retry: Retry,
}

impl Attempts {
    pub fn new(system: &'static str, server: &ServerUrl, patience: Duration) -> Self {
        Attempts { system, server: server.clone(), retry: Retry::new(patience) }
    }

    #[cfg(any(feature = "postgres", feature = "redis"))]
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Draws the consequences of an attempt; `what` names it for messages.
    ///
    /// # Errors
    /// When the server refuses it, or has been away for too long.
    pub fn judge<R>(&mut self, what: &str, result: Result<R, Failure>) -> Result<Attempt<R>> {
        let Attempts { system, server, retry } = self;
        let reason = match result {
            Ok(result) => {
                if retry.since.is_some() {
                    tracing::info!(%server, "Connected again");
                    retry.is_well();
                }
                return Ok(Attempt::Done(result));
            }
            #[cfg(any(feature = "http", feature = "kafka", feature = "mqtt", feature = "nats", feature = "postgres"))]
            Err(Failure::Other(error)) => return Err(error),
            Err(Failure::Refused(reason)) => {
                return Err(Error::Outside(format!("{system} at `{server}` cannot {what}: {reason}")));
            }
            Err(Failure::Away(reason)) => reason,
        };
        if retry.since.is_none() {
            tracing::warn!(%server, reason, "Cannot reach {system}, trying again");
        }
        retry.failed(Instant::now()).map(Attempt::Away).ok_or_else(|| {
            let advice = "is it running, and can this node reach it?";
            Error::Outside(format!("cannot reach {system} at `{server}`: {reason}; {advice}"))
        })
    }
}

/// The attempts to reach a server.
#[derive(Debug)]
struct Retry {
    patience: Duration,
    wait: Duration,
    /// Since when it has been away.
    since: Option<Instant>,
}

impl Retry {
    pub fn new(patience: Duration) -> Self {
        Retry { patience, wait: FIRST_WAIT, since: None }
    }

    /// An attempt has failed: how long to wait before the next one; none when there is to be no other.
    pub fn failed(&mut self, now: Instant) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let wait = jittered(self.wait);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Some(wait).filter(|wait| now.saturating_duration_since(since) + *wait <= self.patience)
    }

    /// It has answered.
    pub fn is_well(&mut self) {
        (self.since, self.wait) = (None, FIRST_WAIT);
    }
}

/// Between a half and the whole of a time, so that those who lost one server do not all come back at once.
fn jittered(time: Duration) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let random = stable_hash(&(now, std::process::id())) % 1024;
    time / 2 + time * u32::try_from(random).unwrap_or(0) / 2048
}

/// Waits before another attempt, on a thread that may be kept from others.
pub(super) fn wait(time: Duration) {
    let timeout = Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(1), tv_nsec: time.subsec_nanos().into() };
    // Of nothing; a signal makes it shorter, which does no harm.
    let _ = poll(&mut [], Some(&timeout));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_until_patience_ends() {
        let mut retry = Retry::new(PATIENCE);
        let (mut now, mut waits) = (Instant::now(), Vec::new());
        let begin = now;
        while let Some(wait) = retry.failed(now) {
            waits.push(wait);
            now += wait;
        }
        assert!(now - begin > PATIENCE / 2 && now - begin <= PATIENCE, "{waits:?}");
        assert!(waits[0] <= FIRST_WAIT && waits.iter().all(|wait| *wait <= LONGEST_WAIT), "{waits:?}");
        assert!((12..60).contains(&waits.len()), "{waits:?}");
        retry.is_well();
        assert!(retry.failed(now).is_some_and(|wait| wait <= FIRST_WAIT));
    }

    #[test]
    fn who_waits_waits() {
        let begin = Instant::now();
        wait(Duration::from_millis(2));
        assert!(begin.elapsed() >= Duration::from_millis(1));
    }

    #[test]
    fn a_refusal_is_final_and_an_absence_is_not() {
        let mut attempts = Attempts::new("X", &ServerUrl::new("x://me:hunter2@y"), FIRST_WAIT);
        let refused = attempts.judge::<()>("z", Err(Failure::Refused("no".to_owned()))).map(|_| ());
        assert_eq!(refused, Err(Error::Outside("X at `x://me:***@y` cannot z: no".to_owned())));
        assert!(matches!(attempts.judge::<()>("z", Err(Failure::Away("cut".to_owned()))), Ok(Attempt::Away(_))));
        assert!(matches!(attempts.judge("z", Ok(1)), Ok(Attempt::Done(1))));
        assert!(matches!(attempts.judge::<()>("z", Err(Failure::Away("cut".to_owned()))), Ok(Attempt::Away(_))));
        let gone =
            attempts.judge::<()>("z", Err(Failure::Away("cut".to_owned()))).map(|_| ()).map_err(|e| e.to_string());
        let message = "cannot reach X at `x://me:***@y`: cut; is it running, and can this node reach it?";
        assert_eq!(gone, Err(message.to_owned()));
    }
}
