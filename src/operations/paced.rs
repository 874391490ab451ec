//! A source that gives what it has not faster than it should.

use std::time::{Duration, Instant};

use crate::workflow::{Emit, Operation, Progress, Pull, Result, Saved, Share, Snapshot, Source};

/// How long a reader that is behind its pace makes up for: from there on it begins anew, so that no flood follows a
/// break.
const LONGEST_DEBT: Duration = Duration::from_millis(50);

/// How long a reader rests that is ahead of its pace.
const REST: Duration = Duration::from_millis(1);

/// A source whose workers give about so many records a second each, and leave their threads to others meanwhile. The
/// pace is kept within 50 ms: who was held up for longer does not make up for it. **On failure** it does as the source
/// in it.
///
/// ```
/// use std::time::Instant;
///
/// use skitter::operations::{Collected, Numbers, Paced};
/// use skitter::prelude::*;
///
/// let (numbers, began) = (Collected::new(), Instant::now());
/// let workflow = WorkflowBuilder::new();
/// // On one worker, for a pace is of each.
/// workflow.source(Paced::new(Numbers::new(0..100), 1000)).collect(&numbers);
/// let one = skitter::runtime::Settings { cores: 1, ..Default::default() };
/// skitter::Runtime::with(one)?.deploy("numbers", workflow.build()?)?.wait()?;
/// assert_eq!(numbers.take().len(), 100);
/// assert!(began.elapsed().as_millis() >= 50);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Paced<S> {
    source: S,
    rate: u64,
}

impl<S> Paced<S> {
    /// Gives what the source gives, so many records a second of each worker at most; as many as there can be if `rate`
    /// is 0.
    pub fn new(source: S, rate: u64) -> Self {
        Paced { source, rate }
    }

    /// How many records a reader has to have given after some time.
    fn within(&self, time: Duration) -> u64 {
        // A rate is far from what a number of microseconds has room for.
        u64::try_from(u128::from(self.rate) * time.as_micros() / 1_000_000).unwrap_or(u64::MAX)
    }

    /// How many records a reader may give now.
    fn due<R>(&self, reading: &mut Reading<R>) -> u64 {
        let due = self.within(reading.since.elapsed()).saturating_sub(reading.given);
        // A low rate has less than a record in that time.
        let most = self.within(LONGEST_DEBT).max(1);
        if due > most {
            (reading.since, reading.given) = (Instant::now(), 0);
        }
        due.min(most)
    }
}

/// A reader, and what it has given since some time.
#[derive(Debug)]
pub struct Reading<R> {
    reader: R,
    since: Instant,
    given: u64,
}

impl<R> Reading<R> {
    fn new(reader: R) -> Self {
        Reading { reader, since: Instant::now(), given: 0 }
    }
}

impl<S: Source> Operation for Paced<S> {
    type In = std::convert::Infallible;
    type Out = S::Out;
    const NAME: &'static str = S::NAME;
    const BLOCKS: bool = S::BLOCKS;

    fn conf(&mut self) -> Result<()> {
        self.source.conf()
    }

    fn check(&self) -> Result<()> {
        self.source.check()
    }
}

impl<S: Source> Source for Paced<S> {
    type Reader = Reading<S::Reader>;

    fn splits(&self) -> bool {
        self.source.splits()
    }

    fn open(&self, share: Share) -> Result<Self::Reader> {
        self.source.open(share).map(Reading::new)
    }

    fn read<E: Emit<S::Out>>(&self, reading: &mut Self::Reader, budget: usize, emit: &mut E) -> Result<Pull> {
        if self.rate == 0 {
            return self.source.read(&mut reading.reader, budget, emit);
        }
        let due = self.due(reading);
        if due == 0 {
            return Ok(Pull::After(REST));
        }
        let budget = budget.min(usize::try_from(due).unwrap_or(usize::MAX));
        reading.given += budget as u64;
        self.source.read(&mut reading.reader, budget, emit)
    }

    fn progress(&self, reading: &Self::Reader) -> Option<Progress> {
        self.source.progress(&reading.reader)
    }

    fn position(&self, reading: &mut Self::Reader, snapshot: &mut Snapshot) -> Result<()> {
        self.source.position(&mut reading.reader, snapshot)
    }

    fn resume(&self, share: Share, saved: &Saved) -> Result<Self::Reader> {
        self.source.resume(share, saved).map(Reading::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::Numbers;

    #[test]
    fn who_was_held_up_makes_up_for_little() {
        let paced = Paced::new(Numbers::new(0..1_000_000), 100_000);
        let mut reading = Reading::new(());
        reading.since = Instant::now().checked_sub(Duration::from_secs(10)).expect("it is up for longer");
        assert_eq!(paced.due(&mut reading), 5000, "what falls into 50 ms");
        assert!(paced.due(&mut reading) < 5000, "and no more");
    }

    #[test]
    fn a_low_rate_is_a_rate() {
        let paced = Paced::new(Numbers::new(0..10), 2);
        let mut reading = Reading::new(());
        assert_eq!(paced.due(&mut reading), 0);
        reading.since = Instant::now().checked_sub(Duration::from_millis(600)).expect("it is up for longer");
        assert_eq!(paced.due(&mut reading), 1);
    }

    #[test]
    fn without_a_rate_it_is_the_source() {
        let paced = Paced::new(Numbers::new(0..10), 0);
        let mut reader = paced.open(Share { index: 0, of: 1 }).expect("a reader");
        let mut given = Vec::new();
        while paced.read(&mut reader, 100, &mut given).expect("numbers") != Pull::End {}
        assert_eq!(given, (0..10).collect::<Vec<u64>>());
    }
}
