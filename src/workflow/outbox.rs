//! From a worker to others: the outbox, where a strategy puts messages, and the intake from outside.

use std::marker::PhantomData;

use super::Watermark;
use super::batch::{Batch, Filling, Messages, batch_capacity};
use crate::codec::Record;

/// Takes batches to the workers of one vertex. The runtime implements it; so does the test harness.
pub trait Post: Send {
    /// Sends a batch to a worker. It never waits for long: what cannot leave yet is kept, in order, and the sending
    /// worker is not given more to do until it has left.
    fn post(&mut self, worker: usize, batch: Box<dyn Batch>);
    /// A used batch to fill again, if there is one.
    fn spare(&mut self, worker: usize) -> Option<Box<dyn Batch>>;
    /// Batches that are under way to a worker or wait to be.
    fn load(&self, worker: usize) -> usize;
    /// The vertex has got further workers, and has so many now; they are behind those that it had.
    fn joined(&mut self, workers: usize);
    /// Tells a worker how far time has come, behind the batches before. A later one may replace one that waits.
    fn advance(&mut self, worker: usize, watermark: Watermark);
}

/// Where a strategy puts messages for workers of a vertex. Messages to one worker arrive in the order of sending.
pub struct Outbox<M> {
    boxes: Vec<Filling<M>>,
    post: Box<dyn Post>,
}

impl<M: Record> Outbox<M> {
    /// An outbox for `workers` workers.
    pub fn new(workers: usize, post: Box<dyn Post>) -> Self {
        Outbox { boxes: (0..workers).map(|_| Filling::new()).collect(), post }
    }

    /// Sends a message to a worker, by number. Amortised constant time, no allocation once the outbox is warm.
    ///
    /// # Panics
    /// When there is no such worker; the panic fails the deployment as one in an operation does.
    #[inline(always)]
    pub fn send(&mut self, worker: usize, message: M) {
        if worker >= self.boxes.len() {
            nobody(worker, self.boxes.len());
        }
        if self.boxes[worker].is_due() {
            self.make_room(worker);
        }
        self.boxes[worker].messages.push(message);
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
        if !self.boxes[worker].messages.is_empty() {
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
        self.boxes[worker].messages.len() + self.post.load(worker) * batch_capacity::<M>()
    }

    /// Lets everything leave that waits for its batch to fill. The runtime calls it; a strategy need not.
    pub fn flush(&mut self) {
        for worker in 0..self.boxes.len() {
            self.dispatch(worker);
        }
    }

    /// Tells all workers how far time has come, behind all that has left. The runtime calls it.
    pub(super) fn advance(&mut self, watermark: Watermark) {
        for worker in 0..self.boxes.len() {
            self.post.advance(worker, watermark);
        }
    }

    /// The vertex has got further workers, and has so many now. The runtime calls it; a strategy need not.
    pub fn joined(&mut self, workers: usize) {
        self.boxes.resize_with(workers.max(self.boxes.len()), Filling::new);
        self.post.joined(workers);
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, worker: usize) {
        if self.boxes[worker].is_full() {
            self.ship(worker);
        }
        self.boxes[worker].make_room();
    }

    fn ship(&mut self, worker: usize) {
        let mut batch = self.post.spare(worker);
        let spare = batch.as_mut().and_then(|batch| batch.as_any_mut().downcast_mut::<Messages<M>>());
        match spare {
            Some(spare) => spare.0 = self.boxes[worker].exchange(std::mem::take(&mut spare.0)),
            None => batch = Some(Box::new(Messages(self.boxes[worker].exchange(Vec::new())))),
        }
        if let Some(batch) = batch {
            self.post.post(worker, batch);
        }
    }
}

#[cold]
#[inline(never)]
#[expect(clippy::panic, reason = "a mistake in a strategy, which fails its deployment as any panic in it does")]
fn nobody(worker: usize, workers: usize) -> ! {
    match workers {
        0 => panic!("a message to worker {worker} where there is none; workers have peers with `Strategy::PEERS` only"),
        _ => panic!("a message to worker {worker}, of 0 to {}", workers - 1),
    }
}

impl<M> std::fmt::Debug for Outbox<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("workers", &self.boxes.len()).finish_non_exhaustive()
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
    use crate::workflow::{BATCH_BYTES, BATCH_RECORDS};

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

        fn joined(&mut self, _workers: usize) {}

        fn advance(&mut self, _worker: usize, _watermark: Watermark) {}
    }

    fn posts<M: Record>(fill: impl FnOnce(&mut Outbox<M>)) -> Vec<(usize, usize)> {
        let (tell, told) = sync_channel(2000);
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

    /// Memory on the heap counts, though only a few messages of a batch are looked at.
    #[test]
    fn a_batch_of_large_messages_is_small() {
        let text = |size: usize| "x".repeat(size);
        let fill = |outbox: &mut Outbox<String>| {
            (0..3).for_each(|_| outbox.send(0, text(2 * BATCH_BYTES)));
            outbox.flush();
            (0..100).for_each(|_| outbox.send(0, text(BATCH_BYTES / 32)));
            outbox.flush();
            (0..=batch_capacity::<String>()).for_each(|_| outbox.send(1, text(10)));
        };
        let large = [(0, 1), (0, 1), (0, 1), (0, 32), (0, 32), (0, 32), (0, 4), (1, batch_capacity::<String>())];
        assert_eq!(posts(fill), large);
        // Those that grow within a batch are noticed after a while.
        let fill = |outbox: &mut Outbox<String>| (0..1000).for_each(|n| outbox.send(0, text(n * n)));
        assert!(posts(fill).iter().all(|(_, messages)| *messages <= 256));
    }

    #[test]
    fn those_who_join_can_be_sent_to_and_nothing_that_waits_is_lost() {
        let fill = |outbox: &mut Outbox<u64>| {
            outbox.send(1, 0);
            outbox.joined(4);
            assert_eq!(outbox.workers(), 4);
            outbox.send(3, 1);
            outbox.flush();
        };
        assert_eq!(posts(fill), [(1, 1), (3, 1)]);
    }

    #[test]
    #[should_panic(expected = "a message to worker 2, of 0 to 1")]
    fn nobody_is_sent_to_who_is_not_there() {
        posts(|outbox: &mut Outbox<u64>| outbox.send(2, 0));
    }

    #[test]
    #[should_panic(expected = "workers have peers with `Strategy::PEERS` only")]
    fn peers_must_be_asked_for() {
        let (tell, _told) = sync_channel(1);
        Outbox::new(0, Box::new(Told(tell))).send(0, 0u64);
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
