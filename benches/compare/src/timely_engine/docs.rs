//! Timely as the examples of its repository write such jobs: `wordcount`, `exchange`.
//!
//! Each worker feeds an input by rounds and steps until the round has passed the dataflow.

use std::collections::HashMap;
use std::io::BufRead;

use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::vec::aggregation::Aggregate;
use timely::dataflow::operators::vec::{Filter, Map};
use timely::dataflow::operators::{Inspect, Operator, Probe};
use timely::dataflow::{InputHandle, ProbeHandle};
use timely::worker::Worker;

use super::execute;
use crate::hash;
use crate::jobs::{J2_RECORDS, J3_RECORDS, Job, Run, j3_key, maps, share};
use crate::pace::{Due, Event, LatencySink, Pacer};
use crate::tally::{FinalCounts, KeySums, Sink};

/// Lines or numbers in a round.
const ROUND: usize = 1_000;

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

/// The lines of this worker's range of the text.
fn lines(worker: &Worker, run: &Run) -> impl Iterator<Item = String> + use<> {
    let mut reader = super::rows::reader(worker, run);
    std::iter::from_fn(move || reader.fill().then(|| reader.take_block()))
        .flat_map(|block| std::io::Cursor::new(block).lines())
        .map(|line| line.expect("lines of a string"))
}

fn tokenize(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// One round holds the whole text, so that `aggregate` gives final counts.
fn final_counts(worker: &mut Worker, run: &Run) {
    let totals = run.totals.clone();
    let mut input = InputHandle::new();
    worker.dataflow::<u64, _, _>(|scope| {
        input
            .to_stream(scope)
            .flat_map(|line: String| tokenize(&line))
            .map(|word| (word, 1u64))
            .aggregate(|_, count, sum: &mut u64| *sum += count, |word, sum| (word, sum), |word| hash::of_word(word))
            .inspect(move |(word, count)| FinalCounts::new(&totals).word(word, *count));
    });
    for (index, line) in lines(worker, run).enumerate() {
        input.send(line);
        if index % ROUND == 0 {
            worker.step();
        }
    }
}

#[expect(clippy::mutable_key_type, reason = "capabilities hash by their time, which does not change")]
fn word_updates(worker: &mut Worker, run: &Run) {
    let mut sink = Sink::new(&run.totals);
    let mut input = InputHandle::new();
    let probe = ProbeHandle::new();
    let exchange = Exchange::new(|(word, _): &(String, u64)| hash::of_word(word));
    worker.dataflow::<u64, _, _>(|scope| {
        input
            .to_stream(scope)
            .flat_map(|line: String| tokenize(&line))
            .map(|word| (word, 1))
            .unary_frontier(exchange, "WordCount", |_, _| {
                let mut waiting = HashMap::new();
                let mut counts = HashMap::new();
                move |(input, frontier), output| {
                    input.for_each_time(|time, data| {
                        waiting
                            .entry(time.retain(output.output_index()))
                            .or_insert(Vec::new())
                            .extend(data.map(std::mem::take));
                    });
                    for (time, batches) in &mut waiting {
                        if frontier.less_equal(time.time()) {
                            continue;
                        }
                        let mut session = output.session(time);
                        for (word, count) in batches.drain(..).flatten() {
                            let sum = counts.entry(word.clone()).or_insert(0);
                            *sum += count;
                            session.give((word, *sum));
                        }
                    }
                    waiting.retain(|_, batches| !batches.is_empty());
                }
            })
            .container::<Vec<(String, u64)>>()
            .inspect(move |(_, count)| sink.update(*count))
            .probe_with(&probe);
    });
    let mut lines = lines(worker, run).peekable();
    let mut round = 0;
    while lines.peek().is_some() {
        lines.by_ref().take(ROUND).for_each(|line| input.send(line));
        round += 1;
        input.advance_to(round);
        worker.step_while(|| probe.less_than(input.time()));
    }
}

fn five_maps(worker: &mut Worker, run: &Run) {
    let mut sink = Sink::new(&run.totals);
    let mut input = InputHandle::new();
    let probe = ProbeHandle::new();
    worker.dataflow::<u64, _, _>(|scope| {
        input
            .to_stream(scope)
            .map(maps::triple)
            .map(maps::fold7)
            .map(maps::add11)
            .map(maps::times5)
            .map(maps::fold3)
            .filter(maps::keep)
            .inspect(move |x| sink.update(*x))
            .probe_with(&probe);
    });
    let mut numbers = share(J2_RECORDS, worker.index(), worker.peers());
    let mut round = 0;
    while !numbers.is_empty() {
        numbers.by_ref().take(ROUND * 10).for_each(|i| input.send(i));
        round += 1;
        input.advance_to(round);
        worker.step_while(|| probe.less_than(input.time()));
    }
}

fn sums(worker: &mut Worker, run: &Run) {
    let mut sums = KeySums::new(&run.totals);
    let mut sink = Sink::new(&run.totals);
    let mut input = InputHandle::new();
    let probe = ProbeHandle::new();
    let exchange = Exchange::new(|(key, _): &(u64, u64)| *key);
    worker.dataflow::<u64, _, _>(|scope| {
        input
            .to_stream(scope)
            .map(|i| (j3_key(i), i))
            .unary(exchange, "Sum", |_, _| {
                move |input, output| {
                    input.for_each_time(|time, data| {
                        let mut session = output.session(&time);
                        for (key, value) in data.flat_map(|batch| batch.drain(..)) {
                            session.give((key, sums.add(key, value)));
                        }
                    });
                }
            })
            .container::<Vec<(u64, u64)>>()
            .inspect(move |(_, sum)| sink.update(*sum))
            .probe_with(&probe);
    });
    let mut numbers = share(J3_RECORDS, worker.index(), worker.peers());
    let mut round = 0;
    while !numbers.is_empty() {
        numbers.by_ref().take(ROUND * 10).for_each(|i| input.send(i));
        round += 1;
        input.advance_to(round);
        worker.step_while(|| probe.less_than(input.time()));
    }
}

/// Each event is a round of its own.
fn latency(worker: &mut Worker, run: &Run) {
    let mut sink = LatencySink::new(&run.totals);
    let mut input = InputHandle::new();
    let probe = ProbeHandle::new();
    let exchange = Exchange::new(|event: &Event| event.key);
    worker.dataflow::<u64, _, _>(|scope| {
        input
            .to_stream(scope)
            .unary(exchange, "Count", |_, _| {
                let mut counts = HashMap::new();
                move |input, output| {
                    input.for_each_time(|time, data| {
                        let mut session = output.session(&time);
                        for event in data.flat_map(|batch| batch.drain(..)) {
                            let count = counts.entry(event.key).or_insert(0u64);
                            *count += 1;
                            session.give((event, *count));
                        }
                    });
                }
            })
            .container::<Vec<(Event, u64)>>()
            .unary::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(Pipeline, "Sink", |_, _| {
                move |input, _| {
                    input.for_each_time(|_, data| {
                        for (event, count) in data.flat_map(|batch| batch.drain(..)) {
                            sink.arrived(event, count);
                        }
                    });
                }
            })
            .probe_with(&probe);
    });
    if worker.index() > 0 {
        return;
    }
    let mut pacer = Pacer::new(run.rate);
    let mut round = 0;
    loop {
        match pacer.poll() {
            Due::Event(event) => {
                input.send(event);
                round += 1;
                input.advance_to(round);
                worker.step_while(|| probe.less_than(input.time()));
            }
            Due::Later(_) => {}
            Due::End => return,
        }
    }
}
