//! The port mapper of a host: which node listens at which port.
//!
//! Nodes listen on ports that happen to be free. One port of a host is known to all, that of its *mapper*: whichever
//! node comes first holds it and answers who asks for a name. The others register with it over a connection from this
//! very host, which stays open: when it closes, the node is gone, and its name free. When the holder dies, the others
//! notice at once, for their connections close; one of them gets the port, the others register with it. So the mapper
//! is a part of the nodes, and there is nothing that one could forget to start.
//!
//! A mapper is believed nothing but a number: whether the node that was meant is there is for the handshake to find
//! out.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod lines;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use self::lines::{LINE_TIMEOUT, Line, Lines};
use self::wire::{Answer, Request, Unfit};
use super::{Listener, Reason, Refusal, Transport};

/// The port of the mapper, where no other is set.
pub const MAPPER_PORT: u16 = 4370;

/// The wait before the second attempt to register; it doubles with each one.
const FIRST_RETRY: Duration = Duration::from_millis(10);
/// The longest wait between attempts to get a name back, so that it is soon there when somebody lets go of the port.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How often registering is tried at first: within half a second, the holder that was in the way has either answered or
/// died.
const JOIN_ATTEMPTS: u32 = 6;

/// A name in the mapper of this host, for as long as it is run. Dropping it gives the name back.
pub struct Lease {
    wish: Wish,
    place: Place,
}

/// Who wants to be known where.
struct Wish {
    transport: Arc<dyn Transport>,
    /// The mapper's port.
    port: u16,
    name: String,
    own_port: u16,
}

/// How a node stands to the mapper.
enum Place {
    /// It is the mapper.
    Holder(Box<dyn Listener>),
    /// It is registered with it.
    Registered(Lines),
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("name", &self.wish.name).field("holds_the_port", &self.holds_the_port()).finish()
    }
}

/// Registers a node with the mapper of this host, or becomes the mapper if there is none. [`Lease::run`] has to be run
/// from then on, or nobody is answered.
///
/// # Errors
/// With [`Reason::NameTaken`] when a living node has the name, with [`Reason::NotSkitter`] when the port is in the hand
/// of something else, with [`Reason::NotConnected`] when the mapper does not answer, or the port cannot be had.
pub async fn join(transport: Arc<dyn Transport>, port: u16, name: &str, own_port: u16) -> Result<Lease, Refusal> {
    if !wire::is_name(name) {
        return Err(Refusal::new(Reason::NotConnected, format!("`{name}` is no name of a node")));
    }
    let wish = Wish { transport, port, name: name.to_owned(), own_port };
    let mut wait = FIRST_RETRY;
    let mut attempt = 1;
    loop {
        match wish.take_place(false).await {
            Ok(place) => return Ok(Lease { wish, place }),
            Err(Trouble::Passing(_)) if attempt < JOIN_ATTEMPTS => {
                sleep(wait).await;
                wait *= 2;
                attempt += 1;
            }
            Err(Trouble::Passing(refusal) | Trouble::Lasting(refusal)) => return Err(refusal),
        }
    }
}

impl Lease {
    /// Whether this node is the mapper of the host, as things are before it is run.
    pub fn holds_the_port(&self) -> bool {
        matches!(self.place, Place::Holder(_))
    }

    /// Keeps the name: answers, if this node is the mapper; becomes it, or registers with another one, when the one
    /// that is dies. Ends only when the name is lost to another node.
    pub async fn run(self) -> Refusal {
        let Lease { wish, mut place } = self;
        let mut again = false;
        loop {
            match place {
                Place::Holder(mut listener) => {
                    server::serve(&mut *listener, &wish.name, wish.own_port, again).await;
                    return taken(&wish.name);
                }
                Place::Registered(mut lines) => {
                    if let Line::Whole(line) = lines.next().await
                        && Answer::read(&line) == Ok(Answer::Taken)
                    {
                        return taken(&wish.name);
                    }
                }
            }
            again = true;
            match wish.take_place_again().await {
                Ok(next) => place = next,
                Err(refusal) => return refusal,
            }
        }
    }
}

/// Why there is no place.
enum Trouble {
    /// It may be gone soon: the holder has just died.
    Passing(Refusal),
    /// It stays.
    Lasting(Refusal),
}

impl Wish {
    /// Gets the port, or registers with whoever has it.
    async fn take_place(&self, again: bool) -> Result<Place, Trouble> {
        let Wish { transport, port, name, own_port } = self;
        let lasting = |reason, detail: String| Err(Trouble::Lasting(Refusal::new(reason, detail)));
        match listen(&**transport, *port).await {
            Ok(listener) => return Ok(Place::Holder(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => {
                let detail = format!("the port mapper cannot listen on port {port}: {error}");
                return lasting(Reason::NotConnected, detail);
            }
        }
        let line = Request::Register { name: name.clone(), port: *own_port, again }.line();
        let Ok(asked) = timeout(LINE_TIMEOUT, ask(&**transport, "127.0.0.1", *port, &line)).await else {
            let seconds = LINE_TIMEOUT.as_secs();
            let detail = format!("what has port {port}, the port mapper's, does not answer within {seconds} s");
            return lasting(Reason::NotConnected, detail);
        };
        match asked? {
            (lines, Answer::Port(_)) => Ok(Place::Registered(lines)),
            (_, Answer::Taken) => Err(Trouble::Lasting(taken(name))),
            (_, Answer::Full) => {
                let detail = "the port mapper of this host has no room for another name";
                lasting(Reason::NotConnected, detail.to_owned())
            }
            (_, Answer::Unknown | Answer::Forbidden | Answer::Malformed) => {
                let detail = format!("the port mapper at port {port} does not register this node");
                lasting(Reason::Incompatible, detail)
            }
        }
    }

    /// Tries until there is a place. There is always hope: whoever has the port may let go of it.
    async fn take_place_again(&self) -> Result<Place, Refusal> {
        let mut wait = FIRST_RETRY;
        loop {
            match self.take_place(true).await {
                Ok(place) => return Ok(place),
                Err(Trouble::Lasting(refusal)) if refusal.reason == Reason::NameTaken => return Err(refusal),
                Err(Trouble::Passing(refusal) | Trouble::Lasting(refusal)) => {
                    if wait == LONGEST_RETRY {
                        tracing::warn!(%refusal, "The port mapper of this host is lost, trying again");
                    }
                }
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_RETRY);
        }
    }
}

/// Listens on all interfaces, of IPv4 alone where there is no other.
async fn listen(transport: &dyn Transport, port: u16) -> io::Result<Box<dyn Listener>> {
    match transport.listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            transport.listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        listener => listener,
    }
}

/// Asks the mapper of a host, as [`MAPPER_PORT`] if it has the usual one, at which port a node listens.
///
/// # Errors
/// With [`Reason::NotConnected`] when there is no mapper or no such node, or no answer within five seconds, with
/// [`Reason::NotSkitter`] when something else answers, with [`Reason::Incompatible`] when it is a mapper of another
/// version.
pub async fn lookup(transport: &dyn Transport, host: &str, port: u16, name: &str) -> Result<u16, Refusal> {
    let unknown = || Refusal::new(Reason::NotConnected, format!("there is no node `{name}` on `{host}`"));
    if !wire::is_name(name) {
        return Err(unknown());
    }
    let line = Request::Lookup { name: name.to_owned() }.line();
    let asked = timeout(LINE_TIMEOUT, ask(transport, host, port, &line)).await.unwrap_or_else(|_| {
        let detail = format!("no answer from `{host}`, port {port}, within {} s", LINE_TIMEOUT.as_secs());
        Err(Trouble::Lasting(Refusal::new(Reason::NotConnected, detail)))
    });
    match asked {
        Ok((_, Answer::Port(port))) => Ok(port),
        Ok((_, Answer::Unknown)) => Err(unknown()),
        Ok(_) => {
            let detail = format!("the port mapper at `{host}`, port {port}, does not understand the question");
            Err(Refusal::new(Reason::Incompatible, detail))
        }
        Err(Trouble::Passing(refusal) | Trouble::Lasting(refusal)) => Err(refusal),
    }
}

/// Sends a line and reads the answer.
async fn ask(transport: &dyn Transport, host: &str, port: u16, line: &str) -> Result<(Lines, Answer), Trouble> {
    let who = format!("at `{host}`, port {port},");
    let unreached = |error: io::Error| {
        let detail = format!("there is no port mapper {who} and so no node that it knows: {error}");
        Trouble::Passing(Refusal::new(Reason::NotConnected, detail))
    };
    let mut lines = Lines::new(transport.connect(host, port).await.map_err(unreached)?);
    lines.send(line).await.map_err(unreached)?;
    let not_skitter = |what| Refusal::new(Reason::NotSkitter, format!("what answers {who} {what}"));
    let line = match lines.next().await {
        Line::Whole(line) => line,
        Line::Strange => return Err(Trouble::Lasting(not_skitter("is no port mapper of Skitter"))),
        Line::End { cut_off: true } => return Err(Trouble::Passing(not_skitter("ends in the middle of its answer"))),
        Line::End { cut_off: false } => return Err(Trouble::Passing(not_skitter("says nothing"))),
    };
    match Answer::read(&line) {
        Ok(answer) => Ok((lines, answer)),
        Err(Unfit::Version(version)) => {
            let detail = format!("the port mapper {who} speaks version {version}, this node {}", wire::VERSION);
            Err(Trouble::Lasting(Refusal::new(Reason::Incompatible, detail)))
        }
        Err(_) => Err(Trouble::Lasting(not_skitter("is no port mapper of Skitter, or a broken one"))),
    }
}

fn taken(name: &str) -> Refusal {
    Refusal::new(Reason::NameTaken, format!("another node `{name}` lives on this host; give this one another name"))
}
