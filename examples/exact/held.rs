//! A source that holds back what it has until somebody says so: a test, when it has seen what it has waited for,
//! however fast the machine is.

use std::path::PathBuf;
use std::time::Duration;

use skitter::prelude::*;
use skitter::workflow::{Pull, Saved, Share, Snapshot, Source};

/// How long a reader rests that holds something back.
const REST: Duration = Duration::from_millis(5);

/// Some records of a source, and the others when a file is there. Nor does it end before.
#[derive(Clone, Debug)]
pub struct Held<S> {
    source: S,
    first: u64,
    until: Option<PathBuf>,
}

impl<S> Held<S> {
    /// Each reader gives so many records, and goes on when the file is there; without a file, it gives all.
    pub fn new(source: S, first: u64, until: Option<PathBuf>) -> Self {
        Held { source, first, until }
    }
}

/// A reader, and how many more records it may give.
#[derive(Debug)]
pub struct Holding<R> {
    reader: R,
    left: u64,
}

impl<S: Source> Operation for Held<S> {
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

impl<S: Source> Source for Held<S> {
    type Reader = Holding<S::Reader>;

    fn splits(&self) -> bool {
        self.source.splits()
    }

    fn open(&self, share: Share) -> Result<Self::Reader> {
        Ok(Holding { reader: self.source.open(share)?, left: self.first })
    }

    fn read<E: Emit<S::Out>>(&self, holding: &mut Self::Reader, budget: usize, emit: &mut E) -> Result<Pull> {
        if self.until.as_ref().is_none_or(|until| until.exists()) {
            return self.source.read(&mut holding.reader, budget, emit);
        }
        if holding.left == 0 {
            return Ok(Pull::After(REST));
        }
        let budget = budget.min(usize::try_from(holding.left).unwrap_or(usize::MAX));
        holding.left -= budget as u64;
        Ok(match self.source.read(&mut holding.reader, budget, emit)? {
            Pull::End => {
                holding.left = 0;
                Pull::After(REST)
            }
            pull => pull,
        })
    }

    fn position(&self, holding: &mut Self::Reader, snapshot: &mut Snapshot) -> Result<()> {
        self.source.position(&mut holding.reader, snapshot)
    }

    fn resume(&self, share: Share, saved: &Saved) -> Result<Self::Reader> {
        Ok(Holding { reader: self.source.resume(share, saved)?, left: self.first })
    }
}
