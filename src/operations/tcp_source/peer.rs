//! An address that is connected to, again and again.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::codec::stable_hash;
use crate::operations::cause::cause;
use crate::workflow::{Error, Result};

/// The wait before the second attempt, and the longest one; in between it doubles. A peer that was restarted is found
/// soon, and one that stays away is not flooded.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// How long one attempt may take: a packet that got lost is sent again after 1 and after 3 seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the first connection may take to come about, over all attempts: programs that are started together with
/// this one are up by then, and who has mistyped the address learns of it.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// An address and what becomes of the connection to it.
#[derive(Debug)]
pub(super) struct Peer {
    pub address: String,
    /// How long to try at most; none for the default.
    patience: Option<Duration>,
    state: State,
    /// How long to wait before the next attempt but one.
    retry: Duration,
    /// Since when there has been no connection.
    without: Instant,
    /// Whether there has been one.
    connected_before: bool,
}

#[derive(Debug)]
enum State {
    Waiting { until: Instant },
    Connecting(Receiver<io::Result<TcpStream>>),
    Connected,
    Ended,
}

impl Peer {
    pub fn new(address: String, patience: Option<Duration>, now: Instant) -> Self {
        Peer {
            address,
            patience,
            state: State::Waiting { until: now },
            retry: FIRST_RETRY,
            without: now,
            connected_before: false,
        }
    }

    /// Takes the next step towards a connection; gives it when there is one.
    pub fn advance(&mut self, now: Instant) -> Result<Option<TcpStream>> {
        match &self.state {
            State::Waiting { until } if *until <= now => {
                self.state = State::Connecting(connect(self.address.clone()).map_err(|error| self.failed(&error))?);
            }
            State::Connecting(attempt) => match attempt.try_recv() {
                Ok(Ok(stream)) => {
                    if self.connected_before {
                        tracing::info!(address = self.address, "Connected again");
                    }
                    self.state = State::Connected;
                    self.connected_before = true;
                    return Ok(Some(stream));
                }
                Ok(Err(error)) => self.try_again(now, &error)?,
                Err(TryRecvError::Disconnected) => {
                    self.try_again(now, &io::Error::other("the attempt was given up"))?;
                }
                Err(TryRecvError::Empty) => {}
            },
            State::Waiting { .. } | State::Connected | State::Ended => {}
        }
        Ok(None)
    }

    /// How long nothing is going to happen to it; none when it waits for nothing.
    pub fn idle(&self, now: Instant) -> Option<Duration> {
        match &self.state {
            State::Waiting { until } => Some(until.saturating_duration_since(now)),
            State::Connecting(_) => Some(Duration::ZERO),
            State::Connected | State::Ended => None,
        }
    }

    /// It sends, so it is well.
    pub fn is_well(&mut self) {
        self.retry = FIRST_RETRY;
    }

    /// The connection was lost, or closed by the peer.
    pub fn lost(&mut self, now: Instant, error: Option<&io::Error>) {
        let reason = error.map_or_else(|| "closed by the peer".to_owned(), cause);
        tracing::warn!(address = self.address, reason, "Lost a connection, connecting again");
        self.without = now;
        self.wait(now);
    }

    pub fn end(&mut self) {
        self.state = State::Ended;
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn try_again(&mut self, now: Instant, error: &io::Error) -> Result<()> {
        let patience = if self.connected_before { self.patience } else { self.patience.or(Some(FIRST_PATIENCE)) };
        let before = self.retry;
        self.wait(now);
        let next = self.idle(now).unwrap_or_default();
        if patience.is_some_and(|patience| now.saturating_duration_since(self.without) + next > patience) {
            return Err(self.failed(error));
        }
        if before == FIRST_RETRY {
            tracing::warn!(address = self.address, reason = cause(error), "Cannot connect, trying again");
        }
        Ok(())
    }

    fn wait(&mut self, now: Instant) {
        self.state = State::Waiting { until: now + jittered(self.retry) };
        self.retry = (self.retry * 2).min(LONGEST_RETRY);
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::Operation(format!("cannot connect to `{}`: {}", self.address, cause(error)))
    }
}

/// Between a half and the whole of a time, so that those who lost one peer do not all come back at once.
fn jittered(time: Duration) -> Duration {
    // No two processes get here in the same nanosecond and have the same number: random enough for this.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let random = stable_hash(&(now, std::process::id())) % 1024;
    time / 2 + time * u32::try_from(random).unwrap_or(0) / 2048
}

/// Connects on a thread of its own, because a name may take long to be looked up, and a peer long to answer; whoever
/// waits for it stays free. The thread ends by itself, at the latest when all addresses of the name have timed out.
#[expect(
    clippy::disallowed_methods,
    reason = "it has a name, a panic is heard of by the channel, and nobody can join it: a look-up cannot be broken off"
)]
fn connect(address: String) -> io::Result<Receiver<io::Result<TcpStream>>> {
    let (result, attempt) = sync_channel(1);
    std::thread::Builder::new().name("tcp connect".to_owned()).spawn(move || {
        // If nobody waits any more, the connection is closed at once.
        let _ = result.send(connect_now(&address));
    })?;
    Ok(attempt)
}

fn connect_now(address: &str) -> io::Result<TcpStream> {
    let mut error = io::Error::other("the name has no address");
    for address in address.to_socket_addrs().map_err(|error| match error.raw_os_error() {
        Some(_) => error,
        // Without the words that the standard library puts before the resolver's.
        None => io::Error::other(error.to_string().replace("failed to lookup address information: ", "")),
    })? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(failure) => error = failure,
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Advances the peer, by a clock that runs as fast as attempts are made, until it is done or fails.
    fn attempts(peer: &mut Peer, mut now: Instant) -> (Result<Option<TcpStream>>, Vec<Duration>) {
        let mut waits = Vec::new();
        loop {
            match peer.advance(now) {
                Ok(None) => {}
                done => return (done, waits),
            }
            if let State::Waiting { until } = peer.state
                && until > now
            {
                waits.push(until - now);
                now = until;
            }
            std::thread::yield_now();
        }
    }

    /// An address at which nobody listens.
    fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address").to_string()
    }

    #[test]
    fn attempts_are_made_less_and_less_often_until_patience_ends() {
        let now = Instant::now();
        let mut peer = Peer::new(nobody(), None, now);
        let (failed, waits) = attempts(&mut peer, now);
        let message = format!("cannot connect to `{}`: Connection refused", peer.address);
        assert_eq!(failed.map(|_| ()), Err(Error::Operation(message)));
        assert!(waits.iter().sum::<Duration>() <= FIRST_PATIENCE);
        for (number, wait) in waits.iter().enumerate() {
            let longest = FIRST_RETRY * (1 << number);
            assert!((longest / 2..=longest).contains(wait), "{waits:?}");
        }
        assert!(waits.len() >= 6, "{waits:?}");
    }

    #[test]
    fn a_lost_peer_is_tried_until_it_is_back() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let now = Instant::now();
        let mut peer = Peer::new(listener.local_addr().expect("an address").to_string(), None, now);
        let (connected, waits) = attempts(&mut peer, now);
        assert!(connected.is_ok() && waits.is_empty());
        assert_eq!(peer.idle(now), None);

        peer.lost(now, None);
        peer.retry = LONGEST_RETRY;
        let late = now + FIRST_PATIENCE * 100;
        assert!(peer.try_again(late, &io::Error::other("away")).is_ok(), "there is no end to patience");
        peer.patience = Some(Duration::from_secs(3600));
        assert!(peer.try_again(late, &io::Error::other("away")).is_ok());
        peer.patience = Some(Duration::from_secs(1));
        assert!(peer.try_again(late, &io::Error::other("away")).is_err());

        peer.is_well();
        peer.lost(now, Some(&io::ErrorKind::ConnectionReset.into()));
        assert!(peer.idle(now).is_some_and(|idle| idle <= FIRST_RETRY));
        assert!(attempts(&mut peer, now).0.is_ok());
    }

    #[test]
    fn a_name_without_an_address_is_named() {
        let error = connect_now("no-such-host.invalid:80").expect_err("no such host").to_string();
        assert!(!error.contains("failed to lookup"), "{error}");
    }
}
