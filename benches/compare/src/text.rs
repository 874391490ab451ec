//! Reading a range of a text in blocks of whole lines, and cutting blocks into words.
//!
//! All engines in their best form share this module, so that they differ in what they do with the
//! words and not in how they find them. Words are what `str::split_whitespace` says.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use compact_str::CompactString;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash;

/// Bytes read at once.
const BLOCK: usize = 256 << 10;

/// Reads one of several ranges of a file; the ranges meet at line boundaries.
pub struct TextReader {
    file: File,
    /// Bytes of the range that have not been read.
    left: u64,
    block: String,
    /// The beginning of a line whose end has not been read.
    tail: Vec<u8>,
}

impl TextReader {
    /// Opens the `index`-th of `count` ranges of the file.
    pub fn open(path: &Path, index: usize, count: usize) -> io::Result<TextReader> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        let bound = |i: usize| len * i as u64 / count as u64;
        let start = line_start(&file, bound(index), len)?;
        let end = line_start(&file, bound(index + 1), len)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(TextReader { file, left: end - start, block: String::new(), tail: Vec::new() })
    }

    /// The lines that the last [`fill`](Self::fill) read.
    #[inline]
    pub fn block(&self) -> &str {
        &self.block
    }

    /// Takes the last block away; the next one gets fresh memory.
    pub fn take_block(&mut self) -> String {
        std::mem::take(&mut self.block)
    }

    /// Replaces the block by the next lines; false when the range has ended.
    ///
    /// # Panics
    ///
    /// If the file can't be read or is not UTF-8: a benchmark has no better answer.
    pub fn fill(&mut self) -> bool {
        let mut bytes = std::mem::take(&mut self.block).into_bytes();
        bytes.clear();
        bytes.append(&mut self.tail);
        let mut whole = 0;
        while self.left > 0 && whole == 0 {
            let want = self.left.min(BLOCK as u64);
            bytes.reserve(want as usize);
            let read = (&self.file).take(want).read_to_end(&mut bytes);
            let read = read.expect("the text can be read") as u64;
            assert!(read > 0, "the text became shorter while it was read");
            self.left -= read;
            whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
        }
        if self.left > 0 {
            self.tail.extend_from_slice(&bytes[whole..]);
            bytes.truncate(whole);
        }
        self.block = String::from_utf8(bytes).expect("the text is UTF-8");
        !self.block.is_empty()
    }
}

/// The first line start at or after `at`.
fn line_start(mut file: &File, at: u64, len: u64) -> io::Result<u64> {
    if at == 0 || at >= len {
        return Ok(at.min(len));
    }
    file.seek(SeekFrom::Start(at - 1))?;
    let skipped = BufReader::new(file).skip_until(b'\n')?;
    Ok(at - 1 + skipped as u64)
}

/// A place within a block from which words are cut.
///
/// For ASCII it looks at 64 bytes at a time and keeps one bit for each edge between space and word.
#[derive(Default)]
pub struct Cursor {
    /// The next byte to look at.
    at: usize,
    /// Edges within the 64 bytes before `at`, lowest first.
    edges: u64,
    /// 1 when the byte before `at` belongs to a word.
    in_word: u64,
    unicode: bool,
}

impl Cursor {
    /// A cursor at the start of `block`.
    pub fn new(block: &str) -> Cursor {
        Cursor { unicode: !block.is_ascii(), ..Cursor::default() }
    }

    /// Where the next word of `block` starts and ends; the cursor must have been made for `block`.
    #[inline(always)]
    pub fn next_span(&mut self, block: &str) -> Option<(usize, usize)> {
        if self.unicode {
            return self.next_unicode(block);
        }
        let start = self.edge(block.as_bytes())?;
        let end = self.edge(block.as_bytes()).unwrap_or(block.len());
        Some((start, end))
    }

    #[inline(always)]
    fn edge(&mut self, bytes: &[u8]) -> Option<usize> {
        while self.edges == 0 {
            let rest = bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
            let words = match rest.first_chunk::<64>() {
                Some(chunk) => word_bits(chunk),
                None => {
                    let mut chunk = [b' '; 64];
                    chunk[..rest.len()].copy_from_slice(rest);
                    word_bits(&chunk)
                }
            };
            self.edges = words ^ (words << 1 | self.in_word);
            self.in_word = words >> 63;
            self.at += 64;
        }
        let bit = self.edges.trailing_zeros() as usize;
        self.edges &= self.edges - 1;
        Some(self.at - 64 + bit)
    }

    #[cold]
    fn next_unicode(&mut self, block: &str) -> Option<(usize, usize)> {
        let rest = &block[self.at..];
        let word = rest.split_whitespace().next()?;
        let start = self.at + word.as_ptr().addr() - rest.as_ptr().addr();
        self.at = start + word.len();
        Some((start, self.at))
    }
}

/// One bit for each of 64 ASCII bytes that is not white space.
#[inline(always)]
fn word_bits(chunk: &[u8; 64]) -> u64 {
    let mut bits = 0;
    for (index, eight) in chunk.as_chunks::<8>().0.iter().enumerate() {
        bits |= word_bits_of_eight(u64::from_le_bytes(*eight)) << (8 * index);
    }
    bits
}

/// As [`word_bits`], for eight bytes in one register. White space is 0x09 to 0x0d and 0x20.
#[inline(always)]
fn word_bits_of_eight(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let at_least_9 = bytes + (0x80 - 9) * ONES;
    let at_least_14 = bytes + (0x80 - 14) * ONES;
    let not_space = (bytes ^ (0x20 * ONES)) + 0x7f * ONES;
    let word = (!at_least_9 | at_least_14) & not_space & HIGH;
    word.wrapping_mul(0x0002_0408_1020_4081) >> 56
}

/// Calls `f` with each word of `block` and its hash.
#[inline(always)]
pub fn for_each_hashed_word(block: &str, mut f: impl FnMut(u64, &str)) {
    let mut cursor = Cursor::new(block);
    while let Some((start, end)) = cursor.next_span(block) {
        f(hash::of_word_at(block, start, end), &block[start..end]);
    }
}

/// A word with its hash, which is cheapest to find while the word still stands in its block: there
/// [`hash::of_word_at`] needs no branch on its length.
#[derive(Clone, Debug, PartialEq)]
pub struct HashedWord {
    pub hash: u64,
    pub text: CompactString,
}

impl HashedWord {
    #[inline(always)]
    pub fn new(hash: u64, word: &str) -> HashedWord {
        HashedWord { hash, text: CompactString::new(word) }
    }
}

/// Bytes of the hash, which stand before those of the text.
const HASH: usize = 8;
/// Bytes of a word that need no memory of their own while they are put together.
const SHORT: usize = 32;

impl Serialize for HashedWord {
    /// One run of bytes: a hash is a long number, of which postcard makes ten bytes one by one.
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (hash, text) = (self.hash.to_le_bytes(), self.text.as_bytes());
        let mut short = [0; SHORT];
        match short.get_mut(..HASH + text.len()) {
            Some(bytes) => {
                bytes[..HASH].copy_from_slice(&hash);
                bytes[HASH..].copy_from_slice(text);
                serializer.serialize_bytes(bytes)
            }
            None => serializer.serialize_bytes(&[&hash, text].concat()),
        }
    }
}

impl<'de> Deserialize<'de> for HashedWord {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HashedWord, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = HashedWord;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash and a text")
    }

    #[inline]
    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<HashedWord, E> {
        let (hash, text) = bytes.split_first_chunk::<HASH>().ok_or_else(|| E::custom("a hash is too short"))?;
        let text = CompactString::from_utf8(text).map_err(E::custom)?;
        Ok(HashedWord { hash: u64::from_le_bytes(*hash), text })
    }
}

/// The words of a range, one by one.
pub struct Words {
    reader: TextReader,
    cursor: Cursor,
}

impl Words {
    /// The words of the `index`-th of `count` ranges of the file.
    pub fn open(path: &Path, index: usize, count: usize) -> io::Result<Words> {
        Ok(Words { reader: TextReader::open(path, index, count)?, cursor: Cursor::default() })
    }
}

impl Iterator for Words {
    type Item = HashedWord;

    #[inline]
    fn next(&mut self) -> Option<HashedWord> {
        loop {
            let block = self.reader.block();
            if let Some((start, end)) = self.cursor.next_span(block) {
                let hash = hash::of_word_at(block, start, end);
                return Some(HashedWord::new(hash, &block[start..end]));
            }
            if !self.reader.fill() {
                return None;
            }
            self.cursor = Cursor::new(self.reader.block());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let mut cursor = Cursor::new(text);
        let spans = std::iter::from_fn(|| cursor.next_span(text));
        spans.map(|(start, end)| &text[start..end]).collect()
    }

    #[test]
    fn words_are_those_of_split_whitespace() {
        let long = "word ".repeat(50);
        let exact = "x".repeat(64);
        let control = "a\u{1}b\tc\u{b}d\u{c}e\rf\ng\u{1c}h \u{e}\u{8}";
        let unicode = "für\u{2003}alle\u{85}Fälle\n\u{a0}x";
        for text in ["", " ", "a", " a b ", &long, &exact, control, unicode] {
            assert_eq!(words(text), text.split_whitespace().collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_byte_is_judged_like_char_is_whitespace() {
        for byte in 0u8..128 {
            let text = format!("ab{}cd", char::from(byte));
            assert_eq!(words(&text), text.split_whitespace().collect::<Vec<_>>());
        }
    }

    #[cfg(feature = "skitter")]
    #[test]
    fn words_travel_with_their_hashes() {
        let words: Vec<_> =
            ["", "a", "für", &"x".repeat(100)].map(|word| HashedWord::new(word.len() as u64, word)).into();
        let (mut bytes, mut found) = (Vec::new(), Vec::new());
        skitter::codec::encode_batch(&words, &mut bytes).expect("written");
        skitter::codec::decode_batch::<HashedWord>(&bytes, &mut found).expect("read");
        assert_eq!(found, words);
    }

    #[test]
    fn ranges_cover_each_line_once() {
        let path = std::env::temp_dir().join(format!("skitter-compare-{}", std::process::id()));
        let text: String = (0..5_000).map(|i| format!("w{i} v{}\n", i * 7)).collect();
        std::fs::write(&path, &text).expect("written");
        for count in 1..5 {
            let found: Vec<_> =
                (0..count).flat_map(|i| Words::open(&path, i, count).expect("opened")).map(|word| word.text).collect();
            assert_eq!(found, text.split_whitespace().collect::<Vec<_>>());
        }
        std::fs::remove_file(&path).expect("removed");
    }
}
