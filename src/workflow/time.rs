//! Event time: when what a record tells of has happened, and how far that has come.

use std::collections::BTreeMap;

/// A time of records, in milliseconds since 1970 (UTC); earlier ones are negative.
pub type Timestamp = i64;

/// What is known of the times of records that are still to come over a channel, or to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watermark {
    /// None has an earlier time, as far as whoever makes watermarks can tell.
    At(Timestamp),
    /// For now there are none: those who merge several streams do not wait for this one.
    Idle,
}

impl Watermark {
    /// As eight bytes: the time, or the lowest number of all.
    pub fn to_bytes(self) -> [u8; 8] {
        let time = match self {
            Watermark::At(time) => time.max(Timestamp::MIN + 1),
            Watermark::Idle => Timestamp::MIN,
        };
        time.to_le_bytes()
    }

    /// What [`to_bytes`](Watermark::to_bytes) has written; none if there are not eight.
    pub fn from_bytes(bytes: &[u8]) -> Option<Watermark> {
        match Timestamp::from_le_bytes(bytes.try_into().ok()?) {
            Timestamp::MIN => Some(Watermark::Idle),
            time => Some(Watermark::At(time)),
        }
    }
}

/// Merges the watermarks of several channels: time has come as far as in the one that is most behind. Those that are
/// idle, or have ended, are not waited for; one of which nothing is known yet is. Time never goes back.
///
/// ```
/// use skitter::workflow::{Clock, Watermark::{At, Idle}};
///
/// let mut clock = Clock::default();
/// assert_eq!(clock.set("a", At(5), 2), None, "b may be behind");
/// assert_eq!(clock.set("b", At(3), 2), Some(At(3)));
/// assert_eq!(clock.set("b", Idle, 2), Some(At(5)));
/// assert_eq!(clock.ended("a", 1), Some(Idle));
/// assert_eq!(clock.set("b", At(4), 1), Some(At(5)), "time does not go back");
/// ```
#[derive(Clone, Debug)]
pub struct Clock<C> {
    channels: BTreeMap<C, Watermark>,
    /// What was told last, and the latest time of all that was told.
    told: Option<Watermark>,
    time: Timestamp,
}

impl<C> Default for Clock<C> {
    fn default() -> Self {
        Clock { channels: BTreeMap::new(), told: None, time: Timestamp::MIN }
    }
}

impl<C: Ord> Clock<C> {
    /// A watermark has come over a channel, of so many that have not ended. Gives what is to be told, if that is new.
    pub fn set(&mut self, channel: C, watermark: Watermark, open: usize) -> Option<Watermark> {
        self.channels.insert(channel, watermark);
        self.merge(open)
    }

    /// A channel has ended, and so many have not. Gives what is to be told, if that is new.
    pub fn ended(&mut self, channel: C, open: usize) -> Option<Watermark> {
        self.channels.remove(&channel);
        self.merge(open)
    }

    fn merge(&mut self, open: usize) -> Option<Watermark> {
        // Nobody is told about the end: there is another call for that.
        if self.channels.is_empty() || self.channels.len() < open {
            return None;
        }
        let of = |watermark: &Watermark| if let Watermark::At(time) = watermark { Some(*time) } else { None };
        let merged = match self.channels.values().filter_map(of).min() {
            Some(time) => Watermark::At(time.max(self.time)),
            None => Watermark::Idle,
        };
        if self.told == Some(merged) {
            return None;
        }
        self.told = Some(merged);
        if let Watermark::At(time) = merged {
            self.time = time;
        }
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_watermark_is_eight_bytes() {
        for watermark in [Watermark::Idle, Watermark::At(-1), Watermark::At(0), Watermark::At(Timestamp::MAX)] {
            assert_eq!(Watermark::from_bytes(&watermark.to_bytes()), Some(watermark));
        }
        assert_eq!(Watermark::from_bytes(&[0; 7]), None);
        let lowest = Watermark::At(Timestamp::MIN).to_bytes();
        assert_eq!(Watermark::from_bytes(&lowest), Some(Watermark::At(Timestamp::MIN + 1)));
    }

    proptest! {
        /// Whatever comes: time ascends, and is never later than what a channel that is not idle has said since.
        #[test]
        fn time_ascends_and_waits(steps in prop::collection::vec((0usize..3, prop::option::of(0i64..100)), 1..200)) {
            let mut clock = Clock::default();
            let mut known = [None; 3];
            let mut time = Timestamp::MIN;
            for (channel, said) in steps {
                let watermark = said.map_or(Watermark::Idle, Watermark::At);
                known[channel] = Some(watermark);
                let told = clock.set(channel, watermark, 3);
                if let Some(Watermark::At(now)) = told {
                    prop_assert!(now >= time);
                    let behind = known.iter().filter_map(|known| match known {
                        Some(Watermark::At(at)) => Some(*at),
                        _ => None,
                    });
                    prop_assert!(now == time || behind.min() == Some(now));
                    time = now;
                }
                prop_assert!(told.is_none() || known.iter().all(Option::is_some));
            }
        }
    }
}
