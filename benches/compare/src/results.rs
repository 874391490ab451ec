//! All that one session measured, as it is written to JSON.

use serde::{Deserialize, Serialize};

use crate::bounds::Bound;
use crate::figures::checkpoints::{Checkpointed, Load};
use crate::figures::nodes::Nodes;
use crate::figures::{Distribution, Memory, Skew, SlowSink, Start};
use crate::machine::Machine;
use crate::measure::Report;
use crate::rows::Case;
use crate::stats::median;

/// What a session measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Results {
    pub machine: Machine,
    /// Rounds that count.
    pub rounds: usize,
    /// Bytes of the text of J1.
    pub text_bytes: u64,
    /// What was to be reached, and was.
    #[serde(default)]
    pub bounds: Vec<Bound>,
    pub reports: Vec<Report>,
    pub skew: Vec<Skew>,
    pub memory: Vec<Memory>,
    pub start: Option<Start>,
    #[serde(default)]
    pub nodes: Option<Nodes>,
    #[serde(default)]
    pub checkpoints: Vec<Checkpointed>,
}

impl Results {
    /// The reports of one case, in the order of measuring.
    pub fn of(&self, case: Case) -> impl Iterator<Item = &Report> {
        let Case { job, rate, processes } = case;
        let is_of =
            move |report: &&Report| report.job == job.name() && report.rate == rate && report.processes == processes;
        self.reports.iter().filter(is_of)
    }

    /// The engines that ran a case, in the order of measuring.
    pub fn engines(&self, case: Case) -> Vec<&str> {
        let mut engines: Vec<&str> = Vec::new();
        for report in self.of(case) {
            if !engines.contains(&report.engine.as_str()) {
                engines.push(&report.engine);
            }
        }
        engines
    }

    /// The fastest of the engines that are `wanted`, with its median time in seconds.
    pub fn fastest(&self, case: Case, wanted: impl Fn(&str) -> bool) -> Option<(&str, f64)> {
        let engines = self.engines(case).into_iter().filter(|engine| wanted(engine));
        let timed = engines.filter_map(|engine| {
            let seconds = self.of(case).filter(|report| report.engine == engine).map(|report| report.seconds);
            Some((engine, median(seconds)?))
        });
        timed.min_by(|a, b| f64::total_cmp(&a.1, &b.1))
    }

    /// The runs of `skew` with this distribution.
    pub fn skewed(&self, distribution: Distribution) -> impl Iterator<Item = &Skew> {
        self.skew.iter().filter(move |skew| skew.distribution == distribution)
    }

    /// The runs of `checkpoints` under this load, with checkpoints or without.
    pub fn checkpointed(&self, load: Load, with: bool) -> impl Iterator<Item = &Checkpointed> {
        self.checkpoints.iter().filter(move |run| run.keys == load.keys && run.every.is_some() == with)
    }

    /// The runs of `memory` with this sink.
    pub fn slowed(&self, sink: SlowSink) -> impl Iterator<Item = &Memory> {
        self.memory.iter().filter(move |memory| memory.sink == sink)
    }
}

/// Whether an engine is one that others made, by its name.
pub fn is_peer(engine: &str) -> bool {
    is_renoir(engine) || engine.starts_with("timely")
}

/// Whether an engine is a form of Renoir.
pub fn is_renoir(engine: &str) -> bool {
    engine.starts_with("renoir")
}

/// Whether an engine is a form of Skitter.
pub fn is_skitter(engine: &str) -> bool {
    engine.starts_with("skitter")
}
