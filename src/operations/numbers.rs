//! The numbers of a range.

use std::convert::Infallible;
use std::ops::Range;

use crate::workflow::{Emit, Operation, Progress, Pull, Result, Share, Source};

/// A source that gives the numbers of a range, each worker a part of it in ascending order.
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
    total: u64,
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
        let left = bound(share.index)..bound(share.index + 1);
        Ok(Part { total: left.end - left.start, left })
    }

    #[inline(always)]
    fn read<E: Emit<u64>>(&self, part: &mut Part, budget: usize, emit: &mut E) -> Result<Pull> {
        // One loop with one end: twice as fast as one that looks at budget and range for each number.
        let slice = part.left.start..part.left.end.min(part.left.start.saturating_add(budget as u64));
        part.left.start = slice.end;
        for number in slice {
            emit.emit(number);
        }
        Ok(if part.left.is_empty() { Pull::End } else { Pull::More })
    }

    fn progress(&self, part: &Part) -> Option<Progress> {
        Some(Progress { done: part.total - (part.left.end - part.left.start), total: part.total })
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
