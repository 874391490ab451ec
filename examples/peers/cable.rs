//! Connections over TCP that go wrong once batches travel over them. Those for control are as they should be.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use skitter::actor::{self, Census};
use skitter::net::{BoxFuture, BoxReader, BoxStream, BoxWriter, Listener, Stream, Tcp, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::signal::unix::{SignalKind, signal};

/// The vertex whose workers give no credit.
pub const TAKEN: u32 = 1;

/// Bytes that a peer reads before it stops.
const ENOUGH: usize = 1 << 20;

/// What is wrong with the connections for batches.
#[derive(Clone)]
pub enum Fault {
    /// What comes is not read any more, until the gate opens.
    StopsReading(Arc<Gate>),
    /// Credit that the workers of [`TAKEN`] give is not sent.
    GivesNoCredit,
}

/// Opens once.
#[derive(Default)]
pub struct Gate {
    open: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(Waker::wake);
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(cx.waker().clone());
        if self.open.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Fault {
    /// Reads on after SIGUSR1.
    pub fn stops_reading() -> io::Result<Fault> {
        let gate = Arc::new(Gate::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let mut told = runtime.block_on(async { signal(SignalKind::user_defined1()) })?;
        let opens = Arc::clone(&gate);
        let wait = move || {
            runtime.block_on(told.recv());
            opens.open();
        };
        actor::thread("gate".to_owned(), &Census::new(), wait, drop)?;
        Ok(Fault::StopsReading(gate))
    }
}

/// TCP with a fault.
pub struct Cable(pub Fault);

impl Transport for Cable {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<BoxStream>> {
        let stream = Tcp.connect(host, port);
        Box::pin(async move { Ok(Plug::put_on(stream.await?, &self.0)) })
    }

    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        let listener = Tcp.listen(address);
        Box::pin(async move { Ok(Box::new(Sockets(listener.await?, self.0.clone())) as Box<dyn Listener>) })
    }
}

struct Sockets(Box<dyn Listener>, Fault);

impl Listener for Sockets {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxStream, SocketAddr)>> {
        Box::pin(async move {
            let (stream, address) = self.0.accept().await?;
            Ok((Plug::put_on(stream, &self.1), address))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_address()
    }
}

/// A connection as it should be, until it is moved to where batches are worked on.
struct Plug {
    stream: BoxStream,
    fault: Fault,
    for_data: bool,
}

impl Plug {
    fn put_on(stream: BoxStream, fault: &Fault) -> BoxStream {
        Box::new(Plug { stream, fault: fault.clone(), for_data: false })
    }
}

impl Stream for Plug {
    fn peer_address(&self) -> Option<SocketAddr> {
        self.stream.peer_address()
    }

    fn probe(&self, rest: Duration, interval: Duration, times: u32) -> io::Result<()> {
        self.stream.probe(rest, interval, times)
    }

    fn into_here(self: Box<Self>) -> io::Result<BoxStream> {
        let Plug { stream, fault, .. } = *self;
        Ok(Box::new(Plug { stream: stream.into_here()?, fault, for_data: true }))
    }

    fn into_halves(self: Box<Self>) -> (BoxReader, BoxWriter) {
        let Plug { stream, fault, for_data } = *self;
        let (reader, writer) = stream.into_halves();
        match fault {
            _ if !for_data => (reader, writer),
            Fault::StopsReading(gate) => (Box::new(Stops { reader, gate, read: 0 }), writer),
            Fault::GivesNoCredit => (reader, Box::new(Keeps { writer, came: Vec::new(), goes: Vec::new() })),
        }
    }
}

impl AsyncRead for Plug {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Plug {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Reads a while, and then nothing until the gate opens.
struct Stops {
    reader: BoxReader,
    gate: Arc<Gate>,
    read: usize,
}

impl AsyncRead for Stops {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read >= ENOUGH {
            ready!(self.gate.poll(cx));
        }
        let (before, had_enough) = (buffer.filled().len(), self.read >= ENOUGH);
        ready!(Pin::new(&mut self.reader).poll_read(cx, buffer))?;
        self.read += buffer.filled().len() - before;
        if self.read >= ENOUGH && !had_enough {
            tracing::info!("Nothing is read any more");
        }
        Poll::Ready(Ok(()))
    }
}

/// Passes all frames on but credit of the workers of [`TAKEN`].
struct Keeps {
    writer: BoxWriter,
    /// The begin of a frame.
    came: Vec<u8>,
    /// Frames that are passed on.
    goes: Vec<u8>,
}

impl Keeps {
    /// Takes whole frames out of what came; `src/runtime/wire.rs` says what they look like.
    fn sort(&mut self) {
        let number = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes)
        };
        while let Some(length) = number(&self.came, 0).map(|length| 4 + length as usize)
            && self.came.len() >= length
        {
            let frame: Vec<u8> = self.came.drain(..length).collect();
            let is_credit = frame.get(4) == Some(&2);
            if !is_credit || number(&frame, 13) != Some(TAKEN) {
                self.goes.extend(frame);
            }
        }
    }

    fn poll_pass_on(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.goes.is_empty() {
            let count = ready!(Pin::new(&mut self.writer).poll_write(cx, &self.goes))?;
            self.goes.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Keeps {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_pass_on(cx))?;
        self.came.extend_from_slice(bytes);
        self.sort();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pass_on(cx))?;
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pass_on(cx))?;
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
