//! A worker, as a passive source sees it, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::codec::Record;
use crate::workflow::{Batch, Gate, Intake, Messages};

/// How long a test waits for what must come: far longer than it takes on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// The test's side of an intake.
pub(super) struct Worker<M> {
    batches: Receiver<Vec<M>>,
    closed: Arc<AtomicBool>,
}

/// An intake of a worker that has room for `room` batches.
pub(super) fn worker<M: Record>(room: usize) -> (Worker<M>, Intake<M>) {
    let (sender, batches) = sync_channel(room);
    let closed = Arc::new(AtomicBool::new(false));
    (Worker { batches, closed: Arc::clone(&closed) }, Intake::new(Box::new(Entrance { sender, closed })))
}

impl<M> Worker<M> {
    /// The next batch.
    pub fn batch(&self) -> Vec<M> {
        self.batches.recv_timeout(PATIENCE).expect("a batch in time")
    }

    /// The next `n` records, which must be the last ones of their batch.
    pub fn records(&self, n: usize) -> Vec<M> {
        let mut records = Vec::new();
        while records.len() < n {
            records.extend(self.batch());
        }
        assert_eq!(records.len(), n);
        records
    }

    /// All records until the intake is dropped.
    pub fn rest(&self) -> Vec<M> {
        self.batches.iter().flatten().collect()
    }

    /// Stops taking records.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl<M> Drop for Worker<M> {
    fn drop(&mut self) {
        // So that the source of a test that has failed ends, too.
        self.close();
    }
}

struct Entrance<M> {
    sender: SyncSender<Vec<M>>,
    closed: Arc<AtomicBool>,
}

impl<M: Record> Gate for Entrance<M> {
    fn enter(&mut self, mut batch: Box<dyn Batch>) -> bool {
        let Some(messages) = batch.as_any_mut().downcast_mut::<Messages<M>>() else { return false };
        !self.is_closed() && self.sender.send(std::mem::take(&mut messages.0)).is_ok()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }
}
