//! All that can happen in small cases: two sources, two workers behind them, a store; records, barriers and ends in any
//! order, workers that die, a store that fails, savepoints. Nothing is left to chance: each schedule is tried.

mod part;
mod worker;
mod world;

use std::collections::BTreeSet;
use std::io::Write;

use self::worker::Way::{Pass, Stay, Wait};
use self::worker::{Item, KEYED, Way};
use self::world::{Case, Step, World};

/// Most states of a case; there are fewer, or something goes round in circles.
const MOST: usize = 5_000_000;

/// What was seen of a case.
struct Seen {
    states: usize,
    steps: usize,
    ends: usize,
}

/// Tries all schedules, the short ones first; the first that goes wrong is told.
fn explore(case: Case) -> Seen {
    let mut first = World::new(case);
    let mut known = BTreeSet::from([first.key()]);
    // From which state each has come, and by which step.
    let mut origins: Vec<(usize, Option<Step>)> = vec![(0, None)];
    let mut layer = vec![(first, 0)];
    let mut seen = Seen { states: 1, steps: 0, ends: 0 };
    let mut steps = Vec::new();
    while !layer.is_empty() {
        let mut next = Vec::new();
        for (world, number) in layer {
            steps.clear();
            world.steps(&mut steps);
            if steps.is_empty() {
                told(&origins, number, None, &format!("it stands still: {world:#?}"));
            }
            for step in &steps {
                let mut after = world.clone();
                after.take(*step);
                seen.steps += 1;
                if let Some(wrong) = &after.wrong {
                    told(&origins, number, Some(*step), wrong);
                }
                if after.ending.is_some() {
                    seen.ends += 1;
                } else if known.insert(after.key()) {
                    next.push((after, origins.len()));
                    origins.push((number, Some(*step)));
                    assert!(origins.len() < MOST, "it has too many states");
                }
            }
        }
        layer = next;
    }
    seen.states = origins.len();
    seen
}

fn told(origins: &[(usize, Option<Step>)], mut number: usize, last: Option<Step>, wrong: &str) -> ! {
    let mut way: Vec<Step> = last.into_iter().collect();
    while let (before, Some(step)) = origins[number] {
        way.push(step);
        number = before;
    }
    way.reverse();
    let way: Vec<String> = way.iter().map(|step| format!("{step:?}")).collect();
    panic!("{wrong}\nafter {}", way.join(", "));
}

/// Records of a source, from this number on: where each goes, and what becomes of it there.
fn items(first: u8, all: &[(usize, Way)]) -> Vec<Item> {
    all.iter().zip(first..).map(|((to, way), number)| Item { bit: 1 << number, to: KEYED[*to], way: *way }).collect()
}

fn case(first: &[(usize, Way)], second: &[(usize, Way)]) -> Case {
    let items = [items(0, first), items(first.len() as u8, second)];
    Case { items, peers: false, ticks: 0, failures: 0, crashes: 0, savepoints: 0, stops: 0 }
}

/// Tries a case, and says how much there was to try.
fn all_is_well(name: &str, case: Case) {
    let Seen { states, steps, ends } = explore(case);
    let mut out = std::io::stderr();
    let _ = writeln!(out, "{name}: {states} states, {steps} steps, {ends} ends");
}

/// One record, of the first source.
fn one(way: Way) -> Case {
    case(&[(0, way)], &[])
}

#[test]
fn a_checkpoint() {
    all_is_well("a checkpoint", Case { ticks: 1, ..case(&[(0, Stay)], &[(1, Stay)]) });
}

#[test]
fn a_worker_that_dies() {
    all_is_well("a worker that dies", Case { ticks: 1, crashes: 1, ..one(Stay) });
}

#[test]
fn a_store_that_fails() {
    all_is_well("a store that fails", Case { ticks: 1, failures: 1, ..one(Stay) });
}

#[test]
fn a_savepoint_to_go_on_from() {
    all_is_well("a savepoint", Case { savepoints: 1, ..case(&[(0, Stay)], &[(1, Stay)]) });
}

#[test]
fn a_savepoint_and_a_worker_that_dies() {
    all_is_well("a savepoint and a worker that dies", Case { savepoints: 1, crashes: 1, ..one(Stay) });
}

#[test]
fn a_stop() {
    all_is_well("a stop", Case { stops: 1, ..case(&[(0, Stay)], &[(1, Stay)]) });
}

#[test]
fn workers_that_send_to_each_other() {
    all_is_well("peers", Case { peers: true, ticks: 1, ..one(Wait) });
}

/// `scripts/chaos --cases` runs it.
#[test]
#[ignore = "millions of steps"]
fn larger_ones() {
    let two = case(&[(0, Stay)], &[(1, Stay)]);
    for (name, case) in [
        ("two checkpoints", Case { ticks: 2, ..two.clone() }),
        ("a stop while one is taken", Case { ticks: 1, stops: 1, ..two.clone() }),
        ("a savepoint that cannot be stored", Case { savepoints: 1, failures: 1, ..one(Stay) }),
        ("a savepoint and a stop", Case { savepoints: 1, stops: 1, ..one(Stay) }),
        ("a savepoint behind a checkpoint", Case { savepoints: 1, ticks: 1, stops: 1, ..one(Stay) }),
        ("a worker that dies, of two records", Case { ticks: 1, crashes: 1, ..two }),
        ("two workers that die", Case { ticks: 1, crashes: 2, ..one(Stay) }),
        ("a worker that dies and a store that fails", Case { ticks: 1, failures: 1, crashes: 1, ..one(Stay) }),
        ("peers, while records are under way", Case { peers: true, ticks: 1, ..one(Pass) }),
        ("peers, one of which dies", Case { peers: true, ticks: 1, crashes: 1, ..one(Pass) }),
        ("peers at their end, one of which dies", Case { peers: true, ticks: 1, crashes: 1, ..one(Wait) }),
        ("peers, and a store that fails", Case { peers: true, ticks: 2, failures: 1, ..one(Pass) }),
    ] {
        all_is_well(name, case);
    }
}
