//! Pairs of numbers in runs of bytes, as J3 sends them over a network.

use serde::{Deserialize, Serialize};

use crate::fixed::Fixed;
use crate::hash;
use crate::jobs::j3_key;

/// Bytes of a pair: a key and a value, both little-endian.
pub const PAIR: usize = 16;
/// Pairs that travel together.
#[cfg(feature = "peers")]
const RUN: usize = 2048;

/// Keys and values.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Pairs(Fixed<PAIR>);

impl Pairs {
    #[inline(always)]
    pub fn push(&mut self, key: u64, value: u64) {
        let mut bytes = [0; PAIR];
        bytes[..8].copy_from_slice(&key.to_le_bytes());
        bytes[8..].copy_from_slice(&value.to_le_bytes());
        self.0.0.push(bytes);
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.0.0.len()
    }

    pub fn records(&self) -> &[[u8; PAIR]] {
        &self.0.0
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.0.as_flattened()
    }

    pub fn clear(&mut self) {
        self.0.0.clear();
    }

    /// The pair with this number.
    #[cfg(feature = "peers")]
    #[inline(always)]
    pub fn pair(&self, number: usize) -> Option<(u64, u64)> {
        self.0.0.get(number).map(pair)
    }
}

#[inline(always)]
fn pair(bytes: &[u8; PAIR]) -> (u64, u64) {
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(number)
    };
    (number(0), number(8))
}

/// Calls `f` with each key and value.
#[inline(always)]
pub fn for_each_pair(pairs: &[[u8; PAIR]], mut f: impl FnMut(u64, u64)) {
    for bytes in pairs {
        let (key, value) = pair(bytes);
        f(key, value);
    }
}

/// The numbers of a range of J3 with their keys, in runs, each with its owner.
#[cfg(feature = "peers")]
#[derive(Clone)]
pub struct Runs {
    numbers: std::ops::Range<u64>,
    open: Vec<Pairs>,
}

#[cfg(feature = "peers")]
impl Runs {
    pub fn new(numbers: std::ops::Range<u64>, owners: usize) -> Runs {
        Runs { numbers, open: vec![Pairs::default(); owners] }
    }
}

#[cfg(feature = "peers")]
impl Iterator for Runs {
    type Item = (usize, Pairs);

    #[inline]
    fn next(&mut self) -> Option<(usize, Pairs)> {
        for value in self.numbers.by_ref() {
            let key = j3_key(value);
            let owner = hash::owner(hash::of_number(key), self.open.len());
            self.open[owner].push(key, value);
            if self.open[owner].len() == RUN {
                let room = Pairs(Fixed(Vec::with_capacity(RUN)));
                return Some((owner, std::mem::replace(&mut self.open[owner], room)));
            }
        }
        let owner = self.open.iter().position(|pairs| pairs.len() > 0)?;
        Some((owner, std::mem::take(&mut self.open[owner])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_each_number_once_at_its_owner() {
        let mut found = Vec::new();
        for (owner, pairs) in Runs::new(5..10_000, 2) {
            for_each_pair(pairs.records(), |key, value| {
                assert_eq!((key, owner), (j3_key(value), hash::owner(hash::of_number(key), 2)));
                found.push(value);
            });
        }
        found.sort_unstable();
        assert!(found.into_iter().eq(5..10_000));
    }
}
