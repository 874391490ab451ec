//! Running one job on one engine in this process, and what is measured of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::engines::Engine;
use crate::jobs::{J2_RECORDS, J3_RECORDS, Job, LATENCY_SECONDS, Place, Run};
use crate::process::{cpu_seconds, peak_rss_mb};
use crate::tally::Totals;

/// What was measured of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    pub engine: String,
    pub job: String,
    /// How many processes it ran in, a master not counted.
    #[serde(default = "one")]
    pub processes: usize,
    /// Records a second that J4 was to emit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Records that entered; for J1 the words of the text.
    pub records: u64,
    /// Wall time of the job.
    pub seconds: f64,
    /// Processor time of all threads, of all processes, during the job.
    pub cpu_seconds: f64,
    /// The most memory that the process held; of several, the one that held the most.
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
    /// From being emitted to arriving.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// From being due to arriving: with what the source was late.
    pub due_p50: f64,
    pub due_p99: f64,
}

/// What a run has used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub seconds: f64,
    pub cpu_seconds: f64,
    /// Of the process that held the most.
    pub peak_rss_mb: f64,
}

/// Runs `job` on `engine`.
pub fn run(engine: Engine, job: Job, input: Option<PathBuf>, rate: u64) -> Result<Report, String> {
    if !engine.runs(job, 1) {
        return Err(format!("{} has no {}", engine.name(), job.name()));
    }
    let input = match input {
        Some(path) => path,
        None if job.reads_text() => return Err(format!("{} needs --input", job.name())),
        None => PathBuf::new(),
    };
    let totals = Arc::new(Totals::default());
    let run = Run { job, input, rate, totals: Arc::clone(&totals), place: Place::Alone };
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    engine.run(&run);
    let (seconds, cpu_seconds) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let used = Used { seconds, cpu_seconds, peak_rss_mb: peak_rss_mb() };
    Ok(report((engine, job, rate, 1), &totals, used, latency(&totals)))
}

/// What was measured of a run: of this engine, of this job, at this rate, in so many processes.
pub fn report(of: (Engine, Job, u64, usize), totals: &Totals, used: Used, latency: Option<Latency>) -> Report {
    let (engine, job, rate, processes) = of;
    Report {
        engine: engine.name().to_owned(),
        job: job.name().to_owned(),
        processes,
        rate: (job == Job::J4).then_some(rate),
        records: match job {
            Job::J1a => totals.sum.load(Relaxed),
            Job::J1b => totals.updates.load(Relaxed),
            Job::J2 => J2_RECORDS,
            Job::J3 => J3_RECORDS,
            Job::J4 => rate * LATENCY_SECONDS,
        },
        seconds: used.seconds,
        cpu_seconds: used.cpu_seconds,
        peak_rss_mb: used.peak_rss_mb,
        checksum: job.checksum(totals),
        sink_xor: totals.xor.load(Relaxed),
        latency,
    }
}

/// Percentiles of the records that have arrived in this process.
pub fn latency(totals: &Totals) -> Option<Latency> {
    let latencies = totals.latency.lock().expect("no panic under lock");
    let latencies = latencies.as_ref()?;
    let us = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    Some(Latency {
        p50: us(&latencies.emitted, 0.5),
        p99: us(&latencies.emitted, 0.99),
        p999: us(&latencies.emitted, 0.999),
        due_p50: us(&latencies.due, 0.5),
        due_p99: us(&latencies.due, 0.99),
    })
}

/// The processes of a report that does not say how many.
fn one() -> usize {
    1
}
