//! What is to be reached in each row, and what was.

use serde::{Deserialize, Serialize};

use crate::figures::{Distribution, Skew, SlowSink};
use crate::jobs::Job;
use crate::results::{Results, is_peer, is_renoir, is_skitter};
use crate::rows::{Case, RATES};
use crate::stats::{median, spread};

/// What the busiest worker of `skew` may get, as a multiple of the mean.
const IMBALANCE: f64 = 1.2;
/// Resident memory of `memory`, in MB.
const MEMORY_MB: f64 = 200.0;
/// What the trend of `memory` may add in three quarters of a run, in MB, to be called flat. Not nothing, because a word
/// that comes late in the text is a key from then on: 226,000 words of 33 bytes are 7.5 MB, in tables that double in
/// size. A queue without a bound would hold a gigabyte.
const GROWTH_MB: f64 = 16.0;
/// Wall time of `start`, in milliseconds.
const START_MS: f64 = 50.0;
/// The median latency of J4, in microseconds.
const P50_US: f64 = 30.0;
/// The 99th percentile of J4, in microseconds.
const P99_US: f64 = 1000.0;

/// One figure beside its bound.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Bound {
    pub row: String,
    /// What was measured, in words.
    pub what: String,
    pub to_reach: String,
    pub reached: String,
    pub met: bool,
}

fn bound(row: &str, what: &str, to_reach: String, reached: String, met: bool) -> Bound {
    Bound { row: row.to_owned(), what: what.to_owned(), to_reach, reached, met }
}

/// All bounds of what was measured.
pub fn all(results: &Results) -> Vec<Bound> {
    let mut bounds = Vec::new();
    bounds.extend(speed(results, Job::J1a, "the best peer", is_peer, 1.0));
    bounds.extend(hand(results, Job::J1a, 1.15));
    bounds.extend(speed(results, Job::J1b, "the best peer", is_peer, 1.5));
    bounds.extend(hand(results, Job::J1b, 1.5));
    bounds.extend(speed(results, Job::J2, "Renoir", is_renoir, 1.0));
    bounds.extend(hand(results, Job::J2, 1.25));
    bounds.extend(speed(results, Job::J3, "the best peer", is_peer, 1.3));
    bounds.extend(hand(results, Job::J3, 1.25));
    bounds.extend(RATES.iter().flat_map(|&rate| latency(results, rate)));
    bounds.extend(skew(results));
    bounds.extend([SlowSink::Chained, SlowSink::Alone].iter().flat_map(|&sink| memory(results, sink)));
    bounds.extend(start(results));
    bounds
}

/// How many times as fast as others Skitter is.
fn speed(results: &Results, job: Job, whom: &str, others: fn(&str) -> bool, least: f64) -> Option<Bound> {
    let (own, seconds) = results.fastest(job, is_skitter)?;
    let (other, others) = results.fastest(job, others)?;
    let ratio = others / seconds;
    let reached = format!("{ratio:.2} × ({own} {seconds:.3} s, {other} {others:.3} s)");
    let what = format!("speed, of that of {whom}");
    Some(bound(&job.title_name(), &what, format!("≥ {least} ×"), reached, ratio >= least))
}

/// How many times as long as threads written by hand Skitter takes.
fn hand(results: &Results, job: Job, most: f64) -> Option<Bound> {
    let (own, seconds) = results.fastest(job, is_skitter)?;
    let (_, hand) = results.fastest(job, |engine| engine == "hand")?;
    let ratio = seconds / hand;
    let reached = format!("{ratio:.2} × ({own} {seconds:.3} s, hand {hand:.3} s)");
    Some(bound(
        &job.title_name(),
        "time, of that of hand-written threads",
        format!("≤ {most} ×"),
        reached,
        ratio <= most,
    ))
}

fn latency(results: &Results, rate: u64) -> Vec<Bound> {
    let case = Case { job: Job::J4, rate: Some(rate) };
    let own = || results.of(case).filter(|report| report.engine == "skitter").filter_map(|r| r.latency.as_ref());
    let p50 = median(own().map(|latency| latency.p50)).map(|p50| ("p50", p50, P50_US));
    let p99 = median(own().map(|latency| latency.p99)).map(|p99| ("p99", p99, P99_US));
    let of = |(name, us, most): (&str, f64, f64)| {
        bound("J4", &format!("{name} at {rate}/s"), format!("< {most:.0} µs"), format!("{us:.1} µs"), us < most)
    };
    p50.into_iter().chain(p99).map(of).collect()
}

fn skew(results: &Results) -> Option<Bound> {
    let worst = |distribution| spread(results.skewed(distribution).map(Skew::imbalance)).map(|spread| spread.max);
    let own = worst(Distribution::PartialKey)?;
    let other = worst(Distribution::KeyedState).map(|other| format!(" (`KeyedState`: {other:.2} ×)"));
    let reached = format!("{own:.3} ×{}", other.unwrap_or_default());
    let what = "busiest of 8 workers, of the mean, with `PartialKey`";
    Some(bound("skew", what, format!("≤ {IMBALANCE} ×"), reached, own <= IMBALANCE))
}

fn memory(results: &Results, sink: SlowSink) -> Vec<Bound> {
    let peak = spread(results.slowed(sink).map(|memory| memory.peak_rss_mb));
    let growth = spread(results.slowed(sink).map(|memory| memory.growth_mb()));
    let (Some(peak), Some(growth)) = (peak, growth) else { return Vec::new() };
    let sink = match sink {
        SlowSink::Chained => "sink chained",
        SlowSink::Alone => "sink alone",
    };
    let (peak, growth) = (peak.max, growth.max);
    vec![
        bound(
            "memory",
            &format!("peak, {sink}"),
            format!("< {MEMORY_MB} MB"),
            format!("{peak:.0} MB"),
            peak < MEMORY_MB,
        ),
        bound(
            "memory",
            &format!("growth in the last three quarters, {sink}"),
            format!("< {GROWTH_MB} MB"),
            format!("{growth:.1} MB"),
            growth < GROWTH_MB,
        ),
    ]
}

fn start(results: &Results) -> Option<Bound> {
    let spread = spread(results.start.as_ref()?.seconds.iter().map(|seconds| seconds * 1e3))?;
    let reached = format!("{:.1} ms (worst {:.1} ms)", spread.median, spread.max);
    Some(bound("start", "`skitter local` with `hello`", format!("< {START_MS} ms"), reached, spread.median < START_MS))
}
