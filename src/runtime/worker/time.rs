//! How far time has come, in a worker.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::{Channel, Credit, Message, Phase, State};
use crate::actor;
use crate::workflow::{Origin, Pacing, Timestamp, Watermark};

/// How often workers look at the time of those who tell it by the clock, or wait for pauses, or did not tell it because
/// they just had: so often that nobody who waits for a result notices, so seldom that it costs nothing.
const TICK: Duration = Duration::from_millis(20);

impl State {
    /// Begins to look at the time, if somebody in the worker does. A source that says nothing of it, where others do,
    /// is not waited for.
    pub(super) fn begin_time(&mut self) {
        let stage = &self.arguments.stage;
        let looks = stage.keeps_time || stage.follows_clock;
        if stage.timed && stage.factory.origin() != Origin::Links {
            self.advance([Watermark::Idle]);
        }
        if looks {
            self.tick();
        }
    }

    /// Lets those in the worker say how far time has come, now and from time to time.
    pub(super) fn tick(&mut self) {
        if self.phase != Phase::Running {
            return;
        }
        if self.arguments.stage.follows_clock {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            self.run(|stage| stage.tick(Timestamp::try_from(since.as_millis()).unwrap_or(Timestamp::MAX)));
        }
        match (self.is_blocked(), self.is_ahead()) {
            (true, _) => {}
            // It has nothing to do, but something to give.
            (_, true) => self.flush_if_due(Instant::now()),
            _ => self.flush_idle(),
        }
        let own = self.own.clone();
        actor::later(TICK, move || own.send(Message::Tick));
    }

    /// Whether its source is to be held back, because its time is too far ahead of that of others.
    pub(super) fn is_ahead(&self) -> bool {
        self.paces.iter().any(|pace| pace.is_ahead())
    }

    /// Nobody is to wait for its source.
    pub(super) fn let_go_of_others(&mut self) {
        self.paces.drain(..).for_each(|pace| pace.tell(Watermark::Idle));
    }

    /// A watermark has come.
    pub(super) fn watermark(&mut self, from: Channel, watermark: Watermark, credit: &Credit) {
        let news = self.clock.set(from, watermark, self.channels_left);
        self.advance(news);
        credit.give_back(None);
    }

    /// Tells the stage how far time has come, if there is news.
    pub(super) fn advance(&mut self, news: impl IntoIterator<Item = Watermark>) {
        for watermark in news {
            if self.phase == Phase::Running {
                self.run(|stage| stage.advance(watermark));
            }
        }
    }
}
