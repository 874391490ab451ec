//! The hash that decides which worker owns a key.
//!
//! It must give the same result in every process and every build, so it is specified here and pinned by tests: each
//! word `w` that is written folds into the state by the 128-bit product of `(state ^ w)` and an odd constant, high half
//! xor low half (the mixing step of Wang Yi's wyhash, <https://github.com/wangyi-fudan/wyhash>). Bytes are taken
//! little-endian in words of eight; the last word of a slice may overlap the one before it, and its length is mixed in.
//! The byte 255 on its own, with which the standard library ends a `str`, is added and not mixed.
//!
//! The standard library hashes a slice of integers by their bytes in memory, so those of big-endian machines differ.

use std::hash::{BuildHasher, Hash, Hasher};

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const MULTIPLIER: u64 = 0xA076_1D64_78BD_642F;
const LENGTH_MULTIPLIER: u64 = 0xE703_7ED1_A0B4_28DB;

/// Number of key groups, the unit in which keyed state moves between workers: a key's group never changes, a group's
/// worker may. 1,024 keeps the groups of 128 workers within an eighth of each other, at 4 bytes a group in a plan.
pub const KEY_GROUPS: u32 = 1024;

/// A fast hasher with a specified result. Not resistant to chosen keys: it routes, it does not authenticate.
#[derive(Clone, Copy, Debug)]
pub struct StableHasher(u64);

/// Builds [`StableHasher`]s, for hash maps.
#[derive(Clone, Copy, Debug, Default)]
pub struct StableBuildHasher;

impl BuildHasher for StableBuildHasher {
    type Hasher = StableHasher;

    #[inline]
    fn build_hasher(&self) -> StableHasher {
        StableHasher(SEED)
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline]
fn half(bytes: &[u8], at: usize) -> u64 {
    let mut half = [0; 4];
    half.copy_from_slice(&bytes[at..at + 4]);
    u64::from(u32::from_le_bytes(half))
}

impl Hasher for StableHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let len = bytes.len();
        let (a, b) = if len <= 16 {
            if len >= 8 {
                (word(bytes, 0), word(bytes, len - 8))
            } else if len >= 4 {
                (half(bytes, 0), half(bytes, len - 4))
            } else if len > 0 {
                (u64::from(bytes[0]) << 16 | u64::from(bytes[len / 2]) << 8 | u64::from(bytes[len - 1]), 0)
            } else {
                (0, 0)
            }
        } else {
            let mut at = 0;
            while at + 16 < len {
                self.0 = fold(self.0 ^ word(bytes, at), MULTIPLIER ^ word(bytes, at + 8));
                at += 16;
            }
            (word(bytes, len - 16), word(bytes, len - 8))
        };
        self.0 = fold(self.0 ^ a ^ (len as u64).wrapping_mul(LENGTH_MULTIPLIER), MULTIPLIER ^ b);
    }

    #[inline]
    fn write_u8(&mut self, i: u8) {
        // `str` ends with this byte after its bytes. Their length is in already, so it need not be mixed; but it must
        // count, or `(1u8, 255u8)` and `(255u8, 1u8)` would be alike.
        if i == 0xFF {
            self.0 = self.0.wrapping_add(LENGTH_MULTIPLIER);
        } else {
            self.write_u64(u64::from(i));
        }
    }

    #[inline]
    fn write_u16(&mut self, i: u16) {
        self.write_u64(u64::from(i));
    }

    #[inline]
    fn write_u32(&mut self, i: u32) {
        self.write_u64(u64::from(i));
    }

    #[inline]
    fn write_u64(&mut self, i: u64) {
        self.0 = fold(self.0 ^ i, MULTIPLIER);
    }

    #[inline]
    fn write_u128(&mut self, i: u128) {
        self.write_u64(i as u64);
        self.write_u64((i >> 64) as u64);
    }

    #[inline]
    fn write_usize(&mut self, i: usize) {
        self.write_u64(i as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        fold(self.0, LENGTH_MULTIPLIER)
    }
}

/// The stable hash of a key: the same in every process, build and machine.
///
/// ```
/// assert_eq!(skitter::codec::stable_hash(&42u64), skitter::codec::stable_hash(&42u64));
/// assert_ne!(skitter::codec::stable_hash("Hello"), skitter::codec::stable_hash("World!"));
/// ```
#[inline]
pub fn stable_hash<K: Hash + ?Sized>(key: &K) -> u64 {
    let mut hasher = StableHasher(SEED);
    key.hash(&mut hasher);
    hasher.finish()
}

/// The key group of a hash, below [`KEY_GROUPS`].
///
/// It is taken from the middle bits, because hash maps use the others: a map that held the keys of one worker only
/// would otherwise fill a part of its buckets.
#[inline]
pub fn key_group(hash: u64) -> u32 {
    ((hash >> 24) as u32) % KEY_GROUPS
}

#[cfg(test)]
mod tests;
