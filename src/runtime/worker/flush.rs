//! When what a worker keeps leaves it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Phase, State};
use crate::runtime::coordinator::Event;
use crate::workflow::Flush;

/// How long a busy worker keeps what has not filled a batch: the latency that a record has at most on account of
/// batches, at a cost of a thousand flushes a second.
const FLUSH_INTERVAL: Duration = Duration::from_millis(1);

impl State {
    /// Between two messages: what is kept leaves if there is nothing else to do, or if it has waited long enough.
    pub(super) fn rest(&mut self) {
        if !matches!(self.phase, Phase::Running | Phase::Draining)
            || self.started.is_none()
            // Behind the barrier of a savepoint nothing happens.
            || self.halted
            || self.is_about_to_produce()
        {
            return;
        }
        if self.arguments.waiting.load(Ordering::Acquire) == 0 && !self.is_blocked() {
            self.flush_idle();
            if self.phase == Phase::Draining && std::mem::take(&mut self.unreported) {
                let (worker, sent, received) = (self.arguments.id, self.arguments.flow.to_peers(), self.from_peers);
                (self.arguments.tell)(Event::Drained { worker, sent, received });
            }
        } else {
            self.flush_if_due(Instant::now());
        }
    }

    /// Says how much has gone to peers, and come from them.
    pub(super) fn answer(&mut self, round: u32) {
        let (worker, sent, received) = (self.arguments.id, self.arguments.flow.to_peers(), self.from_peers);
        (self.arguments.tell)(Event::Probed { worker, round, sent, received });
    }

    pub(super) fn flush_idle(&mut self) {
        self.flushed = Instant::now();
        let now = self.since_start(self.flushed);
        self.run(|stage| stage.flush(Flush::Idle { now }));
    }

    pub(super) fn flush_if_due(&mut self, now: Instant) {
        if now - self.flushed >= FLUSH_INTERVAL {
            self.flushed = now;
            let now = self.since_start(now);
            self.run(|stage| stage.flush(Flush::Busy { now }));
        }
    }

    fn since_start(&self, now: Instant) -> Duration {
        self.started.map_or(Duration::ZERO, |started| now - started)
    }
}
