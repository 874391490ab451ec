//! The actor that supervises a deployment: it does what the coordinator decides, and starts the deployment anew when it
//! has failed and there is a checkpoint to go on at.
//!
//! It runs apart from the workers, so that one that does not return keeps nobody from stopping it.

mod failing;
mod sealing;

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;

use super::coordinator::{Command, Coordinator, Ending, Event};
use super::crew::{Join, Joins};
use super::deployment::Shared;
use super::pace::{Pacemaker, Slowest};
use super::plan::Outline;
use super::recovery::{Fresh, Recovery, Wish};
use super::regions::{Region, Scope};
use super::site::{Order, Report, Tell};
use super::status::Phase;
use crate::actor::{self, Actor, ActorProcessingErr, ActorRef, Resident, Task};
use crate::id::{NodeId, WorkerId};
use crate::telemetry::events;
use crate::workflow::{Error, Result};

/// The actor.
pub struct Supervisor;

/// The way to the part of a deployment on one node. It must not wait.
pub type Way = Box<dyn Fn(Order) + Send>;

/// Makes the parts of a region, given what takes what they tell; each with its node.
pub type Parts = Box<dyn FnMut(&Scope, Tell) -> Result<Vec<(NodeId, Way)>> + Send>;

/// What a supervisor hears.
pub enum Note {
    /// From a part of an attempt of a region; what comes of one that is over does not count.
    Report(Region, u32, Report),
    /// From a handle.
    Asked(Event),
    /// It is time for a checkpoint.
    Checkpoint(u32),
    /// Somebody wants a savepoint.
    Savepoint(Wish),
    /// A checkpoint is complete, or is not; if it is what somebody wants, with what is to be answered.
    Sealed(u32, Event, Option<(Wish, Result<String>)>),
    /// It is time for something else.
    Due(u32, Event),
    /// The workers of a region that were to end at once have had their time.
    Expired(Region, u32),
    /// A node has joined, and is to get workers.
    Join(Join),
    /// The time to start anew has come, for a region or all.
    Again(Option<Region>, u32),
    /// What is to be started anew, or why it cannot be.
    Fresh(Option<Region>, u32, Result<Fresh>),
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

/// A region that runs.
struct Running {
    /// The number of its attempt.
    attempt: u32,
    /// The checkpoint that it goes on at.
    resumed: Option<u64>,
    parts: Vec<(NodeId, Way)>,
}

/// What a supervisor keeps.
pub struct State {
    alive: Alive,
    /// None between two attempts.
    coordinator: Option<Coordinator>,
    /// The number of the attempt that all regions have begun in.
    attempt: u32,
    /// The newest number of an attempt, of all or of a region.
    newest: u32,
    regions: BTreeMap<Region, Running>,
    joins: Joins,
    /// How far aligned sources are.
    pacemaker: Pacemaker<Region>,
    recovery: Option<Recovery>,
    /// Those that complete a checkpoint of this attempt, and delete what it makes needless.
    sealing: Vec<Task>,
    /// Records have flowed.
    started: bool,
    /// Somebody wants it to stop.
    stopping: bool,
    /// It has come to the savepoint at which it is to stop, though an attempt may have failed behind it.
    suspended: bool,
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
        let attempt = recovery.as_ref().map_or(1, |recovery| recovery.keeping.attempt);
        let mut state = State {
            alive,
            coordinator: None,
            attempt,
            newest: attempt,
            regions: BTreeMap::new(),
            joins: Joins::default(),
            pacemaker: Pacemaker::default(),
            recovery,
            sealing: Vec::new(),
            started: false,
            stopping: false,
            suspended: false,
        };
        // A supervisor that has ended has nothing to be told.
        let launched = state.launch(&own, parts);
        launched.inspect_err(|error| state.alive.shared.end(Phase::Failed(error.clone())))?;
        Ok(state)
    }

    async fn handle(&self, own: ActorRef<Note>, note: Note, state: &mut State) -> Result<(), ActorProcessingErr> {
        match note {
            Note::Report(region, attempt, _) if !state.runs(region, attempt) => {}
            Note::Report(region, _, Report::Event(event)) => state.handle_from(&own, region, event),
            Note::Report(.., Report::Counts(counts)) => state.alive.shared.count(counts),
            Note::Report(region, _, Report::Paced(node, slowest)) => state.paced(region, node, slowest),
            Note::Asked(event) => state.asked(&own, event),
            Note::Checkpoint(attempt) if attempt == state.attempt => {
                state.handle(&own, Event::Checkpoint);
                state.checkpoint_later(&own);
            }
            Note::Due(attempt, event) if attempt == state.attempt => state.handle(&own, event),
            Note::Expired(region, attempt) if state.runs(region, attempt) => {
                let commands = state.coordinator.as_mut().map(|coordinator| coordinator.expired(region));
                commands.into_iter().flatten().for_each(|command| state.obey(&own, command));
            }
            Note::Checkpoint(_) | Note::Due(..) | Note::Expired(..) => {}
            Note::Savepoint(wish) => state.savepoint(&own, wish),
            Note::Sealed(attempt, event, wanted) => state.sealed(&own, attempt, event, wanted),
            Note::Join(join) => {
                let event = state.joins.begin(join);
                state.handle(&own, event);
            }
            Note::Again(region, attempt) if state.waits(region, attempt) => state.again(&own, region, attempt),
            Note::Fresh(None, attempt, fresh) if attempt == state.attempt => state.resume(&own, fresh),
            Note::Fresh(Some(region), attempt, fresh) if state.waits(Some(region), attempt) => {
                state.resume_in(&own, region, fresh);
            }
            Note::Again(..) | Note::Fresh(..) => {}
            Note::Over(phase) => state.over(&own, phase),
        }
        Ok(())
    }
}

impl State {
    /// Starts an attempt, with the workers that belong to it now.
    fn launch(&mut self, own: &ActorRef<Note>, mut parts: Parts) -> Result<()> {
        let crew = self.alive.shared.crew();
        let Outline { links, peers, .. } = crew.outline.as_ref();
        let workers = crew.regions.scopes().iter().flat_map(|scope| crew.workers_in(scope.region));
        let coordinator = Coordinator::new(workers, links.clone()).with_peers(peers.clone());
        let coordinator = coordinator.with_regions(&crew.regions);
        let coordinator = match &self.recovery {
            Some(recovery) => coordinator.with_checkpoints(recovery.keeping.resumes()),
            None => coordinator,
        };
        self.coordinator = Some(if self.suspended { coordinator.suspended() } else { coordinator });
        for scope in crew.regions.scopes() {
            self.launch_in(own, (scope, self.attempt, None), &mut parts)?;
        }
        Ok(())
    }

    /// Starts an attempt of a region.
    fn launch_in(
        &mut self,
        own: &ActorRef<Note>,
        (scope, attempt, resumed): (&Scope, u32, Option<u64>),
        parts: &mut Parts,
    ) -> Result<()> {
        let (own, region) = (own.clone(), scope.region);
        // A supervisor that has ended has nothing to be told.
        let tell: Tell = Arc::new(move |report| drop(own.cast(Note::Report(region, attempt, report))));
        let parts = parts(scope, tell)?;
        if scope.vertices.iter().any(|vertex| self.alive.shared.crew().outline.aligned.contains(vertex)) {
            self.pacemaker.expect(region, parts.iter().map(|(node, _)| *node));
        }
        self.regions.insert(region, Running { attempt, resumed, parts });
        Ok(())
    }

    fn close(&mut self) {
        let parts = std::mem::take(&mut self.regions).into_values().flat_map(|region| region.parts);
        parts.for_each(|(_, part)| part(Order::Close));
    }

    /// A region in words, and the checkpoint that it goes on at.
    fn part(&self, region: Region) -> (String, Option<u64>) {
        let resumed = self.regions.get(&region).and_then(|running| running.resumed);
        (self.alive.shared.crew().part(region), resumed)
    }

    /// Whether this is the attempt that a region runs in.
    fn runs(&self, region: Region, attempt: u32) -> bool {
        self.regions.get(&region).is_some_and(|running| running.attempt == attempt)
    }

    /// Whether a region, or all, are to be started anew in this attempt.
    fn waits(&self, region: Option<Region>, attempt: u32) -> bool {
        match (region, &self.coordinator) {
            (None, None) => attempt == self.attempt,
            (Some(region), Some(coordinator)) => self.runs(region, attempt) && coordinator.awaits(region),
            _ => false,
        }
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
        self.handle_from(own, Region::default(), event);
    }

    fn handle_from(&mut self, own: &ActorRef<Note>, region: Region, event: Event) {
        let Some(coordinator) = &mut self.coordinator else { return };
        if let (Event::Sealed { .. }, Some(recovery)) = (&event, &mut self.recovery) {
            recovery.restarts.achieved();
        }
        for command in coordinator.handle_from(region, event) {
            self.obey(own, command);
        }
    }

    fn obey(&mut self, own: &ActorRef<Note>, command: Command) {
        let (region, command) = match command {
            Command::Within(region, command) => (Some(region), *command),
            command => (None, command),
        };
        let shared = &self.alive.shared;
        match command {
            Command::End(ending) => return self.end(own, ending),
            Command::Restart { region, worker, failure, stuck } => {
                self.warn_of(&stuck);
                return self.restart(own, region, worker, failure);
            }
            Command::Start if region.is_some() => {
                if let (Some(recovery), Some(region)) = (&mut self.recovery, region) {
                    recovery.is_back(region);
                }
                let (part, resumed) = region.map(|region| self.part(region)).unwrap_or_default();
                events::recovered_part(&shared.name, &part, resumed);
            }
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
                let note = match region.and_then(|region| Some((region, self.regions.get(&region)?))) {
                    Some((region, running)) => Note::Expired(region, running.attempt),
                    None => Note::Due(self.attempt, Event::Expired),
                };
                let own = own.clone();
                actor::later(shared.patience, move || drop(own.cast(note)));
            }
            Command::Trigger { checkpoint, .. } => {
                if let Some(recovery) = &mut self.recovery
                    && recovery.began(checkpoint)
                    && let Some(limit) = recovery.settings.unaligned_after
                {
                    let (own, attempt) = (own.clone(), self.attempt);
                    let overdue = Note::Due(attempt, Event::Overdue { checkpoint });
                    actor::later(limit, move || drop(own.cast(overdue)));
                }
            }
            Command::Seal { checkpoint, saved, savepoint } => return self.seal(own, (checkpoint, savepoint), saved),
            Command::Abandon { checkpoint, ref error } => {
                events::checkpoint_failed(&shared.name, checkpoint, error);
                self.answer_savepoint(checkpoint, Err(error.clone()));
                self.try_last_later(own);
            }
            Command::Invite(node) => {
                let invited = self.joins.invite(node);
                if let Some((running, way)) =
                    invited.and_then(|(region, way)| Some((self.regions.get_mut(&region)?, way)))
                {
                    running.parts.push((node, way));
                }
                return;
            }
            Command::Welcome(node) => self.joins.joined(node, |growth, name| shared.grow(growth, name)),
            _ => {}
        }
        let meant = self.regions.iter().filter(|(other, _)| region.is_none_or(|region| region == **other));
        let parts = meant.flat_map(|(_, running)| &running.parts);
        parts.for_each(|(_, part)| part(Order::Obey(command.clone())));
        if let Command::Dismiss { joined, error } = command {
            let of = self.joins.invited(joined).and_then(|region| self.regions.get_mut(&region));
            let parts = of.into_iter().flat_map(|of| of.parts.extract_if(.., |(node, _)| *node == joined));
            parts.for_each(|(_, part)| part(Order::Close));
            self.joins.dismissed(joined, error);
        }
    }

    /// A part has told how far its aligned sources are: all others hear of it.
    fn paced(&mut self, region: Region, node: NodeId, slowest: Slowest) {
        self.pacemaker.told(region, node, slowest);
        for (region, running) in &self.regions {
            for (other, part) in &running.parts {
                if let Some(elsewhere) = self.pacemaker.elsewhere(*region, *other) {
                    part(Order::Pace(elsewhere));
                }
            }
        }
    }

    fn warn_of(&self, stuck: &[WorkerId]) {
        let crew = self.alive.shared.crew();
        for worker in stuck {
            let (vertex, worker) = (crew.outline.name(worker.vertex), worker.index);
            warn!(vertex, worker, "An operation has not returned; its thread is left behind");
        }
    }

    fn end(&mut self, own: &ActorRef<Note>, ending: Ending) {
        if let Ending::Failed { stuck, .. } = &ending {
            self.warn_of(stuck);
        }
        let shared = &self.alive.shared;
        match (shared.failure(&ending), ending) {
            (Some(failure), _) => self.fail(own, failure),
            (None, Ending::Completed) => self.clean_up(own, Phase::Completed),
            (None, _) => self.clean_up(own, Phase::Stopped),
        }
    }

    /// Removes checkpoints that nobody needs any more, before the end is told.
    fn clean_up(&mut self, own: &ActorRef<Note>, phase: Phase) {
        self.coordinator = None;
        // Nothing is put there any more that would stay.
        self.sealing.clear();
        // Who has noted it deletes it when that is noted, too.
        let Some(recovery) = self.recovery.as_ref().filter(|recovery| recovery.noted.is_none()) else {
            return self.over(own, phase);
        };
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
