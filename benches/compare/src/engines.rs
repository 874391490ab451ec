//! The engines by name, and which jobs each one runs.

use clap::ValueEnum;

use crate::hand;
use crate::jobs::{Job, Run};
#[cfg(feature = "peers")]
use crate::{renoir_engine, timely_engine};

/// What runs a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Engine {
    /// Threads and channels, written by hand for each job: the practical limit.
    Hand,
    /// Renoir at its best.
    #[cfg(feature = "peers")]
    Renoir,
    /// Renoir with batches of one record, for latency.
    #[cfg(feature = "peers")]
    RenoirSingle,
    /// Renoir with words in columns, or pairs in runs.
    #[cfg(feature = "peers")]
    RenoirColumns,
    /// Renoir as its documentation writes it.
    #[cfg(feature = "peers")]
    RenoirDocs,
    /// Timely Dataflow at its best, with records in rows.
    #[cfg(feature = "peers")]
    Timely,
    /// Timely Dataflow with words in columns, or pairs in runs.
    #[cfg(feature = "peers")]
    TimelyColumns,
    /// Timely Dataflow as its documentation writes it.
    #[cfg(feature = "peers")]
    TimelyDocs,
    /// Skitter.
    #[cfg(feature = "skitter")]
    Skitter,
    /// Skitter with a strategy that sends words in columns.
    #[cfg(feature = "skitter")]
    SkitterColumns,
}

impl Engine {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Hand => "hand",
            #[cfg(feature = "peers")]
            Engine::Renoir => "renoir",
            #[cfg(feature = "peers")]
            Engine::RenoirSingle => "renoir-single",
            #[cfg(feature = "peers")]
            Engine::RenoirColumns => "renoir-columns",
            #[cfg(feature = "peers")]
            Engine::RenoirDocs => "renoir-docs",
            #[cfg(feature = "peers")]
            Engine::Timely => "timely",
            #[cfg(feature = "peers")]
            Engine::TimelyColumns => "timely-columns",
            #[cfg(feature = "peers")]
            Engine::TimelyDocs => "timely-docs",
            #[cfg(feature = "skitter")]
            Engine::Skitter => "skitter",
            #[cfg(feature = "skitter")]
            Engine::SkitterColumns => "skitter-columns",
        }
    }

    /// Whether it has a form of the job in so many processes that differs from those of its siblings.
    pub fn runs(self, job: Job, processes: usize) -> bool {
        if processes > 1 && job == Job::J2 {
            return false;
        }
        match self {
            #[cfg(feature = "peers")]
            Engine::RenoirSingle => job == Job::J4,
            #[cfg(feature = "peers")]
            Engine::RenoirColumns | Engine::TimelyColumns => job == Job::J1b || job == Job::J3 && processes > 1,
            #[cfg(feature = "skitter")]
            Engine::SkitterColumns => job == Job::J1b,
            _ => true,
        }
    }

    /// Whether several processes have a master beside them.
    pub fn has_master(self) -> bool {
        match self {
            #[cfg(feature = "skitter")]
            Engine::Skitter | Engine::SkitterColumns => true,
            _ => false,
        }
    }

    /// By which threads, by the begin of their name, and by how many of them, one sees that two processes are
    /// connected, when they do not say so.
    pub fn threads_of_connections(self, job: Job) -> Option<(&'static str, usize)> {
        match self {
            #[cfg(feature = "peers")]
            Engine::Renoir | Engine::RenoirSingle | Engine::RenoirColumns | Engine::RenoirDocs => {
                Some(("demux-", renoir_engine::connections(self, job)))
            }
            _ => None,
        }
    }

    /// Runs the job to its end.
    pub fn run(self, run: &Run) {
        match self {
            Engine::Hand => hand::run(run),
            #[cfg(feature = "peers")]
            Engine::Renoir => renoir_engine::tuned::run(run),
            #[cfg(feature = "peers")]
            Engine::RenoirSingle => renoir_engine::tuned::latency_of_single_records(run),
            #[cfg(feature = "peers")]
            Engine::RenoirColumns => renoir_engine::columns::run(run),
            #[cfg(feature = "peers")]
            Engine::RenoirDocs => renoir_engine::docs::run(run),
            #[cfg(feature = "peers")]
            Engine::Timely => timely_engine::rows::run(run),
            #[cfg(feature = "peers")]
            Engine::TimelyColumns => timely_engine::columns::run(run),
            #[cfg(feature = "peers")]
            Engine::TimelyDocs => timely_engine::docs::run(run),
            #[cfg(feature = "skitter")]
            Engine::Skitter | Engine::SkitterColumns => crate::skitter_engine::run(self, run),
        }
    }
}
