//! Running one job on one engine in this process, and what is measured of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::engines::Engine;
use crate::jobs::{J2_RECORDS, J3_RECORDS, Job, LATENCY_SECONDS, Run};
use crate::tally::Totals;

/// What was measured of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    pub engine: String,
    pub job: String,
    /// Records a second that J4 was to emit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Records that entered; for J1 the words of the text.
    pub records: u64,
    /// Wall time of the job.
    pub seconds: f64,
    /// Processor time of all threads during the job.
    pub cpu_seconds: f64,
    /// The most memory that the process held.
    pub peak_rss_mb: f64,
    /// Equal for all engines that run the job on the same input.
    pub checksum: String,
    /// The xor over all that the sinks saw; depends on order for J3.
    pub sink_xor: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// Percentiles of J4 in microseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

/// Runs `job` on `engine`.
pub fn run(engine: Engine, job: Job, input: Option<PathBuf>, rate: u64) -> Result<Report, String> {
    if !engine.runs(job) {
        return Err(format!("{} has no {}", engine.name(), job.name()));
    }
    let input = match input {
        Some(path) => path,
        None if job.reads_text() => return Err(format!("{} needs --input", job.name())),
        None => PathBuf::new(),
    };
    let totals = Arc::new(Totals::default());
    let run = Run { job, input, rate, totals: Arc::clone(&totals) };
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    engine.run(&run);
    let (seconds, cpu_seconds) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    Ok(Report {
        engine: engine.name().to_owned(),
        job: job.name().to_owned(),
        rate: (job == Job::J4).then_some(rate),
        records: match job {
            Job::J1a => totals.sum.load(Relaxed),
            Job::J1b => totals.updates.load(Relaxed),
            Job::J2 => J2_RECORDS,
            Job::J3 => J3_RECORDS,
            Job::J4 => rate * LATENCY_SECONDS,
        },
        seconds,
        cpu_seconds,
        peak_rss_mb: peak_rss_mb(),
        checksum: job.checksum(&totals),
        sink_xor: totals.xor.load(Relaxed),
        latency: latency(&totals),
    })
}

fn latency(totals: &Totals) -> Option<Latency> {
    let histogram = totals.latency.lock().expect("no panic under lock");
    let us = |q| histogram.as_ref().map(|h| h.value_at_quantile(q) as f64 / 1e3);
    Some(Latency { p50: us(0.5)?, p99: us(0.99)?, p999: us(0.999)? })
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("own usage is readable");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}

/// The high-water mark of resident memory; 0 where the system has no `/proc`.
fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
