//! What of a run may be deleted, and what not: a function of what is there.
//!
//! Never deleted: savepoints; the newest checkpoint; what a manifest that stays names. A manifest that cannot be read
//! may be a savepoint and may name whatever is as old as itself or older, so it stays, and so does all of that.

use std::collections::BTreeSet;

/// A manifest that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The number of its checkpoint.
    pub checkpoint: u64,
    /// What it says.
    pub says: Says,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// It can be read.
    Names {
        /// Whether it is a savepoint.
        savepoint: bool,
        /// The paths of its objects.
        objects: BTreeSet<String>,
    },
    /// It cannot be read.
    Nothing,
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its path in the store.
    pub path: String,
    /// The checkpoint that it was written for.
    pub checkpoint: u64,
}

/// What is to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many of the newest checkpoints that can be read, one at least, beside savepoints; and whatever belongs to a
    /// checkpoint that is under way: to one newer than the newest manifest.
    Newest(usize),
    /// Savepoints: the run is over.
    Savepoints,
}

/// What may be deleted, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletions {
    /// The checkpoints whose manifests may be deleted, the oldest first.
    pub manifests: Vec<u64>,
    /// The paths of the objects that may be deleted when those are.
    pub objects: Vec<String>,
}

/// What may be deleted of these manifests and objects, which are all that are there.
pub fn deletions(manifests: &[Listed], objects: &[Stored], keep: Keep) -> Deletions {
    let mut sorted: Vec<&Listed> = manifests.iter().collect();
    sorted.sort_unstable_by_key(|manifest| manifest.checkpoint);
    let mut left = match keep {
        Keep::Newest(keep) => keep.max(1),
        Keep::Savepoints => 0,
    };
    let mut unread = None;
    let mut named: BTreeSet<&str> = BTreeSet::new();
    let mut deletions = Deletions::default();
    for manifest in sorted.iter().rev() {
        let Says::Names { savepoint, objects } = &manifest.says else {
            unread = unread.max(Some(manifest.checkpoint));
            continue;
        };
        // A savepoint is not one of those that are kept, so that a number of them leaves room for checkpoints.
        if !savepoint && left == 0 {
            deletions.manifests.push(manifest.checkpoint);
            continue;
        }
        left -= usize::from(!savepoint);
        named.extend(objects.iter().map(String::as_str));
    }
    deletions.manifests.reverse();
    let newest = sorted.last().map(|manifest| manifest.checkpoint);
    let stays = |object: &&Stored| {
        let under_way = matches!(keep, Keep::Newest(_)) && newest.is_none_or(|newest| object.checkpoint > newest);
        let may_be_named = unread.is_some_and(|unread| object.checkpoint <= unread);
        under_way || may_be_named || named.contains(object.path.as_str())
    };
    let goes = objects.iter().filter(|object| !stays(object));
    deletions.objects = goes.map(|object| object.path.clone()).collect();
    deletions
}

#[cfg(test)]
mod tests;
