//! Whom a deployment that stops still waits for.

use crate::runtime::WorkerActivity;

/// Workers named in one line of the log.
const NAMED: usize = 4;

/// The workers that have not ended. `before` is what they were at some time ago.
pub fn waits_for(before: &[WorkerActivity], now: &[WorkerActivity]) -> String {
    describe(&still_here(before, now))
}

/// The workers that have not ended, and whether they have been in one call of an operation since the last look. Where
/// there are such, they are what the others wait for.
fn still_here<'a>(before: &[WorkerActivity], now: &'a [WorkerActivity]) -> Vec<(&'a WorkerActivity, bool)> {
    let stuck = |worker: &WorkerActivity| {
        worker.is_in_a_call() && before.iter().any(|old| old.id == worker.id && old.calls == worker.calls)
    };
    let here: Vec<_> = now.iter().filter(|worker| !worker.has_ended()).map(|worker| (worker, stuck(worker))).collect();
    let any_stuck = here.iter().any(|(_, stuck)| *stuck);
    here.into_iter().filter(|(_, stuck)| *stuck || !any_stuck).collect()
}

fn describe(workers: &[(&WorkerActivity, bool)]) -> String {
    let mut text = String::new();
    for (worker, stuck) in workers.iter().take(NAMED) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let WorkerActivity { vertex, id, node, .. } = worker;
        text.push_str(&format!("vertex `{vertex}`, worker {} on `{node}`", id.index));
        if *stuck {
            text.push_str(", whose operation has not returned");
        }
    }
    match workers.len() {
        0 => "the runtime".to_owned(),
        n if n > NAMED => format!("{text}, and {} more workers", n - NAMED),
        _ => text,
    }
}
