//! What of earlier checkpoints still counts.

use std::collections::BTreeMap;

use crate::id::{Part, VertexId};

/// Most earlier objects of a worker that a checkpoint goes on with: each is read when the worker goes on.
pub const MOST_OBJECTS: usize = 16;

/// What a worker has saved, by the checkpoints that it was written for. A part that has not changed since is not
/// written again, as long as the object that it is in is worth keeping:
///
/// - An object of which less than half still counts is not: what counts of it is written anew. So what is kept takes up
///   no more than twice the room of what counts.
/// - When there are more than [`MOST_OBJECTS`], those of which the least counts are not, down to half as many. So the
///   number of objects is bounded, and what is small is joined before what is large.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    checkpoint: u64,
    /// Where each part is, and how many bytes it has.
    parts: BTreeMap<(VertexId, Part), (u64, u64)>,
    /// How many bytes the objects have.
    objects: BTreeMap<u64, u64>,
}

impl Earlier {
    /// The checkpoint that it is part of.
    pub fn checkpoint(&self) -> u64 {
        self.checkpoint
    }

    /// Those of the parts, which have not changed, that need not be written.
    pub fn keep(&self, vertex: VertexId, unchanged: impl IntoIterator<Item = Part>) -> Vec<Part> {
        let there = |part| self.parts.get(&(vertex, part)).map(|(object, bytes)| (part, *object, *bytes));
        let offered: Vec<(Part, u64, u64)> = unchanged.into_iter().filter_map(there).collect();
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        offered.iter().for_each(|(_, object, bytes)| *counts.entry(*object).or_default() += bytes);
        counts.retain(|object, counting| *counting * 2 >= self.objects.get(object).copied().unwrap_or_default());
        if counts.len() > MOST_OBJECTS {
            let mut sizes: Vec<(u64, u64)> = counts.iter().map(|(object, counting)| (*counting, *object)).collect();
            sizes.sort_unstable();
            for (_, object) in &sizes[..sizes.len() - MOST_OBJECTS / 2] {
                counts.remove(object);
            }
        }
        offered.into_iter().filter(|(_, object, _)| counts.contains_key(object)).map(|(part, ..)| part).collect()
    }

    /// What counts when a checkpoint is complete for which these parts were kept from `base`, and those written, each
    /// of which has so many bytes.
    pub fn after(
        base: Option<&Earlier>,
        checkpoint: u64,
        kept: &[(VertexId, Part)],
        written: impl IntoIterator<Item = (VertexId, Part, u64)>,
    ) -> Earlier {
        let mut next = Earlier { checkpoint, ..Earlier::default() };
        for (base, key) in base.iter().flat_map(|base| kept.iter().map(move |key| (base, key))) {
            if let Some((object, bytes)) = base.parts.get(key) {
                next.parts.insert(*key, (*object, *bytes));
                next.objects.extend(base.objects.get_key_value(object));
            }
        }
        let mut length = 0;
        for (vertex, part, bytes) in written {
            length += bytes;
            // Nothing else can be kept, as only key groups are known to be unchanged.
            if matches!(part, Part::Group(_)) {
                next.parts.insert((vertex, part), (checkpoint, bytes));
            }
        }
        next.objects.insert(checkpoint, length);
        next
    }

    /// How many bytes there are in objects that it goes on with, and how many of them count.
    pub fn sizes(&self) -> (u64, u64) {
        (self.objects.values().sum(), self.parts.values().map(|(_, bytes)| bytes).sum())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A worker with so many groups, of which some change before each checkpoint, and change their size.
    fn checkpoints(changes: &[Vec<(u32, usize)>]) -> Result<(), TestCaseError> {
        let vertex = VertexId(3);
        let mut state: BTreeMap<u32, Vec<u8>> = (0..64).map(|group| (group, vec![0; 100])).collect();
        let mut earlier: Option<Earlier> = None;
        for (checkpoint, changed) in (1..).zip(changes) {
            for (group, length) in changed {
                state.insert(*group, vec![0; *length]);
            }
            let is_unchanged = |group: &&u32| !changed.iter().any(|(changed, _)| changed == *group);
            let unchanged: Vec<Part> = state.keys().filter(is_unchanged).map(|group| Part::Group(*group)).collect();
            let kept = earlier.as_ref().map_or_else(Vec::new, |earlier| earlier.keep(vertex, unchanged));
            let written: Vec<(VertexId, Part, u64)> = state
                .iter()
                .map(|(group, bytes)| (vertex, Part::Group(*group), bytes.len() as u64))
                .filter(|(_, part, _)| !kept.contains(part))
                .collect();
            let kept: Vec<(VertexId, Part)> = kept.into_iter().map(|part| (vertex, part)).collect();
            let next = Earlier::after(earlier.as_ref(), checkpoint, &kept, written);
            let (held, counting) = next.sizes();
            prop_assert_eq!(counting, state.values().map(|bytes| bytes.len() as u64).sum::<u64>());
            prop_assert!(held <= 2 * counting, "{} bytes for {}", held, counting);
            prop_assert!(next.objects.len() <= MOST_OBJECTS + 1);
            earlier = Some(next);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_kept_has_twice_the_size_of_what_counts_at_most(
            changes in prop::collection::vec(prop::collection::vec((0u32..64, 1usize..400), 0..20), 1..60),
        ) {
            checkpoints(&changes)?;
        }
    }

    #[test]
    fn what_has_not_changed_is_not_written_again() {
        let vertex = VertexId(0);
        let groups = |range: std::ops::Range<u32>| range.map(Part::Group).collect::<Vec<_>>();
        let all: Vec<(VertexId, Part, u64)> = groups(0..10).into_iter().map(|part| (vertex, part, 10)).collect();
        let first = Earlier::after(None, 1, &[], all);
        assert_eq!(first.keep(vertex, groups(2..10)), groups(2..10));
        assert_eq!(first.keep(vertex, groups(6..10)), [], "less than half of the object counts");
        assert_eq!(first.keep(VertexId(1), groups(0..10)), []);
    }
}
