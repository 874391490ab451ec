//! A workflow that runs: its supervisor, and the handle that users hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, warn};

use super::coordinator::{Command, Coordinator, Ending, Event};
use super::flow::{Flow, Mailbox, ProgressCell};
use super::plan::Plan;
use super::status::{DeploymentStatus, Phase, Summary, VertexStatus, WorkerActivity, WorkerStatus};
use super::wiring::{Meters, Roster};
use super::worker::{Arguments, Message, Worker};
use crate::actor::{self, Actor, ActorProcessingErr, ActorRef, Census, SupervisionEvent};
use crate::id::{DeploymentId, VertexId, WorkerId};
use crate::workflow::{Error, Origin, Progress, Result, VertexKind};

/// How long workers have to end when a deployment is given up: an operation that has not returned by then is left
/// behind, and the failure says so.
const GIVE_UP: Duration = Duration::from_secs(5);

/// What the supervisor and the handles of a deployment share.
pub struct Shared {
    pub id: DeploymentId,
    pub name: String,
    pub plan: Plan,
    /// The name of each node, by number.
    pub nodes: BTreeMap<u32, String>,
    pub meters: Meters,
    pub progress: BTreeMap<WorkerId, Arc<ProgressCell>>,
    pub phase: watch::Sender<Phase>,
    pub began: Instant,
    pub ended: OnceLock<Instant>,
    pub census: Census,
}

impl Shared {
    fn node_of(&self, worker: WorkerId) -> String {
        let stage = self.plan.stages.get(&worker.vertex);
        let info = stage.and_then(|stage| stage.workers.get(worker.index as usize));
        info.and_then(|info| self.nodes.get(&info.node.number)).cloned().unwrap_or_default()
    }

    fn elapsed(&self) -> Duration {
        self.ended.get().copied().unwrap_or_else(Instant::now) - self.began
    }

    fn vertices(&self) -> Vec<VertexStatus> {
        let shown = self.plan.vertices.iter().filter(|info| info.kind == VertexKind::Operation);
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
        let sources = self.plan.stages.values().filter(|stage| stage.factory.origin() != Origin::Links);
        for worker in sources.flat_map(|stage| workers_of(stage.vertex, stage.workers.len())) {
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
            vertex: self.plan.name(vertex).to_owned(),
            worker: worker.index,
            node: self.node_of(*worker),
            cause: Box::new(failure.error.clone()),
        })
    }
}

/// The numbers of the workers of a vertex.
pub fn workers_of(vertex: VertexId, count: usize) -> impl Iterator<Item = WorkerId> {
    (0..count as u32).map(move |index| WorkerId { vertex, index })
}

/// The actor that supervises the workers of a deployment. It runs apart from them, so that a worker that does not
/// return keeps nobody from stopping it.
pub struct Supervisor;

/// What a supervisor needs.
pub struct Start {
    pub shared: Arc<Shared>,
    /// Where workers run.
    pub data: tokio::runtime::Handle,
}

/// What a supervisor keeps.
pub struct State {
    shared: Arc<Shared>,
    coordinator: Coordinator,
    roster: Arc<Roster>,
    actors: HashMap<ractor::ActorId, WorkerId>,
    given_up: Arc<AtomicBool>,
    _resident: actor::Resident,
}

impl Actor for Supervisor {
    type Msg = Event;
    type State = State;
    type Arguments = Start;

    async fn pre_start(&self, own: ActorRef<Event>, start: Start) -> Result<State, ActorProcessingErr> {
        let Start { shared, data } = start;
        let given_up = Arc::new(AtomicBool::new(false));
        let mut mailboxes: BTreeMap<VertexId, Vec<Mailbox>> = BTreeMap::new();
        let mut actors = HashMap::new();
        for stage in shared.plan.stages.values() {
            for id in workers_of(stage.vertex, stage.workers.len()) {
                let (told, waiting) = (own.clone(), Arc::new(AtomicUsize::new(0)));
                let arguments = Arguments {
                    id,
                    stage: stage.clone(),
                    flow: Flow::new(Arc::clone(&given_up)),
                    progress: shared.progress.get(&id).cloned().unwrap_or_default(),
                    census: shared.census.clone(),
                    // A supervisor that has ended has nothing to be told.
                    tell: Arc::new(move |event| drop(told.cast(event))),
                    waiting: Arc::clone(&waiting),
                };
                let supervisor = own.get_cell();
                #[expect(clippy::disallowed_methods, reason = "waited for at once; it only changes the executor")]
                let started = data.spawn(async move { actor::spawn(Worker, arguments, Some(supervisor)).await });
                let actor = started.await??;
                actors.insert(actor.get_id(), id);
                mailboxes.entry(stage.vertex).or_default().push(Mailbox::new(actor, waiting));
            }
        }
        let coordinator = Coordinator::new(actors.values().copied());
        let roster = Arc::new(Roster { plan: shared.plan.clone(), mailboxes, meters: shared.meters.clone() });
        for mailbox in roster.mailboxes.values().flatten() {
            mailbox.send(Message::Open(Arc::clone(&roster)));
        }
        let resident = shared.census.enter();
        Ok(State { shared, coordinator, roster, actors, given_up, _resident: resident })
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
            self.shared.phase.send_if_modified(|phase| {
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
        match command {
            Command::Start => {
                self.shared.phase.send_if_modified(|phase| {
                    let starts = *phase == Phase::Starting;
                    if starts {
                        *phase = Phase::Running;
                    }
                    starts
                });
                self.tell(|_| true, || Message::Start);
            }
            Command::StopSources => {
                let plan = self.shared.plan.clone();
                let source = |vertex| plan.stages.get(&vertex).is_some_and(|s| s.factory.origin() != Origin::Links);
                self.tell(source, || Message::Stop);
            }
            Command::Probe { vertex, round } => self.tell(|other| other == vertex, || Message::Probe { round }),
            Command::Finish { vertex } => self.tell(|other| other == vertex, || Message::Finish),
            Command::GiveUp => {
                self.given_up.store(true, Ordering::Release);
                self.roster.mailboxes.values().flatten().for_each(Mailbox::kill);
                let own = own.clone();
                actor::later(GIVE_UP, move || drop(own.cast(Event::Expired)));
            }
            Command::End(ending) => {
                if let Ending::Failed { stuck, .. } = &ending {
                    for worker in stuck {
                        let (vertex, worker) = (self.shared.plan.name(worker.vertex), worker.index);
                        warn!(vertex, worker, "An operation has not returned; its thread is left behind");
                    }
                }
                // The first and only writer.
                let _ = self.shared.ended.set(Instant::now());
                let failure = self.shared.failure(&ending);
                let phase = match (failure, ending) {
                    (Some(failure), _) => Phase::Failed(failure),
                    (None, Ending::Completed) => Phase::Completed,
                    (None, _) => Phase::Stopped,
                };
                self.shared.phase.send_replace(phase);
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
        &self.shared.plan.warnings
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
            vertex: self.shared.plan.name(id.vertex).to_owned(),
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
