//! Workflows that go wrong, to see what Skitter says then: `cargo run --example faulty -- local -d panics`. The tests
//! of the command line run them.

#![expect(clippy::panic, reason = "that is what it is for")]

use std::convert::Infallible;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Once;
use std::time::Duration;

use skitter::operations::Watermarks;
use skitter::prelude::*;
use skitter::workflow::{Emit, Operation, Pull, Share, Source};
use skitter::{clap, workflow};

fn main() -> ExitCode {
    let code = skitter::main(&[
        workflow("panics", "Panics at a record", panics),
        workflow("fails", "Fails when it is built", fails),
        workflow("panics-early", "Panics when it is built", panics_early),
        workflow("hangs", "Has an operation that does not return", hangs),
        workflow("bursts", "Emits a million records for one, faster than they are taken", bursts),
        workflow("ticks", "Prints numbers until it is stopped", ticks),
        workflow("everywhere", "Prints numbers on all nodes until it is stopped", everywhere),
        workflow("slow", "Reads a file slowly", slow),
        workflow("drifts", "Has a source whose first worker is slow, and keeps the others near it", drifts),
        workflow("spreads", "Prints numbers, and counts them, slowly and wherever there is room", spreads),
    ]);
    if let Some(peak) = peak_memory() {
        say(&format!("peak memory: {peak}"));
    }
    code
}

/// How far the times of a drifting source go, and how many its first worker gives in a millisecond at most.
const DRIFTS: i64 = 8000;
const SPEED: i64 = 4;

#[derive(clap::Args)]
struct DriftArgs {
    /// How far the others may be ahead, in milliseconds; as far as they get if it is not said
    #[arg(long)]
    drift: Option<u64>,
    /// A line: how many records there were, and how far one of the others was ahead of the first worker at most
    #[arg(long)]
    output: PathBuf,
}

/// Gives times, each with whether it is of the first worker, which takes its time.
#[derive(Clone)]
struct Drifting;

impl Operation for Drifting {
    type In = Infallible;
    type Out = (bool, i64);
    const NAME: &'static str = "drifting";
}

impl Source for Drifting {
    /// Whether it is the first worker, and the next time.
    type Reader = (bool, i64);

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, share: Share) -> Result<Self::Reader> {
        Ok((share.index == 0, 0))
    }

    fn read<E: Emit<(bool, i64)>>(&self, reader: &mut Self::Reader, budget: usize, emit: &mut E) -> Result<Pull> {
        let (is_first, next) = reader;
        let most = if *is_first { SPEED } else { i64::try_from(budget).unwrap_or(DRIFTS) };
        let behind = (*next + most).min(DRIFTS);
        (*next..behind).for_each(|time| emit.emit((*is_first, time)));
        *next = behind;
        Ok(match (*next, *is_first) {
            (DRIFTS, _) => Pull::End,
            (_, true) => Pull::After(Duration::from_millis(1)),
            _ => Pull::More,
        })
    }
}

fn drifts(arguments: &DriftArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let watermarks = Watermarks::ascending(|(_, time): &(bool, i64)| *time);
    let watermarks = match arguments.drift {
        Some(drift) => watermarks.aligned("drifting", Duration::from_millis(drift)),
        None => watermarks,
    };
    // How many, the latest time of the first worker, and how far another one was ahead of it.
    let times =
        workflow.source(Drifting).vertex(watermarks, Chained).fold((0u64, 0i64, 0i64), |sum, (is_first, time)| {
            sum.0 += 1;
            match is_first {
                true => sum.1 = time,
                false => sum.2 = sum.2.max(time - sum.1),
            }
        });
    times.map(|(count, _, ahead)| (count, ahead)).write_tsv(&arguments.output);
    workflow.build()
}

fn panics(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let odd = |n: u64| if n == 5000 { panic!("no {n} please\nnot here") } else { n };
    workflow.source(StreamSource::new(|| 0..10_000u64)).map(|n| n).map(odd).named("picky").with(RoundRobin).discard();
    workflow.build()
}

fn fails(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let numbers = || StreamSource::new(|| 0..9u64);
    workflow.source(numbers()).named("twin").discard();
    workflow.source(numbers()).named("twin").discard();
    workflow.build()
}

fn panics_early(_: &NoArgs) -> Result<Workflow> {
    panic!("cannot build this");
}

fn hangs(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let hang = |n: u64| {
        if n == 0 {
            say("hanging");
            loop {
                std::thread::park();
            }
        }
        n
    };
    workflow.source(StreamSource::new(|| 0u64..)).map(hang).named("stubborn").with(RoundRobin).discard();
    workflow.build()
}

fn bursts(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    workflow
        .source(StreamSource::new(|| 0..8u64))
        .flat_map(|n| (0..1_000_000u64).map(move |m| n * 1_000_000 + m))
        .named("burst")
        .map(|n| [n; 4])
        .named("taken slowly")
        .with(RoundRobin)
        .fold(0u64, |count, _| *count += 1)
        .print();
    workflow.build()
}

fn ticks(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    workflow.source(StreamSource::new(|| 0u64..)).map(|n| n).with(RoundRobin).parallelism(1).print();
    workflow.build()
}

fn everywhere(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let dawdle = |n: u64| {
        std::thread::park_timeout(Duration::from_millis(1));
        n
    };
    workflow.source(StreamSource::split(|_| 0u64..)).map(dawdle).map(|n| n).with(RoundRobin).print();
    workflow.build()
}

#[derive(clap::Args)]
struct Slow {
    #[arg(long)]
    input: PathBuf,
}

fn slow(args: &Slow) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let dawdle = |line: String| {
        std::thread::park_timeout(Duration::from_millis(5));
        if line.contains("ten") {
            tracing::info!(line, "Ten");
        }
        line
    };
    workflow.source(TextFiles::new([&args.input])).map(dawdle).discard();
    workflow.build()
}

#[derive(clap::Args)]
struct Spreads {
    /// Numbers to print, one a millisecond.
    #[arg(long, default_value_t = u64::MAX)]
    count: u64,
    /// Keep all of them with the owners of their keys.
    #[arg(long)]
    keyed: bool,
}

fn spreads(args: &Spreads) -> Result<Workflow> {
    static BEGUN: Once = Once::new();
    let workflow = WorkflowBuilder::new();
    let count = args.count;
    let dawdle = |n: u64| {
        std::thread::park_timeout(Duration::from_millis(1));
        n
    };
    let numbers = workflow.source(StreamSource::new(move || 0..count)).map(dawdle).named("numbers");
    let shared = if args.keyed {
        numbers.keyed_reduce(|n| *n, (), |(), n| n).named("kept").shared()
    } else {
        let begin = |n: u64| {
            BEGUN.call_once(|| say("has work"));
            n
        };
        numbers.map(begin).named("spread").with(RoundRobin).map(|n| n).named("again").with(Rebalance).shared()
    };
    shared.clone().print();
    let tally = |sum: &mut u64, n: u64| {
        *sum += 1;
        (n % 7, *sum)
    };
    shared.keyed_reduce(|n| n % 7, 0u64, tally).named("tally").print();
    workflow.build()
}

/// The most memory that the process has held at a time, where the system says so.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().to_owned())
}

fn say(text: &str) {
    // Nobody has to listen.
    let _ = writeln!(std::io::stderr(), "{text}");
}
