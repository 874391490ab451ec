//! A workflow whose result shows whether a record was lost, counted twice, or out of order, whatever happened on the
//! way: `cargo run --example exact -- local -- --count 1000000 --output sums.tsv`. The tests of recovery run it.

#[path = "exact/held.rs"]
mod held;
#[path = "ring/strategy.rs"]
mod strategy;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use skitter::operations::{KeyedReduce, Numbers, Paced};
use skitter::prelude::*;
use skitter::workflow::{Chain, Out, Source};
use skitter::{clap, workflow};

use self::held::Held;
use self::strategy::Ring;

fn main() -> ExitCode {
    skitter::main(&[workflow("exact", "Sums numbers by key", exact)])
}

#[derive(clap::Args)]
struct Arguments {
    /// How many numbers, from 0
    #[arg(long, default_value_t = 1_000_000)]
    count: u64,
    /// How many keys
    #[arg(long, default_value_t = 1000)]
    keys: u64,
    /// Numbers a millisecond and worker, about; as many as there can be if 0
    #[arg(long, default_value_t = 0)]
    pace: u64,
    /// Each source gives so many numbers when it is started, and the others when the file `until` is there
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, requires = "until")]
    first: u64,
    /// That file, before which sources do not end either; without it, nothing is held back
    #[arg(long)]
    until: Option<PathBuf>,
    /// A line for each key: the key, how many numbers it had, their sum, how many were out of order
    #[arg(long)]
    output: PathBuf,
    /// The same numbers are summed a second time, apart from the first; the lines are for this file
    #[arg(long)]
    second: Option<PathBuf>,
    /// Where numbers are from: `iterator`, or a file with one a line [default: a range]
    #[arg(long)]
    input: Option<Input>,
    /// How keys are distributed
    #[arg(long, default_value = "keyed")]
    strategy: Distribution,
    /// Panics at this number, unless the file is there that says that it has
    #[arg(long)]
    panic_at: Option<u64>,
    /// That file; without it, it panics each time
    #[arg(long)]
    once: Option<PathBuf>,
}

#[derive(Clone)]
enum Input {
    Iterator,
    File(PathBuf),
}

impl From<String> for Input {
    fn from(text: String) -> Input {
        if text == "iterator" { Input::Iterator } else { Input::File(text.into()) }
    }
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Distribution {
    Keyed,
    #[cfg(feature = "disk")]
    Disk,
    Combining,
    PartialKey,
    Ring,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Sum {
    count: u64,
    sum: u64,
    last: u64,
    out_of_order: u64,
}

impl Sum {
    fn add(&mut self, number: u64) {
        // Each source has numbers in ascending order, and the numbers of a key may come from two of them.
        self.out_of_order += u64::from(self.count > 0 && number < self.last && number > 0 && self.last - number < HALF);
        self.count += 1;
        self.sum += number;
        self.last = number;
    }
}

/// Numbers that are further apart than this come from different sources, which need not agree.
const HALF: u64 = 1000 * 16;

fn exact(arguments: &Arguments) -> Result<Workflow> {
    let count = arguments.count;
    let (panic_at, once) = (arguments.panic_at, arguments.once.clone());
    let watch = move |number: u64| {
        if panic_at == Some(number) {
            let first = once.as_ref().is_none_or(|file| File::create_new(file).is_ok());
            assert!(!first, "at {number}, as asked for");
        }
        number
    };
    let workflow = WorkflowBuilder::new();
    let output = &arguments.output;
    let numbers = || held(Numbers::new(0..count), arguments);
    match &arguments.input {
        Some(Input::Iterator) => {
            let source = StreamSource::split(move |share| (share.index as u64..count).step_by(share.of));
            sums(workflow.source(held(source, arguments)).map(watch).named("watch"), arguments, output);
        }
        Some(Input::File(path)) => {
            let lines = workflow.source(held(TextFiles::new([path]), arguments));
            let numbers = lines.map(|line| line.parse().unwrap_or_default());
            sums(numbers.map(watch).named("watch"), arguments, output);
        }
        None => sums(workflow.source(numbers()).map(watch).named("watch"), arguments, output),
    }
    if let Some(output) = &arguments.second {
        sums(workflow.source(numbers()).named("second"), arguments, output);
    }
    workflow.build()
}

fn held<S: Source>(source: S, arguments: &Arguments) -> Paced<Held<S>> {
    Paced::new(Held::new(source, arguments.first, arguments.until.clone()), arguments.pace * 1000)
}

fn sums(numbers: Stream<impl Chain<Out = u64>, Out>, arguments: &Arguments, output: &Path) {
    let Arguments { keys, strategy, .. } = *arguments;
    match strategy {
        Distribution::Combining | Distribution::PartialKey => {
            let value = |number: &u64| (1, *number);
            let join = |sum: &mut (u64, u64), other: (u64, u64)| *sum = (sum.0 + other.0, sum.1 + other.1);
            let sums = numbers.keyed_combine(move |number| number % keys, value, join);
            if strategy == Distribution::Combining {
                write_pairs(sums.with(Combining), output);
            } else {
                write_pairs(sums.with(PartialKey), output);
            }
        }
        _ => {
            let add = move |sum: &mut Sum, number: u64| {
                sum.add(number);
                (number % keys, *sum)
            };
            let sums = KeyedReduce::new(move |number: &u64| number % keys, Sum::default(), add);
            match strategy {
                Distribution::Ring => write_sums(numbers.vertex(sums, Ring { places: 100 }), output),
                // With memory for some thousand keys, so that of more most are on disk.
                #[cfg(feature = "disk")]
                Distribution::Disk => write_sums(numbers.vertex(sums, DiskState::memory(1 << 17)), output),
                _ => write_sums(numbers.vertex(sums, KeyedState), output),
            }
        }
    }
}

fn write_sums(sums: Stream<impl Chain<Out = (u64, Sum)>, Out>, output: &Path) {
    let last = sums.last_by(|(key, _)| *key);
    last.map(|(key, sum)| (key, sum.count, sum.sum, sum.out_of_order)).write_raw_tsv(output);
}

fn write_pairs(sums: Stream<impl Chain<Out = (u64, (u64, u64))>, Out>, output: &Path) {
    sums.last_by(|(key, _)| *key).map(|(key, (count, sum))| (key, count, sum, 0u64)).write_raw_tsv(output);
}
