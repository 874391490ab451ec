//! Where sessions come in, whatever else comes in.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::{
    BoxFuture, BoxStream, Cookie, Doorkeeper, HANDSHAKE_TIMEOUT, Identity, Listener, Origin, Purpose, Reason, Refusal,
    Session, accept,
};

/// Most peers that are in the handshake at a time; each takes some ten kilobytes. When there are more, the oldest has
/// to go: a node is done in milliseconds, so only those are hit that hold connections and say nothing.
pub const MAX_STRANGERS: usize = 256;

/// Most peers that wait for a handshake because others from where they are have failed; each takes a socket. When there
/// are more, the one that has waited longest has to go.
const MAX_WAITING: usize = 256;

/// How long no connection is accepted after one could not be: the system has no more of something, and asking again at
/// once would keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a handshake has come to, and whether the peer has proved to know the cookie.
type Done = (Origin, bool, Result<Session, Stranger>);

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

/// Accepts connections and goes through the handshake with many at a time, so that none waits for another; those from
/// where others have failed too often have to wait for a [`Doorkeeper`].
pub struct Reception {
    listener: Box<dyn Listener>,
    cookie: Cookie,
    identity: Arc<dyn Fn() -> Identity + Send + Sync>,
    admit: Admit,
    strangers: FuturesUnordered<BoxFuture<'static, Done>>,
    /// For each that is in the handshake, how to end it; the oldest first.
    stops: VecDeque<oneshot::Sender<()>>,
    doorkeeper: Doorkeeper,
    /// Those that have to wait, and since when; the oldest first.
    waiting: VecDeque<(BoxStream, SocketAddr, Instant)>,
    /// Those that have waited for nothing.
    turned_away: VecDeque<Stranger>,
    /// What the doorkeeper's times begin with.
    opened: Instant,
    /// Until when nobody is accepted.
    pause: Option<Instant>,
    door: Arc<Door>,
}

/// Who is just coming in.
#[derive(Default)]
struct Door {
    closed: AtomicBool,
    /// How many have been admitted, and know it or will, whose handshakes have not ended.
    between: AtomicUsize,
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
            doorkeeper: Doorkeeper::default(),
            waiting: VecDeque::new(),
            turned_away: VecDeque::new(),
            opened: Instant::now(),
            pause: None,
            door: Arc::default(),
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
            let next = self.let_in();
            if let Some(stranger) = self.turned_away.pop_front() {
                return Err(stranger);
            }
            tokio::select! {
                biased;
                Some((origin, proved, done)) = self.strangers.next() => {
                    if proved {
                        self.doorkeeper.proved(origin);
                    }
                    return done;
                }
                () = until(next), if next.is_some() => {}
                () = until(self.pause), if self.pause.is_some() => self.pause = None,
                accepted = self.listener.accept(), if self.pause.is_none() => match accepted {
                    Ok((stream, address)) => self.waiting.push_back((stream, address, Instant::now())),
                    Err(error) => {
                        tracing::warn!(%error, "A connection cannot be accepted");
                        self.pause = Some(Instant::now() + ACCEPT_PAUSE);
                    }
                },
            }
        }
    }

    /// Lets nobody in any more, and gives those that have been admitted by now: they count on this node already. None
    /// when there are no more of them; it waits no longer than for a handshake.
    pub async fn last(&mut self) -> Option<Session> {
        self.door.closed.store(true, Ordering::Relaxed);
        while self.door.between.load(Ordering::Relaxed) > 0 {
            if let Ok(session) = self.strangers.next().await?.2 {
                return Some(session);
            }
        }
        None
    }

    /// Begins handshakes with those that need not wait any longer, and turns away those that have waited in vain. Who
    /// came last is first: those before it may have gone by now, and should it be a node, it waits the least. Gives
    /// when the next one may begin, or has to go.
    fn let_in(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let since = now - self.opened;
        let mut next: Option<Instant> = None;
        for (stream, address, came) in std::mem::take(&mut self.waiting).into_iter().rev() {
            let gone = came + HANDSHAKE_TIMEOUT;
            match self.doorkeeper.begin(address.ip().into(), since) {
                Ok(()) => self.receive(stream, address),
                Err(_) if now >= gone || self.waiting.len() >= MAX_WAITING => {
                    let detail = "others from its address have failed the handshake too often, and it waited in vain";
                    let refusal = Refusal::new(Reason::NotConnected, detail);
                    self.turned_away.push_back(Stranger { address, refusal });
                }
                Err(begins) => {
                    let due = (self.opened + begins).min(gone);
                    next = Some(next.map_or(due, |next| next.min(due)));
                    self.waiting.push_front((stream, address, came));
                }
            }
        }
        next
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
        let door = Arc::clone(&self.door);
        self.strangers.push(Box::pin(async move {
            let stranger = |refusal| Stranger { address, refusal };
            let (mut proved, mut admitted) = (false, 0);
            let admit = |peer: &Identity, purpose: &Purpose| {
                proved = true;
                if door.closed.load(Ordering::Relaxed) {
                    return Err(Refusal::new(Reason::NotConnected, "this node is about to end"));
                }
                admit(peer, purpose)?;
                admitted = 1;
                door.between.fetch_add(admitted, Ordering::Relaxed);
                Ok(())
            };
            let done = tokio::select! {
                biased;
                session = accept(stream, &cookie, &identity, admit) => session.map_err(stranger),
                _ = stopped => {
                    let detail = format!("more than {MAX_STRANGERS} were in the handshake, and it the longest");
                    Err(stranger(Refusal::new(Reason::NotConnected, detail)))
                }
            };
            door.between.fetch_sub(admitted, Ordering::Relaxed);
            (address.ip().into(), proved, done)
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
        let (in_handshake, waiting) = (self.strangers.len(), self.waiting.len());
        f.debug_struct("Reception").field("in_handshake", &in_handshake).field("waiting", &waiting).finish()
    }
}

#[cfg(test)]
mod tests;
