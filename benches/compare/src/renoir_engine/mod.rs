//! Renoir 0.6: at its best in [`tuned`] and [`columns`], as its documentation writes it in [`docs`].

use renoir::config::{ConfigBuilder, HostConfig};
use renoir::{RuntimeConfig, StreamContext};

use crate::cluster::gate;
use crate::engines::Engine;
use crate::jobs::{Job, Place, Run, THREADS};

pub mod columns;
pub mod docs;
pub mod tuned;

fn environment(run: &Run) -> StreamContext {
    let config = match run.place {
        Place::Alone => RuntimeConfig::local(THREADS as u64).expect("a number of threads"),
        Place::Part { index, ports } => {
            let host = |base_port| HostConfig {
                address: "127.0.0.1".to_owned(),
                base_port,
                num_cores: 1,
                ssh: Default::default(),
                perf_path: None,
            };
            if run.job == Job::J4 && index > 0 {
                // The source, which waits to be let go, is in the other process.
                gate::ready();
            }
            // What `RuntimeConfig::remote` makes of a file and the environment that Renoir's runner sets.
            let mut builder = ConfigBuilder::new_remote();
            builder.host_id(index as u64).add_hosts(&ports.map(host)).build().expect("two hosts")
        }
    };
    StreamContext::new(config)
}

/// How many connections two processes have, each of which has a thread that reads.
pub fn connections(engine: Engine, job: Job) -> usize {
    match (engine, job) {
        // The source is in one of them.
        (_, Job::J4) => 1,
        // The final counts are collected in one of them.
        (Engine::RenoirDocs, Job::J1a) => 3,
        _ => 2,
    }
}
