//! J1a and J1b.

use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use skitter::codec::stable_hash;
use skitter::prelude::*;
use skitter::workflow::{Combine, Gather, Keyed, KeyedTable, Pull, Share, Source};

use super::numbers::Counting;
use crate::hash;
use crate::jobs::Run;
use crate::tally::{FinalCounts, Totals};
use crate::text::{Cursor, HashedWord, TextReader, for_each_hashed_word};

/// Each word to its owner, who counts it and emits the count.
pub fn updates(workflow: &WorkflowBuilder, run: &Run) {
    workflow
        .source(Words::of(&run.input))
        .vertex(CountWords::silent(), KeyedState)
        .sink(Counting(Arc::clone(&run.totals)), Chained);
}

/// Words are counted where they are read, then by their owners.
pub fn final_counts(workflow: &WorkflowBuilder, run: &Run) {
    workflow.source(Blocks(run.input.clone())).vertex(FinalWords(Arc::clone(&run.totals)), Combining).discard();
}

/// A word as a key. Its hash is that of the text on its way through [`crate::hash`], which [`HashedWord`] carries.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Word(CompactString);

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(hash::of_word(&self.0));
    }
}

/// The words of a text, each worker reading a range of it.
#[derive(Clone)]
pub struct Words {
    path: PathBuf,
    parts: usize,
}

impl Words {
    pub fn of(path: &Path) -> Words {
        Words { path: path.to_owned(), parts: 1 }
    }

    /// Of each worker's range only the first of so many parts.
    pub fn first_of(self, parts: usize) -> Words {
        Words { parts, ..self }
    }
}

pub struct Reader {
    text: TextReader,
    cursor: Cursor,
}

impl Operation for Words {
    type In = Infallible;
    type Out = HashedWord;
    const NAME: &'static str = "words";
}

impl Source for Words {
    type Reader = Reader;

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, share: Share) -> Result<Reader> {
        let text = TextReader::open(&self.path, share.index * self.parts, share.of * self.parts)?;
        Ok(Reader { text, cursor: Cursor::default() })
    }

    fn read<E: Emit<HashedWord>>(&self, reader: &mut Reader, budget: usize, emit: &mut E) -> Result<Pull> {
        let mut left = budget;
        let mut cursor = std::mem::take(&mut reader.cursor);
        loop {
            let block = reader.text.block();
            while left > 0
                && let Some((start, end)) = cursor.next_span(block)
            {
                left -= 1;
                let hash = hash::of_word_at(block, start, end);
                emit.emit(HashedWord { hash, text: CompactString::new(&block[start..end]) });
            }
            if left == 0 {
                reader.cursor = cursor;
                return Ok(Pull::More);
            }
            if !reader.text.fill() {
                return Ok(Pull::End);
            }
            cursor = Cursor::new(reader.text.block());
        }
    }
}

/// Counts words and emits each count.
#[derive(Clone)]
pub struct CountWords(Option<Arc<Totals>>);

impl CountWords {
    pub fn silent() -> CountWords {
        CountWords(None)
    }

    /// Adds the final counts to `totals`.
    pub fn reporting(totals: &Arc<Totals>) -> CountWords {
        CountWords(Some(Arc::clone(totals)))
    }
}

impl Operation for CountWords {
    type In = HashedWord;
    type Out = u64;
    const NAME: &'static str = "count";
}

impl Keyed for CountWords {
    type Key = Word;

    fn key(&self, word: &HashedWord) -> Word {
        Word(word.text.clone())
    }

    #[inline(always)]
    fn key_hash(&self, word: &HashedWord) -> u64 {
        stable_hash(&word.hash)
    }

    #[inline(always)]
    fn has_key(&self, word: &HashedWord, key: &Word) -> bool {
        word.text == key.0
    }

    fn finish_key<E: Emit<u64>>(&self, word: &Word, count: &mut u64, _emit: &mut E) -> Result<()> {
        if let Some(totals) = &self.0 {
            FinalCounts::new(totals).word(&word.0, *count);
        }
        Ok(())
    }
}

impl React for CountWords {
    type State = u64;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn react<E: Emit<u64>>(&self, count: &mut u64, _word: HashedWord, emit: &mut E) -> Result<()> {
        *count += 1;
        emit.emit(*count);
        Ok(())
    }
}

impl Combine for CountWords {
    type Partial = u64;

    #[inline(always)]
    fn start(&self, _word: HashedWord) -> u64 {
        1
    }

    #[inline(always)]
    fn add(&self, count: &mut u64, _word: HashedWord) {
        *count += 1;
    }

    #[inline(always)]
    fn join(&self, count: &mut u64, other: u64) {
        *count += other;
    }

    #[inline(always)]
    fn merge<E: Emit<u64>>(&self, _word: &Word, count: &mut u64, more: u64, emit: &mut E) -> Result<()> {
        *count += more;
        emit.emit(*count);
        Ok(())
    }
}

/// The text in blocks of whole lines, each worker reading a range of it.
#[derive(Clone)]
pub struct Blocks(pub PathBuf);

impl Operation for Blocks {
    type In = Infallible;
    type Out = String;
    const NAME: &'static str = "blocks";
}

impl Source for Blocks {
    type Reader = TextReader;

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, share: Share) -> Result<TextReader> {
        Ok(TextReader::open(&self.0, share.index, share.of)?)
    }

    fn read<E: Emit<String>>(&self, text: &mut TextReader, _budget: usize, emit: &mut E) -> Result<Pull> {
        if !text.fill() {
            return Ok(Pull::End);
        }
        emit.emit(text.take_block());
        Ok(Pull::More)
    }
}

/// Counts the words of blocks and reports the final counts.
#[derive(Clone)]
struct FinalWords(Arc<Totals>);

impl Operation for FinalWords {
    type In = String;
    type Out = Infallible;
    const NAME: &'static str = "count";
    const OUT_PORTS: &'static [&'static str] = &[];
}

impl Gather for FinalWords {
    type Key = Word;
    type Partial = u64;
    type State = u64;

    #[inline(always)]
    fn gather(&self, block: String, counts: &mut KeyedTable<Word, u64>) {
        for_each_hashed_word(&block, |hash, word| {
            let hash = stable_hash(&hash);
            match counts.find(hash, |key| key.0 == word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(hash, Word(CompactString::new(word)), 1)),
            }
        });
    }

    fn begin(&self) -> u64 {
        0
    }

    fn absorb<E: Emit<Infallible>>(&self, _word: &Word, count: &mut u64, more: u64, _emit: &mut E) -> Result<()> {
        *count += more;
        Ok(())
    }

    fn end<E: Emit<Infallible>>(&self, word: &Word, count: &mut u64, _emit: &mut E) -> Result<()> {
        FinalCounts::new(&self.0).word(&word.0, *count);
        Ok(())
    }
}
