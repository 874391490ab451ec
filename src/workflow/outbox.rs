//! From a worker to others: batches, the outbox that fills them, and the intake from outside.

use std::any::Any;
use std::marker::PhantomData;

use crate::codec::{CodecError, Record, decode_batch, encode_batch};

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
    /// The batch as a value that can be downcast.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// Messages of one type.
#[derive(Debug)]
pub struct Messages<M>(pub Vec<M>);

impl<M: Record> Messages<M> {
    /// Reads an encoded batch.
    ///
    /// # Errors
    /// As [`decode_batch`].
    pub fn decode(bytes: &[u8]) -> Result<Box<dyn Batch>, CodecError> {
        let mut messages = Vec::new();
        decode_batch(bytes, &mut messages)?;
        Ok(Box::new(Messages::<M>(messages)))
    }
}

impl<M: Record> Batch for Messages<M> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        encode_batch(&self.0, bytes)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Takes batches to the workers of one vertex. The runtime implements it; so does the test harness.
pub trait Post: Send {
    /// Sends a batch to a worker. It never waits for long: what cannot leave yet is kept, in order, and the sending
    /// worker is not given more to do until it has left.
    fn post(&mut self, worker: usize, batch: Box<dyn Batch>);
    /// A used batch to fill again, if there is one.
    fn spare(&mut self, worker: usize) -> Option<Box<dyn Batch>>;
    /// Batches that are under way to a worker or wait to be.
    fn load(&self, worker: usize) -> usize;
}

/// Where a strategy puts messages for workers of a vertex. Messages to one worker arrive in the order of sending.
pub struct Outbox<M> {
    boxes: Vec<Vec<M>>,
    capacity: usize,
    post: Box<dyn Post>,
}

impl<M: Record> Outbox<M> {
    /// An outbox for `workers` workers.
    pub fn new(workers: usize, post: Box<dyn Post>) -> Self {
        let capacity = batch_capacity::<M>();
        Outbox { boxes: (0..workers).map(|_| Vec::new()).collect(), capacity, post }
    }

    /// Sends a message to a worker, by number. Amortised constant time, no allocation once the outbox is warm.
    ///
    /// # Panics
    /// When there is no such worker; the panic fails the deployment as one in an operation does.
    #[inline(always)]
    pub fn send(&mut self, worker: usize, message: M) {
        let messages = &mut self.boxes[worker];
        // A vector of what takes no memory never is full.
        let full = if size_of::<M>() == 0 { BATCH_RECORDS } else { messages.capacity() };
        if messages.len() == full {
            self.make_room(worker);
        }
        self.boxes[worker].push(message);
    }

    /// Sends a message to every worker; cloned for all but the last.
    pub fn broadcast(&mut self, message: M)
    where
        M: Clone,
    {
        if let Some(last) = self.boxes.len().checked_sub(1) {
            for worker in 0..last {
                self.send(worker, message.clone());
            }
            self.send(last, message);
        }
    }

    /// Lets what waits for a worker leave at once: for messages that are batches of a strategy's own.
    pub fn dispatch(&mut self, worker: usize) {
        if !self.boxes[worker].is_empty() {
            self.ship(worker);
        }
    }

    /// How many workers there are to send to.
    #[inline]
    pub fn workers(&self) -> usize {
        self.boxes.len()
    }

    /// How much a worker has before it: messages that wait here, and batches under way counted as full ones.
    #[inline]
    pub fn load(&self, worker: usize) -> usize {
        self.boxes[worker].len() + self.post.load(worker) * self.capacity
    }

    /// Lets everything leave that waits for its batch to fill. The runtime calls it; a strategy need not.
    pub fn flush(&mut self) {
        for worker in 0..self.boxes.len() {
            self.dispatch(worker);
        }
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, worker: usize) {
        if !self.boxes[worker].is_empty() {
            self.ship(worker);
        }
        if self.boxes[worker].capacity() == 0 {
            self.boxes[worker].reserve_exact(self.capacity);
        }
    }

    fn ship(&mut self, worker: usize) {
        let mut batch = self.post.spare(worker);
        let spare = batch.as_mut().and_then(|batch| batch.as_any_mut().downcast_mut::<Messages<M>>());
        match spare {
            Some(spare) => std::mem::swap(&mut spare.0, &mut self.boxes[worker]),
            None => batch = Some(Box::new(Messages(std::mem::take(&mut self.boxes[worker])))),
        }
        if let Some(batch) = batch {
            self.post.post(worker, batch);
        }
    }
}

impl<M> std::fmt::Debug for Outbox<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("workers", &self.boxes.len()).field("capacity", &self.capacity).finish()
    }
}

/// The bounded way into a worker from a thread outside.
pub trait Gate: Send {
    /// Hands a batch in and waits, if it must, until there is room; false when the worker has stopped.
    fn enter(&mut self, batch: Box<dyn Batch>) -> bool;
    /// Whether the worker has stopped taking records.
    fn is_closed(&self) -> bool;
}

/// Where a [`Passive`](super::Passive) source puts the records that it is told.
pub struct Intake<M> {
    gate: Box<dyn Gate>,
    _messages: PhantomData<fn(M)>,
}

impl<M: Record> Intake<M> {
    /// An intake through a gate.
    pub fn new(gate: Box<dyn Gate>) -> Self {
        Intake { gate, _messages: PhantomData }
    }

    /// Hands records in, in order; waits while the worker has as much as it may hold. Returns false, and drops the
    /// records, when the worker has stopped: the source should then return.
    #[must_use = "a source has to return when its worker has stopped"]
    pub fn take(&mut self, records: Vec<M>) -> bool {
        records.is_empty() || self.gate.enter(Box::new(Messages(records)))
    }
}

impl<M> Intake<M> {
    /// Whether the worker has stopped: the source should return.
    pub fn is_closed(&self) -> bool {
        self.gate.is_closed()
    }
}

impl<M> std::fmt::Debug for Intake<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::*;

    /// Tells to whom how many messages were posted.
    struct Told(SyncSender<(usize, usize)>);

    impl Post for Told {
        fn post(&mut self, worker: usize, batch: Box<dyn Batch>) {
            self.0.send((worker, batch.len())).expect("room");
        }

        fn spare(&mut self, _worker: usize) -> Option<Box<dyn Batch>> {
            None
        }

        fn load(&self, _worker: usize) -> usize {
            0
        }
    }

    fn posts<M: Record>(fill: impl FnOnce(&mut Outbox<M>)) -> Vec<(usize, usize)> {
        let (tell, told) = sync_channel(100);
        let mut outbox = Outbox::new(2, Box::new(Told(tell)));
        fill(&mut outbox);
        drop(outbox);
        told.iter().collect()
    }

    #[test]
    fn a_full_batch_leaves_at_once() {
        let full = batch_capacity::<u64>();
        let fill = |outbox: &mut Outbox<u64>| (0..=full as u64).for_each(|n| outbox.send(1, n));
        assert_eq!(posts(fill), [(1, full)]);
    }

    #[test]
    fn messages_of_no_size_fill_batches_too() {
        let fill = |outbox: &mut Outbox<()>| (0..=2 * BATCH_RECORDS).for_each(|_| outbox.send(0, ()));
        assert_eq!(posts(fill), [(0, BATCH_RECORDS), (0, BATCH_RECORDS)]);
    }

    #[test]
    fn a_broadcast_reaches_each_worker() {
        let fill = |outbox: &mut Outbox<String>| {
            outbox.broadcast("all".to_owned());
            outbox.flush();
        };
        assert_eq!(posts(fill), [(0, 1), (1, 1)]);
    }
}
