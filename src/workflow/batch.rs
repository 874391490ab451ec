//! Messages that travel together, and when there are enough of them.

use std::any::Any;

use crate::codec::{CodecError, Record, decode_batch, encode_batch, encoded_size};

/// Size at which a batch leaves, in bytes of the records' own size: big enough that what is paid per batch (a message,
/// a permit, a wake-up: about 1 µs) is little per record, small enough that a few of them stay in a core's cache.
pub const BATCH_BYTES: usize = 32 * 1024;
/// Most records in a batch, however small.
pub const BATCH_RECORDS: usize = 4096;

/// How many messages of a type fill a batch.
pub const fn batch_capacity<M>() -> usize {
    let size = if size_of::<M>() == 0 { 1 } else { size_of::<M>() };
    let fit = BATCH_BYTES / size;
    if fit > BATCH_RECORDS {
        BATCH_RECORDS
    } else if fit == 0 {
        1
    } else {
        fit
    }
}

/// Messages that travel together, their type erased.
pub trait Batch: Any + Send {
    /// Number of messages.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Appends the messages to `bytes` as one encoded batch.
    ///
    /// # Errors
    /// As [`encode_batch`].
    fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), CodecError>;
    /// Drops the messages; their memory is kept for others.
    fn clear(&mut self);
    /// The batch as a value that can be downcast.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// Messages of one type.
#[derive(Debug)]
pub struct Messages<M>(pub Vec<M>);

impl<M: Record> Messages<M> {
    /// Reads an encoded batch; into the memory of an empty one, if there is one of this type.
    ///
    /// # Errors
    /// As [`decode_batch`].
    pub fn decode(bytes: &[u8], spare: Option<Box<dyn Batch>>) -> Result<Box<dyn Batch>, CodecError> {
        let mut batch = spare.unwrap_or_else(|| Box::new(Messages::<M>(Vec::new())));
        if let Some(messages) = batch.as_any_mut().downcast_mut::<Messages<M>>() {
            messages.0.clear();
            decode_batch(bytes, &mut messages.0)?;
            return Ok(batch);
        }
        Messages::<M>::decode(bytes, None)
    }
}

impl<M: Record> Batch for Messages<M> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_batch(&self.0, bytes)
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Messages between two looks at what they point to: so few that a batch cannot become many times as large as it should
/// when messages grow, so many that looking costs little.
const GROUP: usize = 256;
/// One of so many messages is looked at.
const SAMPLE: usize = 64;

/// Messages that are to be a batch when there are enough.
///
/// How much memory a message takes up beside its own size is unknown. It is taken to be what it is longer in bytes, and
/// only a few messages of a batch are looked at: a batch of messages that are alike has at most twice [`BATCH_BYTES`],
/// and one that is much larger than the others may be overlooked.
pub(super) struct Filling<M> {
    pub(super) messages: Vec<M>,
    /// The number of messages at which to look again.
    gate: usize,
    /// How many messages have been looked at, and what they take up in bytes.
    measured: usize,
    bytes: usize,
}

impl<M: Record> Filling<M> {
    /// What has no destructor has no memory of its own, so its vector's capacity tells when it is full.
    const WEIGHED: bool = std::mem::needs_drop::<M>();

    pub(super) fn new() -> Self {
        Filling { messages: Vec::new(), gate: 0, measured: 0, bytes: 0 }
    }

    /// Whether there is something to do before the next message: to look whether it is full, and to make room.
    #[inline(always)]
    pub(super) fn is_due(&self) -> bool {
        // A vector of what takes no memory never is full.
        let by_capacity = !Self::WEIGHED && size_of::<M>() > 0;
        self.messages.len() == if by_capacity { self.messages.capacity() } else { self.gate }
    }

    /// Whether the messages are a batch.
    pub(super) fn is_full(&mut self) -> bool {
        let count = self.messages.len();
        if Self::WEIGHED {
            for group in self.messages[self.measured..].chunks(SAMPLE) {
                let size = group.first().and_then(encoded_size).unwrap_or(0).max(size_of::<M>());
                self.bytes = self.bytes.saturating_add(size.saturating_mul(group.len()));
            }
            self.measured = count;
        }
        count >= batch_capacity::<M>() || self.bytes >= BATCH_BYTES
    }

    /// Makes room for another message, and until the next look.
    pub(super) fn make_room(&mut self) {
        let (count, most) = (self.messages.len(), batch_capacity::<M>());
        let more = if Self::WEIGHED { count.clamp(1, GROUP) } else { most };
        self.gate = (count + more).min(most);
        if self.messages.capacity() == 0 {
            self.messages.reserve_exact(if Self::WEIGHED { self.gate } else { most });
        } else if self.messages.capacity() < self.gate {
            self.messages.reserve_exact(most - count);
        }
    }

    /// Takes the messages out and an empty vector in.
    pub(super) fn exchange(&mut self, empty: Vec<M>) -> Vec<M> {
        (self.gate, self.measured, self.bytes) = (0, 0, 0);
        std::mem::replace(&mut self.messages, empty)
    }
}
