//! The latency job: records that are emitted at a given rate, and how long they are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use hdrhistogram::Histogram;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::jobs::{LATENCY_KEYS, LATENCY_SECONDS};
use crate::tally::{Sink, Totals};

/// Whether the source of the latency job is in this process.
pub static EMITS: AtomicBool = AtomicBool::new(false);

/// Nanoseconds of the clock that all processes of a machine share.
#[inline]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("there is a monotonic clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// A record of the latency job.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Event {
    pub key: u64,
    /// When it was emitted, in [`now_ns`].
    pub emitted: u64,
    /// How long after it was due that was, in nanoseconds. A source that shares its thread with what stands behind it
    /// is late while that works; without this, such a wait would show nowhere.
    pub late: u64,
}

/// The source of the latency job: `rate` events a second for [`LATENCY_SECONDS`].
#[derive(Clone)]
pub struct Pacer {
    rate: u64,
    total: u64,
    next: u64,
    start: Option<u64>,
}

/// What a [`Pacer`] has at a given moment.
pub enum Due {
    Event(Event),
    /// The next event is due in so many nanoseconds.
    Later(u64),
    End,
}

impl Pacer {
    pub fn new(rate: u64) -> Pacer {
        Pacer { rate, total: rate * LATENCY_SECONDS, next: 0, start: None }
    }

    /// The next event, if it is due; the clock starts with the first call.
    #[inline]
    pub fn poll(&mut self) -> Due {
        if self.next == self.total {
            return Due::End;
        }
        let now = now_ns();
        let start = *self.start.get_or_insert_with(|| {
            EMITS.store(true, Relaxed);
            now
        });
        let due = start + self.next * 1_000_000_000 / self.rate;
        if now < due {
            return Due::Later(due - now);
        }
        let key = self.next % LATENCY_KEYS;
        self.next += 1;
        Due::Event(Event { key, emitted: now, late: now - due })
    }
}

impl Iterator for Pacer {
    type Item = Event;

    /// Waits for the next event: sleeps while it is far, then lets other threads run.
    fn next(&mut self) -> Option<Event> {
        loop {
            match self.poll() {
                Due::Event(event) => return Some(event),
                Due::Later(ns) => rest(ns),
                Due::End => return None,
            }
        }
    }
}

/// Passes a part of the time until something that is due in `ns`.
pub fn rest(ns: u64) {
    if ns > 500_000 {
        std::thread::sleep(Duration::from_nanos(ns - 300_000));
    } else {
        std::thread::yield_now();
    }
}

/// How long records took, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// From being emitted to arriving.
    pub emitted: Histogram<u64>,
    /// From being due to arriving.
    pub due: Histogram<u64>,
}

impl Latencies {
    /// Nothing yet: from 1 ns to 100 s with three digits.
    fn new() -> Latencies {
        let empty = Histogram::new_with_bounds(1, 100_000_000_000, 3).expect("valid bounds");
        Latencies { emitted: empty.clone(), due: empty }
    }
}

/// The sink of the latency job.
pub struct LatencySink {
    latencies: Latencies,
    sink: Sink,
    totals: Arc<Totals>,
}

impl LatencySink {
    pub fn new(totals: &Arc<Totals>) -> LatencySink {
        LatencySink { latencies: Latencies::new(), sink: Sink::new(totals), totals: Arc::clone(totals) }
    }

    /// An event has arrived, with the number of those of its key.
    #[inline]
    pub fn arrived(&mut self, event: Event, count: u64) {
        let ns = now_ns().saturating_sub(event.emitted);
        self.latencies.emitted.saturating_record(ns);
        self.latencies.due.saturating_record(ns + event.late);
        self.sink.update(count);
    }
}

impl Clone for LatencySink {
    fn clone(&self) -> LatencySink {
        LatencySink::new(&self.totals)
    }
}

impl Drop for LatencySink {
    fn drop(&mut self) {
        if self.latencies.emitted.is_empty() {
            return;
        }
        let mut shared = self.totals.latency.lock().expect("no panic under lock");
        let total = shared.get_or_insert_with(Latencies::new);
        total.emitted.add(&self.latencies.emitted).expect("equal bounds");
        total.due.add(&self.latencies.due).expect("equal bounds");
    }
}
