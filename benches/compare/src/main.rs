//! Runs the same jobs on Skitter, Renoir, Timely and hand-written threads, and compares them.
//!
//! `generate` writes the text, `run` runs one job on one engine in this process and prints one line
//! of JSON, `table` runs itself for each pair in turn and prints medians. `scripts/bench` does all.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::engines::Engine;
use crate::jobs::Job;

mod engines;
mod generate;
mod hand;
mod hash;
mod jobs;
mod measure;
mod pace;
#[cfg(feature = "peers")]
mod renoir_engine;
#[cfg(feature = "skitter")]
mod skitter_engine;
mod table;
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
    /// Write the text of the word count jobs.
    Generate {
        /// Size of the text.
        #[arg(long, default_value_t = 200_000_000)]
        bytes: u64,
        /// Different words.
        #[arg(long, default_value_t = 226_000)]
        words: usize,
        /// Exponent of the Zipf distribution of words; 1.5 makes a few words very frequent.
        #[arg(long, default_value_t = 1.0)]
        exponent: f64,
        /// The file to write.
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Run one job on one engine and print what was measured as one line of JSON.
    Run {
        #[arg(long)]
        engine: Engine,
        #[arg(long)]
        job: Job,
        /// The text, for J1.
        #[arg(long)]
        input: Option<PathBuf>,
        /// Records a second, for J4.
        #[arg(long, default_value_t = 10_000)]
        rate: u64,
    },
    /// Run jobs on engines by turns and print a table for each job.
    Table(table::Plan),
}

fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Generate { bytes, words, exponent, output } => {
            let text = generate::Text { bytes, words, exponent };
            generate::generate(&text, &output).map_err(|error| error.to_string())
        }
        Command::Run { engine, job, input, rate } => measure::run(engine, job, input, rate).and_then(|report| {
            let line = serde_json::to_string(&report).map_err(|error| error.to_string())?;
            println!("{line}");
            Ok(())
        }),
        Command::Table(plan) => table::run(&plan),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("skitter-compare: {message}");
            ExitCode::FAILURE
        }
    }
}
