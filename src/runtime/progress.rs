//! What a worker lets others see of what it is at.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::workflow::Progress;

/// How far a source has come, and whether a worker is inside a call of user code: written by the worker, read by
/// whoever asks.
#[derive(Debug)]
pub struct ProgressCell {
    done: AtomicU64,
    /// Or [`UNKNOWN`].
    total: AtomicU64,
    /// Counts the beginning and the end of each call, so that it is odd inside of one.
    calls: AtomicU64,
}

/// In place of a total, of a source that does not know its end.
const UNKNOWN: u64 = u64::MAX;

/// In place of a count, of a worker that has ended.
pub const ENDED: u64 = u64::MAX;

impl Default for ProgressCell {
    fn default() -> Self {
        ProgressCell { done: AtomicU64::new(0), total: AtomicU64::new(UNKNOWN), calls: AtomicU64::new(0) }
    }
}

impl ProgressCell {
    pub fn set(&self, progress: Progress) {
        self.done.store(progress.done, Ordering::Relaxed);
        self.total.store(progress.total, Ordering::Relaxed);
    }

    /// Takes in what a worker of another node has said of itself.
    pub fn report(&self, progress: Option<Progress>, calls: u64) {
        if let Some(progress) = progress {
            self.set(progress);
        }
        self.calls.store(calls, Ordering::Relaxed);
    }

    /// How far it has come, if it knows its end. A worker that has nothing to read is at its end.
    pub fn get(&self) -> Option<Progress> {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        (total != UNKNOWN).then_some(Progress { done, total })
    }

    /// A call begins.
    pub fn enter(&self) {
        // The worker is the only writer, so it need not add atomically.
        self.calls.store(self.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// A call has ended.
    pub fn leave(&self) {
        self.enter();
    }

    /// The worker has ended.
    pub fn end(&self) {
        self.calls.store(ENDED, Ordering::Relaxed);
    }

    /// Calls begun and ended, or [`ENDED`].
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}
