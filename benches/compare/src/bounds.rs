//! What is to be reached in each row, and what was.

use serde::{Deserialize, Serialize};

use crate::figures::checkpoints::{Checkpointed, LOADS};
use crate::figures::nodes::Nodes;
use crate::figures::{self, Distribution, Skew, SlowSink};
use crate::jobs::Job;
use crate::results::{Results, is_peer, is_renoir, is_skitter};
use crate::rows::{Case, RATES};
use crate::stats::{Spread, median, spread};

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
/// The median latency of J4 over two processes, in microseconds.
const CLUSTER_P50_US: f64 = 80.0;
/// From the start of a master to `Deploying`, in milliseconds.
const DEPLOYING_MS: f64 = 100.0;
/// How long it takes many nodes to be started and deployed on, in seconds.
const MANY_S: f64 = 5.0;
/// What many nodes that idle cost, in hundredths of a core.
const IDLE_PERCENT: f64 = 2.0;
/// From the end of a worker to the master's saying so, in milliseconds.
const KILLED_MS: f64 = 100.0;
/// From when a worker is frozen to the master's saying so, in seconds.
const FROZEN_S: f64 = 4.0;

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
    bounds.extend(speed(results, Case::of(Job::J1a), "the best peer", is_peer, 1.0));
    bounds.extend(hand(results, Case::of(Job::J1a), 1.15));
    bounds.extend(speed(results, Case::of(Job::J1b), "the best peer", is_peer, 1.5));
    bounds.extend(hand(results, Case::of(Job::J1b), 1.5));
    bounds.extend(speed(results, Case::of(Job::J2), "Renoir", is_renoir, 1.0));
    bounds.extend(hand(results, Case::of(Job::J2), 1.25));
    bounds.extend(speed(results, Case::of(Job::J3), "the best peer", is_peer, 1.3));
    bounds.extend(hand(results, Case::of(Job::J3), 1.25));
    bounds.extend(RATES.iter().flat_map(|&rate| latency(results, Case::at(rate), P50_US)));
    bounds.extend(skew(results));
    bounds.extend([SlowSink::Chained, SlowSink::Alone].iter().flat_map(|&sink| memory(results, sink)));
    bounds.extend(start(results));
    bounds.extend(cluster(results));
    bounds.extend(results.nodes.iter().flat_map(nodes));
    bounds.extend(checkpoints(results));
    bounds
}

/// What checkpoints cost, and how long a worker pauses for them.
fn checkpoints(results: &Results) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for load in LOADS {
        let of = |with: bool, figure: fn(&Checkpointed) -> f64| median(results.checkpointed(load, with).map(figure));
        let rates = of(false, Checkpointed::rate).zip(of(true, Checkpointed::rate));
        let pauses = of(false, |run| run.longest_pause_ms).zip(of(true, |run| run.longest_pause_ms));
        let Some(((without, with), (before, pause))) = rates.zip(pauses) else { continue };
        let (row, cost) = (format!("checkpoints, {}", load.name), 1.0 - with / without);
        let reached = format!("{:.1} % ({without:.1} M/s without, {with:.1} M/s with)", 100.0 * cost);
        let what = format!("cost of one each {} s", load.every / 1000);
        let to_reach = format!("< {:.0} %", 100.0 * load.most_cost);
        bounds.push(bound(&row, &what, to_reach, reached, cost < load.most_cost));
        if let Some(most) = load.most_pause {
            let reached = format!("{pause:.1} ms (without {before:.1} ms)");
            bounds.push(bound(&row, "longest pause of a worker", format!("< {most} ms"), reached, pause < most));
        }
    }
    bounds
}

/// How many times as fast as others Skitter is.
fn speed(results: &Results, case: Case, whom: &str, others: fn(&str) -> bool, least: f64) -> Option<Bound> {
    let (own, seconds) = results.fastest(case, is_skitter)?;
    let (other, others) = results.fastest(case, others)?;
    let ratio = others / seconds;
    let reached = format!("{ratio:.2} × ({own} {seconds:.3} s, {other} {others:.3} s)");
    let what = format!("speed, of that of {whom}");
    Some(bound(&case.row(), &what, format!("≥ {least} ×"), reached, ratio >= least))
}

/// How many times as long as what is written by hand Skitter takes.
fn hand(results: &Results, case: Case, most: f64) -> Option<Bound> {
    let (own, seconds) = results.fastest(case, is_skitter)?;
    let (_, hand) = results.fastest(case, |engine| engine == "hand")?;
    let ratio = seconds / hand;
    let reached = format!("{ratio:.2} × ({own} {seconds:.3} s, hand {hand:.3} s)");
    let what = format!("time, of that of hand-written {}", if case.processes > 1 { "processes" } else { "threads" });
    Some(bound(&case.row(), &what, format!("≤ {most} ×"), reached, ratio <= most))
}

fn latency(results: &Results, case: Case, p50_us: f64) -> Vec<Bound> {
    let own = || results.of(case).filter(|report| report.engine == "skitter").filter_map(|r| r.latency.as_ref());
    let p50 = median(own().map(|latency| latency.p50)).map(|p50| ("p50", p50, p50_us));
    let p99 = median(own().map(|latency| latency.p99)).map(|p99| ("p99", p99, P99_US));
    let rate = case.rate.unwrap_or_default();
    let of = |(name, us, most): (&str, f64, f64)| {
        bound(&case.row(), &format!("{name} at {rate}/s"), format!("< {most:.0} µs"), format!("{us:.1} µs"), us < most)
    };
    p50.into_iter().chain(p99).map(of).collect()
}

fn cluster(results: &Results) -> Vec<Bound> {
    let [j1a, j1b, j3] = [Job::J1a, Job::J1b, Job::J3].map(|job| Case::of(job).in_two());
    let mut bounds = Vec::new();
    bounds.extend(speed(results, j1a, "the best peer", is_peer, 1.0));
    for (case, least) in [(j1b, 1.1), (j3, 1.3)] {
        bounds.extend(speed(results, case, "the best peer", is_peer, least));
        bounds.extend(hand(results, case, 1.3));
        bounds.extend(peak(results, case));
    }
    bounds.extend(RATES.iter().flat_map(|&rate| latency(results, Case::at(rate).in_two(), CLUSTER_P50_US)));
    bounds
}

/// The most memory that one of Skitter's processes held, whichever form was run.
fn peak(results: &Results, case: Case) -> Option<Bound> {
    let peaks = results.of(case).filter(|report| is_skitter(&report.engine)).map(|report| report.peak_rss_mb);
    let most = spread(peaks)?.max;
    let what = "most memory of a process";
    Some(bound(&case.row(), what, format!("< {MEMORY_MB} MB"), format!("{most:.0} MB"), most < MEMORY_MB))
}

fn nodes(nodes: &Nodes) -> Vec<Bound> {
    let under = |what: &str, most: f64, unit: &str, values: &[f64]| {
        let Spread { median, max, .. } = spread(values.iter().copied())?;
        let reached = format!("{median:.1} {unit} (worst {max:.1} {unit})");
        Some(bound("nodes", what, format!("< {most} {unit}"), reached, median < most))
    };
    let (many, ms) = (figures::nodes::MANY, |seconds: &[f64]| seconds.iter().map(|s| s * 1e3).collect::<Vec<f64>>());
    let idle = [100.0 * nodes.idle_cores()];
    let bounds = [
        under(
            "`master start` with 2 workers that are up, until `Deploying`",
            DEPLOYING_MS,
            "ms",
            &ms(&nodes.deploying),
        ),
        under(
            &format!("{many} workers and a master started, `hello` deployed and done"),
            MANY_S,
            "s",
            &[nodes.many_seconds()],
        ),
        under(&format!("{many} workers that idle, with their master, of a core"), IDLE_PERCENT, "%", &idle),
        under("a worker is killed, until the master says so", KILLED_MS, "ms", &ms(&nodes.killed)),
        under("a worker is frozen, until the master says so", FROZEN_S, "s", &nodes.frozen),
    ];
    bounds.into_iter().flatten().collect()
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
