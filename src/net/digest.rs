//! Lines of the log about strangers: one a second for each place, however often they come; pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Stranger;
use super::doorkeeper::Origin;

/// The time between two lines about one place.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Most places that have a line of their own in a second. Further ones share one.
pub const MAX_LINES: usize = 64;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whom it is about: who came last.
    pub stranger: Stranger,
    /// How many more it stands for.
    pub more: u64,
}

/// What is not said yet of a place.
#[derive(Debug)]
struct Held {
    /// When something was said last.
    said: Duration,
    /// The last one of whom nothing has been said, and how many there are.
    last: Option<(Stranger, u64)>,
}

/// Gathers what is to be said of strangers. Times are those since a moment that whoever asks has chosen.
#[derive(Debug, Default)]
pub struct Digest {
    origins: BTreeMap<Origin, Held>,
    /// Of those that have no line of their own.
    others: Option<(Stranger, u64)>,
    others_said: Option<Duration>,
}

impl Digest {
    /// Takes one more; gives what is to be said at once.
    pub fn add(&mut self, stranger: Stranger, now: Duration) -> Option<Line> {
        let origin = Origin::from(stranger.address.ip());
        let last = match self.origins.get_mut(&origin) {
            Some(held) if held.last.is_some() || now < held.said + INTERVAL => &mut held.last,
            _ => {
                self.forget(now);
                if self.origins.contains_key(&origin) || self.origins.len() < MAX_LINES {
                    self.origins.insert(origin, Held { said: now, last: None });
                    return Some(Line { stranger, more: 0 });
                }
                &mut self.others
            }
        };
        let more = last.as_ref().map_or(0, |(_, count)| *count);
        *last = Some((stranger, more + 1));
        None
    }

    /// When something is to be said, if nobody else comes.
    pub fn due(&self) -> Option<Duration> {
        let own = self.origins.values().filter(|held| held.last.is_some()).map(|held| held.said + INTERVAL);
        let others = self.others.as_ref().map(|_| self.others_said.map_or(Duration::ZERO, |said| said + INTERVAL));
        own.chain(others).min()
    }

    /// Gives what is to be said by now.
    pub fn take(&mut self, now: Duration) -> Vec<Line> {
        let mut lines = Vec::new();
        let line = |(stranger, count): (Stranger, u64)| Line { stranger, more: count.saturating_sub(1) };
        for held in self.origins.values_mut().filter(|held| now >= held.said + INTERVAL) {
            if let Some(last) = held.last.take() {
                held.said = now;
                lines.push(line(last));
            }
        }
        if self.others_said.is_none_or(|said| now >= said + INTERVAL)
            && let Some(last) = self.others.take()
        {
            self.others_said = Some(now);
            lines.push(line(last));
        }
        lines
    }

    /// Forgets those of whom nothing is left to say.
    fn forget(&mut self, now: Duration) {
        if self.origins.len() >= MAX_LINES {
            self.origins.retain(|_, held| held.last.is_some() || now < held.said + INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::net::{Reason, Refusal};

    fn stranger(host: u16, port: u16) -> Stranger {
        let [a, b] = host.to_be_bytes();
        let refusal = Refusal::new(Reason::NotSkitter, port.to_string());
        Stranger { address: ([10, 0, a, b], port).into(), refusal }
    }

    const NOW: Duration = Duration::from_secs(1000);

    #[test]
    fn one_line_a_second_says_how_many_there_were() {
        let mut digest = Digest::default();
        assert_eq!(digest.add(stranger(1, 1), NOW), Some(Line { stranger: stranger(1, 1), more: 0 }));
        assert_eq!(digest.due(), None);
        for port in 2..=9 {
            assert_eq!(digest.add(stranger(1, port), NOW + INTERVAL / 2), None);
        }
        // Another place has its own.
        assert!(digest.add(stranger(2, 1), NOW).is_some());
        assert_eq!(digest.due(), Some(NOW + INTERVAL));
        assert_eq!(digest.take(NOW + INTERVAL / 2), []);
        assert_eq!(digest.take(NOW + INTERVAL), [Line { stranger: stranger(1, 9), more: 7 }]);
        assert_eq!(digest.take(NOW + INTERVAL * 5), []);
        assert_eq!(digest.add(stranger(1, 10), NOW + INTERVAL), None);
        assert_eq!(digest.take(NOW + INTERVAL * 2), [Line { stranger: stranger(1, 10), more: 0 }]);
        assert!(digest.add(stranger(1, 11), NOW + INTERVAL * 9).is_some());
    }

    proptest! {
        /// Nobody is forgotten, and the log has its bound.
        #[test]
        fn all_are_counted_and_few_are_said(
            comes in prop::collection::vec((0u16..200, 0u64..40), 1..1000),
        ) {
            let (mut digest, mut now) = (Digest::default(), NOW);
            let mut lines: Vec<(Duration, Line)> = Vec::new();
            for (host, milliseconds) in &comes {
                now += Duration::from_millis(*milliseconds);
                while let Some(due) = digest.due().filter(|due| *due <= now) {
                    let due = due.max(NOW);
                    lines.extend(digest.take(due).into_iter().map(|line| (due, line)));
                }
                lines.extend(digest.add(stranger(*host, 1), now).map(|line| (now, line)));
                prop_assert!(digest.origins.len() <= MAX_LINES);
            }
            now += INTERVAL * 2;
            lines.extend(digest.take(now).into_iter().map(|line| (now, line)));
            let told: u64 = lines.iter().map(|(_, line)| line.more + 1).sum();
            prop_assert_eq!(told, comes.len() as u64);
            for (first, (from, _)) in lines.iter().enumerate() {
                let count = lines[first..].iter().filter(|(at, _)| *at < *from + INTERVAL).count();
                prop_assert!(count <= 2 * (MAX_LINES + 1), "{} lines in a second", count);
            }
        }
    }
}
