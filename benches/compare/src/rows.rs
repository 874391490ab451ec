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
    /// J3 with checkpoints, and with many keys.
    Checkpoints,
    /// Jobs over two processes.
    Cluster,
    /// Nodes of a cluster that are started, deployed on, idle, killed and frozen.
    Nodes,
}

/// The rates of J4, in records a second.
pub const RATES: [u64; 2] = [10_000, 100_000];

/// One table of engines: a job in one or two processes, for J4 at one rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Case {
    pub job: Job,
    pub rate: Option<u64>,
    pub processes: usize,
}

impl Case {
    /// A job in one process.
    pub fn of(job: Job) -> Case {
        Case { job, rate: None, processes: 1 }
    }

    /// J4 at a rate, in one process.
    pub fn at(rate: u64) -> Case {
        Case { job: Job::J4, rate: Some(rate), processes: 1 }
    }

    /// The same in two processes.
    pub fn in_two(self) -> Case {
        Case { processes: 2, ..self }
    }

    /// The name of its row.
    pub fn row(self) -> String {
        let job = self.job.title_name();
        if self.processes > 1 { format!("cluster {job}") } else { job }
    }
}

impl Row {
    /// The cases of a row that engines run; none of a figure.
    pub fn cases(self) -> Vec<Case> {
        let once = |job| vec![Case::of(job)];
        match self {
            Row::J1a => once(Job::J1a),
            Row::J1b => once(Job::J1b),
            Row::J2 => once(Job::J2),
            Row::J3 => once(Job::J3),
            Row::J4 => RATES.map(Case::at).to_vec(),
            Row::Cluster => {
                [Row::J1a, Row::J1b, Row::J3, Row::J4].iter().flat_map(|row| row.cases()).map(Case::in_two).collect()
            }
            Row::Skew | Row::Memory | Row::Checkpoints | Row::Start | Row::Nodes => Vec::new(),
        }
    }
}
