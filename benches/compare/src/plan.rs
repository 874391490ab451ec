//! Measuring all rows: each run in a process of its own, engines in turn.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;

use crate::engines::Engine;
use crate::figures::checkpoints::{Checkpointed, LOADS};
use crate::figures::nodes::Nodes;
use crate::figures::{self, Distribution, SKEW_EXPONENT, SlowSink, Start};
use crate::generate::{Text, generate};
use crate::machine::Machine;
use crate::measure::Report;
use crate::results::Results;
use crate::rows::{Case, Row};
use crate::{bounds, markdown};

/// Different words of the texts.
pub const WORDS: usize = 226_000;
/// Rounds of `memory` at most: each takes a while, and its figure is no time.
const MEMORY_ROUNDS: usize = 3;

/// Which rows to measure, and how often.
#[derive(Args)]
pub struct Plan {
    /// Rows, separated by commas; all by default
    #[arg(long, alias = "jobs", value_delimiter = ',')]
    rows: Vec<Row>,
    /// Engines, separated by commas; all by default
    #[arg(long, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// Rounds that count; one more before them warms up
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Size of the texts in MB; smaller ones are for trying things out
    #[arg(long, default_value_t = 200)]
    mb: u64,
    /// Where the texts are kept; they are generated when they are not there
    #[arg(long, default_value = "target/bench")]
    data: PathBuf,
    /// The program that `start` and `nodes` run [default: `skitter` beside this one]
    #[arg(long)]
    program: Option<PathBuf>,
    /// How often `start` and `nodes` start it
    #[arg(long, default_value_t = 20)]
    starts: usize,
    /// Where to write all that was measured, as JSON
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// A document whose last part, from the heading on, is replaced by the tables
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
}

/// Measures and prints the tables.
///
/// # Errors
/// When a run fails, the engines' results differ, or a file can't be written.
pub fn run(plan: &Plan) -> Result<(), String> {
    let rows = if plan.rows.is_empty() { Row::value_variants() } else { &plan.rows };
    let mut results = Results {
        machine: Machine::here(),
        rounds: plan.runs,
        text_bytes: plan.mb * 1_000_000,
        bounds: Vec::new(),
        reports: Vec::new(),
        skew: Vec::new(),
        memory: Vec::new(),
        start: None,
        nodes: None,
        checkpoints: Vec::new(),
    };
    for row in rows {
        for case in row.cases() {
            results.reports.extend(plan.engines(case)?);
        }
        match row {
            Row::Skew => results.skew = plan.skew()?,
            Row::Memory => results.memory = plan.memory()?,
            Row::Start => results.start = Some(plan.start()?),
            Row::Checkpoints => results.checkpoints = plan.checkpoints()?,
            Row::Nodes => results.nodes = Some(plan.nodes()?),
            _ => {}
        }
    }
    results.bounds = bounds::all(&results);
    publish(&results, plan.output.as_deref(), plan.into.as_deref())
}

/// Prints the tables of results that were written before.
///
/// # Errors
/// When the file is no results, or `into` can't be written.
pub fn show(path: &Path, into: Option<&Path>) -> Result<(), String> {
    let json = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut results: Results = serde_json::from_slice(&json).map_err(|error| format!("{}: {error}", path.display()))?;
    results.bounds = bounds::all(&results);
    publish(&results, None, into)
}

fn publish(results: &Results, output: Option<&Path>, into: Option<&Path>) -> Result<(), String> {
    let tables = markdown::render(results);
    println!("{tables}");
    if let Some(path) = output {
        let json = serde_json::to_string_pretty(results).map_err(|error| error.to_string())?;
        std::fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(path) = into {
        let failed = |error| format!("{}: {error}", path.display());
        let old = std::fs::read_to_string(path).map_err(failed)?;
        let kept = old.split_once(&format!("\n{}\n", markdown::HEADING)).map(|(kept, _)| kept);
        let kept = kept.ok_or_else(|| format!("{}: there is no line `{}`", path.display(), markdown::HEADING))?;
        std::fs::write(path, format!("{kept}\n{tables}")).map_err(failed)?;
    }
    Ok(())
}

impl Plan {
    /// All rounds of one case; the engines alternate within each round.
    fn engines(&self, case: Case) -> Result<Vec<Report>, String> {
        let all = if self.engines.is_empty() { Engine::value_variants() } else { &self.engines };
        let name = case.row();
        let mut reports: Vec<Report> = Vec::new();
        let mut checksum: Option<(&str, String)> = None;
        for round in 0..=self.runs {
            for engine in all.iter().filter(|engine| engine.runs(case.job, case.processes)) {
                let report = self.report(case, *engine)?;
                eprintln!("{name} {}: {:.3} s, round {round}", engine.name(), report.seconds);
                let (first, expected) = checksum.get_or_insert_with(|| (engine.name(), report.checksum.clone()));
                if report.checksum != *expected {
                    let found = &report.checksum;
                    return Err(format!("{name}: {} found {found} where {first} found {expected}", engine.name()));
                }
                if round > 0 {
                    reports.push(report);
                }
            }
        }
        Ok(reports)
    }

    fn report(&self, case: Case, engine: Engine) -> Result<Report, String> {
        let mut command = this("run")?;
        command.args(["--engine", engine.name(), "--job", case.job.name()]);
        if case.processes > 1 {
            command.arg("--cluster");
        }
        if let Some(rate) = case.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        if case.job.reads_text() {
            command.arg("--input").arg(self.text(1.0)?);
        }
        execute(command)
    }

    /// All rounds of `skew`, the strategies in turn.
    fn skew(&self) -> Result<Vec<figures::Skew>, String> {
        let mut rounds: Vec<figures::Skew> = Vec::new();
        for round in 0..=self.runs {
            for distribution in Distribution::value_variants() {
                let mut command = this("skew")?;
                command.arg("--distribution").arg(name(distribution)).arg("--input").arg(self.text(SKEW_EXPONENT)?);
                let skew: figures::Skew = execute(command)?;
                let imbalance = skew.imbalance();
                eprintln!("skew {}: {:.3} s, {imbalance:.3} ×, round {round}", name(distribution), skew.seconds);
                if let Some(first) = rounds.first().filter(|first| first.checksum != skew.checksum) {
                    return Err(format!(
                        "skew: {} found other counts than {}",
                        name(distribution),
                        name(&first.distribution)
                    ));
                }
                if round > 0 {
                    rounds.push(skew);
                }
            }
        }
        Ok(rounds)
    }

    /// The rounds of `memory`, each with both sinks.
    fn memory(&self) -> Result<Vec<figures::Memory>, String> {
        let mut rounds = Vec::new();
        for round in 1..=self.runs.min(MEMORY_ROUNDS) {
            for sink in SlowSink::value_variants() {
                // Either way a run takes a quarter of a minute: both threads wait for 31 M records, or one for half.
                let parts = match sink {
                    SlowSink::Chained => 1,
                    SlowSink::Alone => 2,
                };
                let mut command = this("memory")?;
                command.arg("--sink").arg(name(sink)).arg("--input").arg(self.text(1.0)?);
                command.args(["--parts", &parts.to_string()]);
                let memory: figures::Memory = execute(command)?;
                let (seconds, peak) = (memory.seconds, memory.peak_rss_mb);
                eprintln!("memory, sink {}: {seconds:.1} s, peak {peak:.0} MB, round {round}", name(sink));
                rounds.push(memory);
            }
        }
        Ok(rounds)
    }

    /// All rounds of `checkpoints`, each load with and without in turn.
    fn checkpoints(&self) -> Result<Vec<Checkpointed>, String> {
        let store = self.data.join("checkpoints");
        let mut runs: Vec<Checkpointed> = Vec::new();
        for (round, load) in (0..=self.runs).flat_map(|round| LOADS.map(|load| (round, load))) {
            for every in [None, Some(load.every)] {
                let mut command = this("checkpoints")?;
                command.args(["--keys", &load.keys.to_string(), "--records", &load.records.to_string()]);
                command.arg("--store").arg(&store);
                if let Some(every) = every {
                    command.args(["--every", &every.to_string()]);
                }
                let run: Checkpointed = execute(command)?;
                let (name, rate, pause) = (load.name, run.rate(), run.longest_pause_ms);
                eprintln!("checkpoints {name} {every:?}: {rate:.1} M/s, longest pause {pause:.1} ms, round {round}");
                let mut others = runs.iter().filter(|other| other.keys == run.keys);
                if let Some(other) = others.find(|other| other.checksum != run.checksum) {
                    return Err(format!("checkpoints: {} is not {}", run.checksum, other.checksum));
                }
                if round > 0 {
                    runs.push(run);
                }
            }
        }
        Ok(runs)
    }

    /// The program `skitter`.
    fn program(&self) -> Result<PathBuf, String> {
        let beside = || Ok(std::env::current_exe()?.with_file_name("skitter"));
        let program = self.program.clone().map_or_else(beside, Ok);
        program.map_err(|error: std::io::Error| error.to_string())
    }

    fn nodes(&self) -> Result<Nodes, String> {
        let nodes = Nodes::measure(&self.program()?, self.starts)?;
        eprintln!("nodes: {} starts", nodes.deploying.len());
        Ok(nodes)
    }

    fn start(&self) -> Result<Start, String> {
        let start = figures::start(&self.program()?, self.starts)?;
        eprintln!("start: {} runs", start.seconds.len());
        Ok(start)
    }

    /// The text with this exponent, generated if it is not there.
    fn text(&self, exponent: f64) -> Result<PathBuf, String> {
        let path = self.data.join(format!("words-{}mb-zipf{exponent:.1}.txt", self.mb));
        if !path.exists() {
            eprintln!("generating {}", path.display());
            let text = Text { bytes: self.mb * 1_000_000, words: WORDS, exponent };
            generate(&text, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(path)
    }
}

/// The name of a value on the command line.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// This program, with a subcommand.
fn this(subcommand: &str) -> Result<Command, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
    command.arg(subcommand);
    Ok(command)
}

/// Runs a command that prints one value in JSON.
fn execute<T: DeserializeOwned>(mut command: Command) -> Result<T, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}\n{error}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{command:?}: {error}"))
}
