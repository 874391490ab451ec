//! The mapper itself: who holds the port answers.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::lines::{LINE_TIMEOUT, Line, Lines};
use super::table::{Table, Taken};
use super::wire::{Answer, Request, Unfit};
use crate::net::{BoxStream, Listener};

/// How long a mapper is young. Nodes that had names with the one before come within milliseconds; for so long they win
/// against others, and who asks for a name that is not there waits for it.
pub(super) const YOUTH: Duration = Duration::from_secs(1);

/// How long a name that is taken may take to become free: the end of a node that was killed may be seen after the
/// beginning of its successor.
const CONFLICT: Duration = Duration::from_millis(100);

/// Most connections that have not registered: each takes a few kilobytes. When there are more, the oldest has to go, so
/// that those who hold connections and say nothing keep nobody out who has something to say.
const MAX_STRANGERS: usize = 128;

/// How long no connection is accepted after one could not be: the system has no more of something, and asking again at
/// once would keep a core busy.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
struct Shared {
    /// The names; and for each lease, whom to tell that it is lost.
    leases: Mutex<(Table, BTreeMap<u64, oneshot::Sender<()>>)>,
    /// Told when a name comes or goes.
    changed: Notify,
    young_until: Instant,
}

impl Shared {
    fn leases(&self) -> MutexGuard<'_, (Table, BTreeMap<u64, oneshot::Sender<()>>)> {
        // Nothing panics while it is held; if it did, the table would still be in order.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, name: &str, port: u16, again: bool) -> Result<(u64, oneshot::Receiver<()>), Answer> {
        let mut leases = self.leases();
        let Taken { lease, evicted } = leases.0.register(name, port, again, Instant::now() < self.young_until)?;
        if let Some(loser) = evicted.and_then(|lease| leases.1.remove(&lease)) {
            // It may be gone already.
            let _ = loser.send(());
        }
        let (tell, lost) = oneshot::channel();
        leases.1.insert(lease, tell);
        drop(leases);
        self.changed.notify_waiters();
        Ok((lease, lost))
    }

    fn release(&self, lease: u64) {
        let mut leases = self.leases();
        leases.0.release(lease);
        leases.1.remove(&lease);
        drop(leases);
        self.changed.notify_waiters();
    }

    /// Asks again whenever a name has come or gone, until there is an answer or it is time.
    async fn wait<T>(&self, end: Instant, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(answer) = ask() {
                return Some(answer);
            }
            if timeout_at(end, changed).await.is_err() {
                return ask();
            }
        }
    }
}

/// A name that is held by a connection.
struct Held<'a> {
    shared: &'a Shared,
    lease: u64,
    lost: oneshot::Receiver<()>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.release(self.lease);
    }
}

/// Answers until the mapper's own node loses its name.
pub(super) async fn serve(listener: &mut dyn Listener, name: &str, port: u16, again: bool) {
    let (leases, changed) = (Mutex::default(), Notify::new());
    let shared = Shared { leases, changed, young_until: Instant::now() + YOUTH };
    // The first name of an empty table is not taken.
    let Ok((_, mut lost)) = shared.register(name, port, again) else { return };
    let (mut strangers, mut nodes) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut oldest = VecDeque::<oneshot::Sender<()>>::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut lost => return,
            Some(()) = nodes.next() => {}
            Some(done) = strangers.next() => {
                if let Some((lines, held)) = done {
                    nodes.push(keep(lines, held));
                }
            }
            (stream, address) = accept(listener) => {
                oldest.retain(|stop| !stop.is_closed());
                if oldest.len() >= MAX_STRANGERS
                    && let Some(stop) = oldest.pop_front()
                {
                    // It may have ended by itself.
                    let _ = stop.send(());
                }
                let (stop, stopped) = oneshot::channel::<()>();
                oldest.push_back(stop);
                let work = hear(&shared, Lines::new(stream), address);
                strangers.push(async {
                    tokio::select! {
                        biased;
                        _ = stopped => None,
                        held = work => held,
                    }
                });
            }
        }
    }
}

async fn accept(listener: &mut dyn Listener) -> (BoxStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "The port mapper cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Hears what somebody wants, and answers. Gives the connection when it has registered.
async fn hear(shared: &Shared, mut lines: Lines, address: SocketAddr) -> Option<(Lines, Held<'_>)> {
    let Ok(Line::Whole(line)) = timeout(LINE_TIMEOUT, lines.next()).await else { return None };
    let answer = match Request::read(&line) {
        Ok(Request::Lookup { name }) => {
            let port = shared.wait(shared.young_until, || shared.leases().0.port(&name)).await;
            port.map_or(Answer::Unknown, Answer::Port)
        }
        Ok(Request::Register { .. }) if !address.ip().to_canonical().is_loopback() => Answer::Forbidden,
        Ok(Request::Register { name, port, again }) => match register(shared, &name, port, again).await {
            Ok(held) => {
                lines.send(&Answer::Port(port).line()).await.ok()?;
                return Some((lines, held));
            }
            Err(answer) => answer,
        },
        Err(Unfit::Strange) => return None,
        // Another version is told ours.
        Err(Unfit::Malformed | Unfit::Version(_)) => Answer::Malformed,
    };
    lines.send(&answer.line()).await.ok()?;
    lines.end().await;
    None
}

async fn register<'a>(shared: &'a Shared, name: &str, port: u16, again: bool) -> Result<Held<'a>, Answer> {
    let mut answer = Answer::Taken;
    let taken = shared.wait(Instant::now() + CONFLICT, || match shared.register(name, port, again) {
        Ok((lease, lost)) => Some(Held { shared, lease, lost }),
        Err(other) => {
            answer = other;
            None
        }
    });
    let taken = taken.await;
    taken.ok_or(answer)
}

/// Keeps a name for as long as its node keeps the connection; tells the node when it loses it.
async fn keep(mut lines: Lines, mut held: Held<'_>) {
    tokio::select! {
        biased;
        // A node that has registered has nothing more to say.
        _ = lines.next() => {}
        _ = &mut held.lost => {
            // It may be gone already.
            let _ = lines.send(&Answer::Taken.line()).await;
        }
    }
}
