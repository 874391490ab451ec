//! The exchange between the two threads: bounded channels of batches that are used again.

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

/// Batches that may wait in each direction.
const CAPACITY: usize = 16;

/// A container of records that keeps its memory when cleared.
pub trait Batch: Default {
    fn clear(&mut self);
}

impl<T> Batch for Vec<T> {
    fn clear(&mut self) {
        Vec::clear(self);
    }
}

/// One thread's end: batches out, batches in, and both kinds empty on their way back.
pub struct Port<B> {
    outbox: Option<Sender<B>>,
    inbox: Receiver<B>,
    emptied: Sender<B>,
    returned: Receiver<B>,
}

/// The two ends of an exchange.
pub fn pair<B>() -> [Port<B>; 2] {
    let ((to_1, at_1), (to_0, at_0)) = (bounded(CAPACITY), bounded(CAPACITY));
    // All batches that exist must fit: those on their way and one at each end.
    let ((back_to_0, back_at_0), (back_to_1, back_at_1)) = (bounded(CAPACITY + 2), bounded(CAPACITY + 2));
    [
        Port { outbox: Some(to_1), inbox: at_0, emptied: back_to_1, returned: back_at_0 },
        Port { outbox: Some(to_0), inbox: at_1, emptied: back_to_0, returned: back_at_1 },
    ]
}

impl<B: Batch> Port<B> {
    /// Sends `batch` to the other thread and leaves an empty one in its place.
    ///
    /// While the other thread's inbox is full, this thread empties its own, so neither waits for
    /// the other for ever.
    pub fn send(&mut self, batch: &mut B, mut receive: impl FnMut(&mut B)) {
        let fresh = self.returned.try_recv().unwrap_or_default();
        let mut full = std::mem::replace(batch, fresh);
        let outbox = self.outbox.as_ref().expect("sent after finish");
        loop {
            match outbox.try_send(full) {
                Ok(()) => return,
                Err(TrySendError::Disconnected(_)) => panic!("the other thread died"),
                Err(TrySendError::Full(back)) => full = back,
            }
            if !self.receive_one(&mut receive) {
                std::thread::yield_now();
            }
        }
    }

    /// Takes what has arrived.
    pub fn drain(&self, mut receive: impl FnMut(&mut B)) {
        while self.receive_one(&mut receive) {}
    }

    /// Sends the last batch and takes what arrives until the other thread has finished too.
    pub fn finish(mut self, mut last: B, mut receive: impl FnMut(&mut B)) {
        self.send(&mut last, &mut receive);
        self.outbox = None;
        while let Ok(mut batch) = self.inbox.recv() {
            receive(&mut batch);
        }
    }

    fn receive_one(&self, receive: &mut impl FnMut(&mut B)) -> bool {
        match self.inbox.try_recv() {
            Ok(mut batch) => {
                receive(&mut batch);
                batch.clear();
                // Never full; a thread that has finished needs no batches.
                let _ = self.emptied.try_send(batch);
                true
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => false,
        }
    }
}
