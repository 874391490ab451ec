//! Figures that have a bound and no peer: what is measured of Skitter alone.

pub mod checkpoints;
pub mod nodes;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Workers of the keyed stage of `skew`.
pub const SKEW_WORKERS: usize = 8;
/// Exponent of the Zipf distribution of the words of `skew`: the first has 38 % of all.
pub const SKEW_EXPONENT: f64 = 1.5;

/// How the keyed stage of `skew` is distributed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// By `KeyedState`: each key has one owner.
    KeyedState,
    /// By `PartialKey`: heavy keys have several workers.
    PartialKey,
}

/// What was measured of one run of `skew`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Skew {
    pub distribution: Distribution,
    pub seconds: f64,
    pub cpu_seconds: f64,
    /// Messages that each worker was given.
    pub received: Vec<u64>,
    /// Equal for all distributions of the same text.
    pub checksum: String,
}

impl Skew {
    /// What the busiest worker was given, as a multiple of the mean.
    pub fn imbalance(&self) -> f64 {
        let sum: u64 = self.received.iter().sum();
        let most = self.received.iter().max().copied().unwrap_or_default();
        most as f64 * self.received.len() as f64 / sum as f64
    }
}

/// Where the slow sink of `memory` runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum SlowSink {
    /// In the workers of the keyed stage, as in J1b.
    Chained,
    /// In one worker of its own, which all others wait for.
    Alone,
}

/// What was measured of one run of `memory`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Memory {
    pub sink: SlowSink,
    pub records: u64,
    pub seconds: f64,
    pub peak_rss_mb: f64,
    /// The trend of resident memory from a quarter of the run to its end, in MB a second.
    pub trend_mb_per_second: f64,
    /// Seconds since the start, and the memory that was resident then, in MB.
    pub samples: Vec<(f64, f64)>,
}

impl Memory {
    /// What the trend amounts to over the last three quarters of the run, in MB.
    pub fn growth_mb(&self) -> f64 {
        self.trend_mb_per_second * self.seconds * 0.75
    }
}

/// What was measured of `start`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Start {
    /// Wall time of each process, in seconds.
    pub seconds: Vec<f64>,
}

/// What `hello` prints, in any order of its words.
const GREETING: [&str; 4] = [r#"("Hello", 1)"#, r#"("Hello", 2)"#, r#"("Skitter", 1)"#, r#"("World!", 1)"#];

/// Runs `skitter local` with its default workflow so many times, and once before to warm up.
///
/// # Errors
/// When the program can't be run, fails, or prints something else.
pub fn start(program: &Path, runs: usize) -> Result<Start, String> {
    let shown = program.display();
    let mut seconds = Vec::with_capacity(runs);
    for run in 0..=runs {
        let clock = Instant::now();
        let command = Command::new(program).arg("local").stdin(Stdio::null()).output();
        let elapsed = clock.elapsed().as_secs_f64();
        let output = command.map_err(|error| format!("{shown}: {error}"))?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let mut lines: Vec<&str> = printed.lines().collect();
        lines.sort_unstable();
        if !output.status.success() || lines != GREETING {
            let log = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{shown} local: {}\n{printed}{log}", output.status));
        }
        if run > 0 {
            seconds.push(elapsed);
        }
    }
    Ok(Start { seconds })
}
