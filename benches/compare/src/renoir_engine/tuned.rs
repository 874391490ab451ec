//! Renoir at its best: inline strings, large batches of fixed size, our hash, and keyed states in one
//! map for each replica instead of one closure for each key.

use std::collections::HashMap;

use compact_str::CompactString;
use renoir::operator::{ElementGenerator, Operator, StreamElement};
use renoir::prelude::*;

use super::environment;
use crate::cluster::gate::Gated;
use crate::hash::{self, FastBuild};
use crate::jobs::{J2_RECORDS, J3_RECORDS, Job, Run, THREADS, j3_key, maps, share};
use crate::pace::{Event, LatencySink, Pacer};
use crate::tally::{FinalCounts, KeySums, Sink, WordCounts};
use crate::text::{TextReader, Words, for_each_hashed_word};

/// Records in a batch.
const BATCH: usize = 2048;

/// Runs the job to its end.
pub fn run(run: &Run) {
    match run.job {
        Job::J1a => final_counts(run),
        Job::J1b => word_updates(run),
        Job::J2 => five_maps(run),
        Job::J3 => sums(run),
        Job::J4 => latency(run, BatchMode::fixed(BATCH)),
    }
}

/// J4 with batches of one record.
pub fn latency_of_single_records(run: &Run) {
    latency(run, BatchMode::single());
}

/// The words of the text, each read by one replica.
fn words(run: &Run) -> impl Fn(u64, u64) -> Gated<Words> + Clone + Send + use<> {
    let path = run.input.clone();
    move |index, count| Gated::new(Words::open(&path, index as usize, count as usize).expect("the text opens"))
}

type Blocks = Box<dyn Iterator<Item = String> + Send>;

/// The text in blocks of whole lines.
fn blocks(run: &Run) -> impl Fn(u64, u64) -> Blocks + Clone + Send + use<> {
    let path = run.input.clone();
    move |index, count| {
        let reader = TextReader::open(&path, index as usize, count as usize);
        let mut reader = reader.expect("the text opens");
        Box::new(Gated::new(std::iter::from_fn(move || reader.fill().then(|| reader.take_block()))))
    }
}

/// What replicas agree on as the owner of a key with this hash.
fn owner(hash: u64) -> u64 {
    hash::owner(hash, THREADS) as u64
}

/// The source gives blocks of lines, as `wordcount_opt` of Renoir's examples gives lines.
fn final_counts(run: &Run) {
    let env = environment(run);
    let totals = run.totals.clone();
    env.stream_par_iter(blocks(run))
        .batch_mode(BatchMode::fixed(BATCH))
        .rich_map_custom(aggregate(|counts, block: String| {
            for_each_hashed_word(&block, |hash, word| {
                counts.add(hash, word, 1);
            });
        }))
        .repartition_by(Replication::Unlimited, |(word, _)| owner(hash::of_word(word)))
        .rich_map_custom(aggregate(|counts, (word, count)| {
            counts.add_owned(word, count);
        }))
        .for_each(move |(word, count)| FinalCounts::new(&totals).word(&word, count));
    env.execute_blocking();
}

/// An operator that adds all records to counts by `add` and emits the counts when the stream ends.
fn aggregate<Op: Operator>(
    add: impl Fn(&mut WordCounts, Op::Out) + Clone + Send + 'static,
) -> impl FnMut(ElementGenerator<Op>) -> StreamElement<(CompactString, u64)> + Clone + Send + 'static {
    let mut counts = WordCounts::default();
    let mut ready = Vec::new();
    let mut ended = false;
    move |mut input| {
        loop {
            if let Some(count) = ready.pop() {
                return StreamElement::Item(count);
            }
            if std::mem::take(&mut ended) {
                return StreamElement::FlushAndRestart;
            }
            match input.next() {
                StreamElement::Item(record) | StreamElement::Timestamped(record, _) => {
                    add(&mut counts, record);
                }
                StreamElement::FlushAndRestart => {
                    ready = counts.drain().collect();
                    ended = true;
                }
                StreamElement::Terminate => return StreamElement::Terminate,
                StreamElement::FlushBatch | StreamElement::Watermark(_) => {}
            }
        }
    }
}

fn word_updates(run: &Run) {
    let env = environment(run);
    let mut counts = WordCounts::default();
    let mut sink = Sink::new(&run.totals);
    env.stream_par_iter(words(run))
        .batch_mode(BatchMode::fixed(BATCH))
        .repartition_by(Replication::Unlimited, |word| owner(word.hash))
        .rich_map_custom(move |mut input| {
            input.next().map(|word| {
                let count = counts.add(word.hash, &word.text, 1);
                (word, count)
            })
        })
        .for_each(move |(_, count)| sink.update(count));
    env.execute_blocking();
}

fn five_maps(run: &Run) {
    let env = environment(run);
    let mut sink = Sink::new(&run.totals);
    env.stream_par_iter(0..J2_RECORDS)
        .map(maps::triple)
        .map(maps::fold7)
        .map(maps::add11)
        .map(maps::times5)
        .map(maps::fold3)
        .filter(maps::keep)
        .fold_assoc(0u64, |sum, x| *sum = sum.wrapping_add(x), |sum, x| *sum = sum.wrapping_add(x))
        .for_each(move |sum| sink.update(sum));
    env.execute_blocking();
}

fn sums(run: &Run) {
    let env = environment(run);
    let mut sums = KeySums::new(&run.totals);
    let mut sink = Sink::new(&run.totals);
    let numbers = |index, count| Gated::new(share(J3_RECORDS, index as usize, count as usize));
    env.stream_par_iter(numbers)
        .batch_mode(BatchMode::fixed(BATCH))
        .map(|value| (j3_key(value), value))
        .repartition_by(Replication::Unlimited, |&(key, _)| owner(hash::of_number(key)))
        .rich_map_custom(move |mut input| input.next().map(|(key, value)| (key, sums.add(key, value))))
        .for_each(move |(_, sum)| sink.update(sum));
    env.execute_blocking();
}

fn latency(run: &Run, batches: BatchMode) {
    let env = environment(run);
    let mut counts: HashMap<u64, u64, FastBuild> = HashMap::default();
    let mut sink = LatencySink::new(&run.totals);
    env.stream_iter(Gated::new(Pacer::new(run.rate)))
        .batch_mode(batches)
        .repartition_by(Replication::Unlimited, |event| owner(hash::of_number(event.key)))
        .rich_map_custom(move |mut input| -> StreamElement<(Event, u64)> {
            input.next().map(|event: Event| {
                let count = counts.entry(event.key).or_insert(0);
                *count += 1;
                (event, *count)
            })
        })
        .for_each(move |(event, count)| sink.arrived(event, count));
    env.execute_blocking();
}
