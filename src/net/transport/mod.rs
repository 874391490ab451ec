//! Streams of bytes between hosts: over TCP, or simulated; and TLS over either.

mod simulated;
mod tcp;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub use simulated::{Silence, Simulated, SimulatedHost};
pub use tcp::{CONNECT_TIMEOUT, Tcp};
pub use tls::{Credentials, MAX_PEM, Tls, TlsError, TlsFiles};

/// A future in a box, that can go to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection, whatever it is made of.
pub type BoxStream = Box<dyn Stream>;

/// The half of a connection that bytes come from.
pub type BoxReader = Box<dyn AsyncRead + Send + Unpin>;

/// The half of a connection that bytes go into. Dropping it ends the stream for the peer, in order.
pub type BoxWriter = Box<dyn AsyncWrite + Send + Unpin>;

/// How nodes reach each other. Everything of this room that talks to another host does so through it, so a cluster can
/// run in one process, on a clock of its own.
pub trait Transport: Send + Sync + 'static {
    /// Connects to a host, by name or address, within [`CONNECT_TIMEOUT`].
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<BoxStream>>;

    /// Listens on an address of this host; at port 0, on one that is free.
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// What the clock of this host says: the time since 1970.
    fn time_of_day(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }
}

/// Where connections come in. Dropping it closes the port.
pub trait Listener: Send {
    /// Waits for the next connection; gives it with the address of the peer. Nothing is lost when the future is
    /// dropped. An error concerns one connection, or a shortage that passes; the listener goes on.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>>;

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not know it any more.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// A connection: bytes in order, both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Does what has to be done before bytes can travel, of which a listener does nothing, because it may take as long
    /// as the peer likes. A future that is dropped leaves a connection that is good for nothing.
    ///
    /// # Errors
    /// When the peer is not fit to talk to; a [`Refusal`](super::Refusal) inside says why. When the connection is lost.
    fn begin(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Who is at the other end; none where there are no addresses.
    fn peer_address(&self) -> Option<SocketAddr> {
        None
    }

    /// Has the system ask that of the peer whether it is there, after `rest` without anything from it and then every
    /// `interval`; after `times` questions without an answer the connection is lost. It does not ask while something
    /// that was sent waits for an acknowledgement. In whole seconds; nothing where no system does that.
    ///
    /// # Errors
    /// When the system refuses.
    fn probe(&self, _rest: Duration, _interval: Duration, _times: u32) -> io::Result<()> {
        Ok(())
    }

    /// Moves it to the runtime that this is called in, whose threads then wait for what comes.
    ///
    /// # Errors
    /// When the system refuses.
    fn into_here(self: Box<Self>) -> io::Result<BoxStream>;

    /// Takes it apart, so that two tasks can read and write at the same time, without a lock between them where the
    /// stream can do that.
    fn into_halves(self: Box<Self>) -> (BoxReader, BoxWriter);
}

impl Stream for TcpStream {
    fn peer_address(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }

    fn probe(&self, rest: Duration, interval: Duration, times: u32) -> io::Result<()> {
        sockopt::set_socket_keepalive(self, true)?;
        sockopt::set_tcp_keepidle(self, rest)?;
        sockopt::set_tcp_keepintvl(self, interval)?;
        Ok(sockopt::set_tcp_keepcnt(self, times)?)
    }

    fn into_here(self: Box<Self>) -> io::Result<BoxStream> {
        Ok(Box::new(TcpStream::from_std(self.into_std()?)?))
    }

    fn into_halves(self: Box<Self>) -> (BoxReader, BoxWriter) {
        let (reader, writer) = self.into_split();
        (Box::new(reader), Box::new(writer))
    }
}

/// A pipe within a process, for tests.
impl Stream for tokio::io::DuplexStream {
    fn into_here(self: Box<Self>) -> io::Result<BoxStream> {
        Ok(self)
    }

    fn into_halves(self: Box<Self>) -> (BoxReader, BoxWriter) {
        let (reader, writer) = tokio::io::split(*self);
        (Box::new(reader), Box::new(ShutsDown(writer)))
    }
}

/// A half that ends the stream when it is dropped, although the other half lives on.
#[derive(Debug)]
struct ShutsDown<W: AsyncWrite + Unpin>(W);

impl<W: AsyncWrite + Unpin> AsyncWrite for ShutsDown<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<W: AsyncWrite + Unpin> Drop for ShutsDown<W> {
    fn drop(&mut self) {
        // A pipe within a process ends at once, and who drops it does not wait for more.
        let _ = Pin::new(&mut self.0).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}
