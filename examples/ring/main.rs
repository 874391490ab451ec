//! An application with a strategy of its own: `cargo run --example ring -- local -- --input FILE`. The tests run it
//! over several nodes.

mod strategy;

use std::path::PathBuf;
use std::process::ExitCode;

use skitter::operations::KeyedReduce;
use skitter::prelude::*;
use skitter::{Word, clap, workflow};

use self::strategy::Ring;

fn main() -> ExitCode {
    skitter::main(&[workflow("ring", "Counts words on a ring of consistent hashes", ring)])
}

#[derive(clap::Args)]
struct Arguments {
    /// The text whose words to count
    #[arg(long)]
    input: PathBuf,
}

fn ring(arguments: &Arguments) -> Result<Workflow> {
    let add = |count: &mut u64, word| {
        *count += 1;
        (word, *count)
    };
    let workflow = WorkflowBuilder::new();
    let words = workflow.source(TextFiles::new([&arguments.input])).words::<Word>();
    words.vertex(KeyedReduce::new(Word::clone, 0, add), Ring { places: 200 }).named("count").print();
    workflow.build()
}
