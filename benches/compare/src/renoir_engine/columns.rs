//! Renoir with records that are columns of words or runs of pairs, each a batch.
//!
//! They stand behind an `Arc`, because Renoir clones what it sends.

use std::sync::Arc;

use renoir::operator::StreamElement;
use renoir::prelude::*;

use super::environment;
use crate::cluster::gate::Gated;
use crate::columns::{Column, Columns};
use crate::jobs::{J3_RECORDS, Job, Run, THREADS, share};
use crate::pairs::{Pairs, Runs};
use crate::tally::{KeySums, Sink, WordCounts};

/// Runs the job to its end.
pub fn run(run: &Run) {
    match run.job {
        Job::J3 => sums(run),
        _ => word_updates(run),
    }
}

fn word_updates(run: &Run) {
    let env = environment(run);
    let path = run.input.clone();
    let columns = move |index: u64, count: u64| {
        let columns = Columns::open(&path, index as usize, count as usize).expect("the text opens");
        Gated::new(columns.map(|(owner, column)| (owner as u64, Arc::new(column))))
    };
    let mut counts = WordCounts::default();
    let mut sink = Sink::new(&run.totals);
    let mut current: Option<Arc<Column>> = None;
    let (mut number, mut start) = (0, 0);
    env.stream_par_iter(columns)
        .batch_mode(BatchMode::single())
        .repartition_by(Replication::Unlimited, |(owner, _)| *owner)
        .rich_map_custom(move |mut input| {
            loop {
                if let Some(column) = &current {
                    if let Some((hash, word, end)) = column.word(number, start) {
                        (number, start) = (number + 1, end);
                        return StreamElement::Item(counts.add(hash, word, 1));
                    }
                    current = None;
                }
                match input.next() {
                    StreamElement::Item((_, column)) => (current, number, start) = (Some(column), 0, 0),
                    other => return other.map(|_| 0),
                }
            }
        })
        .for_each(move |count| sink.update(count));
    env.execute_blocking();
}

fn sums(run: &Run) {
    let env = environment(run);
    let runs = |index: u64, count: u64| {
        let runs = Runs::new(share(J3_RECORDS, index as usize, count as usize), THREADS);
        Gated::new(runs.map(|(owner, pairs)| (owner as u64, Arc::new(pairs))))
    };
    let mut sums = KeySums::new(&run.totals);
    let mut sink = Sink::new(&run.totals);
    let mut current: Option<Arc<Pairs>> = None;
    let mut number = 0;
    env.stream_par_iter(runs)
        .batch_mode(BatchMode::single())
        .repartition_by(Replication::Unlimited, |(owner, _)| *owner)
        .rich_map_custom(move |mut input| {
            loop {
                if let Some(pairs) = &current {
                    if let Some((key, value)) = pairs.pair(number) {
                        number += 1;
                        return StreamElement::Item(sums.add(key, value));
                    }
                    current = None;
                }
                match input.next() {
                    StreamElement::Item((_, pairs)) => (current, number) = (Some(pairs), 0),
                    other => return other.map(|_| 0),
                }
            }
        })
        .for_each(move |sum| sink.update(sum));
    env.execute_blocking();
}
