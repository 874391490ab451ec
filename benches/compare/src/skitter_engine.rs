//! Skitter. Compiled with the feature `skitter`.
//!
//! The operations are written as a user would write them who wants the last bit of speed: a key that carries its hash,
//! and a sink that is chained to the keyed stage.

pub mod checkpoints;
mod columns;
mod latency;
pub mod memory;
pub mod node;
mod numbers;
pub mod skew;
pub mod slices;
mod words;

use skitter::prelude::WorkflowBuilder;
use skitter::runtime::{Runtime, Settings, Summary};

use crate::engines::Engine;
use crate::jobs::{Job, Run, THREADS};

/// Runs the job to its end, in this process.
pub fn run(engine: Engine, run: &Run) {
    let workflow = WorkflowBuilder::new();
    describe(engine, &workflow, run);
    if let Err(error) = complete(run.job.name(), workflow) {
        panic!("{error}");
    }
}

/// The workflow of a job.
fn describe(engine: Engine, workflow: &WorkflowBuilder, run: &Run) {
    match run.job {
        Job::J1a => words::final_counts(workflow, run),
        Job::J1b if engine == Engine::SkitterColumns => columns::updates(workflow, run),
        Job::J1b => words::updates(workflow, run),
        Job::J2 => numbers::five_maps(workflow, run),
        Job::J3 => numbers::running_sums(workflow, run),
        Job::J4 => latency::measure(workflow, run),
    }
}

/// Runs a workflow to its end, with the settings of all jobs and figures.
fn complete(name: &str, workflow: WorkflowBuilder) -> Result<Summary, String> {
    let settings = Settings { cores: THREADS, threads: THREADS, ..Settings::default() };
    let completed = Runtime::with(settings).and_then(|runtime| runtime.deploy(name, workflow.build()?)?.wait());
    completed.map_err(|error| error.to_string())
}
