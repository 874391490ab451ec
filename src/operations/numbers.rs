//! The numbers of a range.

use std::convert::Infallible;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::id::Part as StatePart;
use crate::workflow::{Emit, Operation, Progress, Pull, Result, Saved, Share, Snapshot, Source, load, save};

/// A source that gives the numbers of a range, in ascending order in each worker: each gives a part of its own, or
/// blocks in turn. **On failure** it goes on at the last checkpoint: exactly once, with any number of workers.
///
/// ```
/// use skitter::operations::{Collected, Numbers};
/// use skitter::prelude::*;
///
/// let sum = Collected::new();
/// let workflow = WorkflowBuilder::new();
/// workflow.source(Numbers::new(0..1000)).fold_combine(0, |sum, n| *sum += n, |sum, n| *sum += n).collect(&sum);
/// skitter::Runtime::local()?.deploy("sum", workflow.build()?)?.wait()?;
/// assert_eq!(sum.take(), [499_500]);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Numbers {
    range: Range<u64>,
    block: Option<u64>,
}

impl Numbers {
    /// The numbers of this range, each worker a part of it; none if it is empty.
    pub fn new(range: Range<u64>) -> Self {
        Numbers { range, block: None }
    }

    /// The numbers of this range, of which workers take blocks of so many in turn: so that they are about equally far
    /// at any time, as numbers that stand for events should be that follow each other in time.
    pub fn in_turn(range: Range<u64>, block: u64) -> Self {
        Numbers { range, block: Some(block.max(1)) }
    }
}

/// Blocks at equal distances: the rest of one, and those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lane {
    next: u64,
    /// Where its block ends.
    until: u64,
    /// What lies between the end of a block and the next one, and how long that is.
    skip: u64,
    block: u64,
}

impl Lane {
    /// Where it goes on; none if it has come to its end.
    fn settled(mut self, end: u64) -> Option<Lane> {
        if self.next >= self.until {
            self.next = self.until.checked_add(self.skip)?;
            self.until = self.next.saturating_add(self.block).min(end);
        }
        (self.next < self.until).then_some(self)
    }

    /// How many numbers it has, of a range that ends there.
    fn len(&self, end: u64) -> u64 {
        let rest = self.until - self.next;
        let Some(behind) = self.until.checked_add(self.skip).and_then(|first| end.checked_sub(first)) else {
            return rest;
        };
        let step = u128::from(self.block) + u128::from(self.skip);
        let whole = u128::from(behind) / step;
        let last = (u128::from(behind) % step).min(u128::from(self.block));
        // No more than there are numbers between zero and the end.
        rest + (whole * u128::from(self.block) + last) as u64
    }
}

/// What a worker reads.
#[derive(Debug)]
pub struct Part {
    /// The one that goes on with the lowest number last.
    lanes: Vec<Lane>,
    end: u64,
    total: u64,
}

impl Part {
    fn new(lanes: impl Iterator<Item = Lane>, end: u64) -> Part {
        let mut lanes: Vec<Lane> = lanes.filter_map(|lane| lane.settled(end)).collect();
        lanes.sort_unstable_by_key(|lane| std::cmp::Reverse(lane.next));
        let total = lanes.iter().map(|lane| lane.len(end)).sum();
        Part { lanes, end, total }
    }
}

impl Operation for Numbers {
    type In = Infallible;
    type Out = u64;
    const NAME: &'static str = "numbers";
}

impl Source for Numbers {
    type Reader = Part;

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, share: Share) -> Result<Part> {
        let Range { start, end } = self.range;
        let (index, of) = (share.index as u64, share.of as u64);
        let lane = match self.block {
            Some(block) => {
                let next = block.checked_mul(index).and_then(|before| start.checked_add(before));
                let skip = block.saturating_mul(of - 1);
                next.map(|next| Lane { next, until: next.saturating_add(block).min(end), skip, block })
            }
            None => {
                let total = u128::from(end.saturating_sub(start));
                let bound = |index: u64| start + (total * u128::from(index) / u128::from(of)) as u64;
                Some(Lane { next: bound(index), until: bound(index + 1), skip: u64::MAX, block: 1 })
            }
        };
        Ok(Part::new(lane.into_iter(), end))
    }

    #[inline(always)]
    fn read<E: Emit<u64>>(&self, part: &mut Part, budget: usize, emit: &mut E) -> Result<Pull> {
        let Some(lane) = part.lanes.last_mut() else { return Ok(Pull::End) };
        // One loop with one end: twice as fast as one that looks at budget and range for each number.
        let slice = lane.next..lane.until.min(lane.next.saturating_add(budget as u64));
        lane.next = slice.end;
        for number in slice {
            emit.emit(number);
        }
        if let Some(lane) = part.lanes.pop_if(|lane| lane.next >= lane.until)
            && let Some(lane) = lane.settled(part.end)
        {
            let place = part.lanes.partition_point(|other| other.next > lane.next);
            part.lanes.insert(place, lane);
        }
        Ok(if part.lanes.is_empty() { Pull::End } else { Pull::More })
    }

    fn progress(&self, part: &Part) -> Option<Progress> {
        let left: u64 = part.lanes.iter().map(|lane| lane.len(part.end)).sum();
        Some(Progress { done: part.total - left, total: part.total })
    }

    fn position(&self, part: &mut Part, snapshot: &mut Snapshot) -> Result<()> {
        for lane in &part.lanes {
            let mut bytes = Vec::new();
            save(lane, &mut bytes)?;
            // No two workers have the same number before them.
            snapshot.put_part(StatePart::Unit(lane.next), bytes);
        }
        Ok(())
    }

    fn resume(&self, _share: Share, saved: &Saved) -> Result<Part> {
        let lanes = saved.units().map(|(_, mut bytes)| load::<Lane>(&mut bytes)).collect::<Result<Vec<_>>>()?;
        Ok(Part::new(lanes.into_iter(), self.range.end))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Seen(Vec<u64>);

    impl Emit<u64> for Seen {
        fn emit(&mut self, number: u64) {
            self.0.push(number);
        }
    }

    #[test]
    fn shares_are_the_whole_range() {
        #[expect(clippy::reversed_empty_ranges, reason = "a range like any other")]
        for range in [0..0, 5..6, 0..1000, u64::MAX - 10..u64::MAX, 9..3] {
            for of in [1, 2, 3, 8, 2000] {
                let mut seen = Seen(Vec::new());
                for index in 0..of {
                    let numbers = Numbers::new(range.clone());
                    let mut part = numbers.open(Share { index, of }).expect("no input to miss");
                    while numbers.read(&mut part, 7, &mut seen).expect("nothing to fail") == Pull::More {}
                }
                assert!(seen.0.iter().copied().eq(range.clone()), "{range:?} of {of}");
            }
        }
    }

    proptest! {
        /// Whoever goes on with what others have left, and wherever: each number is given once, and in each worker they
        /// ascend.
        #[test]
        fn blocks_in_turn_are_the_whole_range(
            start in prop_oneof![Just(0u64), Just(u64::MAX - 100)],
            length in 0u64..100,
            block in 1u64..40,
            (first, then) in (1usize..6, 1usize..6),
            reads in 0usize..12,
        ) {
            let numbers = Numbers::in_turn(start..start.saturating_add(length), block);
            let (mut seen, mut snapshot) = (Seen(Vec::new()), Snapshot::new(1));
            let mut total = 0;
            for index in 0..first {
                let mut part = numbers.open(Share { index, of: first }).expect("no input to miss");
                total += numbers.progress(&part).map_or(0, |progress| progress.total);
                for _ in 0..reads {
                    numbers.read(&mut part, 5, &mut seen).expect("nothing to fail");
                }
                numbers.position(&mut part, &mut snapshot).expect("saved");
            }
            prop_assert_eq!(total, length);
            let parts: Vec<_> = snapshot.finish().parts;
            for index in 0..then {
                let dealt = parts.iter().skip(index).step_by(then);
                let saved = dealt.map(|(_, part, pieces)| (*part, pieces.concat().into())).collect();
                let mut part = numbers.resume(Share { index, of: then }, &Saved::new(saved, 0)).expect("resumed");
                let mut own = Seen(Vec::new());
                while numbers.read(&mut part, 5, &mut own).expect("nothing to fail") == Pull::More {}
                prop_assert!(own.0.is_sorted());
                seen.0.append(&mut own.0);
            }
            seen.0.sort_unstable();
            prop_assert!(seen.0.iter().copied().eq(start..start + length));
        }
    }
}
