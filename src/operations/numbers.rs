//! The numbers of a range.

use std::convert::Infallible;
use std::ops::Range;

use crate::id::Part as StatePart;
use crate::workflow::{Emit, Operation, Progress, Pull, Result, Saved, Share, Snapshot, Source, load, save};

/// A source that gives the numbers of a range, each worker a part of it in ascending order. **On failure** it goes on
/// at the last checkpoint: exactly once, with any number of workers.
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
pub struct Numbers(Range<u64>);

impl Numbers {
    /// The numbers of this range; none if it is empty.
    pub fn new(range: Range<u64>) -> Self {
        Numbers(range)
    }
}

/// The part of a range that a worker reads.
#[derive(Debug)]
pub struct Part {
    left: Range<u64>,
    /// What other workers have left behind.
    further: Vec<Range<u64>>,
    total: u64,
}

impl Part {
    fn new(mut ranges: Vec<Range<u64>>) -> Part {
        ranges.retain(|range| !range.is_empty());
        let total = ranges.iter().map(|range| range.end - range.start).sum();
        let left = if ranges.is_empty() { 0..0 } else { ranges.remove(0) };
        Part { left, further: ranges, total }
    }

    fn ranges(&self) -> impl Iterator<Item = &Range<u64>> {
        std::iter::once(&self.left).chain(&self.further)
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
        let total = u128::from(self.0.end.saturating_sub(self.0.start));
        let bound = |index: usize| self.0.start + (total * index as u128 / share.of as u128) as u64;
        let range = bound(share.index)..bound(share.index + 1);
        Ok(Part::new(Vec::from([range])))
    }

    #[inline(always)]
    fn read<E: Emit<u64>>(&self, part: &mut Part, budget: usize, emit: &mut E) -> Result<Pull> {
        // One loop with one end: twice as fast as one that looks at budget and range for each number.
        let slice = part.left.start..part.left.end.min(part.left.start.saturating_add(budget as u64));
        part.left.start = slice.end;
        for number in slice {
            emit.emit(number);
        }
        if part.left.is_empty() {
            if part.further.is_empty() {
                return Ok(Pull::End);
            }
            part.left = part.further.remove(0);
        }
        Ok(Pull::More)
    }

    fn progress(&self, part: &Part) -> Option<Progress> {
        let left: u64 = part.ranges().map(|range| range.end - range.start).sum();
        Some(Progress { done: part.total - left, total: part.total })
    }

    fn position(&self, part: &mut Part, snapshot: &mut Snapshot) -> Result<()> {
        for range in part.ranges().filter(|range| !range.is_empty()) {
            let mut bytes = Vec::new();
            save(&(range.start, range.end), &mut bytes)?;
            // No two workers have the same number before them.
            snapshot.put_part(StatePart::Unit(range.start), bytes);
        }
        Ok(())
    }

    fn resume(&self, _share: Share, saved: &Saved) -> Result<Part> {
        let range = |(_, mut bytes): (u64, &[u8])| load::<(u64, u64)>(&mut bytes).map(|(start, end)| start..end);
        Ok(Part::new(saved.units().map(range).collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
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
}
