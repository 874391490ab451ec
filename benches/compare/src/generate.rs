//! The text of the word count jobs: deterministic, with a Zipf distribution of words.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::jobs::splitmix64;

/// What text to generate.
pub struct Text {
    /// The text ends with the first line that reaches this size.
    pub bytes: u64,
    /// Different words.
    pub words: usize,
    /// Exponent of the Zipf distribution.
    pub exponent: f64,
}

/// Writes the text to `path`, by way of a temporary file beside it.
pub fn generate(text: &Text, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let partial = path.with_extension("partial");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&partial)?);
    let mut random = Random(0);
    let words = vocabulary(text.words, &mut random);
    let alias = Alias::zipf(text.words, text.exponent);
    let mut line = Vec::new();
    let mut written = 0;
    while written < text.bytes {
        line.clear();
        let length = 5 + random.below(11);
        for _ in 0..length {
            line.extend_from_slice(words[alias.draw(&mut random)].as_bytes());
            line.push(b' ');
        }
        *line.last_mut().expect("not empty") = b'\n';
        out.write_all(&line)?;
        written += line.len() as u64;
    }
    out.into_inner()?.sync_all()?;
    std::fs::rename(partial, path)
}

/// A counter that is mixed by splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        splitmix64(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Different words of small letters, the frequent ones shorter, as in a language.
///
/// One of 5,000 is longer than the 24 bytes that fit into an inline string.
fn vocabulary(count: usize, random: &mut Random) -> Vec<String> {
    let mut seen = HashSet::with_capacity(count);
    let mut words = Vec::with_capacity(count);
    for rank in 0..count {
        let mean = 1.35 + 0.6 * ((rank + 1) as f64).ln();
        let mut length = (mean + 2.0 * random.unit()).max(1.0) as u64;
        if rank % 5_000 == 4_999 {
            length = 25 + random.below(8);
        }
        loop {
            let word: String = (0..length).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
            if seen.insert(word.clone()) {
                words.push(word);
                break;
            }
            length += u64::from(random.below(4) == 0);
        }
    }
    words
}

/// Walker's alias method: draws from a discrete distribution in constant time.
struct Alias {
    /// For each slot the probability to stay, and where to go otherwise.
    slots: Vec<(f64, usize)>,
}

impl Alias {
    fn zipf(count: usize, exponent: f64) -> Alias {
        let weights: Vec<f64> = (1..=count).map(|r| (r as f64).powf(-exponent)).collect();
        let mean = weights.iter().sum::<f64>() / count as f64;
        let mut slots: Vec<(f64, usize)> = weights.iter().map(|w| w / mean).zip(0..).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..count).partition(|&i| slots[i].0 < 1.0);
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            slots[poor].1 = rich;
            slots[rich].0 -= 1.0 - slots[poor].0;
            if slots[rich].0 < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        Alias { slots }
    }

    fn draw(&self, random: &mut Random) -> usize {
        let slot = random.below(self.slots.len() as u64) as usize;
        let (stay, other) = self.slots[slot];
        if random.unit() < stay { slot } else { other }
    }
}
