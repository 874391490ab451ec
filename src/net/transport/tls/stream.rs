//! A connection with TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::words::explain;
use crate::net::handshake::MAGIC;
use crate::net::session::FAREWELL;
use crate::net::transport::{BoxFuture, BoxReader, BoxStream, BoxWriter, Stream};

/// Most bytes that are read from a peer that is refused, so that it is not cut off before it has read why: what it may
/// send in a handshake of TLS.
const MOST_DISCARDED: u64 = 64 * 1024;

/// How many bytes are asked of the system at a time once records travel: TLS itself asks for four KiB.
const CHUNK: usize = 64 * 1024;

/// What TLS stands on: the connection below it. It remembers how it began, reads in large pieces if it is told to, and
/// can be moved to another runtime while TLS stays where it is.
pub(super) struct Ground {
    /// None only if moving it failed; nothing comes then.
    stream: Option<BoxStream>,
    first: [u8; MAGIC.len()],
    /// How many of the first bytes have come.
    known: usize,
    /// What was read and not asked for yet, from `at` to `end`.
    bytes: Vec<u8>,
    at: usize,
    end: usize,
    /// How many bytes are read at a time; 0 for as many as are asked for.
    chunk: usize,
}

impl Ground {
    pub fn new(stream: BoxStream) -> Ground {
        Ground { stream: Some(stream), first: [0; MAGIC.len()], known: 0, bytes: Vec::new(), at: 0, end: 0, chunk: 0 }
    }

    /// Lets go of a peer with whom TLS has failed, when it has had time to read why. Gives why, in words.
    pub async fn part(self, error: io::Error) -> io::Error {
        let error = explain(error, &self.first[..self.known]);
        if let Some(mut stream) = self.stream {
            let told = async {
                stream.shutdown().await?;
                // The system would take back what was said last if something came that nobody has read.
                tokio::io::copy(&mut stream.take(MOST_DISCARDED), &mut tokio::io::sink()).await
            };
            // Nobody is left to be told of an error.
            let _: Result<io::Result<u64>, _> = timeout(FAREWELL, told).await;
        }
        error
    }

    fn stream(&mut self) -> io::Result<&mut BoxStream> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn note_first(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(self.first.len() - self.known);
        self.first[self.known..self.known + length].copy_from_slice(&bytes[..length]);
        self.known += length;
    }
}

impl AsyncRead for Ground {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.at == this.end && this.chunk > into.remaining() {
            let Ground { stream, bytes, chunk, .. } = this;
            let stream = stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            bytes.resize(*chunk, 0);
            let mut buffer = ReadBuf::new(bytes);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
            (this.at, this.end) = (0, buffer.filled().len());
        } else if this.at == this.end {
            let before = into.filled().len();
            ready!(Pin::new(this.stream()?).poll_read(cx, into))?;
            this.note_first(&into.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        // Nothing, if it was the end.
        let length = into.remaining().min(this.end - this.at);
        into.put_slice(&this.bytes[this.at..this.at + length]);
        this.at += length;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ground {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.stream()?).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.stream()?).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()?).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.stream()?).poll_shutdown(cx)
    }
}

type Inner = Box<tokio_rustls::TlsStream<Ground>>;

/// A connection with TLS.
pub(super) struct TlsStream(State);

enum State {
    /// It was accepted, and TLS has not begun.
    Accepted(TlsAcceptor, Ground),
    /// Both sides are verified.
    Open(Inner),
    /// TLS has failed, or has not been waited for.
    Failed,
}

impl TlsStream {
    /// A connection whose both sides are verified.
    pub fn open(stream: tokio_rustls::TlsStream<Ground>) -> TlsStream {
        TlsStream(State::Open(Box::new(stream)))
    }

    /// One that has come in.
    pub fn accepting(acceptor: TlsAcceptor, ground: Ground) -> TlsStream {
        TlsStream(State::Accepted(acceptor, ground))
    }

    fn ground(&self) -> Option<&BoxStream> {
        match &self.0 {
            State::Accepted(_, ground) => ground.stream.as_ref(),
            State::Open(stream) => stream.get_ref().0.stream.as_ref(),
            State::Failed => None,
        }
    }

    fn inner(&mut self) -> io::Result<Pin<&mut tokio_rustls::TlsStream<Ground>>> {
        match &mut self.0 {
            State::Open(stream) => Ok(Pin::new(stream.as_mut())),
            State::Accepted(..) | State::Failed => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Stream for TlsStream {
    fn begin(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            match std::mem::replace(&mut self.0, State::Failed) {
                State::Accepted(acceptor, ground) => match acceptor.accept(ground).into_fallible().await {
                    Ok(stream) => self.0 = State::Open(Box::new(stream.into())),
                    Err((error, ground)) => return Err(ground.part(error).await),
                },
                State::Open(stream) => self.0 = State::Open(stream),
                State::Failed => return Err(io::ErrorKind::NotConnected.into()),
            }
            Ok(())
        })
    }

    fn peer_address(&self) -> Option<SocketAddr> {
        self.ground().and_then(|stream| stream.peer_address())
    }

    fn probe(&self, rest: Duration, interval: Duration, times: u32) -> io::Result<()> {
        self.ground().map_or(Ok(()), |stream| stream.probe(rest, interval, times))
    }

    fn into_here(mut self: Box<Self>) -> io::Result<BoxStream> {
        let ground = match &mut self.0 {
            State::Accepted(_, ground) => ground,
            State::Open(stream) => stream.get_mut().0,
            State::Failed => return Err(io::ErrorKind::NotConnected.into()),
        };
        // TLS itself waits for nothing and belongs to no runtime: only what it stands on is moved.
        if let Some(stream) = ground.stream.take() {
            ground.stream = Some(stream.into_here()?);
        }
        Ok(self)
    }

    fn into_halves(mut self: Box<Self>) -> (BoxReader, BoxWriter) {
        if let State::Open(stream) = &mut self.0 {
            // What comes from here on is much, or waits for nobody.
            stream.get_mut().0.chunk = CHUNK;
        }
        let whole = Arc::new(Mutex::new(*self));
        (Box::new(ReadHalf(Arc::clone(&whole))), Box::new(WriteHalf(whole)))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(self.inner()?.poll_read(cx, into)) {
            // As when a process is killed that has no TLS. Who can cut a connection can end it anyway, so what is said
            // over one has an end of its own everywhere.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(explain(error, &[]))),
            Ok(()) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner()?.poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            // There is nobody to whom TLS could say so.
            State::Accepted(_, ground) => Pin::new(ground).poll_shutdown(cx),
            State::Failed => Poll::Ready(Ok(())),
        }
    }
}

fn locked(whole: &Mutex<TlsStream>) -> MutexGuard<'_, TlsStream> {
    whole.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The half that bytes come from. Both have the one state of TLS, so they lock it for each of their steps.
struct ReadHalf(Arc<Mutex<TlsStream>>);

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.0)).poll_read(cx, into)
    }
}

/// The half that bytes go into. It ends the stream when it is dropped, although the other half lives on.
struct WriteHalf(Arc<Mutex<TlsStream>>);

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *locked(&self.0)).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.0)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.0)).poll_shutdown(cx)
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        let mut whole = locked(&self.0);
        let mut cx = Context::from_waker(Waker::noop());
        if Pin::new(&mut *whole).poll_shutdown(&mut cx).is_pending()
            && let State::Open(stream) = &mut whole.0
        {
            // The peer takes nothing now. It gets what the system has, and the end, without a last word of TLS.
            let _ = Pin::new(stream.get_mut().0).poll_shutdown(&mut cx);
        }
    }
}
