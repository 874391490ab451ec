//! Skitter. Compiled with the feature `skitter`.

use crate::jobs::{Job, Run};

/// Runs the job to its end.
///
/// The sinks are [`crate::tally::Sink`] and [`crate::tally::LatencySink`], the states
/// [`crate::tally::WordCounts`] and [`crate::tally::KeySums`], the sources
/// [`crate::text::TextReader`] or [`crate::text::Words`], [`crate::jobs::share`] and
/// [`crate::pace::Pacer`]; compare `hand` for what each job does.
pub fn run(run: &Run) {
    match run.job {
        Job::J1a => todo!("word count, pre-aggregated"),
        Job::J1b => todo!("word count, each word shuffled"),
        Job::J2 => todo!("five maps and a filter"),
        Job::J3 => todo!("keyed running sum"),
        Job::J4 => todo!("latency"),
    }
}
