//! A workflow that runs: its supervisor, and the handle that users hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, warn};

use super::coordinator::{Command, Coordinator, Ending, Event};
use super::flow::{Flow, Mailbox, ProgressCell};
use super::plan::{Outline, PlannedStage, workers_of};
use super::status::{DeploymentStatus, Phase, Summary, VertexStatus, WorkerActivity, WorkerStatus};
use super::wiring::{Meters, Roster};
use super::worker::{Arguments, Message, Worker};
use crate::actor::{
    self, Actor, ActorCell, ActorProcessingErr, ActorRef, Census, Executor, Resident, SupervisionEvent,
};
use crate::id::{DeploymentId, VertexId, WorkerId};
use crate::workflow::{Error, Progress, Result, VertexKind};

/// What the supervisor and the handles of a deployment share.
pub struct Shared {
    pub id: DeploymentId,
    pub name: String,
    pub outline: Arc<Outline>,
    /// The name of each node, by number.
    pub nodes: BTreeMap<u32, String>,
    pub meters: Meters,
    pub progress: BTreeMap<WorkerId, Arc<ProgressCell>>,
    pub phase: watch::Sender<Phase>,
    pub began: Instant,
    pub ended: OnceLock<Instant>,
    /// How long workers have to end when it is given up.
    pub patience: Duration,
}

impl Shared {
    fn node_of(&self, worker: WorkerId) -> String {
        let info = self.outline.worker(worker);
        info.and_then(|info| self.nodes.get(&info.node.number)).cloned().unwrap_or_default()
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

    fn elapsed(&self) -> Duration {
        self.ended.get().copied().unwrap_or_else(Instant::now) - self.began
    }

    fn vertices(&self) -> Vec<VertexStatus> {
        let shown = self.outline.vertices.iter().filter(|info| info.kind == VertexKind::Operation);
        let status = |info: &crate::workflow::VertexInfo| {
            let read = self.meters.read(info.id);
            let workers = read.into_iter().map(|(worker, received, emitted)| WorkerStatus {
                node: self.node_of(worker),
                received,
                emitted,
            });
            VertexStatus { name: info.name.clone(), workers: workers.collect() }
        };
        shown.map(status).collect()
    }

    /// The progress of all sources together, if each knows its own.
    fn progress(&self) -> Option<Progress> {
        let mut sum = Progress::default();
        for worker in self.outline.ids(&self.outline.sources) {
            let progress = self.progress.get(&worker)?.get()?;
            sum.done += progress.done;
            sum.total += progress.total;
        }
        Some(sum)
    }

    fn failure(&self, ending: &Ending) -> Option<Error> {
        let Ending::Failed { worker, failure, .. } = ending else { return None };
        let (Some(worker), Some(vertex)) = (worker, failure.vertex) else { return Some(failure.error.clone()) };
        Some(Error::Failed {
            vertex: self.outline.name(vertex).to_owned(),
            worker: worker.index,
            node: self.node_of(*worker),
            cause: Box::new(failure.error.clone()),
        })
    }
}

/// The actor that supervises the workers of a deployment. It runs apart from them, so that a worker that does not
/// return keeps nobody from stopping it.
pub struct Supervisor;

/// What a supervisor needs.
pub struct Start {
    pub alive: Alive,
    pub stages: BTreeMap<VertexId, PlannedStage>,
    pub census: Census,
}

/// Held as long as a deployment lives, by its supervisor. However that ends, with its runtime for example, nobody then
/// waits any more.
pub struct Alive {
    shared: Arc<Shared>,
    /// Where workers run. Each deployment has threads of its own, so that operations that do not return keep only their
    /// own deployment from work.
    executor: Executor,
    given_up: Arc<AtomicBool>,
    _resident: Resident,
}

impl Alive {
    pub fn new(shared: Arc<Shared>, executor: Executor, resident: Resident) -> Self {
        Alive { shared, executor, given_up: Arc::default(), _resident: resident }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Release);
        self.shared.end(Phase::Failed(Error::Aborted));
    }
}

/// What a supervisor keeps.
pub struct State {
    alive: Alive,
    coordinator: Coordinator,
    roster: Arc<Roster>,
    actors: HashMap<ractor::ActorId, WorkerId>,
}

/// Starts the workers; each with its way in.
async fn start_all(
    all: Vec<Arguments>,
    supervisor: ActorCell,
) -> Result<Vec<(WorkerId, ractor::ActorId, Mailbox)>, String> {
    let mut workers = Vec::with_capacity(all.len());
    for arguments in all {
        let (id, waiting) = (arguments.id, Arc::clone(&arguments.waiting));
        let actor = actor::spawn(Worker, arguments, Some(supervisor.clone())).await;
        let actor = actor.map_err(|error| error.to_string())?;
        workers.push((id, actor.get_id(), Mailbox::new(actor, waiting)));
    }
    Ok(workers)
}

impl Actor for Supervisor {
    type Msg = Event;
    type State = State;
    type Arguments = Start;

    async fn pre_start(&self, own: ActorRef<Event>, start: Start) -> Result<State, ActorProcessingErr> {
        let Start { alive, stages, census } = start;
        let mut all = Vec::new();
        for stage in stages.into_values() {
            for id in workers_of(stage.vertex, stage.workers.len()) {
                let told = own.clone();
                all.push(Arguments {
                    id,
                    stage: stage.clone(),
                    flow: Flow::new(Arc::clone(&alive.given_up)),
                    progress: alive.shared.progress.get(&id).cloned().unwrap_or_default(),
                    census: census.clone(),
                    // A supervisor that has ended has nothing to be told.
                    tell: Arc::new(move |event| drop(told.cast(event))),
                    waiting: Arc::default(),
                });
            }
        }
        let started = alive.executor.run(start_all(all, own.get_cell())).await;
        let workers = started.flatten().inspect_err(|reason| {
            alive.shared.end(Phase::Failed(Error::Runtime(reason.clone())));
        })?;
        let (mut actors, mut mailboxes) = (HashMap::new(), BTreeMap::<VertexId, Vec<Mailbox>>::new());
        for (id, actor, mailbox) in workers {
            actors.insert(actor, id);
            mailboxes.entry(id.vertex).or_default().push(mailbox);
        }
        let coordinator = Coordinator::new(actors.values().copied());
        let (outline, meters) = (Arc::clone(&alive.shared.outline), alive.shared.meters.clone());
        let roster = Arc::new(Roster { outline, mailboxes, meters });
        for mailbox in roster.mailboxes.values().flatten() {
            mailbox.send(Message::Open(Arc::clone(&roster)));
        }
        Ok(State { alive, coordinator, roster, actors })
    }

    async fn handle(&self, own: ActorRef<Event>, event: Event, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.handle(&own, event);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        own: ActorRef<Event>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let gone = match &event {
            SupervisionEvent::ActorTerminated(actor, _, _) => Some(actor.get_id()),
            SupervisionEvent::ActorFailed(actor, reason) => {
                error!(%reason, "A worker actor failed");
                Some(actor.get_id())
            }
            _ => None,
        };
        if let Some(worker) = gone.and_then(|actor| state.actors.get(&actor).copied()) {
            // Supervision comes before messages; what the worker said last has to be heard first.
            own.cast(Event::Gone(worker))?;
        }
        Ok(())
    }
}

impl State {
    fn handle(&mut self, own: &ActorRef<Event>, event: Event) {
        if matches!(event, Event::Stop) {
            self.alive.shared.phase.send_if_modified(|phase| {
                let runs = matches!(phase, Phase::Starting | Phase::Running);
                if runs {
                    *phase = Phase::Stopping;
                }
                runs
            });
        }
        for command in self.coordinator.handle(event) {
            self.obey(own, command);
        }
    }

    fn obey(&mut self, own: &ActorRef<Event>, command: Command) {
        let shared = &self.alive.shared;
        match command {
            Command::Start => {
                shared.phase.send_if_modified(|phase| {
                    let starts = *phase == Phase::Starting;
                    if starts {
                        *phase = Phase::Running;
                    }
                    starts
                });
                self.tell(|_| true, || Message::Start);
            }
            Command::StopSources => {
                self.tell(|vertex| shared.outline.sources.contains(&vertex), || Message::Stop);
            }
            Command::Probe { vertex, round } => self.tell(|other| other == vertex, || Message::Probe { round }),
            Command::Finish { vertex } => self.tell(|other| other == vertex, || Message::Finish),
            Command::GiveUp => {
                self.alive.given_up.store(true, Ordering::Release);
                self.roster.mailboxes.values().flatten().for_each(Mailbox::give_up);
                let own = own.clone();
                actor::later(shared.patience, move || drop(own.cast(Event::Expired)));
            }
            Command::End(ending) => {
                if let Ending::Failed { stuck, .. } = &ending {
                    for worker in stuck {
                        let (vertex, worker) = (shared.outline.name(worker.vertex), worker.index);
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
            }
        }
    }

    fn tell(&self, to: impl Fn(VertexId) -> bool, message: impl Fn() -> Message) {
        for (_, mailboxes) in self.roster.mailboxes.iter().filter(|(vertex, _)| to(**vertex)) {
            mailboxes.iter().for_each(|mailbox| mailbox.send(message()));
        }
    }
}

/// A workflow that was deployed. Clones are handles of the same deployment; dropping them does not stop it.
#[derive(Clone)]
pub struct DeploymentHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) supervisor: ActorRef<Event>,
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
        &self.shared.outline.warnings
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
        let activity = |(id, cell): (&WorkerId, &Arc<ProgressCell>)| WorkerActivity {
            id: *id,
            vertex: self.shared.outline.name(id.vertex).to_owned(),
            node: self.shared.node_of(*id),
            calls: cell.calls(),
        };
        self.shared.progress.iter().map(activity).collect()
    }

    /// Stops it in order, without waiting: sources end, what is under way drains, operations finish.
    pub fn stop(&self) {
        // A supervisor that has ended has nothing left to stop.
        drop(self.supervisor.cast(Event::Stop));
    }

    /// Gives it up, without waiting: what is under way is lost.
    pub fn abort(&self) {
        drop(self.supervisor.cast(Event::Abort));
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
