//! The part of a deployment that runs on one node: an actor that supervises the workers there, does what the
//! coordinator orders, and tells it what happens.

mod joining;
mod lines;
mod saving;
mod starting;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::error;

use self::joining::Joining;
use self::lines::Awaits;
pub use self::lines::{Line, Others};
use super::connection::{Connection, Lost};
use super::coordinator::{Command, Event, WorkerSaved};
use super::dead_letters::DeadLetters;
use super::flow::{Flow, Mailbox, Way};
use super::keeper::Keeping;
use super::ledger::{Kept, Ledger};
use super::neighbours::Neighbours;
use super::pace::{Paces, REPORT_INTERVAL, Slowest};
use super::plan::{Outline, PlannedStage, workers_of};
use super::progress::ProgressCell;
use super::restore::{Inherited, Rescales, rescales};
use super::wiring::{Meters, Roster};
use super::worker::{Arguments, Message, WorkerSnapshot};
use crate::actor::{
    self, Actor, ActorId, ActorProcessingErr, ActorRef, Census, Executor, Resident, SupervisionEvent, Task,
};
use crate::id::{NodeId, VertexId, WorkerId};
use crate::net::{BoxStream, Refusal};
use crate::state::Run;
use crate::workflow::{Error, Progress, Result};

/// How often a node tells the master how far its workers are: often enough for a bar that moves.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// What a site is told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// As the coordinator wants it.
    Obey(Command),
    /// How far the slowest sources elsewhere are, of those that are aligned.
    Pace(Slowest),
    /// The deployment has ended; nobody needs the site any more.
    Close,
}

/// What the workers of a site have done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By vertex, the worker that runs it, records received and emitted.
    pub vertices: Vec<(VertexId, WorkerId, u64, u64)>,
    /// How far sources are, and calls of user code begun and ended.
    pub workers: Vec<(WorkerId, Option<Progress>, u64)>,
    /// By vertex, and the worker that ran its code, records that this has failed on.
    pub failed: Vec<(VertexId, WorkerId, u64)>,
}

/// What a site tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    /// For the coordinator.
    Event(Event),
    /// How far the workers are. Comes for the last time before the last worker is gone.
    Counts(Counts),
    /// How far the slowest sources of the node are, of those that are aligned.
    Paced(NodeId, Slowest),
}

/// Takes what a site tells. It must not wait.
pub type Tell = Arc<dyn Fn(Report) + Send + Sync>;

/// What a site is made of.
pub struct SiteStart {
    /// The node.
    pub node: NodeId,
    /// All stages of the deployment.
    pub stages: BTreeMap<VertexId, PlannedStage>,
    pub outline: Arc<Outline>,
    pub meters: Meters,
    /// Of the workers here.
    pub progress: BTreeMap<WorkerId, Arc<ProgressCell>>,
    /// Where workers run, but for those whose operations may wait. Each deployment has threads of its own, so that
    /// operations that do not return keep only their own deployment from work.
    pub executor: Executor,
    pub census: Census,
    pub tell: Tell,
    /// None on a node that is alone.
    pub others: Option<Others>,
    /// None if no checkpoints are taken.
    pub keeping: Option<Keeping>,
    /// What takes records that user code fails on, if they may.
    pub dead_letters: Option<Arc<DeadLetters>>,
}

/// What a site hears.
pub enum Note {
    Order(Order),
    /// Another node has connected to this one.
    Attach {
        from: u32,
        line: Line,
        stream: BoxStream,
    },
    /// This node has tried to connect to another one.
    Dialled {
        to: NodeId,
        line: Line,
        result: Result<BoxStream, Refusal>,
    },
    /// A connection has ended.
    Detached {
        node: u32,
        lost: Lost,
    },
    /// Nodes have had their time to connect.
    ConnectTimeout(Awaits),
    /// A worker has saved what it keeps.
    Saved(WorkerSnapshot),
    /// It is in the store.
    Stored(WorkerSaved, Kept),
    /// What workers go on with has been read.
    Loaded(Result<Inherited>),
    /// The deployment has run for a while.
    Watch,
    Count,
    /// It is time to look how far aligned sources are.
    Pace,
}

/// The actor.
pub struct Site;

/// A part of a deployment that was started. Dropping it does not end it.
#[derive(Clone, Debug)]
pub struct SiteHandle(ActorRef<Note>);

impl SiteHandle {
    /// Starts it, on the runtime of the caller.
    ///
    /// # Errors
    /// When its actor cannot be made.
    pub fn start(start: SiteStart) -> Result<SiteHandle> {
        let site = actor::spawn_at_once(Site, start).map_err(|error| Error::Runtime(error.to_string()))?;
        Ok(SiteHandle(site))
    }

    /// Has it do something, unless it has ended.
    pub fn order(&self, order: Order) {
        drop(self.0.cast(Note::Order(order)));
    }

    /// Gives it a connection that the node with this number has made to it.
    pub fn attach(&self, from: u32, line: Line, stream: BoxStream) {
        drop(self.0.cast(Note::Attach { from, line, stream }));
    }
}

/// What it keeps.
pub struct State {
    node: NodeId,
    outline: Arc<Outline>,
    meters: Meters,
    progress: BTreeMap<WorkerId, Arc<ProgressCell>>,
    executor: Executor,
    /// Held as long as the workers that run there.
    _waiting: Vec<Executor>,
    tell: Tell,
    others: Option<Others>,
    neighbours: Neighbours,
    /// The connections to other nodes, by their numbers.
    connections: BTreeMap<u32, Arc<Connection>>,
    /// Those that tell when the way to another node is cut, by its number.
    watches: BTreeMap<u32, Task>,
    /// Those that were dialled.
    watched: BTreeSet<u32>,
    /// The connections that the coordinator waits for.
    awaits: Option<Awaits>,
    /// A node that joins.
    joining: Option<Joining>,
    /// Where checkpoints are kept, and which attempt this is.
    run: Option<(Run, Keeping)>,
    rescales: Rescales,
    dead_letters: Option<Arc<DeadLetters>>,
    ledger: Ledger,
    /// Those that bring what workers have saved to the store. What is under way when the site ends is of no use.
    storing: Vec<Task>,
    workers: Arc<BTreeMap<WorkerId, Mailbox>>,
    actors: HashMap<ActorId, WorkerId>,
    living: BTreeSet<WorkerId>,
    given_up: Arc<AtomicBool>,
    /// The newest checkpoint that does not wait for alignment.
    hurry: Arc<AtomicU64>,
    paces: Paces,
    /// What was told last of aligned sources.
    paced: Option<Slowest>,
    closing: bool,
    _resident: Resident,
}

impl Drop for State {
    fn drop(&mut self) {
        // Whoever waits for credit on a thread that is left behind.
        self.given_up.store(true, Ordering::Release);
    }
}

impl Actor for Site {
    type Msg = Note;
    type State = State;
    type Arguments = SiteStart;

    async fn pre_start(&self, own: ActorRef<Note>, start: SiteStart) -> Result<State, ActorProcessingErr> {
        let SiteStart { node, stages, outline, meters, progress, executor, census, tell, others, .. } = start;
        let SiteStart { keeping, dead_letters, .. } = start;
        let lost = |error: Error| tell(Report::Event(Event::Lost { node, error }));
        let opened = keeping.map(|keeping| keeping.open().map(|run| (run, keeping))).transpose();
        let run = opened.inspect_err(|error| lost(error.clone()))?;
        let given_up: Arc<AtomicBool> = Arc::default();
        let hurry: Arc<AtomicU64> = Arc::default();
        let mut all = Vec::new();
        for stage in stages.values() {
            let here = |id: &WorkerId| stage.workers[id.index as usize].node == node;
            for id in workers_of(stage.vertex, stage.workers.len()).filter(here) {
                let (told, saved) = (Arc::clone(&tell), own.clone());
                all.push(Arguments {
                    id,
                    stage: stage.clone(),
                    flow: Flow::new(id, stage.workers.len(), Arc::clone(&given_up)),
                    progress: progress.get(&id).cloned().unwrap_or_default(),
                    census: census.clone(),
                    tell: Arc::new(move |event| told(Report::Event(event))),
                    waiting: Arc::default(),
                    save: Arc::new(move |snapshot| drop(saved.cast(Note::Saved(snapshot)))),
                    checkpoints: run.is_some(),
                    hurry: Arc::clone(&hurry),
                });
            }
        }
        let started = starting::start_all(all, &executor, &own.get_cell()).await;
        let (started, waiting) = started.inspect_err(|reason| lost(Error::Runtime(reason.clone())))?;
        let actors: HashMap<_, _> = started.iter().map(|(id, actor, _)| (*actor, *id)).collect();
        let workers = started.into_iter().map(|(id, _, mailbox)| (id, mailbox)).collect();
        if others.is_some() {
            let own = own.clone();
            actor::later(COUNT_INTERVAL, move || drop(own.cast(Note::Count)));
        }
        tell(Report::Event(Event::Prepared(node)));
        let is_aligned = !outline.aligned.is_empty();
        Ok(State {
            node,
            neighbours: Neighbours::of(node, &outline),
            outline,
            meters,
            progress,
            executor,
            _waiting: waiting,
            tell,
            others,
            connections: BTreeMap::new(),
            watches: BTreeMap::new(),
            watched: BTreeSet::new(),
            awaits: None,
            joining: None,
            run,
            rescales: rescales(&stages),
            dead_letters,
            ledger: Ledger::default(),
            storing: Vec::new(),
            living: actors.values().copied().collect(),
            workers: Arc::new(workers),
            actors,
            given_up,
            hurry,
            paces: if is_aligned { Paces::among_others() } else { Paces::default() },
            paced: None,
            closing: false,
            _resident: census.enter(),
        })
    }

    async fn handle(&self, own: ActorRef<Note>, note: Note, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.take(&own, note);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        own: ActorRef<Note>,
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
            state.gone(&own, worker);
        }
        Ok(())
    }
}

impl State {
    fn take(&mut self, own: &ActorRef<Note>, note: Note) {
        match note {
            Note::Order(Order::Obey(command)) => self.obey(own, command),
            Note::Order(Order::Pace(slowest)) => self.paces.set_elsewhere(&slowest),
            Note::Order(Order::Close) => self.close(own),
            Note::Attach { from, line: Line::Data, stream } => self.attach(own, from, stream),
            Note::Attach { from, line: Line::Watch, stream } => self.watch(own, from, stream, false),
            Note::Dialled { to, line: Line::Data, result: Ok(stream) } => self.attach(own, to.number, stream),
            Note::Dialled { to, line: Line::Watch, result: Ok(stream) } => self.watch(own, to.number, stream, true),
            Note::Dialled { to, result: Err(refusal), .. } => {
                self.broken(to.number, format!("cannot connect to `{}`: {refusal}", self.name(to.number)));
            }
            Note::Detached { node, lost } => {
                self.broken(node, format!("the connection to `{}` was lost: {lost}", self.name(node)));
            }
            Note::ConnectTimeout(awaits) => self.check_connected(awaits),
            Note::Saved(snapshot) => self.store(own, snapshot),
            Note::Stored(saved, kept) => self.stored(saved, &kept),
            Note::Loaded(Ok(inherited)) => self.open_with(Some(inherited)),
            Note::Loaded(Err(error)) => self.tell(Event::Lost { node: self.node, error }),
            Note::Watch if !self.closing => self.watch_all(own),
            Note::Watch => {}
            Note::Pace => self.pace(own),
            Note::Count => {
                self.count();
                let own = own.clone();
                actor::later(COUNT_INTERVAL, move || drop(own.cast(Note::Count)));
            }
        }
    }

    fn tell(&self, event: Event) {
        (self.tell)(Report::Event(event));
    }

    fn obey(&mut self, own: &ActorRef<Note>, command: Command) {
        match command {
            Command::Connect => self.connect(own, Awaits::All),
            Command::Open => self.open(own),
            Command::Start => {
                self.order(|_| true, || Message::Start);
                self.pace(own);
                if self.others.is_some() {
                    Self::watch_later(own);
                }
            }
            Command::StopSources => {
                let sources = self.outline.sources.clone();
                self.order(|vertex| sources.contains(&vertex), || Message::Stop);
            }
            Command::Probe { vertex, round } => self.order(|other| other == vertex, || Message::Probe { round }),
            Command::Finish { vertex } => self.order(|other| other == vertex, || Message::Finish),
            Command::Trigger { checkpoint, workers, halt } => {
                let here = workers.iter().filter_map(|worker| self.workers.get(worker));
                here.for_each(|mailbox| mailbox.send(Message::Trigger { checkpoint, halt }));
            }
            Command::Commit(commit) => {
                self.ledger.commit(commit);
                self.order(|_| true, || Message::Commit(commit));
            }
            Command::Hurry { checkpoint } => {
                self.hurry.fetch_max(checkpoint, Ordering::AcqRel);
                // Those that have nothing else to do.
                self.order(|_| true, || Message::Hurry);
            }
            Command::Abandon { .. } => self.order(|_| true, || Message::GoOn),
            Command::Suspend { checkpoint } => self.order(|_| true, || Message::Suspend { checkpoint }),
            // For the supervisor.
            Command::Seal { .. } | Command::Within(..) | Command::Restart { .. } => {}
            // Its order to prepare was the invitation.
            Command::Invite(_) => {}
            Command::Meet(growth) => self.meet(own, growth),
            Command::OpenOn(node) if node == self.node => self.open_with(None),
            Command::OpenOn(_) => {}
            Command::Expect { joined, ends } => self.expect(joined, &ends),
            Command::Welcome(node) => self.welcome(own, node),
            Command::Release { worker, ends } => self.release(worker, ends),
            Command::Dismiss { joined, .. } => self.dismiss(joined),
            Command::GiveUp => {
                self.given_up.store(true, Ordering::Release);
                self.workers.values().for_each(Mailbox::give_up);
            }
            Command::End(_) => self.close(own),
        }
    }

    fn order(&self, to: impl Fn(VertexId) -> bool, message: impl Fn() -> Message) {
        self.workers.iter().filter(|(id, _)| to(id.vertex)).for_each(|(_, mailbox)| mailbox.send(message()));
    }

    fn open_with(&self, inherited: Option<Inherited>) {
        let way = |id: WorkerId, node: NodeId| match (self.workers.get(&id), self.connections.get(&node.number)) {
            (Some(mailbox), _) => Some(Way::Here(mailbox.clone())),
            (None, Some(connection)) => Some(Way::There(Arc::clone(connection), id)),
            // Nobody here sends to it.
            (None, None) => None,
        };
        let ways = |(vertex, workers): (&VertexId, &crate::workflow::Workers)| {
            let all = workers_of(*vertex, workers.len()).zip(workers.iter()).map(|(id, info)| way(id, info.node));
            Some((*vertex, all.collect::<Option<Vec<Way>>>()?))
        };
        let ways = self.outline.workers.iter().filter_map(ways).collect();
        let resume = self.run.as_ref().and_then(|(_, keeping)| keeping.resumes());
        let inherited = resume.zip(inherited);
        let (outline, meters) = (Arc::clone(&self.outline), self.meters.clone());
        let dead_letters = self.dead_letters.clone();
        let paces = self.paces.clone();
        let roster = Arc::new(Roster { outline, ways, meters, dead_letters, paces, inherited });
        self.order(|_| true, || Message::Open(Arc::clone(&roster)));
    }

    /// Tells how far aligned sources are, if that is new.
    fn tell_pace(&mut self) {
        let slowest = self.paces.slowest();
        if !self.outline.aligned.is_empty() && self.paced.as_ref() != Some(&slowest) {
            self.paced = Some(slowest.clone());
            (self.tell)(Report::Paced(self.node, slowest));
        }
    }

    /// Tells how far aligned sources are, now and from time to time.
    fn pace(&mut self, own: &ActorRef<Note>) {
        self.tell_pace();
        // Those of an attempt join when they are opened, which all are before one begins.
        if !self.paces.slowest().is_empty() {
            let own = own.clone();
            actor::later(REPORT_INTERVAL, move || drop(own.cast(Note::Pace)));
        }
    }

    fn gone(&mut self, own: &ActorRef<Note>, worker: WorkerId) {
        self.living.remove(&worker);
        if self.living.is_empty() {
            self.tell_pace();
            self.count();
        }
        self.tell(Event::Gone(worker));
        self.leave(own);
    }

    /// Tells how far the workers are, if whoever hears it cannot see that.
    fn count(&self) {
        if self.others.is_none() {
            return;
        }
        let of = |vertex: &crate::workflow::VertexInfo| {
            let id = vertex.id;
            self.meters.read(id).into_iter().map(move |(worker, received, emitted)| (id, worker, received, emitted))
        };
        let vertices = self.outline.vertices.iter().flat_map(of).collect();
        let workers = self.progress.iter().map(|(id, cell)| (*id, cell.get(), cell.calls())).collect();
        (self.tell)(Report::Counts(Counts { vertices, workers, failed: self.meters.all_failed() }));
    }

    fn close(&mut self, own: &ActorRef<Note>) {
        self.closing = true;
        self.given_up.store(true, Ordering::Release);
        self.workers.values().for_each(Mailbox::give_up);
        self.connections.values().for_each(|connection| connection.close());
        self.leave(own);
    }

    /// Ends when it is to and no worker lives, or none that would answer.
    fn leave(&self, own: &ActorRef<Note>) {
        if self.closing {
            own.stop(None);
        }
    }
}
