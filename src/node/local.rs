//! Local mode: one process that is master and worker at once, and listens on no socket.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at};

use super::Signals;
use crate::Runtime;
use crate::runtime::{DeploymentHandle, DeploymentStatus, Settings, Summary, WorkerActivity};
use crate::telemetry::events;
use crate::workflow::{Error, Result, Workflow};

/// How often whoever watches is shown the status: often enough for a bar that moves, at no cost.
const LOOK: Duration = Duration::from_millis(150);

/// How often a node that stops says what it still waits for.
const REMIND: Duration = Duration::from_secs(3);

/// Workers named in one line of the log.
const NAMED: usize = 4;

/// What is shown to whoever watches a deployment.
pub type Watch<'a> = &'a mut dyn FnMut(&DeploymentStatus);

/// Runs a node in local mode: starts a runtime, deploys the workflow, if there is one, under its name, and returns when
/// it has ended. On the first signal it stops in order, which may take as long as an operation takes to return.
/// Without a workflow it stays up until there is a signal.
///
/// # Errors
/// When the runtime cannot be started, or the workflow cannot be deployed or fails.
pub fn run(
    settings: Settings,
    workflow: Option<(&str, Workflow)>,
    signals: &mut Signals,
    watch: Option<Watch<'_>>,
) -> Result<()> {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Error::Runtime(error.to_string()))?;
    let runtime = Runtime::with(settings)?;
    events::started("local");
    let Some((name, workflow)) = workflow else {
        let signal = executor.block_on(signals.first());
        events::stopping(&signal.to_string());
        return Ok(());
    };
    events::deploying(name);
    let deployment = runtime.deploy(name, workflow)?;
    for warning in deployment.warnings() {
        events::placed_otherwise(name, warning);
    }
    let summary = executor.block_on(async { Follow::new(deployment, watch).ended(signals).await })?;
    let tell = if summary.stopped { events::stopped } else { events::completed };
    tell(name, &summary, summary.elapsed.as_secs_f64());
    Ok(())
}

/// Watches a deployment until it has ended; stops it on a signal.
pub(super) struct Follow<'a> {
    deployment: DeploymentHandle,
    watch: Option<Watch<'a>>,
    look: Interval,
    remind: Interval,
    stopping: bool,
    seen: Vec<WorkerActivity>,
}

impl<'a> Follow<'a> {
    pub(super) fn new(deployment: DeploymentHandle, watch: Option<Watch<'a>>) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Follow { deployment, watch, look, remind: interval(REMIND), stopping: false, seen: Vec::new() }
    }

    /// Waits for the end. Can be dropped and called again.
    ///
    /// # Errors
    /// When the deployment fails.
    pub(super) async fn ended(&mut self, signals: &mut Signals) -> Result<Summary> {
        let Follow { deployment, watch, look, remind, stopping, seen } = self;
        let mut ended = pin!(deployment.ended());
        loop {
            tokio::select! {
                biased;
                summary = &mut ended => return summary,
                signal = signals.first(), if !*stopping => {
                    *stopping = true;
                    events::stopping(&signal.to_string());
                    deployment.stop();
                    *seen = deployment.activity();
                    *remind = interval_at(Instant::now() + REMIND, REMIND);
                }
                _ = remind.tick(), if *stopping => {
                    let now = deployment.activity();
                    events::waiting(deployment.name(), &describe(&still_here(seen, &now)));
                    *seen = now;
                }
                _ = look.tick(), if watch.is_some() => {
                    if let Some(watch) = watch {
                        watch(&deployment.status());
                    }
                }
            }
        }
    }
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
