//! Timely Dataflow 0.31: at its best in [`rows`] and [`columns`], as its documentation writes it in
//! [`docs`].
//!
//! An update is the new count or sum alone, as in all engines' best forms.

use std::sync::Arc;

use timely::worker::Worker;
use timely::{CommunicationConfig, Config, WorkerConfig};

use crate::cluster::gate;
use crate::jobs::{Place, Run, THREADS};

pub mod columns;
pub mod docs;
pub mod rows;
mod source;

/// Runs `dataflow` on each worker, then the workers until all dataflows have ended.
fn execute(run: &Run, dataflow: impl Fn(&mut Worker, &Run) + Send + Sync + 'static) {
    let run = Arc::new(run.clone());
    let communication = match run.place {
        Place::Alone => CommunicationConfig::Process(THREADS),
        // As by the options `-w 1 -n 2 -p <index> -h <file>`.
        Place::Part { index, ports } => CommunicationConfig::Cluster {
            threads: 1,
            process: index,
            addresses: ports.map(|port| format!("127.0.0.1:{port}")).into(),
            report: false,
            zerocopy: false,
        },
    };
    let config = Config { communication, worker: WorkerConfig::default() };
    let guards = timely::execute(config, move |worker| {
        gate::pass();
        dataflow(worker, &run);
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
    });
    for result in guards.expect("workers start").join() {
        result.expect("no worker panics");
    }
}
