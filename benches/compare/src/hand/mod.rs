//! Threads, batches and bounded channels, written by hand for each job: the practical limit.
//!
//! Both threads are source and keyed stage in one. A record goes into the batch of its owner; full
//! batches for the other thread cross an [`exchange`], own ones are treated at once. (To treat own
//! records without a batch is slower: which of the two ways a record takes can't be predicted.)

use std::thread;

use crate::jobs::{J2_RECORDS, Job, Place, Run, THREADS, maps, share};
use crate::tally::Sink;

mod exchange;
mod latency;
mod sums;
mod tcp;
mod words;

/// Runs the job to its end, or this process's part of it.
pub fn run(run: &Run) {
    if let Place::Part { index, ports } = run.place {
        return tcp::run(run, index, ports);
    }
    match run.job {
        Job::J1a => words::final_counts(run),
        Job::J1b => words::updates(run),
        Job::J2 => five_maps(run),
        Job::J3 => sums::updates(run),
        Job::J4 => latency::run(run),
    }
}

fn five_maps(run: &Run) {
    thread::scope(|scope| {
        for index in 0..THREADS {
            scope.spawn(move || {
                let total = share(J2_RECORDS, index, THREADS)
                    .map(maps::triple)
                    .map(maps::fold7)
                    .map(maps::add11)
                    .map(maps::times5)
                    .map(maps::fold3)
                    .filter(maps::keep)
                    .fold(0, u64::wrapping_add);
                Sink::new(&run.totals).update(total);
            });
        }
    });
}
