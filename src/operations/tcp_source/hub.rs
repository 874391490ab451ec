//! All connections of a source, on one thread.

use std::io::{self, ErrorKind, Read};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

use super::lines::{LineAssembler, LineError};
use super::peer::Peer;
use crate::operations::cause::cause;
use crate::workflow::{Error, Intake, Result};

/// How long the thread waits at most before it asks whether its worker has stopped: soon enough for whoever waits for
/// the stop, seldom enough to cost nothing.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How long it waits at most while a connection is being made.
const ASK_WHILE_CONNECTING: Duration = Duration::from_millis(5);

/// How long no connection is accepted after that failed: what there was too little of, such as file descriptors, may be
/// there again by then.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// What is read from a connection at once: about what the operating system holds for it, and little enough that the
/// other connections need not wait long.
const READ_BYTES: usize = 64 << 10;

/// When a peer that says nothing is asked whether it is there, how often then, and after how many questions without an
/// answer its connection is lost: after a minute in all. Else one that was switched off would be waited for for ever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMES: u32 = 3;

/// How connections are handled.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Whether invalid UTF-8 is replaced.
    pub lossy: bool,
    /// The longest line, in bytes.
    pub longest: u64,
    /// Whether the source ends with its connections.
    pub until_closed: bool,
    /// How many connections are accepted at a time.
    pub most: usize,
    /// How long to try to connect.
    pub patience: Option<Duration>,
}

/// Where connections come from.
#[derive(Debug)]
pub(super) enum Ways {
    Out(Vec<Peer>),
    In(TcpListener),
}

/// The connections, and where more come from.
pub(super) struct Hub<'a> {
    settings: &'a Settings,
    ways: Ways,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    /// Until when nothing is accepted.
    paused: Option<Instant>,
    /// Whether there has been a connection.
    connected: bool,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// The address of the other side.
    name: String,
    lines: LineAssembler,
    /// The number of the peer that it leads to.
    peer: Option<usize>,
}

/// What a connection has come to.
enum Received {
    Open,
    Closed,
    Lost(io::Error),
}

impl<'a> Hub<'a> {
    pub fn new(settings: &'a Settings, ways: Ways) -> Self {
        let buffer = vec![0; READ_BYTES];
        Hub { settings, ways, connections: Vec::new(), buffer, paused: None, connected: false }
    }

    /// Takes lines in until the source ends or its worker stops.
    pub fn run(&mut self, intake: &mut Intake<String>) -> Result<()> {
        while !intake.is_closed() && !self.has_ended() {
            let idle = self.connect(Instant::now())?;
            let (accepts, ready) = self.wait(idle)?;
            if accepts {
                self.accept();
            }
            // From behind, because those that have ended are taken out.
            for number in ready.into_iter().rev() {
                let mut lines = Vec::new();
                let received = self.connections[number].receive(&mut self.buffer, &mut lines);
                if !intake.take(lines) {
                    return Ok(());
                }
                self.follow(number, received?)?;
            }
        }
        Ok(())
    }

    fn has_ended(&mut self) -> bool {
        match &self.ways {
            Ways::Out(peers) => peers.iter().all(Peer::has_ended),
            Ways::In(_) if self.settings.until_closed && self.connected && self.connections.is_empty() => {
                // Who has connected while there was no room waits to be accepted.
                self.accept();
                self.connections.is_empty()
            }
            Ways::In(_) => false,
        }
    }

    /// Brings connections out further; says how long there is nothing more to do for them.
    fn connect(&mut self, now: Instant) -> Result<Duration> {
        let mut idle = ASK_AGAIN;
        let Ways::Out(peers) = &mut self.ways else { return Ok(idle) };
        for (number, peer) in peers.iter_mut().enumerate() {
            if let Some(stream) = peer.advance(now)? {
                let name = peer.address.clone();
                match Connection::new(stream, name, Some(number), self.settings) {
                    Ok(connection) => self.connections.push(connection),
                    Err(error) => peer.lost(now, Some(&error)),
                }
            }
            if let Some(wait) = peer.idle(now) {
                idle = idle.min(wait.max(ASK_WHILE_CONNECTING));
            }
        }
        Ok(idle)
    }

    /// Waits until something can be accepted or read; gives whether, and from which connections.
    fn wait(&mut self, at_most: Duration) -> Result<(bool, Vec<usize>)> {
        self.paused = self.paused.filter(|until| *until > Instant::now());
        let listener = match &self.ways {
            Ways::In(listener) if self.connections.len() < self.settings.most && self.paused.is_none() => {
                Some(listener)
            }
            _ => None,
        };
        let streams = self.connections.iter().map(|connection| PollFd::new(&connection.stream, PollFlags::IN));
        let mut polled: Vec<_> = streams.chain(listener.map(|listener| PollFd::new(listener, PollFlags::IN))).collect();
        // Never a second or more.
        let timeout = Timespec { tv_sec: 0, tv_nsec: at_most.subsec_nanos().into() };
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(Error::Operation(format!("cannot wait for connections: {}", cause(&error.into()))));
            }
        }
        let mut ready: Vec<_> = (0..polled.len()).filter(|number| !polled[*number].revents().is_empty()).collect();
        let accepts = ready.pop_if(|last| *last == self.connections.len()).is_some();
        Ok((accepts, ready))
    }

    fn accept(&mut self) {
        let Ways::In(listener) = &self.ways else { return };
        let accepted = listener
            .accept()
            .and_then(|(stream, address)| Connection::new(stream, address.to_string(), None, self.settings));
        match accepted {
            Ok(connection) => {
                self.connected = true;
                self.connections.push(connection);
            }
            // It was closed before it could be accepted.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => {}
            Err(error) => {
                tracing::warn!(reason = cause(&error), "Cannot accept a connection, trying again");
                self.paused = Some(Instant::now() + ACCEPT_AGAIN);
            }
        }
    }

    /// Draws the consequences of what a connection has come to.
    fn follow(&mut self, number: usize, received: Received) -> Result<()> {
        let error = match received {
            Received::Open => {
                if let (Some(peer), Ways::Out(peers)) = (self.connections[number].peer, &mut self.ways) {
                    peers[peer].is_well();
                }
                return Ok(());
            }
            Received::Closed => None,
            Received::Lost(error) => Some(error),
        };
        let connection = self.connections.swap_remove(number);
        if let (true, Some(error)) = (self.settings.until_closed, &error) {
            return Err(Error::Operation(format!("lost the connection to `{}`: {}", connection.name, cause(error))));
        }
        match (&mut self.ways, connection.peer) {
            (Ways::Out(peers), Some(peer)) if self.settings.until_closed => peers[peer].end(),
            (Ways::Out(peers), Some(peer)) => peers[peer].lost(Instant::now(), error.as_ref()),
            _ => {}
        }
        Ok(())
    }
}

impl Connection {
    fn new(stream: TcpStream, name: String, peer: Option<usize>, settings: &Settings) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        // Not all systems have all of these, and none is worth failing for.
        let _ = sockopt::set_socket_keepalive(&stream, true);
        let _ = sockopt::set_tcp_keepidle(&stream, KEEPALIVE_AFTER);
        let _ = sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_EVERY);
        let _ = sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_TIMES);
        Ok(Connection { stream, name, lines: LineAssembler::new(settings.longest, settings.lossy), peer })
    }

    /// Reads once, and gives the lines that are complete now.
    fn receive(&mut self, buffer: &mut [u8], lines: &mut Vec<String>) -> Result<Received> {
        let read = match self.stream.read(buffer) {
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(Received::Open);
            }
            Err(error) => return Ok(Received::Lost(error)),
        };
        if read > 0 {
            self.lines.push(&buffer[..read], lines).map_err(|error| self.refuse(&error))?;
            return Ok(Received::Open);
        }
        lines.extend(self.lines.finish().map_err(|error| self.refuse(&error))?);
        Ok(Received::Closed)
    }

    fn refuse(&self, error: &LineError) -> Error {
        Error::Operation(format!("cannot read from `{}`: {error}", self.name))
    }
}
