//! Lines of text that come over TCP.

mod address;
mod hub;
mod lines;
mod peer;
#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub::{Hub, Settings, Ways};
use peer::Peer;

use super::cause::cause;
use crate::workflow::{Emit, Error, Intake, Operation, Passive, React, Result, Share};

/// Longest line that is taken over TCP unless told otherwise: 16 MiB. As much may be held for each connection.
pub const LONGEST_TCP_LINE: u64 = 16 << 20;

/// How many connections are accepted at a time unless told otherwise: as many as there are file descriptors to spare
/// where a process has 1,024.
pub const MOST_TCP_CONNECTIONS: usize = 256;

/// A source of the lines of text that come over TCP: from servers that it connects to, or from clients that connect to
/// it.
///
/// - **Lines** end with LF or CR LF, which are not part of the record; as of [`str::lines`], blank lines are kept, and
///   what stands behind the last line end when the connection is closed is a line. A line may be up to
///   [`LONGEST_TCP_LINE`] bytes long; a longer one fails the deployment, from whomever it comes, unless more is
///   [allowed](Self::longest_line).
/// - **Encoding** is UTF-8. Other bytes fail the deployment, or are [replaced](Self::lossy).
/// - **Order.** The lines of a connection stay in order; they are passed on as soon as they are there.
/// - **Backpressure.** When the workflow has no room for more, nothing is read, and who sends has to wait.
/// - **Reconnecting.** A connection *to* a server that is lost or closed is made again, after 100 ms at first, later up
///   to 10 s, a little at random; loss and return are logged. The first connection has to come about within 10 s. All
///   that can be [set](Self::patience).
/// - **Failure.** At most once: what a peer sends while it is not connected, the last line of a connection that is lost
///   before the line has ended, and what has been read but not handled when the deployment fails, are lost. A peer that
///   vanishes without a word is noticed after a minute.
///
/// By default the source never ends, and runs until the workflow is stopped; see [`until_closed`](Self::until_closed).
/// In a cluster one worker listens, on the first node; several addresses to connect to are dealt to as many workers as
/// the vertex is given with `.parallelism(n)`.
///
/// ```
/// use std::io::Write;
/// use std::net::{TcpListener, TcpStream};
/// use skitter::operations::{Collected, TcpSource};
/// use skitter::prelude::*;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
///
/// let lines = Collected::new();
/// let workflow = WorkflowBuilder::new();
/// workflow.listen(TcpSource::from_listener(listener).until_closed()).collect(&lines);
///
/// let runtime = skitter::Runtime::local()?;
/// let deployment = runtime.deploy("lines", workflow.build()?)?;
/// client.write_all(b"to be\r\nor not to be")?;
/// drop(client);
/// deployment.wait()?;
/// assert_eq!(lines.take(), ["to be", "or not to be"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// `build()` refuses what is not `HOST:PORT`. The deployment fails, with the address and the cause, when it cannot
/// listen or cannot connect, and on a line that is too long or not UTF-8.
#[derive(Clone, Debug)]
pub struct TcpSource {
    mode: Mode,
    settings: Settings,
}

#[derive(Clone, Debug)]
enum Mode {
    Connect(Vec<String>),
    Listen(String),
    Listener(Arc<TcpListener>),
}

impl TcpSource {
    /// Connects to a server at `HOST:PORT`, and again when the connection is lost or closed.
    pub fn connect(address: impl Into<String>) -> Self {
        TcpSource::connect_all([address])
    }

    /// Connects to several servers, each as with [`connect`](Self::connect).
    pub fn connect_all(addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        TcpSource::new(Mode::Connect(addresses.into_iter().map(Into::into).collect()))
    }

    /// Accepts connections at `HOST:PORT`, on all of the host's interfaces if that is `0.0.0.0:PORT` or `[::]:PORT`.
    /// Whoever can reach the port can send lines.
    pub fn listen(address: impl Into<String>) -> Self {
        TcpSource::new(Mode::Listen(address.into()))
    }

    /// Accepts the connections of a listener that is bound already: to a free port, say, which it can be asked for.
    /// Only for a deployment in this process.
    pub fn from_listener(listener: TcpListener) -> Self {
        TcpSource::new(Mode::Listener(Arc::new(listener)))
    }

    fn new(mode: Mode) -> Self {
        let (longest, most) = (LONGEST_TCP_LINE, MOST_TCP_CONNECTIONS);
        TcpSource { mode, settings: Settings { lossy: false, longest, until_closed: false, most, patience: None } }
    }

    /// Ends the source with its connections: each server is connected to once, and when all have closed their
    /// connections the source has ended; or, where it accepts connections, when it has had one and none is left. A
    /// connection that is lost rather than closed fails the deployment.
    #[must_use]
    pub fn until_closed(mut self) -> Self {
        self.settings.until_closed = true;
        self
    }

    /// Replaces what is not valid UTF-8 by U+FFFD, as [`String::from_utf8_lossy`] does, where it would be an error.
    #[must_use]
    pub fn lossy(mut self) -> Self {
        self.settings.lossy = true;
        self
    }

    /// Takes lines of up to this many bytes; a longer one is an error. [`LONGEST_TCP_LINE`] unless set. As much may be
    /// held in memory for each connection.
    #[must_use]
    pub fn longest_line(mut self, bytes: u64) -> Self {
        self.settings.longest = bytes;
        self
    }

    /// Accepts this many connections at a time, 1 at least; more wait until one is closed. [`MOST_TCP_CONNECTIONS`]
    /// unless set.
    #[must_use]
    pub fn most_connections(mut self, connections: usize) -> Self {
        self.settings.most = connections.max(1);
        self
    }

    /// Fails the deployment when a server could not be connected to for this time, at the start or after a loss. Unless
    /// set, that is 10 s at the start, and after a loss it is tried for ever.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.settings.patience = Some(time);
        self
    }

    /// Where the connections of a share come from; none if it has nothing to do.
    fn ways(&self, share: Share) -> Result<Option<Ways>> {
        let (listener, address) = match &self.mode {
            Mode::Connect(addresses) => {
                let now = Instant::now();
                let mine = addresses.iter().skip(share.index).step_by(share.of.max(1));
                let peers: Vec<_> =
                    mine.map(|address| Peer::new(address.clone(), self.settings.patience, now)).collect();
                return Ok(if peers.is_empty() { None } else { Some(Ways::Out(peers)) });
            }
            _ if share.index > 0 => return Ok(None),
            Mode::Listen(address) => (TcpListener::bind(address), address.clone()),
            Mode::Listener(listener) => {
                let address = listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string());
                (listener.try_clone(), address)
            }
        };
        let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        let failed = |error| Error::Operation(format!("cannot listen at `{address}`: {}", cause(&error)));
        listener.map(Ways::In).map(Some).map_err(failed)
    }
}

impl Operation for TcpSource {
    type In = String;
    type Out = String;
    const NAME: &'static str = "tcp source";
    const IN_PORTS: &'static [&'static str] = &[];

    fn check(&self) -> Result<()> {
        match &self.mode {
            Mode::Connect(addresses) if addresses.is_empty() => Err(Error::from("there is no address to connect to")),
            Mode::Connect(addresses) => addresses.iter().try_for_each(|address| address::check(address, false)),
            Mode::Listen(address) => address::check(address, true),
            Mode::Listener(_) => Ok(()),
        }
    }
}

impl React for TcpSource {
    type State = ();
    const ONE_TO_ONE: bool = true;

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<String>>(&self, _state: &mut (), line: String, emit: &mut E) -> Result<()> {
        emit.emit(line);
        Ok(())
    }
}

impl Passive for TcpSource {
    fn listen(&self, share: Share, intake: &mut Intake<String>) -> Result<()> {
        match self.ways(share)? {
            Some(ways) => Hub::new(&self.settings, ways).run(intake),
            None => Ok(()),
        }
    }
}
