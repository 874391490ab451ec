//! How often does each word occur in text files?

use std::path::{Path, PathBuf};

use skitter::clap;
use skitter::prelude::*;

#[derive(clap::Args)]
pub struct WordCount {
    /// Text files to read, or patterns such as 'logs/*.txt'
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    input: Vec<PathBuf>,

    /// Go on with files that appear later, until the workflow is stopped; all those of a directory, if one is named
    #[arg(long)]
    watch: bool,

    /// Write `word<TAB>count` to this file when all is counted, rather than print each count as it changes
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// How the counting is distributed [default: combining with --output, else keyed]
    #[arg(long)]
    strategy: Option<Distribution>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Distribution {
    /// Every word travels to the worker that counts it
    Keyed,
    /// Words are counted where they are read, and counts travel
    Combining,
    /// Frequent words have several workers
    PartialKey,
}

pub fn word_count(args: &WordCount) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let files = TextFiles::new(&args.input).blocks();
    let files = if args.watch { files.watch() } else { files };
    let counts = workflow.source(files).words::<Word>().count_by(Word::clone);
    let output = args.output.as_deref();
    let usual = if output.is_some() { Distribution::Combining } else { Distribution::Keyed };
    match args.strategy.unwrap_or(usual) {
        Distribution::Keyed => write(counts.with(KeyedState), output),
        Distribution::Combining => write(counts.with(Combining), output),
        Distribution::PartialKey => write(counts.with(PartialKey), output),
    }
    workflow.build()
}

fn write(counts: Stream<impl Chain<Out = (Word, u64)>>, output: Option<&Path>) {
    match output {
        Some(path) => drop(counts.last_by(|(word, _)| word.clone()).write_raw_tsv(path)),
        None => drop(counts.print()),
    }
}
