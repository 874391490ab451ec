//! The engines by name, and which jobs each one runs.

use clap::ValueEnum;

use crate::jobs::{Job, Run};
use crate::{hand, renoir_engine, timely_engine};

/// What runs a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Engine {
    /// Threads and channels, written by hand for each job: the practical limit.
    Hand,
    /// Renoir at its best.
    Renoir,
    /// Renoir with batches of one record, for latency.
    RenoirSingle,
    /// Renoir as its documentation writes it.
    RenoirDocs,
    /// Timely Dataflow at its best, with records in rows.
    Timely,
    /// Timely Dataflow with words in columns.
    TimelyColumns,
    /// Timely Dataflow as its documentation writes it.
    TimelyDocs,
    /// Skitter.
    #[cfg(feature = "skitter")]
    Skitter,
}

impl Engine {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Hand => "hand",
            Engine::Renoir => "renoir",
            Engine::RenoirSingle => "renoir-single",
            Engine::RenoirDocs => "renoir-docs",
            Engine::Timely => "timely",
            Engine::TimelyColumns => "timely-columns",
            Engine::TimelyDocs => "timely-docs",
            #[cfg(feature = "skitter")]
            Engine::Skitter => "skitter",
        }
    }

    /// Whether it is one of those that others made.
    pub fn is_peer(self) -> bool {
        match self {
            Engine::Hand => false,
            #[cfg(feature = "skitter")]
            Engine::Skitter => false,
            _ => true,
        }
    }

    /// Whether it has a form of the job that differs from those of its siblings.
    pub fn runs(self, job: Job) -> bool {
        match self {
            Engine::RenoirSingle => job == Job::J4,
            Engine::TimelyColumns => job == Job::J1b,
            _ => true,
        }
    }

    /// Runs the job to its end.
    pub fn run(self, run: &Run) {
        match self {
            Engine::Hand => hand::run(run),
            Engine::Renoir => renoir_engine::tuned::run(run),
            Engine::RenoirSingle => renoir_engine::tuned::latency_of_single_records(run),
            Engine::RenoirDocs => renoir_engine::docs::run(run),
            Engine::Timely => timely_engine::rows::run(run),
            Engine::TimelyColumns => timely_engine::columns::word_updates(run),
            Engine::TimelyDocs => timely_engine::docs::run(run),
            #[cfg(feature = "skitter")]
            Engine::Skitter => crate::skitter_engine::run(run),
        }
    }
}
