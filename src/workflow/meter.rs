//! Counters of a vertex.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many records went in and out of a vertex, over all its workers on a node. Counted per slice of work, not per
/// record, so it may lag behind by a batch.
#[derive(Debug, Default)]
pub struct Meter {
    received: AtomicU64,
    emitted: AtomicU64,
}

impl Meter {
    /// Counts records.
    pub fn add(&self, received: u64, emitted: u64) {
        self.received.fetch_add(received, Ordering::Relaxed);
        self.emitted.fetch_add(emitted, Ordering::Relaxed);
    }

    /// Takes over what was counted elsewhere.
    pub fn set(&self, received: u64, emitted: u64) {
        self.received.store(received, Ordering::Relaxed);
        self.emitted.store(emitted, Ordering::Relaxed);
    }

    /// Records that went in.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Records that came out.
    pub fn emitted(&self) -> u64 {
        self.emitted.load(Ordering::Relaxed)
    }
}
