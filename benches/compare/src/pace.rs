//! Emitting records at a given rate, for the latency job.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::jobs::{LATENCY_KEYS, LATENCY_SECONDS};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the first call in this process.
#[inline]
pub fn now_ns() -> u64 {
    START.elapsed().as_nanos() as u64
}

/// A record of the latency job.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Event {
    pub key: u64,
    /// When it was emitted, in [`now_ns`].
    pub emitted: u64,
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
        let start = *self.start.get_or_insert(now);
        let due = start + self.next * 1_000_000_000 / self.rate;
        if now < due {
            return Due::Later(due - now);
        }
        let key = self.next % LATENCY_KEYS;
        self.next += 1;
        Due::Event(Event { key, emitted: now })
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
