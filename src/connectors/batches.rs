//! What a sink has put aside until it may be seen: a batch for each checkpoint.
//!
//! A sink that is to have each record once in a system whose writes are seen at once puts records *aside* there first,
//! in a batch of a name that nobody else has. A checkpoint seals the batch; when the checkpoint is complete, what is in
//! the batch is moved to where it belongs, by one transaction that leaves nothing of it aside. To do that twice is to
//! do it once, so it does not matter who does it: the worker, the one that has gone on with its state, or one that was
//! taken for dead and is not. Such a one adds to batches of its own only, which no complete checkpoint knows.

use serde::{Deserialize, Serialize};

use crate::workflow::{Commit, Error, Result};

/// The batches of a worker.
#[derive(Debug)]
pub(super) struct Batches {
    /// Of this life of the worker alone, by chance.
    life: String,
    /// How many batches have been sealed in it.
    number: u64,
    /// Whether something is in the batch at hand.
    is_used: bool,
    /// Those that may not be seen yet, each with its checkpoint.
    sealed: Vec<(u64, String)>,
}

/// What a checkpoint keeps of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptBatches {
    /// Those that are to be seen when the checkpoint is complete.
    pub sealed: Vec<(u64, String)>,
    /// The life of the worker and the number of its next batch: what is there from then on will never be seen.
    pub life: String,
    pub next: u64,
}

impl Batches {
    /// None so far.
    ///
    /// # Errors
    /// When the system has no random number to give.
    pub fn new() -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Error::Outside(format!("no random number: {error}")))?;
        let life = format!("{:032x}", u128::from_ne_bytes(random));
        Ok(Batches { life, number: 0, is_used: false, sealed: Vec::new() })
    }

    /// A new life of the worker that has kept these.
    ///
    /// # Errors
    /// As [`new`](Batches::new).
    pub fn resume(kept: &KeptBatches) -> Result<Self> {
        Ok(Batches { sealed: kept.sealed.clone(), ..Batches::new()? })
    }

    /// The batch to add to.
    pub fn at_hand(&mut self) -> String {
        self.is_used = true;
        name(&self.life, self.number)
    }

    /// What has been added is of this checkpoint.
    pub fn seal(&mut self, checkpoint: u64) {
        if std::mem::take(&mut self.is_used) {
            self.sealed.push((checkpoint, name(&self.life, self.number)));
            self.number += 1;
        }
    }

    pub fn keep(&self) -> KeptBatches {
        KeptBatches { sealed: self.sealed.clone(), life: self.life.clone(), next: self.number }
    }

    /// The batches that may be seen now, in order.
    pub fn due(&mut self, commit: Commit) -> Vec<String> {
        let limit = match commit {
            Commit::Checkpoint(checkpoint) => checkpoint,
            Commit::End => {
                self.seal(u64::MAX);
                u64::MAX
            }
        };
        self.sealed.iter().filter(|(checkpoint, _)| *checkpoint <= limit).map(|(_, name)| name.clone()).collect()
    }

    /// This one has been moved to where it belongs.
    pub fn done(&mut self, batch: &str) {
        self.sealed.retain(|(_, name)| name != batch);
    }
}

/// The name of a batch.
pub(super) fn name(life: &str, number: u64) -> String {
    format!("{life}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_seen_with_its_checkpoint() {
        let mut batches = Batches::new().expect("random");
        let first = batches.at_hand();
        batches.seal(3);
        batches.seal(4);
        let second = batches.at_hand();
        assert_eq!(batches.at_hand(), second);
        batches.seal(5);
        assert_eq!(batches.due(Commit::Checkpoint(4)), std::slice::from_ref(&first));
        assert_eq!(batches.keep().sealed.len(), 2);
        batches.done(&first);
        assert_eq!(batches.due(Commit::Checkpoint(4)), Vec::<String>::new());
        let third = batches.at_hand();
        assert_eq!(batches.due(Commit::End), [second, third]);
    }

    #[test]
    fn another_life_adds_to_other_batches() {
        let mut batches = Batches::new().expect("random");
        let first = batches.at_hand();
        batches.seal(1);
        let kept = batches.keep();
        let lost = batches.at_hand();
        assert_eq!(lost, name(&kept.life, kept.next));
        let mut other = Batches::resume(&kept).expect("random");
        assert_eq!(other.due(Commit::Checkpoint(1)), [first]);
        assert_ne!(other.at_hand(), lost);
    }
}
