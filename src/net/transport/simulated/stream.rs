//! The ends of simulated connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep_until};

use super::link::Look;
use super::lock;
use super::world::{LinkId, World};
use crate::net::{BoxReader, BoxStream, BoxWriter, Stream};

/// What belongs to one side of a connection: the directions that it reads and writes, and who is at the other side.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub read: LinkId,
    pub write: LinkId,
    pub peer: SocketAddr,
}

/// One side of a connection.
pub(super) struct SimulatedStream {
    reader: ReadEnd,
    writer: WriteEnd,
    peer: SocketAddr,
}

impl SimulatedStream {
    pub fn new(world: &Arc<Mutex<World>>, Ends { read, write, peer }: Ends) -> SimulatedStream {
        let reader = ReadEnd { world: Arc::clone(world), link: read, arrival: None };
        let writer = WriteEnd { world: Arc::clone(world), link: write };
        SimulatedStream { reader, writer, peer }
    }
}

/// The end of a direction that bytes come out of.
struct ReadEnd {
    world: Arc<Mutex<World>>,
    link: LinkId,
    /// When what is under way arrives.
    arrival: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for ReadEnd {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let Look { found, again, wake } = lock(&self.world).read(self.link, buffer.remaining(), cx);
            wake.into_iter().for_each(std::task::Waker::wake);
            if let Poll::Ready(found) = found {
                buffer.put_slice(&found?);
                return Poll::Ready(Ok(()));
            }
            // Without one, the link wakes who reads.
            let Some(again) = again.and_then(|then| lock(&self.world).waits_until(then)) else { return Poll::Pending };
            let mut arrival = Box::pin(sleep_until(again));
            let arrived = arrival.as_mut().poll(cx);
            self.arrival = Some(arrival);
            ready!(arrived);
        }
    }
}

impl Drop for ReadEnd {
    fn drop(&mut self) {
        let wake = lock(&self.world).leave(self.link, true);
        wake.into_iter().for_each(std::task::Waker::wake);
    }
}

/// The end of a direction that bytes go into.
struct WriteEnd {
    world: Arc<Mutex<World>>,
    link: LinkId,
}

impl AsyncWrite for WriteEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Look { found, wake, .. } = lock(&self.world).write(self.link, bytes, cx);
        wake.into_iter().for_each(std::task::Waker::wake);
        found
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wake = lock(&self.world).end(self.link);
        wake.into_iter().for_each(std::task::Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for WriteEnd {
    fn drop(&mut self) {
        let wake = lock(&self.world).leave(self.link, false);
        wake.into_iter().for_each(std::task::Waker::wake);
    }
}

impl AsyncRead for SimulatedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SimulatedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

impl Stream for SimulatedStream {
    fn into_here(self: Box<Self>) -> io::Result<BoxStream> {
        Ok(self)
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }

    fn into_halves(self: Box<Self>) -> (BoxReader, BoxWriter) {
        let SimulatedStream { reader, writer, .. } = *self;
        (Box::new(reader), Box::new(writer))
    }
}
