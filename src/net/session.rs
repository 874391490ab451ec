//! Sessions: connections whose ends know each other.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::handshake::{Acceptor, Dialer, MAX_HANDSHAKE, Nonce};
use super::{BoxStream, Cookie, Expect, Identity, Purpose, Reason, Refusal, Transport};

/// How long it may take until both ends know each other, connecting included. A healthy peer needs two round trips; one
/// that is slower than this would not be heard in time afterwards either.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a peer that is refused may take to read why.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// A connection to a node that has proved to know the cookie.
pub struct Session {
    /// Who is at the other end.
    pub peer: Identity,
    /// What the side that connected wants.
    pub purpose: Purpose,
    /// The connection, at the first byte behind the handshake.
    pub stream: BoxStream,
    /// Where the other end is; none where there are no addresses.
    pub address: Option<SocketAddr>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Session { peer, purpose, address, .. } = self;
        f.debug_struct("Session").field("peer", &peer.name).field("purpose", purpose).field("address", address).finish()
    }
}

/// Connects to a node and introduces this one, within [`HANDSHAKE_TIMEOUT`].
///
/// `expect` is a [`Mode`](super::Mode), or `mode.named(name)` if the name of the node is known.
///
/// # Errors
/// With [`Reason::NotConnected`] when nothing answers, with [`Reason::NotSkitter`] when something else does, with other
/// reasons when one side refuses the other.
pub async fn dial(
    transport: &dyn Transport,
    (host, port): (&str, u16),
    cookie: &Cookie,
    identity: &Identity,
    purpose: Purpose,
    expect: impl Into<Expect>,
) -> Result<Session, Refusal> {
    let (mut dialer, mut answer) = Dialer::new(cookie, identity.clone(), purpose, expect, nonce()?)?;
    let work = async {
        let mut stream = transport.connect(host, port).await.map_err(|error| not_connected(&error))?;
        stream.begin().await.map_err(|error| lost(&error))?;
        let mut heard = false;
        loop {
            send(&mut stream, &mut answer).await?;
            let bytes = receive(&mut stream, dialer.wants(), &mut heard).await?;
            match dialer.receive(&bytes, &mut answer) {
                Ok(None) => {}
                Ok(Some(peer)) => return Ok((stream, peer)),
                Err(refusal) => return Err(farewell(stream, &answer, refusal).await),
            }
        }
    };
    let (stream, peer) = timeout(HANDSHAKE_TIMEOUT, work).await.map_err(|_| silent())??;
    Ok(Session { peer, purpose, address: stream.peer_address(), stream })
}

/// Lets a node that has connected introduce itself, within [`HANDSHAKE_TIMEOUT`].
///
/// `admit` is asked once, when the peer has proved to know the cookie and to run the same build, before it is told that
/// it is welcome. The peer may still get lost between that and the session.
///
/// # Errors
/// With [`Reason::NotSkitter`] when something else has connected, with other reasons when one side refuses the other.
pub async fn accept(
    stream: BoxStream,
    cookie: &Cookie,
    identity: &Identity,
    admit: impl FnOnce(&Identity, &Purpose) -> Result<(), Refusal>,
) -> Result<Session, Refusal> {
    let mut acceptor = Acceptor::new(cookie, identity.clone(), nonce()?)?;
    let (mut stream, mut answer, mut heard) = (stream, Vec::new(), false);
    let mut admit = Some(admit);
    let work = async {
        stream.begin().await.map_err(|error| lost(&error))?;
        loop {
            let bytes = receive(&mut stream, acceptor.wants(), &mut heard).await?;
            let once = |peer: &Identity, purpose: &Purpose| admit.take().map_or(Ok(()), |admit| admit(peer, purpose));
            match acceptor.receive(&bytes, &mut answer, once) {
                Ok(None) => send(&mut stream, &mut answer).await?,
                Ok(Some(known)) => {
                    send(&mut stream, &mut answer).await?;
                    return Ok((stream, known));
                }
                Err(refusal) => return Err(farewell(stream, &answer, refusal).await),
            }
        }
    };
    let (stream, (peer, purpose)) = timeout(HANDSHAKE_TIMEOUT, work).await.map_err(|_| silent())??;
    Ok(Session { peer, purpose, address: stream.peer_address(), stream })
}

fn nonce() -> Result<Nonce, Refusal> {
    let mut bytes = [0; 32];
    let filled = getrandom::fill(&mut bytes);
    filled.map_err(|error| Refusal::new(Reason::NotConnected, format!("the system has no random numbers: {error}")))?;
    Ok(Nonce(bytes))
}

/// Sends what is to be sent.
async fn send(stream: &mut BoxStream, answer: &mut Vec<u8>) -> Result<(), Refusal> {
    let sent = async {
        stream.write_all(answer).await?;
        stream.flush().await
    };
    sent.await.map_err(|error| lost(&error))?;
    answer.clear();
    Ok(())
}

/// Receives some of the bytes that are wanted, and none behind them.
async fn receive(stream: &mut BoxStream, wants: usize, heard: &mut bool) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![0; wants.min(MAX_HANDSHAKE)];
    match stream.read(&mut bytes).await {
        Ok(0) if !*heard => Err(Refusal::new(Reason::NotSkitter, "it closed the connection without a word")),
        Ok(0) => Err(Refusal::new(Reason::NotConnected, "it closed the connection in the middle of the handshake")),
        Ok(length) => {
            *heard = true;
            bytes.truncate(length);
            Ok(bytes)
        }
        Err(error) => Err(lost(&error)),
    }
}

/// Tells the peer why it is refused. If it does not listen, so be it.
async fn farewell(mut stream: BoxStream, answer: &[u8], refusal: Refusal) -> Refusal {
    let told = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        if !answer.is_empty() {
            // The system would take the answer back if something came that nobody has read.
            tokio::io::copy(&mut stream.take(MAX_HANDSHAKE as u64), &mut tokio::io::sink()).await?;
        }
        Ok(())
    };
    // Nobody is left to be told of an error.
    let _: Result<io::Result<()>, _> = timeout(FAREWELL, told).await;
    refusal
}

fn not_connected(error: &io::Error) -> Refusal {
    said(error).unwrap_or_else(|| Refusal::new(Reason::NotConnected, error.to_string()))
}

fn lost(error: &io::Error) -> Refusal {
    let detail = || format!("the connection was lost in the handshake: {error}");
    said(error).unwrap_or_else(|| Refusal::new(Reason::NotConnected, detail()))
}

/// Why a transport does not take a peer, if it is that.
fn said(error: &io::Error) -> Option<Refusal> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>()).cloned()
}

fn silent() -> Refusal {
    let seconds = HANDSHAKE_TIMEOUT.as_secs();
    Refusal::new(Reason::NotConnected, format!("no answer within {seconds} s"))
}

#[cfg(test)]
mod tests;
