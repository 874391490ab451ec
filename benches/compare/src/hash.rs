//! One fast hash with a fixed seed for maps and routing, in every engine that lets us choose.
//!
//! Folded multiplication in the manner of wyhash: two words of input are mixed by one 64 × 64 → 128
//! bit product whose halves are xored. Results are the same in every run and on every machine.

use std::hash::{BuildHasher, Hasher};

const SEED: u64 = 0x2d35_8dcc_aa6c_78a5;
const K0: u64 = 0x8bb8_4b93_962e_acc9;
const K1: u64 = 0x4b33_a62e_d433_d4a3;

/// The product of `a` and `b` in 128 bits, folded to 64.
#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline(always)]
fn read8(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The first bytes of `bytes`, at most eight, with zeros behind them.
#[inline(always)]
fn padded(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if len >= 8 {
        return read8(bytes, 0);
    }
    if len >= 4 {
        let read4 = |at: usize| {
            let four = bytes[at..at + 4].try_into().expect("four bytes");
            u64::from(u32::from_le_bytes(four))
        };
        return read4(0) | read4(len - 4) << (8 * (len - 4));
    }
    let mut word = 0;
    for &byte in bytes.iter().rev() {
        word = word << 8 | u64::from(byte);
    }
    word
}

/// Mixes `bytes` into `state`.
#[inline(always)]
fn absorb(state: u64, bytes: &[u8]) -> u64 {
    let len = bytes.len() as u64;
    if bytes.len() <= 16 {
        let second = bytes.get(8..).map_or(0, padded);
        return fold(padded(bytes) ^ state ^ len, second ^ K0);
    }
    absorb_long(state, bytes)
}

#[cold]
fn absorb_long(mut state: u64, bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let mut at = 0;
    while at + 16 < len {
        state = fold(read8(bytes, at) ^ state, read8(bytes, at + 8) ^ K1);
        at += 16;
    }
    let (a, b) = (read8(bytes, len - 16), read8(bytes, len - 8));
    fold(a ^ state ^ len as u64, b ^ K0)
}

/// The hash of a word; equal to `FastBuild.hash_one(word)`.
#[inline(always)]
pub fn of_word(word: &str) -> u64 {
    terminate(absorb(SEED, word.as_bytes()))
}

/// As [`of_word`], for the word at `start..end` of `text`.
///
/// Looks at whole registers, bytes behind the word included, and so needs no branch on its length.
#[inline(always)]
pub fn of_word_at(text: &str, start: usize, end: usize) -> u64 {
    let len = end - start;
    let bytes = text.as_bytes().get(start..start + 16);
    if let (Some(bytes), ..=16) = (bytes, len) {
        let first = read8(bytes, 0) & low_bytes(len.min(8));
        let second = read8(bytes, 8) & low_bytes(len.max(8) - 8);
        return terminate(fold(first ^ SEED ^ len as u64, second ^ K0));
    }
    of_word(&text[start..end])
}

/// A mask of the lowest `count` bytes of eight.
#[inline(always)]
fn low_bytes(count: usize) -> u64 {
    ((1u128 << (8 * count)) - 1) as u64
}

/// The hash of a number; equal to `FastBuild.hash_one(number)`.
#[inline(always)]
pub fn of_number(number: u64) -> u64 {
    fold(number ^ SEED, K0)
}

/// The owner among `peers` of the key with this hash, from bits that hash tables use little.
#[inline(always)]
pub fn owner(hash: u64, peers: usize) -> usize {
    if peers == 2 {
        return (hash >> 40 & 1) as usize;
    }
    (hash >> 40) as usize % peers
}

/// What the end mark that `str` hashes after its bytes does to the state.
#[inline(always)]
fn terminate(state: u64) -> u64 {
    state.rotate_left(17) ^ 0xff
}

/// The hasher; make it with [`FastBuild`].
pub struct FastHasher(u64);

impl Hasher for FastHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = absorb(self.0, bytes);
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        if byte == 0xff {
            self.0 = terminate(self.0);
        } else {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = fold(number ^ self.0, K0);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Builds [`FastHasher`]s, all from the same seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct FastBuild;

impl BuildHasher for FastBuild {
    type Hasher = FastHasher;

    #[inline]
    fn build_hasher(&self) -> FastHasher {
        FastHasher(SEED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_functions_agree_with_the_hasher() {
        for word in ["", "a", "ab", "abc", "abcd", "abcdefgh", "abcdefghijklmnopq"] {
            assert_eq!(of_word(word), FastBuild.hash_one(word));
            for behind in ["", "xyzxyzxyzxyzxyzxyz"] {
                let text = format!("-{word}{behind}");
                assert_eq!(of_word_at(&text, 1, 1 + word.len()), of_word(word));
            }
        }
        assert_eq!(of_number(7), FastBuild.hash_one(7u64));
    }

    #[test]
    fn similar_words_differ() {
        let words = ["aab", "aba", "abb", "baa", "abcdefg", "gfedcba", "aaaa", "aaa"];
        let hashes: std::collections::HashSet<u64> = words.iter().map(|w| of_word(w)).collect();
        assert_eq!(hashes.len(), words.len());
    }
}
