//! A workflow that runs: its supervisor, and the handle that users hold.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::warn;

use super::coordinator::{Command, Coordinator, Ending, Event};
use super::crew::{Crew, Join, Joins};
use super::growth::Growth;
use super::plan::{Outline, workers_of};
use super::progress::ProgressCell;
use super::site::{Counts, Order, Report, Tell};
use super::status::{DeploymentStatus, Phase, Summary, VertexStatus, WorkerActivity, WorkerStatus};
use super::wiring::Meters;
use crate::actor::{self, Actor, ActorProcessingErr, ActorRef, Resident};
use crate::id::{DeploymentId, NodeId, VertexId, WorkerId};
use crate::workflow::{Error, Progress, Result, VertexKind, Workers};

/// What the supervisor and the handles of a deployment share.
pub struct Shared {
    pub id: DeploymentId,
    pub name: String,
    /// What strategies could not do as wished.
    pub warnings: Vec<String>,
    /// Who belongs to it now.
    pub crew: Mutex<Arc<Crew>>,
    pub meters: Meters,
    pub phase: watch::Sender<Phase>,
    pub began: Instant,
    pub ended: OnceLock<Instant>,
    /// How long workers have to end when it is given up.
    pub patience: Duration,
}

impl Shared {
    /// Who belongs to it now.
    pub fn crew(&self) -> Arc<Crew> {
        Arc::clone(&self.crew.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Further workers belong to it, on a node of this name.
    fn grow(&self, growth: &Growth, name: String) {
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        *crew = Arc::new(crew.grown(growth, name));
    }

    /// It has ended, if it had not before.
    fn end(&self, how: Phase) {
        self.phase.send_if_modified(|phase| {
            let ends = !phase.has_ended();
            if ends {
                // The first and only writer.
                let _ = self.ended.set(Instant::now());
                *phase = how;
            }
            ends
        });
    }

    /// It comes into a phase, if it is where that follows.
    fn pass(&self, from: impl FnOnce(&Phase) -> bool, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let passes = from(phase);
            if passes {
                *phase = to;
            }
            passes
        });
    }

    /// Takes in what a part on another node has counted.
    fn count(&self, counts: Counts) {
        let crew = self.crew();
        for (vertex, worker, received, emitted) in counts.vertices {
            // Those of a node that was to join, and did not, do not belong to it.
            if crew.progress.contains_key(&worker) {
                self.meters.set(vertex, worker, received, emitted);
            }
        }
        for (worker, progress, calls) in counts.workers {
            if let Some(cell) = crew.progress.get(&worker) {
                cell.report(progress, calls);
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.ended.get().copied().unwrap_or_else(Instant::now) - self.began
    }

    fn vertices(&self) -> Vec<VertexStatus> {
        let crew = self.crew();
        let shown = crew.outline.vertices.iter().filter(|info| info.kind == VertexKind::Operation);
        let status = |info: &crate::workflow::VertexInfo| {
            let read = self.meters.read(info.id);
            let workers = read.into_iter().map(|(worker, received, emitted)| WorkerStatus {
                node: crew.node_of(worker),
                received,
                emitted,
            });
            VertexStatus { name: info.name.clone(), workers: workers.collect() }
        };
        shown.map(status).collect()
    }

    /// The progress of all sources together, if each knows its own.
    fn progress(&self) -> Option<Progress> {
        let (mut sum, crew) = (Progress::default(), self.crew());
        for worker in crew.outline.ids(&crew.outline.sources) {
            let progress = crew.progress.get(&worker)?.get()?;
            sum.done += progress.done;
            sum.total += progress.total;
        }
        Some(sum)
    }

    fn failure(&self, ending: &Ending) -> Option<Error> {
        let Ending::Failed { worker, failure, .. } = ending else { return None };
        let (Some(worker), Some(vertex)) = (worker, failure.vertex) else { return Some(failure.error.clone()) };
        let crew = self.crew();
        Some(Error::Failed {
            vertex: crew.outline.name(vertex).to_owned(),
            worker: worker.index,
            node: crew.node_of(*worker),
            cause: Box::new(failure.error.clone()),
        })
    }
}

/// The actor that supervises a deployment. It runs apart from the workers, so that one that does not return keeps
/// nobody from stopping it.
pub struct Supervisor;

/// The way to the part of a deployment on one node. It must not wait.
pub type Way = Box<dyn Fn(Order) + Send>;

/// Makes the parts of a deployment, given what takes what they tell; each with its node.
pub type Parts = Box<dyn FnOnce(Tell) -> Result<Vec<(NodeId, Way)>> + Send>;

/// What a supervisor hears.
pub enum Note {
    /// From a part, or a handle.
    Report(Report),
    /// A node has joined, and is to get workers.
    Join(Join),
}

/// What a supervisor needs.
pub struct Start {
    pub alive: Alive,
    pub parts: Parts,
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
    coordinator: Coordinator,
    parts: Vec<(NodeId, Way)>,
    joins: Joins,
}

impl Drop for State {
    fn drop(&mut self) {
        self.parts.iter().for_each(|(_, part)| part(Order::Close));
    }
}

impl Actor for Supervisor {
    type Msg = Note;
    type State = State;
    type Arguments = Start;

    async fn pre_start(&self, own: ActorRef<Note>, start: Start) -> Result<State, ActorProcessingErr> {
        let Start { alive, parts } = start;
        let crew = alive.shared.crew();
        let Outline { workers, links, .. } = crew.outline.as_ref();
        let numbered = |(vertex, workers): (&VertexId, &Workers)| -> Vec<(WorkerId, NodeId)> {
            workers_of(*vertex, workers.len()).zip(workers.iter().map(|worker| worker.node)).collect()
        };
        let coordinator = Coordinator::new(workers.iter().flat_map(numbered), links.clone());
        // A supervisor that has ended has nothing to be told.
        let parts = parts(Arc::new(move |report| drop(own.cast(Note::Report(report)))));
        let parts = parts.inspect_err(|error| alive.shared.end(Phase::Failed(error.clone())))?;
        Ok(State { alive, coordinator, parts, joins: Joins::default() })
    }

    async fn handle(&self, own: ActorRef<Note>, note: Note, state: &mut State) -> Result<(), ActorProcessingErr> {
        match note {
            Note::Report(Report::Event(event)) => state.handle(&own, event),
            Note::Report(Report::Counts(counts)) => state.alive.shared.count(counts),
            Note::Join(join) => {
                let event = state.joins.begin(join);
                state.handle(&own, event);
            }
        }
        Ok(())
    }
}

impl State {
    fn handle(&mut self, own: &ActorRef<Note>, event: Event) {
        if matches!(event, Event::Stop) {
            self.alive.shared.pass(|phase| matches!(phase, Phase::Starting | Phase::Running), Phase::Stopping);
        }
        for command in self.coordinator.handle(event) {
            self.obey(own, command);
        }
    }

    fn obey(&mut self, own: &ActorRef<Note>, command: Command) {
        let shared = &self.alive.shared;
        match command {
            Command::End(ending) => {
                if let Ending::Failed { stuck, .. } = &ending {
                    let crew = shared.crew();
                    for worker in stuck {
                        let (vertex, worker) = (crew.outline.name(worker.vertex), worker.index);
                        warn!(vertex, worker, "An operation has not returned; its thread is left behind");
                    }
                }
                let failure = shared.failure(&ending);
                shared.end(match (failure, ending) {
                    (Some(failure), _) => Phase::Failed(failure),
                    (None, Ending::Completed) => Phase::Completed,
                    (None, _) => Phase::Stopped,
                });
                own.stop(None);
                return;
            }
            Command::Start => shared.pass(|phase| *phase == Phase::Starting, Phase::Running),
            Command::GiveUp => {
                let own = own.clone();
                actor::later(shared.patience, move || drop(own.cast(Note::Report(Report::Event(Event::Expired)))));
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
}

/// A workflow that was deployed. Clones are handles of the same deployment; dropping them does not stop it.
#[derive(Clone)]
pub struct DeploymentHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) supervisor: ActorRef<Note>,
}

impl std::fmt::Debug for DeploymentHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeploymentHandle").field("id", &self.shared.id).field("name", &self.shared.name).finish()
    }
}

impl DeploymentHandle {
    /// Its number in the runtime.
    pub fn id(&self) -> DeploymentId {
        self.shared.id
    }

    /// The name that it was deployed under.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// What strategies could not do as wished, such as finding a node with a tag.
    pub fn warnings(&self) -> &[String] {
        &self.shared.warnings
    }

    /// How it stands. Counts lag behind by a batch or so.
    pub fn status(&self) -> DeploymentStatus {
        DeploymentStatus {
            id: self.shared.id,
            name: self.shared.name.clone(),
            phase: self.shared.phase.borrow().clone(),
            elapsed: self.shared.elapsed(),
            progress: self.shared.progress(),
            vertices: self.shared.vertices(),
        }
    }

    /// What each of its workers is at.
    pub fn activity(&self) -> Vec<WorkerActivity> {
        let crew = self.shared.crew();
        let activity = |(id, cell): (&WorkerId, &Arc<ProgressCell>)| WorkerActivity {
            id: *id,
            vertex: crew.outline.name(id.vertex).to_owned(),
            node: crew.node_of(*id),
            calls: cell.calls(),
        };
        crew.progress.iter().map(activity).collect()
    }

    /// Stops it in order, without waiting: sources end, what is under way drains, operations finish.
    pub fn stop(&self) {
        // A supervisor that has ended has nothing left to stop.
        drop(self.supervisor.cast(Note::Report(Report::Event(Event::Stop))));
    }

    /// Gives it up, without waiting: what is under way is lost.
    pub fn abort(&self) {
        drop(self.supervisor.cast(Note::Report(Report::Event(Event::Abort))));
    }

    /// Waits until records flow, or it has ended without that.
    pub async fn started(&self) {
        // It fails when nobody is left who could tell, which is after its end.
        let _ = self.shared.phase.subscribe().wait_for(|phase| *phase != Phase::Starting).await;
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`Error::Failed`] with the vertex, worker and node when it failed; [`Error::Aborted`].
    pub async fn ended(&self) -> Result<Summary> {
        let mut phase = self.shared.phase.subscribe();
        let ended = phase.wait_for(Phase::has_ended).await.map(|phase| phase.clone());
        match ended {
            Ok(Phase::Failed(error)) => Err(error),
            Ok(phase) => Ok(Summary {
                name: self.shared.name.clone(),
                stopped: phase == Phase::Stopped,
                elapsed: self.shared.elapsed(),
                vertices: self.shared.vertices(),
            }),
            Err(_) => Err(Error::Aborted),
        }
    }

    /// As [`ended`](DeploymentHandle::ended), on a thread that may block.
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self) -> Result<Summary> {
        super::block_on(self.ended())
    }
}
