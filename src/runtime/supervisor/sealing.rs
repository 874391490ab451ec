//! When checkpoints are due, and how they become complete.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use super::{Note, State};
use crate::actor::{self, ActorRef};
use crate::runtime::coordinator::{Coordinator, Event, WorkerSaved};
use crate::runtime::keeper;
use crate::runtime::recovery::Wish;
use crate::runtime::status::Phase;
use crate::telemetry::events;
use crate::workflow::{Error, Result};

/// The pause before the last checkpoint is tried again: long enough that what is wrong may pass, short beside an end
/// that people wait for.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// How long a checkpoint waits until the deployment is noted: far longer than that takes.
const NOTING: Duration = Duration::from_secs(5);

/// How long a manifest may take: a disk that is busy takes seconds. Somebody may wait for the outcome who is to be
/// started anew. One that is there later all the same is as good as any other.
const SEALING: Duration = Duration::from_secs(60);

impl State {
    pub(super) fn checkpoint_later(&self, own: &ActorRef<Note>) {
        if let Some(recovery) = &self.recovery {
            let (own, attempt) = (own.clone(), self.attempt);
            actor::later(recovery.settings.interval, move || drop(own.cast(Note::Checkpoint(attempt))));
        }
    }

    /// Has the last checkpoint tried again, if it was that one.
    pub(super) fn try_last_later(&self, own: &ActorRef<Note>) {
        let is_last = self.coordinator.as_ref().is_some_and(Coordinator::awaits_last_checkpoint);
        if let Some(recovery) = self.recovery.as_ref().filter(|_| is_last) {
            let (own, attempt) = (own.clone(), self.attempt);
            let pause = recovery.settings.interval.min(LAST_PAUSE);
            actor::later(pause, move || drop(own.cast(Note::Due(attempt, Event::Checkpoint))));
        }
    }

    /// Completes a checkpoint, apart from the supervisor.
    pub(super) fn seal(&mut self, own: &ActorRef<Note>, (checkpoint, savepoint): (u64, bool), saved: Vec<WorkerSaved>) {
        let Some(recovery) = &mut self.recovery else { return };
        let crew = self.alive.shared.crew();
        let took = recovery.took(checkpoint);
        let (run, title, kept) = (recovery.run.clone(), recovery.title.clone(), recovery.settings.kept);
        let (own, attempt, name) = (own.clone(), self.attempt, self.alive.shared.name.clone());
        let noted = recovery.noted.clone();
        let wish = if savepoint { recovery.wishes.pop_front() } else { None };
        let sealing = actor::task(async move {
            let build = move || {
                let manifest =
                    keeper::manifest(&title, run.name(), (checkpoint, savepoint), took, &crew.outline, saved);
                (run, manifest)
            };
            let is_noted = async {
                // Whoever goes on with what was not noted would begin anew, with effects that are there already.
                match noted {
                    Some(mut noted) => timeout(NOTING, noted.wait_for(|noted| *noted)).await.is_ok_and(|it| it.is_ok()),
                    None => true,
                }
            };
            let sealed = match actor::blocking(build).await {
                _ if !is_noted.await => Err("the journal cannot be written".to_owned()),
                Ok((run, manifest)) => match timeout(SEALING, run.put_manifest(&manifest)).await {
                    Ok(put) => put.map(|()| run).map_err(|error| error.to_string()),
                    Err(_) => Err(format!("its manifest was not written within {} s", SEALING.as_secs())),
                },
                Err(error) => Err(error),
            };
            let event = match &sealed {
                Ok(_) => Event::Sealed { checkpoint },
                Err(error) => Event::NotSealed { checkpoint, error: Error::Operation(error.clone()) },
            };
            let sealed_now = |wanted| drop(own.cast(Note::Sealed(attempt, event, wanted)));
            match (wish, &sealed) {
                (Some(wish), Ok(run)) if wish.stop => {
                    let answer = wish.bring(run, checkpoint).await;
                    sealed_now(Some((wish, answer)));
                }
                // Nobody else waits until it is where it is wanted, which may take long.
                (Some(wish), Ok(run)) => {
                    sealed_now(None);
                    let answer = wish.bring(run, checkpoint).await;
                    wish.answer(answer);
                }
                (Some(wish), Err(error)) => sealed_now(Some((wish, Err(Error::Operation(error.clone()))))),
                (None, _) => sealed_now(None),
            }
            if let Ok(run) = sealed {
                debug!(workflow = name, checkpoint, took = ?took, "A checkpoint is complete");
                if let Err(error) = run.retain(kept).await {
                    events::checkpoints_stay(&name, &error);
                }
            }
        });
        self.sealing.retain(|task| !task.has_ended());
        self.sealing.push(sealing);
    }

    /// A checkpoint is complete, or is not. Nobody is told of a stop that a failure has come before.
    pub(super) fn sealed(
        &mut self,
        own: &ActorRef<Note>,
        attempt: u32,
        event: Event,
        wanted: Option<(Wish, Result<String>)>,
    ) {
        let is_complete = matches!(event, Event::Sealed { .. });
        let wanted = match (wanted, &mut self.recovery) {
            // It is answered with what it comes to, as one that fails before.
            (Some((wish, _)), Some(recovery)) if !is_complete && attempt == self.attempt => {
                recovery.wishes.push_front(wish);
                None
            }
            (wanted, _) => wanted,
        };
        if attempt == self.attempt {
            self.handle(own, event);
        }
        let Some((wish, answer)) = wanted else { return };
        let stops = self.suspended || self.coordinator.as_ref().is_some_and(Coordinator::is_suspended);
        let goes_on = Error::Deploy("the deployment has failed at it, and goes on".to_owned());
        let answer = if wish.stop && !stops { answer.and(Err(goes_on)) } else { answer };
        wish.answer(answer);
    }

    /// Begins with a savepoint, as soon as can be.
    pub(super) fn savepoint(&mut self, own: &ActorRef<Note>, wish: Wish) {
        let running = *self.alive.shared.phase.borrow() == Phase::Running;
        let Some(recovery) = self.recovery.as_mut().filter(|_| self.coordinator.is_some() && running) else {
            let why = if self.recovery.is_some() {
                "it is not running; ask again when it is"
            } else {
                "it takes no checkpoints; deploy it with --checkpoint-interval"
            };
            return wish.answer(Err(Error::Deploy(why.to_owned())));
        };
        let stop = wish.stop;
        recovery.wishes.push_back(wish);
        self.handle(own, Event::Savepoint { stop });
    }

    /// A savepoint that somebody waits for has failed.
    pub(super) fn answer_savepoint(&mut self, checkpoint: u64, answer: Result<String>) {
        let Some(recovery) = &mut self.recovery else { return };
        let is_savepoint = self.coordinator.as_ref().is_some_and(|coordinator| coordinator.was_savepoint(checkpoint));
        if let Some(wish) = is_savepoint.then(|| recovery.wishes.pop_front()).flatten() {
            wish.answer(answer);
        }
    }
}
