//! The actor that supervises a deployment: it does what the coordinator decides, and starts the deployment anew when it
//! has failed and there is a checkpoint to go on at.
//!
//! It runs apart from the workers, so that one that does not return keeps nobody from stopping it.

use std::sync::Arc;

use tracing::{debug, warn};

use super::coordinator::{Command, Coordinator, Ending, Event, WorkerSaved};
use super::crew::{Join, Joins};
use super::deployment::Shared;
use super::keeper;
use super::plan::{Outline, workers_of};
use super::recovery::{Again, Fresh, Recovery, Wish};
use super::site::{Order, Report, Tell};
use super::status::Phase;
use crate::actor::{self, Actor, ActorProcessingErr, ActorRef, Resident, Task};
use crate::id::{NodeId, VertexId, WorkerId};
use crate::telemetry::events;
use crate::workflow::{Error, Result, Workers};

/// The actor.
pub struct Supervisor;

/// The way to the part of a deployment on one node. It must not wait.
pub type Way = Box<dyn Fn(Order) + Send>;

/// Makes the parts of a deployment, given what takes what they tell; each with its node.
pub type Parts = Box<dyn FnOnce(Tell) -> Result<Vec<(NodeId, Way)>> + Send>;

/// What a supervisor hears.
pub enum Note {
    /// From a part of an attempt; what comes of one that is over does not count.
    Report(u32, Report),
    /// From a handle.
    Asked(Event),
    /// It is time for a checkpoint.
    Checkpoint(u32),
    /// Somebody wants a savepoint.
    Savepoint(Wish),
    /// A node has joined, and is to get workers.
    Join(Join),
    /// The time to start anew has come.
    Again,
    /// What is to be started anew, or why it cannot be.
    Fresh(u32, Result<Fresh>),
    /// All is done.
    Over(Phase),
}

/// What a supervisor needs.
pub struct Start {
    pub alive: Alive,
    pub parts: Parts,
    /// None if a failure is its end.
    pub recovery: Option<Recovery>,
}

/// Held as long as a deployment lives, by its supervisor. However that ends, with its runtime for example, nobody then
/// waits any more.
pub struct Alive {
    shared: Arc<Shared>,
    _resident: Resident,
}

impl Alive {
    pub fn new(shared: Arc<Shared>, resident: Resident) -> Self {
        Alive { shared, _resident: resident }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.shared.end(Phase::Failed(Error::Aborted));
    }
}

/// What a supervisor keeps.
pub struct State {
    alive: Alive,
    /// None between two attempts.
    coordinator: Option<Coordinator>,
    /// The number of the attempt.
    attempt: u32,
    parts: Vec<(NodeId, Way)>,
    joins: Joins,
    recovery: Option<Recovery>,
    /// Those that complete a checkpoint of this attempt, and delete what it makes needless.
    sealing: Vec<Task>,
    /// Records have flowed.
    started: bool,
    /// Somebody wants it to stop.
    stopping: bool,
}

impl Drop for State {
    fn drop(&mut self) {
        self.close();
    }
}

impl Actor for Supervisor {
    type Msg = Note;
    type State = State;
    type Arguments = Start;

    async fn pre_start(&self, own: ActorRef<Note>, start: Start) -> Result<State, ActorProcessingErr> {
        let Start { alive, parts, recovery } = start;
        let (parts_so_far, joins) = (Vec::new(), Joins::default());
        let mut state = State {
            alive,
            coordinator: None,
            attempt: recovery.as_ref().map_or(1, |recovery| recovery.keeping.attempt),
            parts: parts_so_far,
            joins,
            recovery,
            sealing: Vec::new(),
            started: false,
            stopping: false,
        };
        // A supervisor that has ended has nothing to be told.
        let launched = state.launch(&own, parts);
        launched.inspect_err(|error| state.alive.shared.end(Phase::Failed(error.clone())))?;
        Ok(state)
    }

    async fn handle(&self, own: ActorRef<Note>, note: Note, state: &mut State) -> Result<(), ActorProcessingErr> {
        match note {
            Note::Report(attempt, _) if attempt != state.attempt => {}
            Note::Report(_, Report::Event(event)) => state.handle(&own, event),
            Note::Report(_, Report::Counts(counts)) => state.alive.shared.count(counts),
            Note::Asked(event) => state.asked(&own, event),
            Note::Checkpoint(attempt) if attempt == state.attempt => {
                state.handle(&own, Event::Checkpoint);
                state.checkpoint_later(&own);
            }
            Note::Checkpoint(_) => {}
            Note::Savepoint(wish) => state.savepoint(&own, wish),
            Note::Join(join) => {
                let event = state.joins.begin(join);
                state.handle(&own, event);
            }
            Note::Again => state.again(&own),
            Note::Fresh(attempt, fresh) if attempt == state.attempt => state.resume(&own, fresh),
            Note::Fresh(..) => {}
            Note::Over(phase) => state.over(&own, phase),
        }
        Ok(())
    }
}

impl State {
    /// Starts an attempt, with the workers that belong to it now.
    fn launch(&mut self, own: &ActorRef<Note>, parts: Parts) -> Result<()> {
        let crew = self.alive.shared.crew();
        let Outline { workers, links, peers, .. } = crew.outline.as_ref();
        let numbered = |(vertex, workers): (&VertexId, &Workers)| -> Vec<(WorkerId, NodeId)> {
            workers_of(*vertex, workers.len()).zip(workers.iter().map(|worker| worker.node)).collect()
        };
        let coordinator = Coordinator::new(workers.iter().flat_map(numbered), links.clone()).with_peers(peers.clone());
        self.coordinator = Some(match &self.recovery {
            Some(recovery) => coordinator.with_checkpoints(recovery.keeping.resumes()),
            None => coordinator,
        });
        let (own, attempt) = (own.clone(), self.attempt);
        // A supervisor that has ended has nothing to be told.
        self.parts = parts(Arc::new(move |report| drop(own.cast(Note::Report(attempt, report)))))?;
        Ok(())
    }

    fn close(&mut self) {
        self.parts.drain(..).for_each(|(_, part)| part(Order::Close));
    }

    fn asked(&mut self, own: &ActorRef<Note>, event: Event) {
        if matches!(event, Event::Stop) {
            self.stopping = true;
            let starts = |phase: &Phase| matches!(phase, Phase::Starting | Phase::Running | Phase::Recovering);
            self.alive.shared.pass(starts, Phase::Stopping);
        }
        if self.coordinator.is_none() && matches!(event, Event::Abort) {
            return self.over(own, Phase::Failed(Error::Aborted));
        }
        self.handle(own, event);
    }

    fn handle(&mut self, own: &ActorRef<Note>, event: Event) {
        let Some(coordinator) = &mut self.coordinator else { return };
        for command in coordinator.handle(event) {
            self.obey(own, command);
        }
    }

    fn obey(&mut self, own: &ActorRef<Note>, command: Command) {
        let shared = &self.alive.shared;
        match command {
            Command::End(ending) => return self.end(own, ending),
            Command::Start => {
                let resumed = self
                    .recovery
                    .as_ref()
                    .is_some_and(|recovery| recovery.keeping.attempt > 1 || recovery.keeping.resume.is_some());
                self.started = true;
                shared.pass(|phase| matches!(phase, Phase::Starting | Phase::Recovering), Phase::Running);
                if resumed {
                    events::recovered(
                        &shared.name,
                        self.recovery.as_ref().and_then(|recovery| recovery.keeping.resumes()),
                    );
                }
                self.checkpoint_later(own);
                if self.stopping {
                    drop(own.cast(Note::Asked(Event::Stop)));
                }
            }
            Command::GiveUp => {
                let (own, attempt) = (own.clone(), self.attempt);
                let expired = move || drop(own.cast(Note::Report(attempt, Report::Event(Event::Expired))));
                actor::later(shared.patience, expired);
            }
            Command::Trigger { checkpoint, .. } => {
                if let Some(recovery) = &mut self.recovery {
                    recovery.began(checkpoint);
                }
            }
            Command::Seal { checkpoint, saved, savepoint } => return self.seal(own, (checkpoint, savepoint), saved),
            Command::Abandon { checkpoint, ref error } => {
                events::checkpoint_failed(&shared.name, checkpoint, error);
                self.answer_savepoint(checkpoint, Err(error.clone()));
            }
            Command::Invite(node) => return self.parts.extend(self.joins.invite(node).map(|way| (node, way))),
            Command::Welcome(node) => self.joins.joined(node, |growth, name| shared.grow(growth, name)),
            _ => {}
        }
        self.parts.iter().for_each(|(_, part)| part(Order::Obey(command.clone())));
        if let Command::Dismiss { joined, error } = command {
            self.parts.extract_if(.., |(node, _)| *node == joined).for_each(|(_, part)| part(Order::Close));
            self.joins.dismissed(joined, error);
        }
    }

    fn checkpoint_later(&self, own: &ActorRef<Note>) {
        if let Some(recovery) = &self.recovery {
            let (own, attempt) = (own.clone(), self.attempt);
            actor::later(recovery.settings.interval, move || drop(own.cast(Note::Checkpoint(attempt))));
        }
    }

    /// Completes a checkpoint, apart from the supervisor.
    fn seal(&mut self, own: &ActorRef<Note>, (checkpoint, savepoint): (u64, bool), saved: Vec<WorkerSaved>) {
        let Some(recovery) = &mut self.recovery else { return };
        let crew = self.alive.shared.crew();
        let took = recovery.took(checkpoint);
        let (run, title, kept) = (recovery.run.clone(), recovery.title.clone(), recovery.settings.kept);
        let (own, attempt, name) = (own.clone(), self.attempt, self.alive.shared.name.clone());
        let wish = if savepoint { recovery.wishes.pop_front() } else { None };
        let sealing = actor::task(async move {
            let build = move || {
                let manifest =
                    keeper::manifest(&title, run.name(), (checkpoint, savepoint), took, &crew.outline, saved);
                (run, manifest)
            };
            let sealed = match actor::blocking(build).await {
                Ok((run, manifest)) => run.put_manifest(&manifest).await.map(|()| run).map_err(|e| e.to_string()),
                Err(error) => Err(error),
            };
            let event = match &sealed {
                Ok(_) => Event::Sealed { checkpoint },
                Err(error) => Event::NotSealed { checkpoint, error: Error::Operation(error.clone()) },
            };
            if let (Ok(run), Some(wish)) = (&sealed, wish) {
                wish.copy(run, checkpoint).await;
            }
            drop(own.cast(Note::Report(attempt, Report::Event(event))));
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

    /// Begins with a savepoint, as soon as can be.
    fn savepoint(&mut self, own: &ActorRef<Note>, wish: Wish) {
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
    fn answer_savepoint(&mut self, checkpoint: u64, answer: Result<String>) {
        let Some(recovery) = &mut self.recovery else { return };
        let is_savepoint = self.coordinator.as_ref().is_some_and(|coordinator| coordinator.was_savepoint(checkpoint));
        if let Some(wish) = is_savepoint.then(|| recovery.wishes.pop_front()).flatten() {
            wish.answer(answer);
        }
    }

    fn end(&mut self, own: &ActorRef<Note>, ending: Ending) {
        let shared = &self.alive.shared;
        if let Ending::Failed { stuck, .. } = &ending {
            let crew = shared.crew();
            for worker in stuck {
                let (vertex, worker) = (crew.outline.name(worker.vertex), worker.index);
                warn!(vertex, worker, "An operation has not returned; its thread is left behind");
            }
        }
        match (shared.failure(&ending), ending) {
            (Some(failure), _) => self.fail(own, failure),
            (None, Ending::Completed) => self.clean_up(own, Phase::Completed),
            (None, _) => self.clean_up(own, Phase::Stopped),
        }
    }

    /// An attempt has failed. It is the end if it was the first and never began: what is wrong then was wrong before.
    fn fail(&mut self, own: &ActorRef<Note>, failure: Error) {
        let shared = Arc::clone(&self.alive.shared);
        if let Some(recovery) = &mut self.recovery {
            recovery.wishes.drain(..).for_each(|wish| wish.answer(Err(failure.clone())));
        }
        let Some(recovery) = self.recovery.as_mut().filter(|_| self.started && !is_final(&failure)) else {
            return self.over(own, Phase::Failed(failure));
        };
        let cause = failure.to_string();
        let Some(wait) = recovery.restarts.failed(shared.began.elapsed(), &cause) else {
            let before = recovery.restarts.history().map(str::to_owned).collect();
            let period = recovery.settings.intensity.period.as_secs();
            let error = Error::Restarts { period, before, cause: Box::new(failure) };
            return self.over(own, Phase::Failed(error));
        };
        self.coordinator = None;
        self.sealing.clear();
        self.close();
        self.attempt += 1;
        self.joins = Joins::default();
        shared.pass(|phase| !phase.has_ended() && *phase != Phase::Stopping, Phase::Recovering);
        events::recovering(&shared.name, &cause);
        let own = own.clone();
        actor::later(wait, move || drop(own.cast(Note::Again)));
    }

    /// Asks for workers to go on with, from the newest checkpoint that can be read.
    fn again(&mut self, own: &ActorRef<Note>) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.keeping.attempt = self.attempt;
        recovery.forget();
        let (run, attempt, back) = (recovery.run.clone(), self.attempt, own.clone());
        let begun = recovery.keeping.resume.clone();
        let mut keeping = recovery.keeping.clone();
        let relaunch = Arc::clone(&recovery.relaunch);
        actor::run(async move {
            let answer = move |fresh| drop(back.cast(Note::Fresh(attempt, fresh)));
            match run.latest().await {
                Ok(latest) => {
                    // One that it was begun with may be of another run.
                    keeping.resume = latest.map(|manifest| keeping.at(manifest.checkpoint)).or(begun);
                    relaunch(Again::new(keeping, answer));
                }
                Err(error) => answer(Err(keeper::unusable(run.store().url(), &error))),
            }
        });
    }

    /// Goes on with other workers.
    fn resume(&mut self, own: &ActorRef<Note>, fresh: Result<Fresh>) {
        let launched = fresh.and_then(|Fresh { crew, parts, resume }| {
            self.alive.shared.replace(crew);
            if let Some(recovery) = &mut self.recovery {
                recovery.keeping.resume = resume;
            }
            self.launch(own, parts)
        });
        if let Err(error) = launched {
            self.fail(own, error);
        }
    }

    /// Removes checkpoints that nobody needs any more, before the end is told.
    fn clean_up(&mut self, own: &ActorRef<Note>, phase: Phase) {
        self.coordinator = None;
        // Nothing is put there any more that would stay.
        self.sealing.clear();
        let Some(recovery) = &self.recovery else { return self.over(own, phase) };
        let (run, own, name) = (recovery.run.clone(), own.clone(), self.alive.shared.name.clone());
        actor::run(async move {
            if let Err(error) = run.remove().await {
                events::checkpoints_stay(&name, &error);
            }
            drop(own.cast(Note::Over(phase)));
        });
    }

    fn over(&mut self, own: &ActorRef<Note>, phase: Phase) {
        self.coordinator = None;
        self.alive.shared.end(phase);
        own.stop(None);
    }
}

/// Whether starting anew would not help: somebody wants it to end, or nobody reads what it prints.
fn is_final(failure: &Error) -> bool {
    match failure {
        Error::Aborted | Error::OutputClosed | Error::Unsaved { .. } => true,
        Error::Failed { cause, .. } => is_final(cause),
        _ => false,
    }
}
