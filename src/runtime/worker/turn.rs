//! A source's turns: when it is asked for records, and for how many.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Message, Phase, State};
use crate::actor;
use crate::workflow::{Origin, Pull};

/// How long a source should produce at once: long enough that a change of task (1 µs) is little beside it, short enough
/// that others, and messages to the source, do not wait long.
const SLICE: Duration = Duration::from_micros(100);

/// Records that a source is asked for at first: few, because each may cost milliseconds, in the source or in an
/// operation that runs in its worker. The number doubles with each slice that is too short.
const FIRST_BUDGET: usize = 64;

/// Most records that a source is asked for in a slice: a batch of the smallest records, sixteen times.
const MOST_BUDGET: usize = 1 << 16;

/// Fewest records that a source is asked for because it had to wait for credit: fewer would not fill a batch.
const BLOCKED_BUDGET: usize = 4096;

/// How long a source is held back that is too far ahead of others, before it is looked whether it still is: as often as
/// it is said how far time has come.
const HELD: Duration = Duration::from_millis(10);

/// Whether a source is about to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// No: it has no turn before it is started, or it waits for credit.
    Parked,
    /// A [`Message::Continue`] is on its way.
    Called,
}

/// A source's turn.
#[derive(Debug)]
pub(super) struct Turn {
    place: Place,
    /// The source said that there is nothing to read before, and then waited for credit.
    not_before: Option<Instant>,
    /// When the slice began, and the records that it is to have.
    sliced: Instant,
    budget: usize,
}

impl Turn {
    pub(super) fn new(now: Instant) -> Self {
        Turn { place: Place::Parked, not_before: None, sliced: now, budget: FIRST_BUDGET }
    }

    /// Sets the budget of the next slice by the time that the last one took.
    fn measure(&mut self) -> Instant {
        let now = Instant::now();
        let took = now - self.sliced;
        if took < SLICE / 2 {
            self.budget = (self.budget * 2).min(MOST_BUDGET);
        } else if took > SLICE * 2 {
            self.budget = (self.budget / 2).max(1);
        }
        self.sliced = now;
        now
    }
}

impl State {
    /// Whether a source is about to be asked again, and will then let leave what is kept.
    pub(super) fn is_about_to_produce(&self) -> bool {
        // Messages from peers may come before that, so what follows from them must not wait for it.
        self.turn.place == Place::Called && !self.arguments.stage.factory.peers()
    }

    /// Asks for a turn behind what waits in the mailbox.
    pub(super) fn call(&mut self) {
        self.turn.place = Place::Called;
        self.own.send(Message::Continue);
    }

    fn call_after(&mut self, delay: Duration) {
        self.turn.place = Place::Called;
        let own = self.own.clone();
        actor::later(delay, move || own.send(Message::Continue));
    }

    /// A source that waited for credit goes on.
    pub(super) fn resume(&mut self) {
        if self.arguments.stage.factory.origin() != Origin::Produce {
            return;
        }
        if self.stopping {
            // The turn that it may be waiting for can be far away.
            self.all_ended();
        } else if self.turn.place == Place::Parked && self.started.is_some() {
            match self.turn.not_before.take() {
                Some(then) => self.call_after(then.saturating_duration_since(Instant::now())),
                None => self.call(),
            }
        }
    }

    /// Lets the source produce until something else wants attention.
    pub(super) async fn produce(&mut self) {
        self.turn.place = Place::Parked;
        self.turn.sliced = Instant::now();
        loop {
            if self.phase != Phase::Running || self.halted || self.arguments.flow.is_given_up() {
                return;
            }
            if self.stopping {
                self.all_ended();
                return;
            }
            if self.is_ahead() {
                self.flush_if_due(Instant::now());
                return self.call_after(HELD);
            }
            let budget = self.turn.budget;
            let produced = self.run(|stage| {
                let pull = stage.produce(budget)?;
                Ok((pull, stage.progress()))
            });
            let Some((pull, progress)) = produced else { return };
            let now = self.turn.measure();
            if let Some(progress) = progress {
                self.arguments.progress.set(progress);
            }
            match pull {
                Pull::More => self.flush_if_due(now),
                Pull::Again | Pull::After(_) => self.flush_idle(),
                Pull::End => {
                    self.all_ended();
                    return;
                }
            }
            if self.arguments.flow.is_blocked() {
                self.turn.budget = (budget / 2).max(BLOCKED_BUDGET.min(budget));
                if let Pull::After(delay) = pull {
                    self.turn.not_before = now.checked_add(delay);
                }
                return;
            }
            if let Pull::After(delay) = pull {
                self.call_after(delay);
                return;
            }
            // Receivers that this slice has woken run now, on this thread, while their batches are in its cache.
            tokio::task::yield_now().await;
            self.turn.sliced = Instant::now();
            if self.arguments.waiting.load(Ordering::Acquire) > 0 {
                self.call();
                return;
            }
        }
    }
}
