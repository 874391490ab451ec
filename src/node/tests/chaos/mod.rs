//! Whatever goes wrong: each record has its effect once, and in order.
//!
//! A master, workers, a source of numbers, a store and a bank run in one thread, on time of their own; by its seed each
//! run kills nodes, freezes them, cuts cables, fails the store, and so on. The same seed gives the same run.

mod dice;
mod disk;
mod host;
mod jobs;
mod ledger;
mod log;
mod plan;
#[path = "../../../../examples/ring/strategy.rs"]
mod ring;
mod scene;

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use self::scene::{Report, run};

/// Runs of the ordinary tests.
const SEEDS: u64 = 200;

/// What many runs came to.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    checkpoints: u64,
    recovered: u64,
    faults: BTreeMap<&'static str, u64>,
    failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, report: Report) {
        let Report { seed, plan, faults, checkpoints, recovered, took, failure, .. } = report;
        self.runs += 1;
        self.checkpoints += checkpoints;
        self.recovered += recovered;
        for (kind, count) in faults {
            *self.faults.entry(kind).or_default() += count;
        }
        if let Some(failure) = failure {
            self.failures.push(format!("seed {seed}, after {took} ms: {failure}\n    {plan:?}"));
        }
    }

    fn join(&mut self, other: Tally) {
        self.runs += other.runs;
        self.checkpoints += other.checkpoints;
        self.recovered += other.recovered;
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.failures.extend(other.failures);
    }
}

/// Runs seeds, on all processors.
fn run_all(first: u64, count: u64) -> Tally {
    let next = AtomicU64::new(first);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return tally;
            }
            tally.add(run(seed, false));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let mut all = Tally::default();
        threads.into_iter().for_each(|thread| all.join(thread.join().expect("it does not panic itself")));
        all
    })
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..6 {
        let (first, second) = (run(seed, true), run(seed, true));
        let differs = first.log.iter().zip(&second.log).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("seed {seed}: {:#?}", (&first.log[at.saturating_sub(3)..=at], &second.log[at]));
        }
        assert_eq!(first.log.len(), second.log.len(), "seed {seed}");
        assert!(first.log.len() > 10, "{:?}", first.log);
        assert_eq!(first.took, second.took);
    }
}

#[test]
fn each_record_has_its_effect_once_whatever_happens() {
    let tally = run_all(0, SEEDS);
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
    assert!(tally.checkpoints > SEEDS && tally.recovered > SEEDS / 4, "{tally:?}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `scripts/chaos` runs it.
#[test]
#[ignore = "as many seeds as the environment says"]
fn chaos() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !crate::actor::note_panic(panic) {
            hook(panic);
        }
    }));
    let (first, count) = (number("CHAOS_SEED").unwrap_or(0), number("CHAOS_SEEDS").unwrap_or(1));
    let mut out = std::io::stderr();
    if count == 1 {
        let report = run(first, true);
        report.log.iter().for_each(|line| drop(writeln!(out, "{line}")));
        let Report { plan, took, failure, .. } = report;
        let _ = writeln!(out, "seed {first}, {took} ms: {failure:?}\n{plan:?}");
        assert!(failure.is_none());
        return;
    }
    let tally = run_all(first, count);
    for failure in &tally.failures {
        let _ = writeln!(out, "{failure}");
    }
    let Tally { runs, checkpoints, recovered, faults, failures } = tally;
    let _ =
        writeln!(out, "{runs} runs, {checkpoints} checkpoints, {recovered} recoveries, {} failures", failures.len());
    let _ = writeln!(out, "{faults:?}");
    assert!(failures.is_empty());
}
