//! Words in columns: the bytes of many words in one string and where each ends, so that no word is a string of its own
//! before it is a new key. Every engine has a form of J1b whose records, or messages, are columns.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fixed::Fixed;
use crate::hash;
use crate::text::{TextReader, for_each_hashed_word};

/// Words in a column.
pub const COLUMN: usize = 2048;

/// Words with their hashes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Column {
    text: String,
    words: Fixed<WORD>,
}

/// Bytes that a word takes up beside its text: its hash and where it ends in the text, both little-endian.
pub const WORD: usize = 12;

impl Column {
    #[inline(always)]
    pub fn push(&mut self, hash: u64, word: &str) {
        self.text.push_str(word);
        let mut bytes = [0; WORD];
        bytes[..8].copy_from_slice(&hash.to_le_bytes());
        bytes[8..].copy_from_slice(&(self.text.len() as u32).to_le_bytes());
        self.words.0.push(bytes);
    }

    #[inline(always)]
    pub fn len(&self) -> usize {
        self.words.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.words.0.is_empty()
    }

    /// Its bytes: those of [`WORD`] for each word, and the text.
    pub fn bytes(&self) -> (&[u8], &[u8]) {
        (self.words.0.as_flattened(), self.text.as_bytes())
    }

    /// Calls `f` with each word and its hash.
    #[inline(always)]
    pub fn for_each(&self, f: impl FnMut(u64, &str)) {
        for_each_word(&self.words.0, &self.text, f);
    }

    /// The word with this number, which starts at `start`, with its hash and its end.
    #[inline(always)]
    pub fn word(&self, number: usize, start: usize) -> Option<(u64, &str, usize)> {
        let (hash, end) = hash_and_end(self.words.0.get(number)?);
        Some((hash, &self.text[start..end], end))
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.words.0.clear();
    }

    /// Takes the words out, and leaves a column with as much room.
    fn take(&mut self) -> Column {
        let (text, words) = (String::with_capacity(self.text.capacity()), Fixed(Vec::with_capacity(COLUMN)));
        std::mem::replace(self, Column { text, words })
    }
}

#[inline(always)]
fn hash_and_end(bytes: &[u8; WORD]) -> (u64, usize) {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[..8]);
    let mut end = [0; 4];
    end.copy_from_slice(&bytes[8..]);
    (u64::from_le_bytes(number), u32::from_le_bytes(end) as usize)
}

/// Calls `f` with each word of a text that stands in columns, and its hash.
#[inline(always)]
pub fn for_each_word(words: &[[u8; WORD]], text: &str, mut f: impl FnMut(u64, &str)) {
    let mut start = 0;
    for bytes in words {
        let (hash, end) = hash_and_end(bytes);
        f(hash, &text[start..end]);
        start = end;
    }
}

/// Cuts blocks of lines into columns, one for each owner of words.
#[derive(Clone, Debug)]
pub struct Cutter {
    columns: Vec<Column>,
}

impl Cutter {
    pub fn new(owners: usize) -> Cutter {
        Cutter { columns: vec![Column::default(); owners] }
    }

    /// Adds the words of a block, and calls `full` with each owner whose column is full.
    #[inline(always)]
    pub fn cut(&mut self, block: &str, mut full: impl FnMut(usize, Column)) {
        for_each_hashed_word(block, |hash, word| {
            let owner = hash::owner(hash, self.columns.len());
            self.columns[owner].push(hash, word);
            if self.columns[owner].len() == COLUMN {
                full(owner, self.columns[owner].take());
            }
        });
    }

    /// Gives the columns that are not full.
    pub fn rest(&mut self, mut give: impl FnMut(usize, Column)) {
        for (owner, column) in self.columns.iter_mut().enumerate().filter(|(_, column)| !column.is_empty()) {
            give(owner, column.take());
        }
    }
}

/// The columns of a range of a text, one by one, each with its owner.
pub struct Columns {
    reader: TextReader,
    cutter: Cutter,
    ready: VecDeque<(usize, Column)>,
}

impl Columns {
    /// Those of the `index`-th of `count` ranges of the file, for `count` owners.
    pub fn open(path: &Path, index: usize, count: usize) -> io::Result<Columns> {
        let reader = TextReader::open(path, index, count)?;
        Ok(Columns { reader, cutter: Cutter::new(count), ready: VecDeque::new() })
    }

    /// Cuts the next block and calls `give` with each owner whose column is full; at the end, with all that is left,
    /// and returns false.
    #[inline(always)]
    pub fn step(&mut self, mut give: impl FnMut(usize, Column)) -> bool {
        let more = self.reader.fill();
        if more {
            self.cutter.cut(self.reader.block(), give);
        } else {
            self.cutter.rest(&mut give);
        }
        more
    }
}

impl Iterator for Columns {
    type Item = (usize, Column);

    fn next(&mut self) -> Option<(usize, Column)> {
        let mut more = true;
        while self.ready.is_empty() && more {
            let mut ready = std::mem::take(&mut self.ready);
            more = self.step(|owner, column| ready.push_back((owner, column)));
            self.ready = ready;
        }
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_each_word_once_at_its_owner() {
        let path = std::env::temp_dir().join(format!("skitter-compare-columns-{}", std::process::id()));
        let text: String = (0..9_000).map(|i| format!("w{i} v{}\n", i * 7)).collect();
        std::fs::write(&path, &text).expect("written");
        let mut found = Vec::new();
        for (owner, column) in (0..2).flat_map(|index| Columns::open(&path, index, 2).expect("opened")) {
            assert!(column.len() <= COLUMN);
            column.for_each(|hash, word| {
                assert_eq!(hash, hash::of_word(word));
                assert_eq!(hash::owner(hash, 2), owner);
                found.push(word.to_owned());
            });
        }
        std::fs::remove_file(&path).expect("removed");
        let mut expected: Vec<&str> = text.split_whitespace().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
