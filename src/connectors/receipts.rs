//! Records whose sender is told that they are safe: when a checkpoint that has them is complete.
//!
//! The thread that listens numbers what it takes in, the worker notes how far it has come at each checkpoint, and tells
//! the thread when that checkpoint is complete. A number is of one life of the thread: a worker that has gone on does
//! not tell it what the one before has handled.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::workflow::Commit;

/// The number of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub life: u64,
    pub number: u64,
}

/// A record on its way from the thread that listens to its worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery<T> {
    pub(super) record: T,
    pub(super) ticket: Ticket,
}

/// What the worker tells the thread; clones are one.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    lives: Arc<AtomicU64>,
    safe: Arc<Mutex<Option<Ticket>>>,
}

impl Counter {
    /// A new life of the thread.
    pub fn begin(&self) -> u64 {
        self.lives.fetch_add(1, Ordering::Relaxed)
    }

    /// The last record of this life that is safe, and all before it are.
    pub fn safe(&self, life: u64) -> Option<u64> {
        let safe = *self.safe.lock().unwrap_or_else(PoisonError::into_inner);
        safe.filter(|ticket| ticket.life == life).map(|ticket| ticket.number)
    }

    /// Up to this one all are safe.
    pub fn tell(&self, ticket: Ticket) {
        let mut safe = self.safe.lock().unwrap_or_else(PoisonError::into_inner);
        *safe = (*safe).max(Some(ticket));
    }
}

/// How far a worker has come.
#[derive(Debug, Default)]
pub struct Receipts {
    last: Option<Ticket>,
    noted: VecDeque<(u64, Ticket)>,
}

impl Receipts {
    /// This one has been handled.
    pub(super) fn handled(&mut self, ticket: Ticket) {
        self.last = Some(ticket);
    }

    /// A checkpoint has all that has been handled.
    pub(super) fn note(&mut self, checkpoint: u64) {
        self.noted.extend(self.last.map(|ticket| (checkpoint, ticket)));
    }

    /// The last one that is safe now, if that is news.
    pub(super) fn due(&mut self, commit: Commit) -> Option<Ticket> {
        let Commit::Checkpoint(limit) = commit else { return self.last };
        let mut due = None;
        while let Some((_, ticket)) = self.noted.pop_front_if(|(checkpoint, _)| *checkpoint <= limit) {
            due = Some(ticket);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_complete_checkpoint_has_is_safe() {
        let (counter, mut receipts) = (Counter::default(), Receipts::default());
        let life = counter.begin();
        let ticket = |number| Ticket { life, number };
        receipts.note(1);
        assert_eq!(receipts.due(Commit::Checkpoint(1)), None);
        receipts.handled(ticket(1));
        receipts.note(2);
        receipts.handled(ticket(2));
        receipts.note(3);
        receipts.note(4);
        receipts.handled(ticket(3));
        assert_eq!(receipts.due(Commit::Checkpoint(3)), Some(ticket(2)));
        assert_eq!(receipts.due(Commit::Checkpoint(3)), None);
        assert_eq!(receipts.due(Commit::End), Some(ticket(3)));
        counter.tell(ticket(2));
        assert_eq!(counter.safe(life), Some(2));
        let next = counter.begin();
        assert_eq!(counter.safe(next), None, "of another life");
        counter.tell(Ticket { life: next, number: 1 });
        counter.tell(ticket(3));
        assert_eq!(counter.safe(next), Some(1), "what is late does not count");
    }
}
