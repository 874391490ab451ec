//! TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use super::{BoxFuture, BoxStream, Listener, Stream, Transport};

/// How long connecting may take, over all addresses of a host: a packet that got lost is sent again after 1 and after 3
/// seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Most addresses of a host that are tried, so that each gets a share of the time.
const MOST_ADDRESSES: usize = 8;

/// A connection is probed after this time of silence, and then as often, [`PROBES`] times. Only for connections without
/// heartbeats: leases, and those for data at rest.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// After so many probes without an answer, a connection is lost.
const PROBES: u32 = 3;

/// TCP: without delay for small writes, probed at rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Transport for Tcp {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let end = Instant::now() + CONNECT_TIMEOUT;
            let found = timeout_at(end, tokio::net::lookup_host((host, port))).await.map_err(|_| too_long("found"))?;
            let addresses: Vec<SocketAddr> = found.map_err(plain)?.take(MOST_ADDRESSES).collect();
            let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
            for (tried, address) in addresses.iter().enumerate() {
                // Each of those that are left gets the same share.
                let share = (end - Instant::now()) / u32::try_from(addresses.len() - tried).unwrap_or(1);
                match timeout(share, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) if is_own(&stream) => failure = io::ErrorKind::ConnectionRefused.into(),
                    Ok(Ok(stream)) => return Ok(set_up(stream)? as BoxStream),
                    Ok(Err(error)) => failure = error,
                    Err(_) => failure = too_long("reached"),
                }
            }
            Err(failure)
        })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

impl Listener for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let (stream, address) = TcpListener::accept(self).await?;
            Ok((set_up(stream)? as BoxStream, address))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

/// Whether a connection leads to itself: where nobody listens, on a port that the system has just given to it.
fn is_own(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(here), Ok(there)) if here == there)
}

fn set_up(stream: TcpStream) -> io::Result<Box<TcpStream>> {
    stream.set_nodelay(true)?;
    stream.probe(KEEPALIVE, KEEPALIVE, PROBES)?;
    Ok(Box::new(stream))
}

fn too_long(what: &str) -> io::Error {
    let seconds = CONNECT_TIMEOUT.as_secs();
    io::Error::new(io::ErrorKind::TimedOut, format!("the host could not be {what} within {seconds} s"))
}

/// The resolver's own words, without those that the standard library puts before them.
fn plain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => error,
        None => io::Error::other(error.to_string().replace("failed to lookup address information: ", "")),
    }
}

#[cfg(test)]
mod tests;
