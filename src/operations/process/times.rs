//! The times that a key waits for.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize, Serializer};

use crate::workflow::Timestamp;

/// Times, ascending, each once. Mostly there is none or one, for which nothing is allocated, and which is why what is
/// kept of more is apart: a table of keys is the faster the smaller its entries are.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "VecDeque<Timestamp>")]
pub(super) enum Times {
    #[default]
    None,
    One(Timestamp),
    Several(Box<Several>),
}

/// Two or more.
#[derive(Debug)]
pub(super) struct Several(VecDeque<Timestamp>);

impl Times {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Times::None)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Timestamp> + use<'_> {
        let (one, several) = match self {
            Times::None => (None, None),
            Times::One(time) => (Some(*time), None),
            Times::Several(several) => (None, Some(several.0.iter().copied())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }

    pub(super) fn first(&self) -> Option<Timestamp> {
        self.iter().next()
    }

    /// Adds a time; whether it is new.
    pub(super) fn add(&mut self, time: Timestamp) -> bool {
        match self {
            Times::None => *self = Times::One(time),
            Times::One(one) if *one == time => return false,
            Times::One(one) => {
                let both = [(*one).min(time), (*one).max(time)];
                *self = Times::Several(Box::new(Several(both.into())));
            }
            Times::Several(several) => match several.0.binary_search(&time) {
                Ok(_) => return false,
                Err(place) => several.0.insert(place, time),
            },
        }
        true
    }

    /// Removes a time; whether it was there.
    pub(super) fn remove(&mut self, time: Timestamp) -> bool {
        match self {
            Times::One(one) if *one == time => *self = Times::None,
            Times::None | Times::One(_) => return false,
            Times::Several(several) => {
                let Ok(place) = several.0.binary_search(&time) else { return false };
                several.0.remove(place);
                if let (1, Some(one)) = (several.0.len(), several.0.front()) {
                    *self = Times::One(*one);
                }
            }
        }
        true
    }
}

/// Of times that ascend.
impl From<VecDeque<Timestamp>> for Times {
    fn from(times: VecDeque<Timestamp>) -> Times {
        match (times.len(), times.front()) {
            (_, None) => Times::None,
            (1, Some(one)) => Times::One(*one),
            _ => Times::Several(Box::new(Several(times))),
        }
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Times::None => <[Timestamp]>::serialize(&[], serializer),
            Times::One(time) => <[Timestamp]>::serialize(&[*time], serializer),
            Times::Several(several) => several.0.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::{decode, encode};

    proptest! {
        #[test]
        fn they_are_a_set(steps in prop::collection::vec((0i64..6, any::<bool>()), 0..40)) {
            let (mut times, mut set) = (Times::default(), BTreeSet::new());
            for (time, is_added) in steps {
                if is_added {
                    prop_assert_eq!(times.add(time), set.insert(time));
                } else {
                    prop_assert_eq!(times.remove(time), set.remove(&time));
                }
                prop_assert!(times.iter().eq(set.iter().copied()));
                prop_assert_eq!((times.is_empty(), times.first()), (set.is_empty(), set.first().copied()));
                let mut bytes = Vec::new();
                encode(&times, &mut bytes).expect("they can be written");
                let read: Times = decode(&bytes).expect("they can be read");
                prop_assert!(read.iter().eq(set.iter().copied()));
            }
        }
    }
}
