//! Timely at its best with records in rows: inline strings, our hash, batches larger than Timely's own.
//!
//! Inputs are taken by `for_each`, which gives the memory of batches back, where the documentation prefers
//! `for_each_time`, which frees it; builders are filled without looking for full batches after each record.

use std::collections::HashMap;

use compact_str::CompactString;
use timely::container::{CapacityContainerBuilder, PushInto};
use timely::dataflow::channels::pact::{ExchangeCore, Pipeline};
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::{Filter, Map};
use timely::worker::Worker;

use super::execute;
use super::source::{Batches, parts};
use crate::hash::{self, FastBuild};
use crate::jobs::{J2_RECORDS, J3_RECORDS, Job, Run, j3_key, maps, share};
use crate::pace::{Due, Event, LatencySink, Pacer};
use crate::tally::{KeySums, Sink, WordCounts};
use crate::text::{HashedWord, TextReader, for_each_hashed_word};

/// Records that cross threads together.
const BATCH: usize = 2048;
/// Numbers that the source of J2 emits each time, as one batch that stays in the first-level cache.
const J2_PART: u64 = 4096;
/// Numbers that the source of J3 emits each time.
const J3_PART: usize = 8192;

/// Runs the job to its end.
pub fn run(run: &Run) {
    match run.job {
        Job::J1a => execute(run, final_counts),
        Job::J1b => execute(run, word_updates),
        Job::J2 => execute(run, five_maps),
        Job::J3 => execute(run, sums),
        Job::J4 => execute(run, latency),
    }
}

/// What the exchange takes the owner from.
fn route(hash: u64) -> u64 {
    hash >> 40
}

/// The reader of this worker's range of the text.
pub fn reader(worker: &Worker, run: &Run) -> TextReader {
    TextReader::open(&run.input, worker.index(), worker.peers()).expect("the text opens")
}

fn final_counts(worker: &mut Worker, run: &Run) {
    let mut reader = reader(worker, run);
    let totals = run.totals.clone();
    worker.dataflow::<u64, _, _>(|scope| {
        let blocks = parts::<CapacityContainerBuilder<Vec<String>>, _>(scope, move |time, output| {
            let more = reader.fill();
            if more {
                output.session(time).give(reader.take_block());
            }
            more
        });
        type Counts = Batches<(CompactString, u64), BATCH>;
        let counted = blocks.unary_frontier::<Counts, _, _, _>(Pipeline, "Count", |capability, _| {
            let mut capability = Some(capability);
            let mut counts = WordCounts::default();
            move |(input, frontier), output| {
                input.for_each_time(|_, data| {
                    for block in data.flatten() {
                        for_each_hashed_word(block, |hash, word| {
                            counts.add(hash, word, 1);
                        });
                    }
                });
                if frontier.is_empty()
                    && let Some(capability) = capability.take()
                {
                    let mut session = output.session_with_builder(&capability);
                    session.give_iterator(counts.drain());
                }
            }
        });
        let to_owner =
            ExchangeCore::<Counts, _>::new_core(|(word, _): &(CompactString, u64)| route(hash::of_word(word)));
        counted.sink(to_owner, "Merge", {
            let mut counts = WordCounts::default();
            let mut reported = false;
            move |(input, frontier)| {
                input.for_each_time(|_, data| {
                    for (word, count) in data.flat_map(|batch| batch.drain(..)) {
                        counts.add_owned(word, count);
                    }
                });
                if frontier.is_empty() && !reported {
                    counts.report(&totals);
                    reported = true;
                }
            }
        });
    });
}

fn word_updates(worker: &mut Worker, run: &Run) {
    let mut reader = reader(worker, run);
    let mut sink = Sink::new(&run.totals);
    worker.dataflow::<u64, _, _>(|scope| {
        let words = parts::<Batches<HashedWord, BATCH>, _>(scope, move |time, output| {
            let more = reader.fill();
            let mut session = output.session_with_builder(time);
            for_each_hashed_word(reader.block(), |hash, word| {
                session.builder().push_into(HashedWord::new(hash, word));
            });
            session.extract_and_send();
            more
        });
        let to_owner = ExchangeCore::<Batches<HashedWord, BATCH>, _>::new_core(|word: &HashedWord| route(word.hash));
        let updates = words.unary::<Batches<u64, BATCH>, _, _, _>(to_owner, "Count", |_, _| {
            let mut counts = WordCounts::default();
            move |input, output| {
                input.for_each(|time, data| {
                    let mut session = output.session_with_builder(&time);
                    session.give_iterator(data.drain(..).map(|word| counts.add(word.hash, &word.text, 1)));
                });
            }
        });
        updates.sink(Pipeline, "Sink", move |(input, _)| {
            input.for_each(|_, data| data.iter().for_each(|count| sink.update(*count)));
        });
    });
}

fn five_maps(worker: &mut Worker, run: &Run) {
    let mut numbers = share(J2_RECORDS, worker.index(), worker.peers());
    let mut sink = Sink::new(&run.totals);
    worker.dataflow::<u64, _, _>(|scope| {
        let mut batch = Vec::new();
        parts::<CapacityContainerBuilder<Vec<u64>>, _>(scope, move |time, output| {
            let end = numbers.end.min(numbers.start + J2_PART);
            batch.clear();
            batch.extend(numbers.start..end);
            numbers.start = end;
            output.session(time).give_container(&mut batch);
            !numbers.is_empty()
        })
        .map_in_place(|x| *x = maps::triple(*x))
        .map_in_place(|x| *x = maps::fold7(*x))
        .map_in_place(|x| *x = maps::add11(*x))
        .map_in_place(|x| *x = maps::times5(*x))
        .map_in_place(|x| *x = maps::fold3(*x))
        .filter(maps::keep)
        .sink(Pipeline, "Sum", move |(input, _)| {
            input.for_each(|_, data| sink.update(data.iter().copied().fold(0, u64::wrapping_add)));
        });
    });
}

fn sums(worker: &mut Worker, run: &Run) {
    let mut numbers = share(J3_RECORDS, worker.index(), worker.peers());
    let mut sums = KeySums::new(&run.totals);
    let mut sink = Sink::new(&run.totals);
    worker.dataflow::<u64, _, _>(|scope| {
        let pairs = parts::<Batches<(u64, u64), BATCH>, _>(scope, move |time, output| {
            let mut session = output.session_with_builder(time);
            session.give_iterator(numbers.by_ref().take(J3_PART).map(|i| (j3_key(i), i)));
            !numbers.is_empty()
        });
        let to_owner = ExchangeCore::<Batches<(u64, u64), BATCH>, _>::new_core(|&(key, _): &(u64, u64)| {
            route(hash::of_number(key))
        });
        let updates = pairs.unary::<Batches<u64, BATCH>, _, _, _>(to_owner, "Sum", |_, _| {
            move |input, output| {
                input.for_each(|time, data| {
                    let mut session = output.session_with_builder(&time);
                    session.give_iterator(data.iter().map(|&(key, value)| sums.add(key, value)));
                });
            }
        });
        updates.sink(Pipeline, "Sink", move |(input, _)| {
            input.for_each(|_, data| data.iter().for_each(|sum| sink.update(*sum)));
        });
    });
}

/// The first worker is the source and never parks; the other one parks between its records.
fn latency(worker: &mut Worker, run: &Run) {
    let mut pacer = Pacer::new(run.rate);
    let is_source = worker.index() == 0;
    let mut sink = LatencySink::new(&run.totals);
    worker.dataflow::<u64, _, _>(|scope| {
        let events = parts::<CapacityContainerBuilder<Vec<Event>>, _>(scope, move |time, output| {
            if !is_source {
                return false;
            }
            let mut session = output.session(time);
            loop {
                match pacer.poll() {
                    Due::Event(event) => session.give(event),
                    Due::Later(_) => return true,
                    Due::End => return false,
                }
            }
        });
        let to_owner = ExchangeCore::<CapacityContainerBuilder<Vec<Event>>, _>::new_core(|event: &Event| {
            route(hash::of_number(event.key))
        });
        let counted = events.unary(to_owner, "Count", |_, _| {
            let mut counts: HashMap<u64, u64, FastBuild> = HashMap::default();
            move |input, output| {
                input.for_each_time(|time, data| {
                    let mut session = output.session(&time);
                    for event in data.flat_map(|batch| batch.drain(..)) {
                        let count = counts.entry(event.key).or_insert(0);
                        *count += 1;
                        session.give((event, *count));
                    }
                });
            }
        });
        counted.container::<Vec<(Event, u64)>>().sink(Pipeline, "Sink", move |(input, _)| {
            input.for_each_time(|_, data| {
                for (event, count) in data.flat_map(|batch| batch.drain(..)) {
                    sink.arrived(event, count);
                }
            });
        });
    });
}
