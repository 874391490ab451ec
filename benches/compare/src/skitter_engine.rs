//! Skitter. Compiled with the feature `skitter`.
//!
//! The operations are written as a user would write them who wants the last bit of speed: a key that carries its hash,
//! and a sink that is chained to the keyed stage.

mod columns;
mod latency;
mod numbers;
mod words;

use skitter::prelude::*;
use skitter::runtime::{Runtime, Settings};

use crate::jobs::{Job, Run, THREADS};

/// Runs the job to its end.
pub fn run(run: &Run) {
    let workflow = WorkflowBuilder::new();
    match run.job {
        Job::J1a => words::final_counts(&workflow, run),
        Job::J1b => words::updates(&workflow, run),
        Job::J2 => numbers::five_maps(&workflow, run),
        Job::J3 => numbers::running_sums(&workflow, run),
        Job::J4 => latency::measure(&workflow, run),
    }
    complete(run, workflow);
}

/// Runs J1b with words in columns to its end.
pub fn word_columns(run: &Run) {
    let workflow = WorkflowBuilder::new();
    columns::updates(&workflow, run);
    complete(run, workflow);
}

fn complete(run: &Run, workflow: WorkflowBuilder) {
    let settings = Settings { cores: THREADS, threads: THREADS, ..Settings::default() };
    let runtime = Runtime::with(settings).expect("threads");
    let workflow = workflow.build().expect("a valid workflow");
    let summary = runtime.deploy(run.job.name(), workflow).expect("a deployable workflow").wait();
    if let Err(error) = summary {
        panic!("{error}");
    }
}
