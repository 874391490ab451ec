//! Asks a node over its control socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::{DaemonError, Place, Process};
use crate::node::console::wire::{self, MAX_REPLY, MAX_REQUEST, Reply, Request};

/// How long a node may take to let somebody in: it has a thread for that.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a process that has closed its socket may take to be gone.
const GOING: Duration = Duration::from_secs(1);

/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;

/// Asks, and waits for the answer. An answer that says no is an error.
///
/// # Errors
/// When no node runs there, it does not answer in time, or it says no.
pub fn ask(place: &Place, request: &Request, patience: Duration) -> Result<Reply, DaemonError> {
    let Some(pid) = place.holder()? else { return Err(DaemonError::NotRunning(place.what().to_owned())) };
    let unanswered = |why: String| DaemonError::Unanswered { what: place.what().to_owned(), pid, why };
    let line = wire::encode(request, MAX_REQUEST).map_err(|why| DaemonError::Refused {
        kind: wire::Fault::Refused,
        message: format!("the request is too long: {why}"),
    })?;
    let line = match talk(place, &line, patience) {
        Ok(line) => line,
        Err(error) if hung_up(&error) && is_going(place) => {
            return Err(DaemonError::NotRunning(place.what().to_owned()));
        }
        Err(error) => return Err(unanswered(said(&error))),
    };
    match wire::decode_reply(&line) {
        Ok(Reply::Error { kind, message }) => Err(DaemonError::Refused { kind, message }),
        Ok(reply) => Ok(reply),
        Err(why) => Err(unanswered(format!("what it said is not understood ({why}): is it another release?"))),
    }
}

/// Whether the other end of the socket is gone.
fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionRefused | ConnectionReset | UnexpectedEof)
}

/// Whether the process was about to end: what it has open is closed before the system takes its place from it.
fn is_going(place: &Place) -> bool {
    Process::of(place).is_ok_and(|process| process.is_none_or(|process| process.ended(GOING)))
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "there was no answer in time".to_owned(),
        io::ErrorKind::NotFound => "its control socket is gone; end it by a signal".to_owned(),
        _ => error.to_string(),
    }
}

fn talk(place: &Place, line: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(place)?;
    stream.set_write_timeout(Some(CONNECT))?;
    stream.write_all(line)?;
    let deadline = Instant::now().checked_add(patience);
    let mut answer = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(left)?;
        match stream.read(&mut chunk) {
            Ok(0) if answer.is_empty() => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has closed the connection"));
            }
            Ok(0) => return Ok(answer),
            Ok(read) => answer.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.len() > MAX_REPLY {
            return Err(io::Error::other("its answer has no end"));
        }
    }
}

/// Connects, within a time: a node that is frozen takes nobody in.
fn connect(place: &Place) -> io::Result<UnixStream> {
    let (path, _directory) = place.socket()?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(CONNECT))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(&path)?)?;
    Ok(UnixStream::from(socket))
}
