//! The parts in which state is saved.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::WorkerId;

/// A part of what a worker keeps for a vertex: the unit in which it is saved, and given to a worker that is to go on
/// with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// All of it. Where an operation runs more than once inside of a worker, each time has a number, in the order in
    /// which records reach them.
    Whole(u32),
    /// That of the keys of a group, which goes to whichever worker owns the group.
    Group(u32),
    /// Something that any worker may go on with: what is left of a split of a source.
    Unit(u64),
    /// What a worker, by its number, has to tell to all who go on with what it has kept of key groups.
    Shared(u32),
    /// A batch that was under way, over a link of a worker; batches of a link are numbered in their order.
    Flight {
        /// Who had sent it.
        from: WorkerId,
        /// The number of the link among those of the sender.
        link: u32,
        /// The number of the batch.
        number: u32,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Whole(0) => f.write_str("state"),
            Part::Whole(number) => write!(f, "state {number}"),
            Part::Group(group) => write!(f, "key group {group}"),
            Part::Unit(unit) => write!(f, "unit {unit}"),
            Part::Shared(worker) => write!(f, "what worker {worker} tells"),
            Part::Flight { from, link, number } => {
                write!(f, "batch {number} from worker {} of vertex {}, link {link}", from.index, from.vertex.0)
            }
        }
    }
}
