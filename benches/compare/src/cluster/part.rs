//! One of the processes of a job.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::gate;
use super::processes::end_with;
use crate::engines::Engine;
use crate::jobs::{Job, Place, Run};
use crate::measure::{Latency, latency};
use crate::pace::EMITS;
use crate::process::peak_rss_mb;
use crate::tally::Totals;

/// What a process is among the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Role {
    /// The first one that works.
    First,
    /// The second one that works.
    Second,
    /// The master of the two.
    Master,
}

impl Role {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Role::First => "first",
            Role::Second => "second",
            Role::Master => "master",
        }
    }
}

/// What such a process is told.
#[derive(Args)]
pub struct Order {
    #[arg(long)]
    pub engine: Engine,
    #[arg(long)]
    pub job: Job,
    /// The text, for J1
    #[arg(long)]
    pub input: Option<PathBuf>,
    /// Records a second, for J4
    #[arg(long)]
    pub rate: u64,
    #[arg(long)]
    pub role: Role,
    /// The first port of each of the two
    #[arg(long, value_delimiter = ',')]
    pub ports: Vec<u16>,
    /// The process that has started it, and that it ends with
    #[arg(long)]
    pub parent: u32,
}

/// What a process has added up and used.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Part {
    pub updates: u64,
    pub sum: u64,
    pub xor: u64,
    pub state: u64,
    /// Whether the source of J4 is here.
    pub emits: bool,
    /// That of records that have come here.
    pub latency: Option<Latency>,
    pub cpu_seconds: f64,
    pub peak_rss_mb: f64,
}

impl Part {
    fn of(totals: &Totals) -> Part {
        Part {
            updates: totals.updates.load(Relaxed),
            sum: totals.sum.load(Relaxed),
            xor: totals.xor.load(Relaxed),
            state: totals.state.load(Relaxed),
            emits: EMITS.load(Relaxed),
            latency: latency(totals),
            cpu_seconds: gate::cpu_seconds_since(),
            peak_rss_mb: peak_rss_mb(),
        }
    }

    /// Adds it to the sums of all processes.
    pub fn add_to(&self, totals: &Totals) {
        totals.updates.fetch_add(self.updates, Relaxed);
        totals.sum.fetch_add(self.sum, Relaxed);
        totals.xor.fetch_xor(self.xor, Relaxed);
        totals.state.fetch_add(self.state, Relaxed);
    }
}

/// Runs a part of a job.
///
/// # Errors
/// When it fails, or the process that started it is gone.
pub fn run(order: &Order) -> Result<(), String> {
    end_with(order.parent)?;
    gate::open();
    let ports = order.ports.as_slice().try_into().map_err(|_| "there are two ports")?;
    let index = usize::from(order.role == Role::Second);
    let totals = Arc::new(Totals::default());
    let run = Run {
        job: order.job,
        input: order.input.clone().unwrap_or_default(),
        rate: order.rate,
        totals: Arc::clone(&totals),
        place: Place::Part { index, ports },
    };
    match order.engine {
        #[cfg(feature = "skitter")]
        Engine::Skitter | Engine::SkitterColumns => {
            crate::skitter_engine::node::run(order.engine, &run, order.role == Role::Master)?;
        }
        engine => {
            engine.run(&run);
            gate::say(gate::END);
        }
    }
    let part = serde_json::to_string(&Part::of(&totals)).map_err(|error| error.to_string())?;
    gate::say(&format!("{}{part}", gate::PART));
    Ok(())
}
