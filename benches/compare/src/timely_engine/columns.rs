//! Timely with words in columns: the bytes of all words of a batch and where each ends.

use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::container::{CapacityContainerBuilder, DrainContainer, PushInto, SizableContainer};
use timely::dataflow::channels::ContainerBytes;
use timely::dataflow::channels::pact::{ExchangeCore, Pipeline};
use timely::dataflow::operators::generic::Operator;
use timely::worker::Worker;

use super::execute;
use super::rows::reader;
use super::source::parts;
use crate::jobs::Run;
use crate::tally::{Sink, WordCounts};
use crate::text::for_each_hashed_word;

/// Bytes of words after which a batch is full.
const BATCH_BYTES: usize = 32 * 1024;

/// A batch of words.
#[derive(Clone, Default)]
struct Words {
    text: String,
    /// The hash of each word, and where it ends in `text`.
    words: Vec<(u64, u32)>,
}

/// A batch of words, each with a count.
#[derive(Clone, Default)]
struct Updates {
    words: Words,
    counts: Vec<u64>,
}

/// Takes words from a batch in order.
struct Iter<'a> {
    text: &'a str,
    start: usize,
    words: std::slice::Iter<'a, (u64, u32)>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (u64, &'a str);

    #[inline(always)]
    fn next(&mut self) -> Option<(u64, &'a str)> {
        let &(hash, end) = self.words.next()?;
        let end = end as usize;
        let word = &self.text[self.start..end];
        self.start = end;
        Some((hash, word))
    }
}

impl Words {
    fn iter(&self) -> Iter<'_> {
        Iter { text: &self.text, start: 0, words: self.words.iter() }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.words.clear();
    }
}

impl Accountable for Words {
    fn record_count(&self) -> i64 {
        self.words.len() as i64
    }
}

impl DrainContainer for Words {
    type Item<'a> = (u64, &'a str);
    type DrainIter<'a> = Iter<'a>;

    fn drain(&mut self) -> Iter<'_> {
        self.iter()
    }
}

impl SizableContainer for Words {
    #[inline(always)]
    fn at_capacity(&self) -> bool {
        self.text.len() >= BATCH_BYTES
    }

    #[inline(always)]
    fn ensure_capacity(&mut self, stash: &mut Option<Self>) {
        if self.text.capacity() == 0 {
            *self = stash.take().unwrap_or_default();
            self.clear();
            self.text.reserve(BATCH_BYTES + 1024);
            self.words.reserve(BATCH_BYTES / 4);
        }
    }
}

impl PushInto<(u64, &str)> for Words {
    #[inline(always)]
    fn push_into(&mut self, (hash, word): (u64, &str)) {
        self.text.push_str(word);
        self.words.push((hash, self.text.len() as u32));
    }
}

/// Not used within one process, where batches change hands as they are.
impl ContainerBytes for Words {
    fn from_bytes(_: Bytes) -> Self {
        unreachable!("one process only")
    }

    fn length_in_bytes(&self) -> usize {
        unreachable!("one process only")
    }

    fn into_bytes<W: std::io::Write>(&self, _: &mut W) {
        unreachable!("one process only")
    }
}

impl Accountable for Updates {
    fn record_count(&self) -> i64 {
        self.words.record_count()
    }
}

impl SizableContainer for Updates {
    #[inline(always)]
    fn at_capacity(&self) -> bool {
        self.words.at_capacity()
    }

    #[inline(always)]
    fn ensure_capacity(&mut self, stash: &mut Option<Self>) {
        if self.words.text.capacity() == 0 {
            *self = stash.take().unwrap_or_default();
            self.counts.clear();
            self.words.clear();
            self.words.ensure_capacity(&mut None);
            self.counts.reserve(BATCH_BYTES / 4);
        }
    }
}

impl PushInto<((u64, &str), u64)> for Updates {
    #[inline(always)]
    fn push_into(&mut self, (word, count): ((u64, &str), u64)) {
        self.words.push_into(word);
        self.counts.push(count);
    }
}

/// J1b.
pub fn word_updates(run: &Run) {
    execute(run, |worker: &mut Worker, run: &Run| {
        let mut reader = reader(worker, run);
        let mut sink = Sink::new(&run.totals);
        worker.dataflow::<u64, _, _>(|scope| {
            type Builder = CapacityContainerBuilder<Words>;
            let words = parts::<Builder, _>(scope, move |time, output| {
                let more = reader.fill();
                let mut session = output.session_with_builder(time);
                for_each_hashed_word(reader.block(), |hash, word| session.give((hash, word)));
                more
            });
            let to_owner = ExchangeCore::<Builder, _>::new_core(|(hash, _): &(u64, &str)| hash >> 40);
            let updates = words.unary::<CapacityContainerBuilder<Updates>, _, _, _>(to_owner, "Count", |_, _| {
                let mut counts = WordCounts::default();
                move |input, output| {
                    input.for_each_time(|time, data| {
                        let mut session = output.session_with_builder(&time);
                        for (hash, word) in data.flat_map(|batch| batch.iter()) {
                            let count = counts.add(hash, word, 1);
                            session.give(((hash, word), count));
                        }
                    });
                }
            });
            updates.sink(Pipeline, "Sink", move |(input, _)| {
                input.for_each_time(|_, data| {
                    data.flat_map(|batch| &batch.counts).for_each(|count| sink.update(*count));
                });
            });
        });
    });
}
