//! The rows of the table of figures to reach: jobs that all engines run, and figures of Skitter alone.

use clap::ValueEnum;

use crate::jobs::Job;

/// A row.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Row {
    /// Word count, pre-aggregated.
    J1a,
    /// Word count, each word shuffled.
    J1b,
    /// Five maps and a filter.
    J2,
    /// Running sum by key.
    J3,
    /// Latency at each rate.
    J4,
    /// Balance of workers on skewed words.
    Skew,
    /// Memory behind a slow sink.
    Memory,
    /// Start and end of a process.
    Start,
}

/// The rates of J4, in records a second.
pub const RATES: [u64; 2] = [10_000, 100_000];

/// One table of engines: a job, for J4 at one rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Case {
    pub job: Job,
    pub rate: Option<u64>,
}

impl Row {
    /// The cases of a row that engines run; none of a figure.
    pub fn cases(self) -> Vec<Case> {
        let once = |job| vec![Case { job, rate: None }];
        match self {
            Row::J1a => once(Job::J1a),
            Row::J1b => once(Job::J1b),
            Row::J2 => once(Job::J2),
            Row::J3 => once(Job::J3),
            Row::J4 => RATES.map(|rate| Case { job: Job::J4, rate: Some(rate) }).to_vec(),
            Row::Skew | Row::Memory | Row::Start => Vec::new(),
        }
    }
}
