//! The connection between two nodes of a deployment: what waits to be sent over it, and what comes.
//!
//! All links between workers of the two nodes share it. None can hold another one up: a receiver that is slow gives no
//! credit back, so its senders stop, and nothing of theirs waits in between.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::codec::Decoder;

use super::flow::Mailbox;
use super::window::Window;
use super::wire::{Header, Kind, TooLong, frames, read_barrier, read_credit};
use super::worker::{Channel, Credit, Message, Parcel};
use crate::codec::{CodecError, StableBuildHasher};
use crate::id::WorkerId;
use crate::net::{BoxReader, BoxWriter};
use crate::workflow::{Batch, Watermark};

/// Most batches that may be under way from a sender to a receiver on another node: 2 MiB with full batches. With a
/// quarter of it two nodes of one core each waited for each other a fifth of their time.
pub const REMOTE_WINDOW: usize = 64;

/// Batches that may be under way to a receiver from all workers of a vertex on other nodes, as far as the window of
/// each of them does not get too small: 4 MiB with full batches.
const SHARED_WINDOW: usize = 2 * REMOTE_WINDOW;

/// Fewest batches that may be under way: as many as are sent while the first one's credit comes back over a network of
/// half a millisecond at 500 MB/s.
const LEAST_WINDOW: usize = 8;

/// Credit that is owed before it is given back, so that it costs a small frame for every fourth batch.
const GIVEN_BACK_AT: usize = LEAST_WINDOW / 2;

/// How many batches may be under way to a receiver on another node from one of so many workers of a vertex.
pub fn remote_window(workers: usize) -> usize {
    (SHARED_WINDOW / workers.max(1)).clamp(LEAST_WINDOW, REMOTE_WINDOW)
}

/// Most frames of credit for a link that wait to be sent, if its sender keeps to its credit.
const MOST_CREDITS: usize = REMOTE_WINDOW / GIVEN_BACK_AT;

/// What is asked of the system at once, in bytes: a few batches.
const CHUNK: usize = 256 * 1024;

/// Memory that is kept for what is to be sent, in bytes, when nothing is.
const KEPT: usize = 1024 * 1024;

/// Why a batch cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// A record cannot be written.
    #[error("a batch cannot be sent to `{node}`: {error}")]
    Codec {
        /// To whom.
        node: String,
        /// Why not.
        error: CodecError,
    },
    /// It is too long.
    #[error("a batch of {bytes} bytes cannot be sent to `{node}`: the most is {} bytes", super::wire::MAX_FRAME)]
    TooLong {
        /// To whom.
        node: String,
        /// Its length.
        bytes: usize,
    },
}

enum Failure {
    Codec(CodecError),
    TooLong(usize),
}

impl From<TooLong> for Failure {
    fn from(TooLong(bytes): TooLong) -> Failure {
        Failure::TooLong(bytes)
    }
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side has closed it.
    #[error("it was closed")]
    Closed,
    /// What came is not what a node of this deployment sends.
    #[error("{0}")]
    Violation(String),
}

#[derive(Default)]
struct Outgoing {
    bytes: Vec<u8>,
    closing: bool,
}

/// One side of a connection; shared by all workers of this node that send over it.
pub struct Connection {
    /// The name of the other node.
    node: String,
    out: Mutex<Outgoing>,
    ready: Notify,
    /// Frames of credit among what waits to be sent.
    credits: AtomicUsize,
    /// Credit of workers of this node, by worker and link.
    windows: Mutex<HashMap<(WorkerId, u32), Arc<Window>, StableBuildHasher>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("node", &self.node).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// A connection to a node of this name.
    pub fn new(node: String) -> Arc<Connection> {
        let (out, windows) = (Mutex::default(), Mutex::default());
        Arc::new(Connection { node, out, ready: Notify::new(), credits: AtomicUsize::new(0), windows })
    }

    /// Lets credit for a link of a worker of this node come back.
    pub fn register(&self, from: WorkerId, link: u32, window: Arc<Window>) {
        locked(&self.windows).insert((from, link), window);
    }

    /// Sends a batch, without waiting, and leaves it empty. The sender has credit for it.
    ///
    /// # Errors
    /// When a record cannot be written, or all together are too long for a frame.
    pub fn send_batch(&self, header: Header, batch: &mut dyn Batch) -> Result<(), Unsendable> {
        let written = {
            let mut out = locked(&self.out);
            header.frame(&mut out.bytes, |bytes| batch.encode(bytes).map_err(Failure::Codec))
        };
        batch.clear();
        self.ready.notify_one();
        let node = || self.node.clone();
        written.map_err(|failure| match failure {
            Failure::Codec(error) => Unsendable::Codec { node: node(), error },
            Failure::TooLong(bytes) => Unsendable::TooLong { node: node(), bytes },
        })
    }

    /// Says that no more will come over a link.
    pub fn send_end(&self, header: Header) {
        self.send(header, &[]);
    }

    /// Says that what has been sent over a link so far belongs to a checkpoint, and the rest does not.
    pub fn send_barrier(&self, header: Header, checkpoint: u64) {
        self.send(header, &checkpoint.to_le_bytes());
    }

    /// Says how far time has come over a link. The sender has credit for it, as for a batch.
    pub fn send_watermark(&self, header: Header, watermark: Watermark) {
        self.send(header, &watermark.to_bytes());
    }

    fn send_credit(&self, header: Header, batches: usize) {
        self.credits.fetch_add(1, Ordering::AcqRel);
        self.send(header, &(batches as u32).to_le_bytes());
    }

    fn send(&self, header: Header, body: &[u8]) {
        let write = |bytes: &mut Vec<u8>| {
            bytes.extend_from_slice(body);
            Ok::<(), TooLong>(())
        };
        // So short that it cannot be too long.
        let _ = header.frame(&mut locked(&self.out).bytes, write);
        self.ready.notify_one();
    }

    /// Ends the connection when all that waits has been sent.
    pub fn close(&self) {
        locked(&self.out).closing = true;
        self.ready.notify_one();
    }

    /// Sends what waits, until the connection is closed.
    ///
    /// # Errors
    /// When it is lost.
    pub async fn write(self: Arc<Self>, mut writer: BoxWriter) -> Result<(), Lost> {
        let mut sending = Vec::new();
        loop {
            let closing = {
                let mut out = locked(&self.out);
                std::mem::swap(&mut out.bytes, &mut sending);
                self.credits.store(0, Ordering::Release);
                out.closing
            };
            if !sending.is_empty() {
                writer.write_all(&sending).await?;
                sending.clear();
                if sending.capacity() > KEPT {
                    sending = Vec::new();
                }
            } else if closing {
                return Ok(writer.shutdown().await?);
            } else {
                writer.flush().await?;
                self.ready.notified().await;
            }
        }
    }

    fn credit_is_back(&self, header: Header, batches: u32) -> Result<(), Lost> {
        let window = locked(&self.windows).get(&(header.to, header.link)).cloned();
        let window = window.ok_or_else(|| violation("credit for a link that is not there", header))?;
        for _ in 0..batches {
            if window.is_whole() {
                return Err(violation("more credit than was taken", header));
            }
            window.give_back(None);
        }
        Ok(())
    }
}

fn violation(what: &str, header: Header) -> Lost {
    let Header { to, from, link, .. } = header;
    Lost::Violation(format!(
        "it sends {what}: to worker {} of vertex {}, from worker {} of vertex {}, link {link}",
        to.index, to.vertex.0, from.index, from.vertex.0
    ))
}

/// What comes over one link, and the credit that goes back for it.
#[derive(Debug)]
pub struct Returns {
    connection: Arc<Connection>,
    /// Of the frames that go back.
    header: Header,
    under_way: AtomicUsize,
    owed: AtomicUsize,
}

impl Returns {
    /// Counts a batch that has come; false if the sender had no credit for it.
    fn take(&self) -> bool {
        self.under_way.fetch_add(1, Ordering::AcqRel) < REMOTE_WINDOW
    }

    /// The name of the node that batches come from.
    pub fn node(&self) -> &str {
        &self.connection.node
    }

    /// Gives credit for a batch back.
    pub fn give_back(&self) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
        if self.owed.fetch_add(1, Ordering::AcqRel) + 1 == GIVEN_BACK_AT {
            self.owed.fetch_sub(GIVEN_BACK_AT, Ordering::AcqRel);
            self.connection.send_credit(self.header, GIVEN_BACK_AT);
        }
    }
}

struct Incoming {
    returns: Arc<Returns>,
    has_ended: bool,
    /// The newest checkpoint that a barrier has come for.
    barred: u64,
}

/// What takes in what comes over a connection.
pub struct Reader {
    pub connection: Arc<Connection>,
    /// The workers of this node.
    pub mailboxes: Arc<BTreeMap<WorkerId, Mailbox>>,
    /// Whether a worker of the other node may have a link of this number to a worker.
    pub knows: Box<dyn Fn(Header) -> bool + Send>,
}

impl Reader {
    /// Takes in what comes until the connection ends.
    ///
    /// # Errors
    /// Always: why it has ended.
    pub async fn run(self, mut reader: BoxReader) -> Lost {
        let mut codec = frames();
        let mut bytes = BytesMut::with_capacity(CHUNK);
        let mut links = HashMap::default();
        loop {
            loop {
                match codec.decode(&mut bytes) {
                    Ok(Some(frame)) => {
                        if let Err(lost) = self.take(frame.freeze(), &mut links) {
                            return lost;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return Lost::Violation(format!("it sends no frames: {error}")),
                }
            }
            bytes.reserve(CHUNK / 2);
            match reader.read_buf(&mut bytes).await {
                Ok(0) => return Lost::Closed,
                Ok(_) => {}
                Err(error) => return error.into(),
            }
        }
    }

    fn take(
        &self,
        mut frame: Bytes,
        links: &mut HashMap<(WorkerId, WorkerId, u32), Incoming, StableBuildHasher>,
    ) -> Result<(), Lost> {
        let Some((header, at)) = Header::read(&frame) else {
            return Err(Lost::Violation("it sends a frame of no known kind".to_owned()));
        };
        frame.advance(at);
        let mailbox = self.mailboxes.get(&header.to);
        let mailbox = mailbox.ok_or_else(|| violation("to a worker that is not there", header))?;
        if header.kind == Kind::Credit {
            let batches = read_credit(&frame).ok_or_else(|| violation("credit of no number", header))?;
            return self.connection.credit_is_back(header, batches);
        }
        let link = links.entry((header.to, header.from, header.link));
        let link = match link {
            std::collections::hash_map::Entry::Occupied(link) => link.into_mut(),
            std::collections::hash_map::Entry::Vacant(_) if !(self.knows)(header) => {
                return Err(violation("over a link that is not there", header));
            }
            std::collections::hash_map::Entry::Vacant(link) => {
                let back = Header { kind: Kind::Credit, to: header.from, from: header.to, link: header.link };
                let (under_way, owed) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let connection = Arc::clone(&self.connection);
                let returns = Arc::new(Returns { connection, header: back, under_way, owed });
                link.insert(Incoming { returns, has_ended: false, barred: 0 })
            }
        };
        if link.has_ended {
            return Err(violation("over a link that it has ended", header));
        }
        if header.kind == Kind::End {
            link.has_ended = true;
            mailbox.send(Message::End { from: Channel { from: header.from, link: header.link } });
            return Ok(());
        }
        if header.kind == Kind::Barrier {
            let checkpoint = read_barrier(&frame).ok_or_else(|| violation("a barrier of no number", header))?;
            if checkpoint <= link.barred {
                return Err(violation("a barrier out of order", header));
            }
            link.barred = checkpoint;
            let from = Channel { from: header.from, link: header.link };
            mailbox.send(Message::Barrier { checkpoint, from });
            return Ok(());
        }
        let returns = Arc::clone(&link.returns);
        if !returns.take() {
            return Err(violation("more batches than it has credit for", header));
        }
        // It can only know of credit that it has taken; and what it does not take waits here, in memory.
        if self.connection.credits.load(Ordering::Acquire) > links.len() * MOST_CREDITS {
            return Err(violation("more batches than it has taken credit for", header));
        }
        let (credit, from) = (Credit::Remote(returns), Channel { from: header.from, link: header.link });
        if header.kind == Kind::Watermark {
            let watermark = Watermark::from_bytes(&frame);
            let watermark = watermark.ok_or_else(|| violation("a watermark of no time", header))?;
            mailbox.send(Message::Watermark { watermark, credit, from });
            return Ok(());
        }
        let peer = header.kind == Kind::PeerBatch;
        mailbox.send(Message::Batch { parcel: Parcel::Sealed(frame), credit, from, peer });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
