//! Timely with records that are columns of words or runs of pairs.

use timely::container::{CapacityContainerBuilder, PushInto};
use timely::dataflow::channels::pact::{ExchangeCore, Pipeline};
use timely::dataflow::operators::generic::Operator;
use timely::worker::Worker;

use super::execute;
use super::source::{Batches, parts};
use crate::columns::{Column, Columns};
use crate::jobs::{J3_RECORDS, Job, Run, share};
use crate::pairs::{Pairs, Runs, for_each_pair};
use crate::tally::{KeySums, Sink, WordCounts};

/// Counts that cross operators together.
const BATCH: usize = 4096;
/// Runs of pairs that the source of J3 emits each time.
const RUNS: usize = 4;

/// Runs the job to its end.
pub fn run(run: &Run) {
    match run.job {
        Job::J3 => execute(run, sums),
        _ => execute(run, word_updates),
    }
}

fn word_updates(worker: &mut Worker, run: &Run) {
    let mut columns = Columns::open(&run.input, worker.index(), worker.peers()).expect("the text opens");
    let mut sink = Sink::new(&run.totals);
    worker.dataflow::<u64, _, _>(|scope| {
        type Builder = CapacityContainerBuilder<Vec<(u64, Column)>>;
        let columns = parts::<Builder, _>(scope, move |time, output| {
            let mut session = output.session(time);
            columns.step(|owner, column| session.give((owner as u64, column)))
        });
        let to_owner = ExchangeCore::<Builder, _>::new(|(owner, _): &(u64, Column)| *owner);
        let updates = columns.unary::<Batches<u64, BATCH>, _, _, _>(to_owner, "Count", |_, _| {
            let mut counts = WordCounts::default();
            move |input, output| {
                input.for_each(|time, data| {
                    let mut session = output.session_with_builder(&time);
                    for (_, column) in data.drain(..) {
                        column.for_each(|hash, word| session.builder().push_into(counts.add(hash, word, 1)));
                        session.extract_and_send();
                    }
                });
            }
        });
        updates.sink(Pipeline, "Sink", move |(input, _)| {
            input.for_each(|_, data| data.iter().for_each(|count| sink.update(*count)));
        });
    });
}

fn sums(worker: &mut Worker, run: &Run) {
    let mut runs = Runs::new(share(J3_RECORDS, worker.index(), worker.peers()), worker.peers());
    let mut sums = KeySums::new(&run.totals);
    let mut sink = Sink::new(&run.totals);
    worker.dataflow::<u64, _, _>(|scope| {
        type Builder = CapacityContainerBuilder<Vec<(u64, Pairs)>>;
        let runs = parts::<Builder, _>(scope, move |time, output| {
            let mut session = output.session(time);
            for _ in 0..RUNS {
                let Some((owner, pairs)) = runs.next() else { return false };
                session.give((owner as u64, pairs));
            }
            true
        });
        let to_owner = ExchangeCore::<Builder, _>::new(|(owner, _): &(u64, Pairs)| *owner);
        let updates = runs.unary::<Batches<u64, BATCH>, _, _, _>(to_owner, "Sum", |_, _| {
            move |input, output| {
                input.for_each(|time, data| {
                    let mut session = output.session_with_builder(&time);
                    for (_, pairs) in data.drain(..) {
                        for_each_pair(pairs.records(), |key, value| session.builder().push_into(sums.add(key, value)));
                        session.extract_and_send();
                    }
                });
            }
        });
        updates.sink(Pipeline, "Sink", move |(input, _)| {
            input.for_each(|_, data| data.iter().for_each(|sum| sink.update(*sum)));
        });
    });
}
