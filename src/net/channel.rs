//! Typed messages over a connection, with heartbeats, for control.
//!
//! | bytes | frame |
//! |---|---|
//! | 4 | length of the rest, the high byte first, at most [`MAX_MESSAGE`] |
//! | 1 | 0 heartbeat, 1 message |
//! | | the message in postcard |
//!
//! Who hears the peer and has said nothing for a while answers at once. So two nodes that are at rest wake up together,
//! twice a second, and not each by its own clock.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

use super::transport::{BoxReader, BoxWriter};
use super::{BoxStream, Frames, Stream};
use crate::codec::{Record, ValueError, decode, encode};

/// Most bytes of a message. A plan of ten thousand workers takes less than one; what is larger is data, and belongs on
/// a connection of its own.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// How often a side that has nothing to say shows that it lives: six times before it would be taken for dead.
pub const HEARTBEAT: Duration = Duration::from_millis(500);

/// Most bytes that wait to be sent: two of the longest messages, so that one can be made while the other is sent.
const MAX_QUEUED_BYTES: usize = 2 * (MAX_MESSAGE + 1);
/// Most messages that wait to be sent.
const MAX_QUEUED: usize = 1024;

/// How long a peer may take no byte of what is sent. It is longer than a peer may be silent, so who looks at silence
/// learns of the failure first.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes are gathered for one write, and asked for in one read: about what the system takes at a time.
const CHUNK: usize = 64 * 1024;

const TAG_HEARTBEAT: u8 = 0;
const TAG_MESSAGE: u8 = 1;

/// Why a message was not sent or received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The connection is lost.
    #[error("the connection is lost: {0}")]
    Lost(#[from] io::Error),
    /// The connection has ended in the middle of a message.
    #[error("the connection has ended in the middle of a message")]
    CutOff,
    /// The channel has ended, here or there.
    #[error("the channel has ended")]
    Ended,
    /// The peer does not take what is sent.
    #[error("the peer has taken nothing for {} s", STALL_TIMEOUT.as_secs())]
    Stalled,
    /// Too much waits to be sent.
    #[error("too much waits to be sent to the peer")]
    Full,
    /// A message of more than [`MAX_MESSAGE`] bytes.
    #[error("a message has more than {MAX_MESSAGE} bytes")]
    TooLong,
    /// A frame that is neither a heartbeat nor a message.
    #[error("a frame is neither a heartbeat nor a message")]
    Unknown,
    /// A message that cannot be written or read.
    #[error("a message is unfit: {0}")]
    Unfit(#[from] ValueError),
}

/// What comes from the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<M> {
    /// The peer lives: a heartbeat has come, or a part of a message.
    Heartbeat,
    /// A message has come; the peer lives.
    Message(M),
}

/// Opens a channel over a connection. Messages of type `Out` go to the peer, those of type `In` come from it. The
/// [`Courier`] has to be run for anything to be sent.
///
/// # Examples
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// use skitter::net::{Frame, HEARTBEAT, channel};
///
/// let (here, there) = tokio::io::duplex(1024);
/// let (sender, _, courier) = channel::<String, u64>(Box::new(here), HEARTBEAT);
/// let (_, mut receiver, _) = channel::<u64, String>(Box::new(there), HEARTBEAT);
///
/// sender.send(&"hello".to_owned()).await?;
/// drop(sender);
/// courier.run().await?;
/// assert_eq!(receiver.recv().await?, Some(Frame::Message("hello".to_owned())));
/// assert_eq!(receiver.recv().await?, None);
/// # Ok::<(), skitter::net::ChannelError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel<Out: Record, In: Record>(
    stream: BoxStream,
    heartbeat: Duration,
) -> (Sender<Out>, Receiver<In>, Courier) {
    let (reader, writer) = Stream::into_halves(stream);
    let (queue, queued) = mpsc::channel(MAX_QUEUED);
    let room = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
    let heard = Arc::new(Notify::new());
    let hears = Arc::clone(&heard);
    let receiver = Receiver {
        reader,
        frames: Frames::big_endian(MAX_MESSAGE + 1),
        bytes: BytesMut::new(),
        hears,
        ended: false,
        messages: PhantomData,
    };
    let courier = Courier { writer, queued, heartbeat, frames: frames(), bytes: BytesMut::new(), heard };
    (Sender { queue, room, messages: PhantomData }, receiver, courier)
}

fn frames() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MAX_MESSAGE + 1).new_codec()
}

/// A message on its way, with the room that it takes up in the queue.
#[derive(Debug)]
struct Queued {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Sends messages to the peer. What one sender sends arrives in order.
#[derive(Debug)]
pub struct Sender<M> {
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    messages: PhantomData<fn(M)>,
}

impl<M> Clone for Sender<M> {
    fn clone(&self) -> Self {
        Sender { queue: self.queue.clone(), room: Arc::clone(&self.room), messages: PhantomData }
    }
}

impl<M: Record> Sender<M> {
    /// Puts a message into the queue, and waits while there is no room in it; the courier sees to it that this does not
    /// take longer than [`STALL_TIMEOUT`].
    ///
    /// # Errors
    /// When the message cannot be written, or is too long, or the channel has ended.
    pub async fn send(&self, message: &M) -> Result<(), ChannelError> {
        let bytes = write(message)?;
        let room = u32::try_from(bytes.len()).map_err(|_| ChannelError::TooLong)?;
        let slot = self.queue.reserve().await.map_err(|_| ChannelError::Ended)?;
        let wait = Arc::clone(&self.room).acquire_many_owned(room);
        let permit = tokio::select! {
            biased;
            permit = wait => permit.map_err(|_| ChannelError::Ended)?,
            () = self.queue.closed() => return Err(ChannelError::Ended),
        };
        slot.send(Queued { bytes, _room: permit });
        Ok(())
    }

    /// Puts a message into the queue if there is room.
    ///
    /// # Errors
    /// As [`Sender::send`]; and with [`ChannelError::Full`] when there is no room.
    pub fn try_send(&self, message: &M) -> Result<(), ChannelError> {
        let bytes = write(message)?;
        let room = u32::try_from(bytes.len()).map_err(|_| ChannelError::TooLong)?;
        let permit = Arc::clone(&self.room).try_acquire_many_owned(room).map_err(|_| ChannelError::Full);
        let queued = permit.map(|permit| Queued { bytes, _room: permit });
        match queued.map(|queued| self.queue.try_send(queued)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(mpsc::error::TrySendError::Full(_))) => Err(ChannelError::Full),
            Ok(Err(mpsc::error::TrySendError::Closed(_))) => Err(ChannelError::Ended),
            Err(_) if self.queue.is_closed() => Err(ChannelError::Ended),
            Err(full) => Err(full),
        }
    }

    /// Waits until the courier has ended: nothing is sent any more. Somebody who runs the courier waits with a time-out
    /// of its own.
    pub async fn ended(&self) {
        self.queue.closed().await;
    }
}

fn write<M: Record>(message: &M) -> Result<Bytes, ChannelError> {
    let mut bytes = vec![TAG_MESSAGE];
    encode(message, &mut bytes)?;
    if bytes.len() > MAX_MESSAGE + 1 { Err(ChannelError::TooLong) } else { Ok(bytes.into()) }
}

/// Receives messages from the peer.
pub struct Receiver<M> {
    reader: BoxReader,
    frames: Frames,
    bytes: BytesMut,
    /// For the courier, which may answer.
    hears: Arc<Notify>,
    ended: bool,
    messages: PhantomData<fn() -> M>,
}

impl<M: Record> Receiver<M> {
    /// Waits for the next sign of life; none when the peer has ended the channel in order. Nothing is lost when the
    /// future is dropped. It waits for as long as the peer is silent: how long that may be is for a
    /// [`Membership`](super::Membership) to say.
    ///
    /// # Errors
    /// When the connection is lost, or what comes is no frame, or too long, or no message. The channel has ended then.
    pub async fn recv(&mut self) -> Result<Option<Frame<M>>, ChannelError> {
        if self.ended {
            return Ok(None);
        }
        let received = self.next().await;
        self.ended = !matches!(received, Ok(Some(_)));
        received
    }

    async fn next(&mut self) -> Result<Option<Frame<M>>, ChannelError> {
        if let Some(frame) = self.decode()? {
            return Ok(Some(frame));
        }
        self.bytes.reserve(CHUNK);
        if self.reader.read_buf(&mut self.bytes).await? == 0 {
            return if self.bytes.is_empty() { Ok(None) } else { Err(ChannelError::CutOff) };
        }
        self.hears.notify_one();
        Ok(Some(self.decode()?.unwrap_or(Frame::Heartbeat)))
    }

    fn decode(&mut self) -> Result<Option<Frame<M>>, ChannelError> {
        let frame = self.frames.decode(&mut self.bytes).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => ChannelError::TooLong,
            _ => ChannelError::Lost(error),
        })?;
        if self.bytes.is_empty() && frame.as_ref().is_some_and(|frame| frame.len() > 2 * CHUNK) {
            // It leaves a large buffer behind.
            self.bytes = BytesMut::new();
        }
        match frame.as_deref().map(<[u8]>::split_first) {
            None => Ok(None),
            Some(Some((&TAG_MESSAGE, message))) => Ok(Some(Frame::Message(decode(message)?))),
            Some(Some((&TAG_HEARTBEAT, []))) => Ok(Some(Frame::Heartbeat)),
            Some(_) => Err(ChannelError::Unknown),
        }
    }
}

/// Takes what is sent to the peer, and heartbeats.
pub struct Courier {
    writer: BoxWriter,
    queued: mpsc::Receiver<Queued>,
    heartbeat: Duration,
    frames: LengthDelimitedCodec,
    bytes: BytesMut,
    /// The peer was heard.
    heard: Arc<Notify>,
}

/// What a courier does next.
enum Next {
    Send(Queued),
    End,
    Beat,
    Answer,
}

impl Courier {
    /// Sends what comes into the queue, in order, and a heartbeat whenever nothing has come for so long, or for half of
    /// that when the peer is heard. Ends when all senders are dropped, after the last message and the end of the stream
    /// for the peer. When it ends, or is dropped, senders are told that the channel has ended.
    ///
    /// # Errors
    /// When the connection is lost, or the peer takes nothing for [`STALL_TIMEOUT`].
    pub async fn run(mut self) -> Result<(), ChannelError> {
        let (mut sent, mut due) = (Instant::now(), Instant::now() + self.heartbeat);
        loop {
            let next = self.next(sent, due).await;
            // One of two that answer each other waits longer, or both would beat at the same moment.
            let patience = if matches!(next, Next::Answer) { self.heartbeat * 3 / 2 } else { self.heartbeat };
            match next {
                Next::Send(first) => self.gather(first)?,
                Next::End => return in_time(self.writer.shutdown()).await,
                Next::Beat | Next::Answer => {
                    self.frames.encode(Bytes::from_static(&[TAG_HEARTBEAT]), &mut self.bytes)?;
                }
            }
            let long = self.bytes.len() > 2 * CHUNK;
            while !self.bytes.is_empty() {
                in_time(self.writer.write_buf(&mut self.bytes)).await?;
            }
            if long {
                // It leaves a large buffer behind.
                self.bytes = BytesMut::new();
            }
            in_time(self.writer.flush()).await?;
            sent = Instant::now();
            due = sent + patience;
        }
    }

    async fn next(&mut self, sent: Instant, due: Instant) -> Next {
        loop {
            tokio::select! {
                biased;
                queued = self.queued.recv() => return queued.map_or(Next::End, Next::Send),
                () = sleep_until(due) => return Next::Beat,
                () = self.heard.notified() => if sent.elapsed() >= self.heartbeat / 2 { return Next::Answer },
            }
        }
    }

    /// Puts messages that wait into one write.
    fn gather(&mut self, first: Queued) -> Result<(), ChannelError> {
        let mut next = Some(first);
        while let Some(queued) = next {
            self.frames.encode(queued.bytes, &mut self.bytes)?;
            next = if self.bytes.len() < CHUNK { self.queued.try_recv().ok() } else { None };
        }
        Ok(())
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, ChannelError> {
    Ok(timeout(STALL_TIMEOUT, work).await.map_err(|_| ChannelError::Stalled)??)
}

#[cfg(test)]
mod tests;
