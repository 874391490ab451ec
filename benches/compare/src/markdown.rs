//! Results as tables.

use std::fmt::Write;

use crate::figures::checkpoints::{Checkpointed, LOADS};
use crate::figures::nodes::{MANY, Nodes};
use crate::figures::{Distribution, SKEW_EXPONENT, SKEW_WORKERS, Skew, SlowSink};
use crate::jobs::THREADS;
use crate::measure::{Latency, Report};
use crate::results::{Results, is_peer};
use crate::rows::{Case, Row};
use crate::stats::{Spread, median, spread};

/// The line from which on a document is replaced by new results.
pub const HEADING: &str = "## Figures";

/// All tables.
pub fn render(results: &Results) -> String {
    let mut text = format!("{HEADING}\n\n{}.\n\n", results.machine);
    let rounds = results.rounds;
    let _ = writeln!(
        text,
        "Medians of {rounds} rounds after one to warm up; engines take turns within each round, each run in a process \
         of its own. {THREADS} threads, over two processes one each.\n"
    );
    text += "| row | | to reach | reached | |\n|---|---|---|---|---|\n";
    for bound in &results.bounds {
        let met = if bound.met { "✓" } else { "✗" };
        let _ = writeln!(text, "| {} | {} | {} | {} | {met} |", bound.row, bound.what, bound.to_reach, bound.reached);
    }
    for row in [Row::J1a, Row::J1b, Row::J2, Row::J3, Row::J4, Row::Cluster] {
        for case in row.cases() {
            engines(&mut text, results, case);
        }
    }
    skew(&mut text, results);
    memory(&mut text, results);
    checkpoints(&mut text, results);
    nodes(&mut text, results);
    text
}

fn engines(text: &mut String, results: &Results, case: Case) {
    let engines = results.engines(case);
    let Some(first) = results.of(case).next() else { return };
    let _ = write!(text, "\n### {}: {}", case.job.title_name(), case.job.title());
    if case.processes > 1 {
        *text += " over two processes";
    }
    match case.rate {
        Some(rate) => {
            let _ = write!(text, " at {rate}/s\n\n");
            *text +=
                "| engine | p50 µs | min–max | p99 µs | min–max | p99.9 µs | p50, p99 from due | CPU s | peak MB |\n";
            *text += "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
            engines.iter().for_each(|engine| latency(text, engine, &own(results, case, engine)));
        }
        None => {
            let millions = first.records as f64 / 1e6;
            let size = results.text_bytes as f64 / 1e6;
            let input = if case.job.reads_text() { format!(" ({size:.0} MB)") } else { String::new() };
            let _ = write!(text, ", {millions:.1} M records{input}\n\n");
            *text += "| engine | seconds | min–max | M records/s | CPU s | peak MB | × hand | × best peer |\n";
            *text += "|---|--:|--:|--:|--:|--:|--:|--:|\n";
            let hand = results.fastest(case, |engine| engine == "hand").map(|(_, seconds)| seconds);
            let peer = results.fastest(case, is_peer).map(|(_, seconds)| seconds);
            engines.iter().for_each(|engine| throughput(text, engine, &own(results, case, engine), hand, peer));
        }
    }
}

/// The reports of one engine.
fn own<'a>(results: &'a Results, case: Case, engine: &str) -> Vec<&'a Report> {
    results.of(case).filter(|report| report.engine == engine).collect()
}

fn throughput(text: &mut String, engine: &str, own: &[&Report], hand: Option<f64>, peer: Option<f64>) {
    let Some(Spread { median: seconds, min, max }) = spread(own.iter().map(|report| report.seconds)) else { return };
    let rate = own[0].records as f64 / seconds / 1e6;
    let (cpu, peak) = usage(own);
    let times = |other: Option<f64>| other.map_or("–".to_owned(), |other| format!("{:.2}", seconds / other));
    let (hand, peer) = (times(hand), times(peer));
    let _ = writeln!(
        text,
        "| {engine} | {seconds:.3} | {min:.3}–{max:.3} | {rate:.1} | {cpu:.2} | {peak:.0} | {hand} | {peer} |"
    );
}

fn latency(text: &mut String, engine: &str, own: &[&Report]) {
    let of = |value: fn(&Latency) -> f64| spread(own.iter().filter_map(|r| r.latency.as_ref()).map(value));
    let (Some(p50), Some(p99), Some(p999)) = (of(|l| l.p50), of(|l| l.p99), of(|l| l.p999)) else { return };
    let (Some(due_p50), Some(due_p99)) = (of(|l| l.due_p50), of(|l| l.due_p99)) else { return };
    let (cpu, peak) = usage(own);
    let _ = writeln!(
        text,
        "| {engine} | {:.1} | {:.1}–{:.1} | {:.0} | {:.0}–{:.0} | {:.0} | {:.1}, {:.0} | {cpu:.2} | {peak:.0} |",
        p50.median, p50.min, p50.max, p99.median, p99.min, p99.max, p999.median, due_p50.median, due_p99.median,
    );
}

/// Processor time and peak memory.
fn usage(own: &[&Report]) -> (f64, f64) {
    let cpu = median(own.iter().map(|report| report.cpu_seconds)).unwrap_or_default();
    let peak = median(own.iter().map(|report| report.peak_rss_mb)).unwrap_or_default();
    (cpu, peak)
}

fn skew(text: &mut String, results: &Results) {
    if results.skew.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "\n### skew: J1b on words with Zipf exponent {SKEW_EXPONENT}, {SKEW_WORKERS} workers\n\n\
         | strategy | seconds | min–max | CPU s | busiest worker × mean, worst round | received by each worker, first round |\n\
         |---|--:|--:|--:|--:|---|\n"
    );
    for (distribution, name) in [(Distribution::KeyedState, "KeyedState"), (Distribution::PartialKey, "PartialKey")] {
        let own: Vec<&Skew> = results.skewed(distribution).collect();
        let seconds = spread(own.iter().map(|skew| skew.seconds));
        let worst = spread(own.iter().map(|skew| skew.imbalance()));
        let (Some(Spread { median: seconds, min, max }), Some(worst)) = (seconds, worst) else { continue };
        let cpu = median(own.iter().map(|skew| skew.cpu_seconds)).unwrap_or_default();
        let received: Vec<String> = own[0].received.iter().map(ToString::to_string).collect();
        let _ = writeln!(
            text,
            "| `{name}` | {seconds:.3} | {min:.3}–{max:.3} | {cpu:.2} | {:.3} | {} |",
            worst.max,
            received.join(" ")
        );
    }
}

fn memory(text: &mut String, results: &Results) {
    if results.memory.is_empty() {
        return;
    }
    *text += "\n### memory: J1b with a sink that takes 1 µs a record, worst round\n\n\
              | sink | M records | seconds | peak MB | growth in the last three quarters MB | MB at ¼, ½, ¾ and the end |\n\
              |---|--:|--:|--:|--:|---|\n";
    for (sink, name) in [(SlowSink::Chained, "chained to the count"), (SlowSink::Alone, "in one worker of its own")] {
        let worst = results.slowed(sink).max_by(|a, b| f64::total_cmp(&a.growth_mb(), &b.growth_mb()));
        let Some(worst) = worst else { continue };
        let at = |part: f64| {
            let sample = worst.samples.iter().rev().find(|(at, _)| *at <= worst.seconds * part);
            sample.map_or("–".to_owned(), |(_, mb)| format!("{mb:.0}"))
        };
        let peak = spread(results.slowed(sink).map(|memory| memory.peak_rss_mb)).map_or(0.0, |spread| spread.max);
        let (millions, seconds, growth) = (worst.records as f64 / 1e6, worst.seconds, worst.growth_mb());
        let marks = [at(0.25), at(0.5), at(0.75), at(1.0)].join(", ");
        let _ = writeln!(text, "| {name} | {millions:.1} | {seconds:.1} | {peak:.0} | {growth:.1} | {marks} |");
    }
}

fn checkpoints(text: &mut String, results: &Results) {
    if results.checkpoints.is_empty() {
        return;
    }
    *text += "\n### checkpoints: J3, when all keys are there\n\n\
              | keys | a checkpoint each | M records/s | min–max | CPU ms per M records | peak MB | longest pause ms | min–max \
              | a checkpoint takes ms |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|\n";
    for (load, with) in LOADS.iter().flat_map(|load| [(load, false), (load, true)]) {
        let of = |figure: fn(&Checkpointed) -> f64| spread(results.checkpointed(*load, with).map(figure));
        let (Some(rate), Some(cpu), Some(peak), Some(pause)) = (
            of(Checkpointed::rate),
            of(Checkpointed::cpu_ms),
            of(|run| run.peak_rss_mb),
            of(|run| run.longest_pause_ms),
        ) else {
            continue;
        };
        let every = if with { format!("{} s", load.every / 1000) } else { "–".to_owned() };
        let took = median(results.checkpointed(*load, with).flat_map(|run| run.checkpoints.iter().copied()));
        let took = took.map_or("–".to_owned(), |took| format!("{took:.0}"));
        let _ = writeln!(
            text,
            "| {} | {every} | {:.1} | {:.1}–{:.1} | {:.1} | {:.0} | {:.1} | {:.1}–{:.1} | {took} |",
            load.name, rate.median, rate.min, rate.max, cpu.median, peak.max, pause.median, pause.min, pause.max
        );
    }
}

fn nodes(text: &mut String, results: &Results) {
    let Some(nodes) = &results.nodes else { return };
    let _ = write!(text, "\n### nodes: the program `skitter`, {MANY} workers and a master\n\n");
    *text +=
        "| started s | deployed and done s | idle workers, % of a core | idle master, % of a core | MB of a worker |\n";
    *text += "|--:|--:|--:|--:|--:|\n";
    let Nodes { many_started, many_deployed, idle_workers, idle_master, worker_mb, .. } = nodes;
    let (workers, master) = (100.0 * idle_workers, 100.0 * idle_master);
    let _ = writeln!(text, "| {many_started:.2} | {many_deployed:.2} | {workers:.2} | {master:.2} | {worker_mb:.0} |");
}
