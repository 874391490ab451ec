//! Runs the same jobs on Skitter, Renoir, Timely and hand-written threads, and compares them.
//!
//! `table` measures all rows of the table of figures and prints what was reached: it runs this program again for each
//! run of a job (`run`) or a figure (`skew`, `memory`), which prints one line of JSON. `scripts/bench` does all.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

use crate::engines::Engine;
use crate::jobs::Job;

mod bounds;
mod cluster;
mod columns;
mod engines;
mod figures;
mod fixed;
mod generate;
mod hand;
mod hash;
mod jobs;
mod machine;
mod markdown;
mod measure;
#[cfg(all(feature = "peers", feature = "skitter"))]
mod nexmark;
mod pace;
mod pairs;
mod plan;
mod process;
#[cfg(feature = "peers")]
mod renoir_engine;
mod results;
mod rows;
#[cfg(feature = "skitter")]
mod skitter_engine;
mod stats;
mod tally;
mod text;
#[cfg(feature = "peers")]
mod timely_engine;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The same jobs on several stream processors.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a text of the word count jobs
    Generate {
        /// Size of the text
        #[arg(long, default_value_t = 200_000_000)]
        bytes: u64,
        /// Different words
        #[arg(long, default_value_t = plan::WORDS)]
        words: usize,
        /// Exponent of the Zipf distribution of words; 1.5 makes a few words very frequent
        #[arg(long, default_value_t = 1.0)]
        exponent: f64,
        /// The file to write
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Run one job on one engine and print what was measured as one line of JSON
    Run {
        #[arg(long)]
        engine: Engine,
        #[arg(long)]
        job: Job,
        /// The text, for J1
        #[arg(long)]
        input: Option<PathBuf>,
        /// Records a second, for J4
        #[arg(long, default_value_t = 10_000)]
        rate: u64,
        /// In two processes of one thread each, in place of one of two
        #[arg(long)]
        cluster: bool,
    },
    /// Start another program that ends with the process that has started it
    #[command(hide = true)]
    Leash {
        parent: u32,
        #[arg(last = true)]
        program: Vec<String>,
    },
    /// One of the processes that `run --cluster` starts
    #[command(hide = true)]
    Part(cluster::part::Order),
    /// Count skewed words once and print how busy each worker was, as one line of JSON
    #[cfg(feature = "skitter")]
    Skew {
        #[arg(long)]
        distribution: figures::Distribution,
        /// The text
        #[arg(long)]
        input: PathBuf,
    },
    /// Count words before a slow sink once and print how much memory was resident, as one line of JSON
    #[cfg(feature = "skitter")]
    Memory {
        #[arg(long)]
        sink: figures::SlowSink,
        /// The text
        #[arg(long)]
        input: PathBuf,
        /// Reads one of so many parts of the text
        #[arg(long, default_value_t = 1)]
        parts: usize,
    },
    /// Add numbers up by key once, with checkpoints or without, and print what was measured as one line of JSON
    #[cfg(feature = "skitter")]
    Checkpoints(figures::checkpoints::Order),
    /// Save and restore the table of one worker and print what was measured as one line of JSON
    #[cfg(feature = "skitter")]
    Slices {
        #[arg(long, default_value_t = 5_000_000)]
        keys: u64,
    },
    /// Ask Renoir one of Nexmark's questions
    #[cfg(all(feature = "peers", feature = "skitter"))]
    Nexmark(nexmark::Order),
    /// Measure all rows and print tables
    Table(plan::Plan),
    /// Print the tables of results that `table --output` wrote
    Show {
        results: PathBuf,
        /// A document whose last part, from the heading on, is replaced by the tables
        #[arg(long, value_name = "FILE")]
        into: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Generate { bytes, words, exponent, output } => {
            generate::generate(&generate::Text { bytes, words, exponent }, &output).map_err(|error| error.to_string())
        }
        Command::Run { engine, job, input, rate, cluster } => {
            let run = if cluster { cluster::run::run } else { measure::run };
            run(engine, job, input, rate).and_then(print)
        }
        Command::Leash { parent, program } => cluster::processes::become_leashed(parent, &program),
        Command::Part(order) => cluster::part::run(&order),
        #[cfg(feature = "skitter")]
        Command::Skew { distribution, input } => skitter_engine::skew::measure(&input, distribution).and_then(print),
        #[cfg(feature = "skitter")]
        Command::Memory { sink, input, parts } => skitter_engine::memory::measure(&input, sink, parts).and_then(print),
        #[cfg(feature = "skitter")]
        Command::Checkpoints(order) => skitter_engine::checkpoints::measure(&order).and_then(print),
        #[cfg(feature = "skitter")]
        Command::Slices { keys } => skitter_engine::slices::measure(keys).and_then(print),
        #[cfg(all(feature = "peers", feature = "skitter"))]
        Command::Nexmark(order) => nexmark::run(&order),
        Command::Table(plan) => plan::run(&plan),
        Command::Show { results, into } => plan::show(&results, into.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("skitter-compare: {message}");
            ExitCode::FAILURE
        }
    }
}

fn print(measured: impl Serialize) -> Result<(), String> {
    println!("{}", serde_json::to_string(&measured).map_err(|error| error.to_string())?);
    Ok(())
}
