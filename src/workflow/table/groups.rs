//! A set of key groups.

use crate::codec::KEY_GROUPS;

/// Words of 64 groups each.
const WORDS: usize = KEY_GROUPS as usize / 64;

/// Key groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Groups([u64; WORDS]);

impl Groups {
    pub(super) const NONE: Groups = Groups([0; WORDS]);
    pub(super) const ALL: Groups = Groups([u64::MAX; WORDS]);

    #[inline]
    pub(super) fn contains(&self, group: u32) -> bool {
        self.0.get(group as usize / 64).is_some_and(|word| word >> (group % 64) & 1 == 1)
    }

    /// Adds one, and says whether it is new.
    #[inline]
    pub(super) fn insert(&mut self, group: u32) -> bool {
        let Some(word) = self.0.get_mut(group as usize / 64) else { return false };
        let bit = 1 << (group % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(super) fn remove(&mut self, group: u32) {
        if let Some(word) = self.0.get_mut(group as usize / 64) {
            *word &= !(1 << (group % 64));
        }
    }

    pub(super) fn unite(&mut self, other: &Groups) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    pub(super) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}
