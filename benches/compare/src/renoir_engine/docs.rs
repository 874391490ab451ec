//! Renoir as the README, the API documentation and the examples of its repository write such jobs.

use renoir::prelude::*;

use super::environment;
use crate::cluster::gate::{self, Gated};
use crate::jobs::{J2_RECORDS, J3_RECORDS, Job, Run, j3_key, maps};
use crate::pace::{LatencySink, Pacer};
use crate::tally::{FinalCounts, OneSum, Sink};

/// Runs the job to its end.
pub fn run(run: &Run) {
    match run.job {
        Job::J1a => final_counts(run),
        Job::J1b => word_updates(run),
        Job::J2 => five_maps(run),
        Job::J3 => sums(run),
        Job::J4 => latency(run),
    }
}

fn tokenize(line: &str) -> Vec<String> {
    gate::pass();
    line.split_whitespace().map(str::to_owned).collect()
}

fn final_counts(run: &Run) {
    let env = environment(run);
    let result = env
        .stream_file(&run.input)
        .batch_mode(BatchMode::fixed(1024))
        .flat_map(|line| tokenize(&line))
        .group_by_count(|word: &String| word.clone())
        .collect_vec();
    env.execute_blocking();
    let mut finals = FinalCounts::new(&run.totals);
    // Of two processes, one has them.
    for (word, count) in result.get().unwrap_or_default() {
        finals.word(&word, count as u64);
    }
}

fn word_updates(run: &Run) {
    let env = environment(run);
    let mut sink = Sink::new(&run.totals);
    env.stream_file(&run.input)
        .flat_map(|line| tokenize(&line))
        .group_by(|word| word.clone())
        .rich_map({
            let mut count = 0;
            move |_| {
                count += 1;
                count
            }
        })
        .for_each(move |(_, count)| sink.update(count));
    env.execute_blocking();
}

fn five_maps(run: &Run) {
    let env = environment(run);
    let result = env
        .stream_par_iter(0..J2_RECORDS)
        .map(maps::triple)
        .map(maps::fold7)
        .map(maps::add11)
        .map(maps::times5)
        .map(maps::fold3)
        .filter(maps::keep)
        .reduce_assoc(u64::wrapping_add)
        .collect_vec();
    env.execute_blocking();
    let sums = result.get().expect("collected here");
    sums.into_iter().for_each(|sum| Sink::new(&run.totals).update(sum));
}

fn sums(run: &Run) {
    let env = environment(run);
    let mut sink = Sink::new(&run.totals);
    let mut state = OneSum::new(&run.totals);
    env.stream_par_iter(0..J3_RECORDS)
        .inspect(|_| gate::pass())
        .group_by(|&i| j3_key(i))
        .rich_map(move |(key, value)| state.add(*key, value))
        .for_each(move |(_, sum)| sink.update(sum));
    env.execute_blocking();
}

fn latency(run: &Run) {
    let env = environment(run);
    let mut sink = LatencySink::new(&run.totals);
    env.stream_iter(Gated::new(Pacer::new(run.rate)))
        .group_by(|event| event.key)
        .rich_map({
            let mut count = 0;
            move |(_, event)| {
                count += 1;
                (event, count)
            }
        })
        .for_each(move |(_, (event, count))| sink.arrived(event, count));
    env.execute_blocking();
}
