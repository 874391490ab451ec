//! Where sessions come in, whatever else comes in.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::{BoxFuture, BoxStream, Cookie, Identity, Listener, Purpose, Reason, Refusal, Session, accept};

/// Most peers that are in the handshake at a time; each takes some ten kilobytes. When there are more, the oldest has
/// to go: a node is done in milliseconds, so only those are hit that hold connections and say nothing.
pub const MAX_STRANGERS: usize = 256;

/// How long no connection is accepted after one could not be: the system has no more of something, and asking again at
/// once would keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Admit = Arc<dyn Fn(&Identity, &Purpose) -> Result<(), Refusal> + Send + Sync>;

/// Somebody with whom there is no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Where it is.
    pub address: SocketAddr,
    /// Why there is none.
    pub refusal: Refusal,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.refusal)
    }
}

/// Accepts connections and goes through the handshake with many at a time, so that none waits for another.
pub struct Reception {
    listener: Box<dyn Listener>,
    cookie: Cookie,
    identity: Arc<dyn Fn() -> Identity + Send + Sync>,
    admit: Admit,
    strangers: FuturesUnordered<BoxFuture<'static, Result<Session, Stranger>>>,
    /// For each that is in the handshake, how to end it; the oldest first.
    stops: VecDeque<oneshot::Sender<()>>,
    /// Until when nobody is accepted.
    pause: Option<Instant>,
}

impl Reception {
    /// Opens a reception. `identity` is asked for what this node says of itself, which may change; `admit` is asked
    /// about each peer that has proved to know the cookie and to run the same build, before it is told that it is
    /// welcome; see [`accept`].
    pub fn new(
        listener: Box<dyn Listener>,
        cookie: Cookie,
        identity: impl Fn() -> Identity + Send + Sync + 'static,
        admit: impl Fn(&Identity, &Purpose) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Reception {
        let (strangers, stops) = (FuturesUnordered::new(), VecDeque::new());
        Reception {
            listener,
            cookie,
            identity: Arc::new(identity),
            admit: Arc::new(admit),
            strangers,
            stops,
            pause: None,
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not know it any more.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_address()
    }

    /// Waits for the next session. Nothing is lost when the future is dropped; but handshakes make progress only while
    /// it is waited for. It waits for as long as nobody comes.
    ///
    /// # Errors
    /// For each peer with whom there is no session; then the next can be waited for.
    pub async fn next(&mut self) -> Result<Session, Stranger> {
        loop {
            tokio::select! {
                biased;
                Some(done) = self.strangers.next() => return done,
                () = until(self.pause), if self.pause.is_some() => self.pause = None,
                accepted = self.listener.accept(), if self.pause.is_none() => match accepted {
                    Ok((stream, address)) => self.receive(stream, address),
                    Err(error) => {
                        tracing::warn!(%error, "A connection cannot be accepted");
                        self.pause = Some(Instant::now() + ACCEPT_PAUSE);
                    }
                },
            }
        }
    }

    /// Begins a handshake.
    fn receive(&mut self, stream: BoxStream, address: SocketAddr) {
        self.stops.retain(|stop| !stop.is_closed());
        if self.stops.len() >= MAX_STRANGERS
            && let Some(stop) = self.stops.pop_front()
        {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        let (stop, stopped) = oneshot::channel();
        self.stops.push_back(stop);
        let (cookie, identity, admit) = (self.cookie.clone(), (self.identity)(), Arc::clone(&self.admit));
        self.strangers.push(Box::pin(async move {
            let stranger = |refusal| Stranger { address, refusal };
            tokio::select! {
                biased;
                session = accept(stream, &cookie, &identity, |peer, purpose| admit(peer, purpose)) => {
                    session.map_err(stranger)
                }
                _ = stopped => {
                    let detail = format!("more than {MAX_STRANGERS} were in the handshake, and it the longest");
                    Err(stranger(Refusal::new(Reason::NotConnected, detail)))
                }
            }
        }));
    }
}

async fn until(pause: Option<Instant>) {
    if let Some(pause) = pause {
        sleep_until(pause).await;
    }
}

impl fmt::Debug for Reception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_handshake = self.strangers.len();
        f.debug_struct("Reception").field("in_handshake", &in_handshake).finish()
    }
}

#[cfg(test)]
mod tests;
