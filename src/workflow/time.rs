//! Event time: when what a record tells of has happened, and how far that has come.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

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

/// Keeps a source near others in event time; see [`Watermarks::aligned`](crate::operations::Watermarks::aligned).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// The name of those that are to stay near each other, in a workflow.
    pub group: String,
    /// How far it may be ahead of the one that is most behind, in milliseconds.
    pub drift: Timestamp,
}

/// Where a source that is aligned with others tells how far its time has come.
pub trait Pacing: Send + Sync {
    /// It has come so far, or the source is not to be waited for.
    fn tell(&self, watermark: Watermark);
}

/// Merges the watermarks of several channels: time has come as far as in the one that is most behind. Those that are
/// idle, or have ended, are not waited for; one of which nothing is known yet is. When all are idle, time has come as
/// far as in the one that had come farthest: whichever of them got idle last. Time never goes back.
///
/// ```
/// use skitter::workflow::{Clock, Watermark::{At, Idle}};
///
/// let mut clock = Clock::default();
/// assert!(clock.set("a", At(5), 2).next().is_none(), "b may be behind");
/// assert!(clock.set("b", At(3), 2).eq([At(3)]));
/// assert!(clock.set("b", Idle, 2).eq([At(5)]));
/// assert!(clock.set("a", Idle, 2).eq([Idle]));
/// assert!(clock.set("b", At(4), 2).eq([At(5)]), "time does not go back");
/// assert!(clock.ended("a", 1).next().is_none());
/// ```
///
/// Each call takes a time that is logarithmic in the number of channels.
#[derive(Clone, Debug)]
pub struct Clock<C> {
    channels: BTreeMap<C, Known>,
    /// How many of those that are not idle are at each time: the first is that of the one that is most behind.
    awaited: BTreeMap<Timestamp, usize>,
    /// How far the one had come that had come farthest, of those that have ended, too.
    farthest: Timestamp,
    /// What was told last, and the latest time of all that was told.
    told: Option<Watermark>,
    time: Timestamp,
}

/// What is known of a channel: its latest time, and whether it is idle.
#[derive(Clone, Copy, Debug)]
struct Known {
    latest: Timestamp,
    is_idle: bool,
}

impl<C> Default for Clock<C> {
    fn default() -> Self {
        let earliest = Timestamp::MIN;
        Clock { channels: BTreeMap::new(), awaited: BTreeMap::new(), farthest: earliest, told: None, time: earliest }
    }
}

/// What is to be told, in this order.
pub type News = std::iter::Flatten<std::array::IntoIter<Option<Watermark>, 2>>;

impl<C: Ord> Clock<C> {
    /// A watermark has come over a channel, of so many that have not ended. Gives what is to be told, if that is new.
    pub fn set(&mut self, channel: C, watermark: Watermark, open: usize) -> News {
        let known = self.channels.entry(channel).or_insert(Known { latest: Timestamp::MIN, is_idle: true });
        let before = *known;
        match watermark {
            Watermark::At(time) => *known = Known { latest: known.latest.max(time), is_idle: false },
            Watermark::Idle => known.is_idle = true,
        }
        let known = *known;
        self.forget(before);
        if !known.is_idle {
            *self.awaited.entry(known.latest).or_default() += 1;
        }
        self.farthest = self.farthest.max(known.latest);
        self.merge(open)
    }

    /// A channel has ended, and so many have not. Gives what is to be told, if that is new.
    pub fn ended(&mut self, channel: C, open: usize) -> News {
        if let Some(known) = self.channels.remove(&channel) {
            self.forget(known);
        }
        self.merge(open)
    }

    /// A channel is not where it was.
    fn forget(&mut self, known: Known) {
        if !known.is_idle
            && let Entry::Occupied(mut at) = self.awaited.entry(known.latest)
        {
            *at.get_mut() -= 1;
            if *at.get() == 0 {
                at.remove();
            }
        }
    }

    fn merge(&mut self, open: usize) -> News {
        // Nobody is told about the end: there is another call for that.
        if self.channels.is_empty() || self.channels.len() < open {
            return [None, None].into_iter().flatten();
        }
        let behind = self.awaited.first_key_value().map(|(time, _)| *time);
        let time = behind.unwrap_or(self.farthest).max(self.time);
        let is_idle = behind.is_none();
        let told = if is_idle { Watermark::Idle } else { Watermark::At(time) };
        let was_idle = self.told == Some(Watermark::Idle);
        // Where it is idle a time is told first, if it is new; where it was, the time says that it is not any more.
        let at = (time > self.time || (was_idle && !is_idle)).then_some(Watermark::At(time));
        let idle = (is_idle && (!was_idle || at.is_some())).then_some(Watermark::Idle);
        (self.told, self.time) = (Some(told), time);
        [at, idle].into_iter().flatten()
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
        /// It tells what looking through all channels tells.
        #[test]
        fn nothing_is_looked_through(
            steps in prop::collection::vec((0usize..6, prop::option::of(prop::option::of(0i64..60))), 1..200),
        ) {
            let mut clock = Clock::default();
            let mut known: BTreeMap<usize, (i64, bool)> = BTreeMap::new();
            let (mut open, mut farthest, mut told) = ((0..6).collect::<Vec<usize>>(), Timestamp::MIN, None);
            for (channel, said) in steps {
                if !open.contains(&channel) {
                    continue;
                }
                let news = match said {
                    Some(said) => {
                        let before = known.get(&channel).map_or(Timestamp::MIN, |(latest, _)| *latest);
                        let latest = said.map_or(before, |time| time.max(before));
                        known.insert(channel, (latest, said.is_none()));
                        farthest = farthest.max(latest);
                        clock.set(channel, said.map_or(Watermark::Idle, Watermark::At), open.len())
                    }
                    None => {
                        open.retain(|other| *other != channel);
                        known.remove(&channel);
                        clock.ended(channel, open.len())
                    }
                };
                let last = news.last();
                if known.is_empty() || known.len() < open.len() {
                    prop_assert_eq!(last, None);
                    continue;
                }
                let behind = known.values().filter(|(_, is_idle)| !is_idle).map(|(latest, _)| *latest).min();
                let before = told.map_or(Timestamp::MIN, |(time, _)| time);
                let time = behind.unwrap_or(farthest).max(before);
                let is_new = told != Some((time, behind.is_none()));
                told = Some((time, behind.is_none()));
                let expected = if behind.is_none() { Watermark::Idle } else { Watermark::At(time) };
                prop_assert_eq!(last, is_new.then_some(expected));
            }
        }

        /// Whatever comes: time ascends; it is that of the channel that is most behind, or of the one that had come
        /// farthest when all are idle.
        #[test]
        fn time_ascends_and_waits(steps in prop::collection::vec((0usize..3, prop::option::of(0i64..100)), 1..200)) {
            let mut clock = Clock::default();
            let mut known: [Option<(i64, bool)>; 3] = [None; 3];
            let (mut time, mut idle) = (Timestamp::MIN, false);
            for (channel, said) in steps {
                let before = known[channel].map_or(Timestamp::MIN, |(latest, _)| latest);
                known[channel] = Some(said.map_or((before, true), |time| (time.max(before), false)));
                let told: Vec<Watermark> = clock.set(channel, said.map_or(Watermark::Idle, Watermark::At), 3).collect();
                for watermark in &told {
                    match watermark {
                        Watermark::At(now) => {
                            prop_assert!(*now > time || (*now == time && idle));
                            (time, idle) = (*now, false);
                        }
                        Watermark::Idle => idle = true,
                    }
                }
                let Some(all) = known.iter().copied().collect::<Option<Vec<_>>>() else {
                    prop_assert!(told.is_empty());
                    continue;
                };
                let behind = all.iter().filter(|(_, is_idle)| !is_idle).map(|(latest, _)| *latest).min();
                prop_assert_eq!(idle, behind.is_none());
                let farthest = all.iter().map(|(latest, _)| *latest).max().unwrap_or_default();
                let least = behind.unwrap_or(farthest);
                prop_assert!(time >= least);
            }
        }
    }
}
