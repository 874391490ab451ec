//! J1a and J1b by hand.

use std::thread;

use compact_str::CompactString;
use crossbeam_channel::{Receiver, Sender, unbounded};

use super::exchange::{Batch, Port, pair};
use crate::columns::Column;
use crate::hash;
use crate::jobs::{Run, THREADS};
use crate::tally::{Sink, WordCounts};
use crate::text::{TextReader, for_each_hashed_word};

/// Words in a batch.
const BATCH: usize = 4096;

/// J1a: each thread counts its range, then sends each owner its words.
pub fn final_counts(run: &Run) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| unbounded()).unzip();
    thread::scope(|scope| {
        for (index, receiver) in receivers.into_iter().enumerate() {
            let senders = senders.clone();
            scope.spawn(move || count_range(run, index, senders, receiver));
        }
        drop(senders);
    });
}

/// What one thread counted of the words that another one owns.
type Part = Vec<(u64, CompactString, u64)>;

fn count_range(run: &Run, index: usize, senders: Vec<Sender<Part>>, receiver: Receiver<Part>) {
    let mut counts = WordCounts::default();
    let mut reader = TextReader::open(&run.input, index, THREADS).expect("the text opens");
    while reader.fill() {
        for_each_hashed_word(reader.block(), |hash, word| {
            counts.add(hash, word, 1);
        });
    }
    let mut parts: Vec<Part> = vec![Vec::new(); THREADS];
    let mut own = WordCounts::default();
    for (word, count) in counts.drain() {
        let hash = hash::of_word(&word);
        parts[hash::owner(hash, THREADS)].push((hash, word, count));
    }
    for (sender, part) in senders.into_iter().zip(parts) {
        sender.send(part).expect("the owner receives until all have sent");
    }
    for part in receiver {
        for (hash, word, count) in part {
            own.add(hash, &word, count);
        }
    }
    own.report(&run.totals);
}

impl Batch for Column {
    fn clear(&mut self) {
        Column::clear(self);
    }
}

/// J1b: each word to its owner, who counts it and emits the count.
pub fn updates(run: &Run) {
    thread::scope(|scope| {
        for (index, port) in pair().into_iter().enumerate() {
            scope.spawn(move || count_and_exchange(run, index, port));
        }
    });
}

fn count_and_exchange(run: &Run, index: usize, mut port: Port<Column>) {
    let mut counts = WordCounts::default();
    let mut sink = Sink::new(&run.totals);
    let mut count = |hash: u64, word: &str| sink.update(counts.add(hash, word, 1));
    let mut batches: [Column; THREADS] = Default::default();
    let mut reader = TextReader::open(&run.input, index, THREADS).expect("the text opens");
    while reader.fill() {
        for_each_hashed_word(reader.block(), |hash, word| {
            let owner = hash::owner(hash, THREADS);
            batches[owner].push(hash, word);
            if batches[owner].len() < BATCH {
                return;
            }
            if owner == index {
                batches[owner].for_each(&mut count);
                batches[owner].clear();
            } else {
                port.send(&mut batches[owner], |batch| batch.for_each(&mut count));
                port.drain(|batch| batch.for_each(&mut count));
            }
        });
    }
    batches[index].for_each(&mut count);
    let last = std::mem::take(&mut batches[1 - index]);
    port.finish(last, |batch| batch.for_each(&mut count));
}
