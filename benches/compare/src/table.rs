//! Running all pairs of job and engine in turn, each in its own process, and printing tables.

use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::engines::Engine;
use crate::jobs::Job;
use crate::measure::Report;

/// The rates of J4.
const RATES: [u64; 2] = [10_000, 100_000];

/// Which pairs to run, and how often.
#[derive(Args)]
pub struct Plan {
    /// Jobs, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "j1a,j1b,j2,j3,j4")]
    jobs: Vec<Job>,
    /// Engines, separated by commas; all by default.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// Rounds that count; one more before them warms up.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The text, for J1.
    #[arg(long)]
    input: Option<PathBuf>,
    /// Where to write all reports as JSON.
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// One table: a job, for J4 at one rate.
#[derive(Clone, Copy)]
struct Case {
    job: Job,
    rate: Option<u64>,
}

/// Runs the plan and prints the tables.
///
/// # Errors
///
/// When a run fails or the engines' results differ.
pub fn run(plan: &Plan) -> Result<(), String> {
    let all: Vec<Engine> = <Engine as clap::ValueEnum>::value_variants().to_vec();
    let engines = if plan.engines.is_empty() { &all } else { &plan.engines };
    let mut reports = Vec::new();
    for case in cases(&plan.jobs) {
        let found = measure(plan, case, engines)?;
        println!("{}", table(case, engines, &found));
        reports.extend(found);
    }
    if let Some(path) = &plan.output {
        let json = serde_json::to_string_pretty(&reports).map_err(|error| error.to_string())?;
        std::fs::write(path, json).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn cases(jobs: &[Job]) -> Vec<Case> {
    let of_job = |&job: &Job| match job {
        Job::J4 => RATES.map(|rate| Case { job, rate: Some(rate) }).to_vec(),
        _ => vec![Case { job, rate: None }],
    };
    jobs.iter().flat_map(of_job).collect()
}

/// All rounds of one case; the engines alternate within each round.
fn measure(plan: &Plan, case: Case, engines: &[Engine]) -> Result<Vec<Report>, String> {
    let mut reports: Vec<Report> = Vec::new();
    let mut checksum: Option<(String, String)> = None;
    for round in 0..=plan.runs {
        for &engine in engines.iter().filter(|engine| engine.runs(case.job)) {
            let report = execute(plan, case, engine)?;
            let name = engine.name();
            eprintln!("{} {name}: {:.3} s, round {round}", case.job.name(), report.seconds);
            let (first, expected) = checksum.get_or_insert_with(|| (name.to_owned(), report.checksum.clone()));
            if report.checksum != *expected {
                let job = case.job.name();
                return Err(format!("{job}: {name} found {} where {first} found {expected}", report.checksum));
            }
            if round > 0 {
                reports.push(report);
            }
        }
    }
    Ok(reports)
}

/// Runs one pair in a process of its own.
fn execute(plan: &Plan, case: Case, engine: Engine) -> Result<Report, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["run", "--engine", engine.name(), "--job", case.job.name()]);
    if let Some(rate) = case.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    if let Some(input) = plan.input.as_ref().filter(|_| case.job.reads_text()) {
        command.arg("--input").arg(input);
    }
    let pair = || format!("{} on {}", case.job.name(), engine.name());
    let output = command.output().map_err(|error| format!("{}: {error}", pair()))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}\n{error}", pair(), output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{}: {error}", pair()))
}

/// What one row says.
struct Row {
    engine: Engine,
    seconds: Spread,
    cpu: f64,
    peak: f64,
    records: u64,
    latency: Option<[Spread; 3]>,
}

/// The median of some values, with their bounds.
#[derive(Clone, Copy)]
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted[sorted.len() / 2];
    let lower = sorted[(sorted.len() - 1) / 2];
    Spread { median: (lower + upper) / 2.0, min: sorted[0], max: sorted[sorted.len() - 1] }
}

fn row(engine: Engine, reports: &[Report]) -> Option<Row> {
    let own: Vec<&Report> = reports.iter().filter(|r| r.engine == engine.name()).collect();
    let latency: Vec<_> = own.iter().filter_map(|r| r.latency.as_ref()).collect();
    let first = own.first()?;
    Some(Row {
        engine,
        seconds: spread(own.iter().map(|r| r.seconds)),
        cpu: spread(own.iter().map(|r| r.cpu_seconds)).median,
        peak: spread(own.iter().map(|r| r.peak_rss_mb)).median,
        records: first.records,
        latency: (!latency.is_empty()).then(|| {
            [
                spread(latency.iter().map(|l| l.p50)),
                spread(latency.iter().map(|l| l.p99)),
                spread(latency.iter().map(|l| l.p999)),
            ]
        }),
    })
}

fn table(case: Case, engines: &[Engine], reports: &[Report]) -> String {
    let rows: Vec<Row> = engines.iter().filter_map(|&e| row(e, reports)).collect();
    let (name, title) = (case.job.name().to_uppercase(), case.job.title());
    match case.rate {
        Some(rate) => format!("## {name}: {title}, {rate}/s\n\n{}", latencies(&rows)),
        None => format!("## {name}: {title}\n\n{}", throughputs(&rows)),
    }
}

fn throughputs(rows: &[Row]) -> String {
    let best = |wanted: &dyn Fn(&Row) -> bool| {
        let medians = rows.iter().filter(|row| wanted(row)).map(|row| row.seconds.median);
        medians.min_by(f64::total_cmp)
    };
    let hand = best(&|row| row.engine == Engine::Hand);
    let peer = best(&|row| row.engine.is_peer());
    let mut text = String::from(
        "| engine | seconds | min–max | M records/s | CPU s | peak MB | × hand | × best peer |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Spread { median, min, max } = row.seconds;
        let rate = row.records as f64 / median / 1e6;
        text += &format!(
            "| {} | {median:.3} | {min:.3}–{max:.3} | {rate:.1} | {:.2} | {:.0} | {} | {} |\n",
            row.engine.name(),
            row.cpu,
            row.peak,
            number(hand.map(|hand| median / hand)),
            number(peer.map(|peer| median / peer)),
        );
    }
    text
}

fn latencies(rows: &[Row]) -> String {
    let mut text = String::from(
        "| engine | p50 µs | min–max | p99 µs | min–max | p99.9 µs | CPU s | peak MB |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Some([p50, p99, p999]) = row.latency else {
            continue;
        };
        text += &format!(
            "| {} | {:.1} | {:.1}–{:.1} | {:.0} | {:.0}–{:.0} | {:.0} | {:.2} | {:.0} |\n",
            row.engine.name(),
            p50.median,
            p50.min,
            p50.max,
            p99.median,
            p99.min,
            p99.max,
            p999.median,
            row.cpu,
            row.peak,
        );
    }
    text
}

fn number(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.2}"))
}
