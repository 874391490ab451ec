//! Running one job on one engine in this process, and what is measured of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::engines::Engine;
use crate::jobs::{J2_RECORDS, J3_RECORDS, Job, LATENCY_SECONDS, Run};
use crate::process::{cpu_seconds, peak_rss_mb};
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
    /// From being emitted to arriving.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// From being due to arriving: with what the source was late.
    pub due_p50: f64,
    pub due_p99: f64,
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
