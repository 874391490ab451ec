//! Letters that fill events up to their size: most of what an event consists of, and of the time that it takes to make.

use super::random::Random;

/// A random number gives so many letters:
const SIX: usize = 6;
/// digits of this base,
const BASE: u32 = 26;
/// of which two are looked up at once.
const PAIR: u32 = BASE * BASE;
/// They are written as numbers of so many bytes.
const EIGHT: usize = 8;
/// The two lowest digits of numbers, as bytes.
const PAIRS: [u16; PAIR as usize] = pairs();
/// Six times an `a`.
const A: u64 = 0x6161_6161_6161;

/// So many letters, six from each random number. Those below zero give what comes before `a`, as in Java.
#[expect(clippy::expect_used, reason = "they are from 25 before to 25 after an `a`: all below 128")]
pub fn letters(length: usize, random: &mut Random) -> String {
    let mut text = vec![0; length + EIGHT];
    for at in (0..length).step_by(SIX) {
        // Eight bytes are written at once; the last two of them are written over, or cut off.
        text[at..at + EIGHT].copy_from_slice(&six_of(random.any()).to_le_bytes());
    }
    text.truncate(length);
    String::from_utf8(text).expect("ASCII")
}

/// The lowest digit is the first byte.
fn six_of(number: i32) -> u64 {
    // The three lowest pairs of digits, as a fraction of one more: 64 bits behind the point, and what is above them
    // runs over. Multiplied by their base, one pair after the other comes before the point, so nothing is divided.
    let rest = u64::from(number.unsigned_abs()).wrapping_mul(u64::MAX / u64::from(PAIR.pow(3)) + 1);
    let next = |rest: u64| {
        let product = u128::from(rest) * u128::from(PAIR);
        (u64::from(PAIRS[(product >> 64) as usize]), product as u64)
    };
    let (third, rest) = next(rest);
    let (second, rest) = next(rest);
    let (first, _) = next(rest);
    let digits = first | second << 16 | third << 32;
    // No byte carries over into the next one: digits are below 26, and an `a` is 97. Signs are too random to guess.
    let sign = i64::from(number >> 31) as u64;
    A.wrapping_add((digits ^ sign).wrapping_sub(sign))
}

const fn pairs() -> [u16; PAIR as usize] {
    let mut pairs = [0; PAIR as usize];
    let mut number = 0;
    while number < PAIR {
        pairs[number as usize] = (number % BASE + ((number / BASE) << 8)) as u16;
        number += 1;
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is written down: digit by digit, the remainder with the sign of what is divided.
    #[test]
    fn they_are_digits() {
        let mut random = Random::new(7);
        let some = (0..10_000).map(|_| random.any());
        for number in some.chain([0, 1, -1, 25, -25, 26, -26, 675, 676, i32::MAX, i32::MIN, i32::MIN + 1]) {
            let digits = (0..6).map(|nth| (97 + i64::from(number) / 26i64.pow(nth) % 26) as u8);
            let digits: Vec<u8> = digits.collect();
            assert_eq!(six_of(number).to_le_bytes()[..SIX], digits, "{number}");
        }
    }

    #[test]
    fn six_come_of_a_number() {
        let all = letters(13, &mut Random::new(3));
        let (mut random, mut other) = (Random::new(3), Random::new(3));
        assert_eq!(letters(6, &mut random), all[..6]);
        assert_eq!(letters(7, &mut random), all[6..]);
        assert_eq!(letters(1, &mut other), all[..1]);
        assert_eq!(letters(5, &mut other), all[6..11]);
        assert_eq!(letters(0, &mut other), "");
    }
}
