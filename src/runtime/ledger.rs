//! Which objects the workers of a site have written, and what of them counts; pure.

use std::collections::{BTreeMap, BTreeSet};

use super::coordinator::WorkerSaved;
use crate::id::{Part, VertexId, WorkerId};
use crate::state::{SavedObject, Section};
use crate::workflow::{Commit, Error, Result};

/// What a worker has not saved again.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// The complete checkpoint that it is kept of.
    pub base: Option<u64>,
    pub parts: Vec<(VertexId, Part)>,
}

/// The objects of each worker, for the newest complete checkpoint and those after it.
#[derive(Debug, Default)]
pub struct Ledger(BTreeMap<WorkerId, BTreeMap<u64, Vec<SavedObject>>>);

impl Ledger {
    /// Adds to what a worker has written where that is which it has kept.
    ///
    /// # Errors
    /// When it is not known where that is.
    pub fn add(&mut self, saved: &mut WorkerSaved, kept: &Kept) -> Result<()> {
        let own = self.0.entry(saved.worker).or_default();
        if !kept.parts.is_empty() {
            let mut parts: BTreeSet<&(VertexId, Part)> = kept.parts.iter().collect();
            for object in kept.base.and_then(|base| own.get(&base)).into_iter().flatten() {
                let counts = |section: &&Section| parts.remove(&(section.vertex, section.part));
                let sections: Vec<_> = object.sections.iter().filter(counts).cloned().collect();
                if !sections.is_empty() {
                    saved.objects.push(SavedObject { sections, ..object.clone() });
                }
            }
            if let Some((vertex, part)) = parts.first() {
                let error = format!("{part} of vertex {} was kept, and is not known here", vertex.0);
                return Err(Error::Runtime(error));
            }
            saved.base = kept.base;
        }
        own.insert(saved.checkpoint, saved.objects.clone());
        Ok(())
    }

    /// What is older than a complete checkpoint will not be asked for.
    pub fn commit(&mut self, commit: Commit) {
        if let Commit::Checkpoint(checkpoint) = commit {
            self.0.values_mut().for_each(|own| own.retain(|other, _| *other >= checkpoint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId { vertex: VertexId(1), index: 0 };

    fn saved(checkpoint: u64, groups: std::ops::Range<u32>) -> WorkerSaved {
        let section =
            |group| Section { vertex: VertexId(1), part: Part::Group(group), at: group.into(), length: 1, checksum: 0 };
        let sections = groups.map(section).collect();
        let object = SavedObject { path: checkpoint.to_string(), length: 100, worker: WORKER, sections };
        WorkerSaved { worker: WORKER, checkpoint, finished: false, drained: false, objects: vec![object], base: None }
    }

    fn kept(base: u64, groups: std::ops::Range<u32>) -> Kept {
        Kept { base: Some(base), parts: groups.map(|group| (VertexId(1), Part::Group(group))).collect() }
    }

    /// Paths, and how many sections count.
    fn counts(saved: &WorkerSaved) -> Vec<(&str, usize)> {
        saved.objects.iter().map(|object| (object.path.as_str(), object.sections.len())).collect()
    }

    #[test]
    fn what_was_kept_is_found_where_it_was_written() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.add(&mut saved(1, 0..10), &Kept::default()), Ok(()));
        ledger.commit(Commit::Checkpoint(1));
        let mut second = saved(2, 0..3);
        assert_eq!(ledger.add(&mut second, &kept(1, 3..10)), Ok(()));
        assert_eq!((counts(&second), second.base), (vec![("2", 3), ("1", 7)], Some(1)));
        // The second is not completed: the third goes on with the first.
        let mut third = saved(3, 0..4);
        assert_eq!(ledger.add(&mut third, &kept(1, 4..10)), Ok(()));
        ledger.commit(Commit::Checkpoint(3));
        let mut fourth = saved(4, 9..10);
        assert_eq!(ledger.add(&mut fourth, &kept(3, 0..9)), Ok(()));
        assert_eq!(counts(&fourth), [("4", 1), ("3", 4), ("1", 5)]);
        assert!(ledger.add(&mut saved(5, 0..1), &kept(1, 1..2)).is_err(), "it is forgotten");
    }
}
