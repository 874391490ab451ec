//! Two streams, joined by a key.
//!
//! | operator | pairs |
//! |---|---|
//! | [`join`](crate::workflow::Stream::join) | all of one key, ever: both streams are kept |
//! | [`expiring_join`](crate::workflow::Stream::expiring_join) | of one key, each kept for a while |
//! | [`interval_join`](crate::workflow::Stream::interval_join) | of one key and near each other in event time |
//! | [`window_join`](crate::workflow::Stream::window_join) | of one key and in one window |
//! | [`lookup`](crate::workflow::Stream::lookup) | a record and what a table says of its key, which is a stream of changes |

mod expiring;
mod interval;
mod keyed;
mod lookup;
#[cfg(test)]
mod tests;
mod window;

use serde::{Deserialize, Serialize};

pub use expiring::ExpiringJoin;
pub use interval::{Interval, IntervalJoin, Kept, Waiting};
pub use keyed::{KeyedJoin, Sides};
pub use lookup::{Lookup, LookupByKey, Row};
pub use window::{Pairs, WindowJoin};

use crate::workflow::InPort;

/// What a join takes: a record of one of two streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Either<L, R> {
    /// By port [`Left`].
    Left(L),
    /// By port [`Right`].
    Right(R),
}

/// The in port of the stream that the operator is called on.
#[derive(Clone, Copy, Debug)]
pub struct Left;

/// The in port of the other stream.
#[derive(Clone, Copy, Debug)]
pub struct Right;

impl<L: 'static, R: 'static> InPort<Either<L, R>> for Left {
    type Record = L;
    const INDEX: usize = 0;

    #[inline(always)]
    fn wrap(record: L) -> Either<L, R> {
        Either::Left(record)
    }
}

impl<L: 'static, R: 'static> InPort<Either<L, R>> for Right {
    type Record = R;
    const INDEX: usize = 1;

    #[inline(always)]
    fn wrap(record: R) -> Either<L, R> {
        Either::Right(record)
    }
}

/// The names of the in ports of joins.
const PORTS: &[&str] = &["left", "right"];

/// What a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Joined<L, R> {
    /// A record of each stream.
    Both(L, R),
    /// A record of the left one that has no other, in a [left](JoinKind::Left) or [outer](JoinKind::Outer) join.
    Left(L),
    /// A record of the right one that has no other, in an outer join.
    Right(R),
}

impl<L, R> Joined<L, R> {
    /// The two, if there are.
    pub fn both(self) -> Option<(L, R)> {
        if let Joined::Both(left, right) = self { Some((left, right)) } else { None }
    }
}

/// Which records a join gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs.
    #[default]
    Inner,
    /// Pairs, and records of the left stream that are in none.
    Left,
    /// Pairs, and all records that are in none.
    Outer,
}
