//! A master node: connects to workers, deploys a workflow on them, and ends with it.

mod going_on;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing::debug;

use super::console::wire::{NodeStatus, Reply, Request};
use super::console::{Asked, answer, failed, refused};
use super::control::{Neighbour, ToMaster, ToWorker};
use super::deployments::{Built, Deployments, Next};
use super::endpoint::{Admit, Endpoint, Open, Presence};
use super::journal::Journal;
use super::link::{Heard, Link};
use super::local::Watch;
use super::running::{self, Ears, Member, Program, Running, Wanted};
use super::settings::Catalog;
use super::vault;
use super::{Console, NodeFailure, NodeSettings, Signals, console};
use crate::actor::{self, Task};
use crate::id::{DeploymentId, NodeAddress, NodeId, NodeName};
use crate::net::{Command, Event, HEARTBEAT, Membership, Mode, Purpose, Reason, Refusal, SILENCE, Session};
use crate::runtime::{DeploymentHandle, From, Resume, Runtime};
use crate::telemetry::events;
use crate::workflow::{Error, NodeInfo, Result as WorkflowResult, Workflow};

/// How long workers are told that the master stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// How often a worker that is gone is called: so often that who starts it again does not wait, and at no cost.
const CALL_AGAIN: Duration = Duration::from_millis(250);

/// Sessions and messages that wait to be looked at; who sends more waits.
const QUEUE: usize = 1024;

/// What a master node is to do.
#[derive(Clone, Debug, Default)]
pub struct MasterOptions {
    /// The workers to connect to.
    pub workers: Vec<NodeAddress>,
    /// The workflow to deploy, and its arguments.
    pub deploy: Option<(String, Vec<String>)>,
    /// Stop when a worker is gone.
    pub stop_with_workers: bool,
    /// What the workflow goes on at, if not at its beginning.
    pub from: Option<From>,
    /// Go on with what a master of this name had not ended when it died.
    pub go_on: bool,
    /// How long a deployment that has lost a worker node waits for it to come back, before it goes on without. Default:
    /// at once.
    pub recovery_wait: Duration,
}

/// Runs a master node until its workflow has ended, or there is a signal. What is asked for over the console is
/// deployed beside it.
///
/// # Errors
/// When it cannot start, a worker cannot be reached, the workflow fails, or a worker is gone that it is to stop with.
pub fn run(
    settings: NodeSettings,
    catalog: Arc<dyn Catalog>,
    options: MasterOptions,
    signals: &mut Signals,
    console: &mut Console,
    watch: Option<Watch<'_>>,
) -> Result<(), NodeFailure> {
    let runtime = Runtime::with(settings.runtime.clone()).map_err(|error| NodeFailure::Start(error.to_string()))?;
    super::executor()?.block_on(live(settings, runtime, catalog, options, signals, console, watch))
}

/// As [`run`], on the runtime of the caller.
///
/// # Errors
/// As there.
pub(super) async fn live(
    settings: NodeSettings,
    runtime: Runtime,
    catalog: Arc<dyn Catalog>,
    options: MasterOptions,
    signals: &mut Signals,
    console: &mut Console,
    watch: Option<Watch<'_>>,
) -> Result<(), NodeFailure> {
    events::started("master");
    let (endpoint, presence) = Endpoint::open(&settings, Mode::Master).await?;
    events::reachable(&endpoint.identity().name);
    Master::new(endpoint, runtime, options).run(presence, &catalog, signals, console, watch).await
}

/// Who belongs to the cluster; shared with whoever decides which connections are let in.
#[derive(Clone)]
struct Members(Arc<Mutex<Membership>>);

impl Members {
    fn handle(&self, event: Event) -> Vec<Command> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).handle(event)
    }

    fn check(&self, node: &NodeName, incarnation: u64) -> Result<(), Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).check(node, incarnation)
    }
}

struct Worker {
    id: NodeId,
    /// The number of the link: what comes over one that is gone is not heard.
    over: u64,
    link: Link<ToWorker>,
}

impl Worker {
    fn name(&self) -> &NodeName {
        self.link.name()
    }

    fn info(&self) -> NodeInfo {
        let peer = &self.link.peer;
        NodeInfo {
            id: self.id,
            name: peer.name.to_string(),
            cores: peer.cores.max(1) as usize,
            tags: peer.tags.clone(),
        }
    }

    fn member(&self) -> Member {
        Member { info: self.info(), neighbour: self.neighbour(), sender: self.link.sender.clone() }
    }

    fn neighbour(&self) -> Neighbour {
        let peer = &self.link.peer;
        let mut hosts = vec![peer.name.host().to_owned()];
        hosts.extend(self.link.host.clone().filter(|host| *host != hosts[0]));
        let (name, incarnation, port) = (peer.name.clone(), peer.incarnation, peer.port);
        Neighbour { id: self.id, name, incarnation, hosts, port }
    }
}

struct Master {
    endpoint: Arc<Endpoint>,
    runtime: Runtime,
    options: MasterOptions,
    members: Members,
    /// By number.
    workers: BTreeMap<u32, Worker>,
    /// The number of each worker that has ever been there, by name: a worker that comes back has the number that it
    /// had, because strategies may tell nodes apart by it.
    numbers: BTreeMap<NodeName, u32>,
    /// Links so far.
    links: u64,
    ears: Ears,
    /// What it has deployed, and has not ended.
    running: BTreeMap<DeploymentId, Running>,
    began: Instant,
    hear: mpsc::Sender<(u64, Heard<ToMaster>)>,
    heard: mpsc::Receiver<(u64, Heard<ToMaster>)>,
    /// Deployments that are to be started anew.
    want: mpsc::Sender<Wanted>,
    wanted: mpsc::Receiver<Wanted>,
    /// Where sessions with workers go that are called again.
    come: mpsc::Sender<Session>,
    sessions: mpsc::Receiver<Session>,
    /// Where workers come in by themselves; none before, and when it ends.
    open: Option<Open>,
    /// None if no checkpoints are taken.
    journal: Option<Journal>,
    /// Workers that are gone and are called until they are back, by their names.
    calling: BTreeMap<String, Task>,
}

impl Master {
    fn new(endpoint: Arc<Endpoint>, runtime: Runtime, options: MasterOptions) -> Master {
        let (hear, heard) = mpsc::channel(QUEUE);
        let (want, wanted) = mpsc::channel(QUEUE);
        let (come, sessions) = mpsc::channel(QUEUE);
        Master {
            endpoint,
            runtime,
            options,
            members: Members(Arc::new(Mutex::new(Membership::new(SILENCE)))),
            workers: BTreeMap::new(),
            numbers: BTreeMap::new(),
            links: 0,
            ears: Ears::default(),
            running: BTreeMap::new(),
            began: Instant::now(),
            hear,
            heard,
            want,
            wanted,
            come,
            sessions,
            open: None,
            journal: None,
            calling: BTreeMap::new(),
        }
    }

    async fn run(
        mut self,
        presence: Presence,
        catalog: &Arc<dyn Catalog>,
        signals: &mut Signals,
        console: &mut Console,
        watch: Option<Watch<'_>>,
    ) -> Result<(), NodeFailure> {
        let Presence { listener, lease } = presence;
        self.open = Some(self.endpoint.serve(listener, self.admit(), self.come.clone()));
        let _known = actor::task(async move { events::name_lost(&lease.run().await.detail) });
        let connected = tokio::select! {
            biased;
            signal = signals.first() => {
                events::stopping(&signal.to_string());
                self.tell_all(&ToWorker::Release).await;
                return Ok(());
            }
            connected = self.connect() => connected,
        };
        if let Err(failure) = connected {
            self.tell_all(&ToWorker::Release).await;
            return Err(failure);
        }
        let mut deployments = Deployments::new(watch);
        if let Err((name, error)) = self.begin(&mut deployments, catalog).await {
            self.tell_all(&ToWorker::Shutdown).await;
            return Err(NodeFailure::Deployment { name, source: Box::new(error) });
        }
        if deployments.running().is_empty() {
            console.up();
        }
        let ended = self.watch(deployments, catalog, signals, console).await;
        self.tell_all(&ToWorker::Shutdown).await;
        if let Some(journal) = self.journal.take() {
            journal.close().await;
        }
        ended
    }

    fn admit(&self) -> Admit {
        let members = self.members.clone();
        Arc::new(move |peer, purpose| match purpose {
            Purpose::Control if peer.mode == Mode::Worker => members.check(&peer.name, peer.incarnation),
            Purpose::Control => Err(Refusal::new(Reason::ModeMismatch, "a master connects to workers only")),
            Purpose::Data { .. } | Purpose::Watch { .. } => {
                Err(Refusal::new(Reason::ModeMismatch, "there are no workers on a master"))
            }
        })
    }

    /// Connects to all workers at once.
    async fn connect(&mut self) -> Result<(), NodeFailure> {
        let addresses = self.options.workers.clone();
        let dial = |address| self.endpoint.dial(address, Purpose::Control, Mode::Worker);
        let mut results = join_all(addresses.iter().map(dial)).await;
        let mut failures = Vec::new();
        for (address, result) in addresses.iter().zip(results.drain(..)) {
            if let Err(refusal) = result.and_then(|session| self.meet(session)) {
                events::cannot_connect(address, refusal.reason.as_str(), &refusal.detail);
                failures.push((address.to_string(), refusal));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(NodeFailure::Unreachable(failures)) }
    }

    /// Takes a worker in.
    fn meet(&mut self, session: Session) -> Result<(), Refusal> {
        let (node, incarnation) = (session.peer.name.clone(), session.peer.incarnation);
        self.calling.remove(&node.to_string());
        for command in self.members.handle(Event::Connected { node, incarnation, now: self.began.elapsed() }) {
            match command {
                Command::Refuse { refusal, .. } => return Err(refusal),
                Command::Down { node, incarnation, reason } => self.lose(&node, incarnation, &reason.to_string()),
                Command::Up { .. } => {}
            }
        }
        let next = self.numbers.len() as u32 + 1;
        let number = *self.numbers.entry(session.peer.name.clone()).or_insert(next);
        self.links += 1;
        let tags: Vec<&str> = session.peer.tags.iter().map(|tag| tag.as_str()).collect();
        events::connected(&session.peer.name, &tags.join(", "));
        let id = NodeId { number, incarnation: incarnation as u32 };
        let over = self.links;
        let link = Link::new(session, over, self.hear.clone());
        self.workers.insert(number, Worker { id, over, link });
        self.running.values_mut().for_each(|running| running.joined(number));
        self.resume();
        self.grow();
        Ok(())
    }

    /// Deploys a workflow on all workers. Gives it drawn, too.
    fn deploy(
        &mut self,
        name: &str,
        arguments: Vec<String>,
        workflow: Workflow,
        (resume, before): (Option<Resume>, Vec<String>),
    ) -> WorkflowResult<(DeploymentHandle, String)> {
        events::deploying(name);
        let dot = workflow.to_dot();
        let on_error = self.runtime.settings().on_error;
        let program = Program { name: name.to_owned(), arguments, workflow, on_error };
        let (workers, want) = (self.all_workers(), self.want.clone());
        let goes_on = !before.is_empty();
        let running = Running::deploy(&self.runtime, (program, resume, goes_on), workers, &self.ears, want)?;
        let deployment = running.deployment().clone();
        if let (Some(journal), Some((entry, noted))) = (&mut self.journal, running.entry(before)) {
            journal.add(deployment.id(), entry, noted);
        }
        self.running.insert(deployment.id(), running);
        Ok((deployment, dot))
    }

    fn all_workers(&self) -> Vec<Member> {
        self.workers.values().map(Worker::member).collect()
    }

    /// Lets what runs grow onto workers that have joined, one after the other.
    fn grow(&mut self) {
        let workers = self.all_workers();
        for running in self.running.values_mut() {
            while let Some(number) = running.next_to_join() {
                running.grow(number, workers.clone());
            }
        }
    }

    /// Goes on until what the master was started with has ended, or there is a signal.
    async fn watch(
        &mut self,
        mut deployments: Deployments<'_>,
        catalog: &Arc<dyn Catalog>,
        signals: &mut Signals,
        console: &mut Console,
    ) -> Result<(), NodeFailure> {
        let mut tick = interval(HEARTBEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let before = self.workers.len();
            let deadline = self.running.values().filter_map(Running::deadline).min();
            tokio::select! {
                biased;
                Some((over, heard)) = self.heard.recv() => self.hear(over, heard),
                next = deployments.next(signals) => match next {
                    Next::Up => console.up(),
                    Next::Deploy(built, workflow) => self.deploy_beside(*built, workflow, &mut deployments),
                    // What its operations hold goes with it.
                    Next::Ended(id) => self.ended(id),
                    Next::End(how) => {
                        return how.map_err(|(name, error)| NodeFailure::Deployment { name, source: Box::new(error) });
                    }
                },
                Some(session) = self.sessions.recv() => {
                    let name = session.peer.name.clone();
                    if let Err(refusal) = self.meet(session) {
                        events::connection_refused(&name, refusal.reason.as_str(), &refusal.detail);
                        if !self.workers.values().any(|worker| *worker.name() == name) {
                            self.call(&name);
                        }
                    }
                }
                () = running::settled(self.running.values_mut()) => self.grow(),
                Some(Wanted(id, again)) = self.wanted.recv() => self.recover(id, again),
                () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    self.resume();
                    self.grow();
                }
                asked = console.asked() => self.answer(asked, &mut deployments, catalog, console.uptime()),
                _ = tick.tick() => self.look(),
            }
            if self.options.stop_with_workers && self.workers.len() < before {
                return Err(NodeFailure::WorkersLost);
            }
        }
    }

    /// Deploys what was asked for; what goes wrong is told to who asked.
    fn deploy_beside(&mut self, built: Built, workflow: Workflow, deployments: &mut Deployments<'_>) {
        let Built { name, arguments, answer: reply } = built;
        match self.deploy(&name, arguments, workflow, (None, Vec::new())) {
            Ok((deployment, dot)) => deployments.add(deployment, dot, Some(reply)),
            Err(error) => {
                events::failed(&name, &error);
                answer(reply, failed(format!("workflow `{name}`: {error}")));
            }
        }
    }

    fn answer(&self, asked: Asked, deployments: &mut Deployments<'_>, catalog: &Arc<dyn Catalog>, uptime: Duration) {
        let Asked { request, reply } = asked;
        let Some((request, reply)) = deployments.serve(request, catalog, reply) else { return };
        let peers = || self.workers.values().map(|worker| console::peer(&worker.link.peer)).collect();
        let content = match request {
            Request::Status => Reply::Status(Box::new(NodeStatus {
                peers: peers(),
                deployments: deployments.running(),
                stopping: deployments.is_closing(),
                ..console::status(&self.endpoint.identity(), uptime)
            })),
            Request::Nodes => Reply::Nodes { nodes: peers() },
            _ => refused("a master does not do that"),
        };
        answer(reply, content);
    }

    fn hear(&mut self, over: u64, heard: Heard<ToMaster>) {
        let Some(worker) = self.workers.values().find(|worker| worker.over == over) else { return };
        let (node, incarnation) = (worker.name().clone(), worker.link.peer.incarnation);
        let now = self.began.elapsed();
        match heard {
            Heard::Lost(cause) => {
                self.members.handle(Event::Reset { node: node.clone(), incarnation, now });
                return self.lose(&node, incarnation, &cause);
            }
            Heard::Message(ToMaster::Leaving) => {
                self.members.handle(Event::Left { node: node.clone(), incarnation, now });
                return self.lose(&node, incarnation, "it was stopped");
            }
            Heard::Message(ToMaster::Reports(reports)) => {
                self.ears.report(reports);
            }
            Heard::Message(ToMaster::Vault { deployment, id, ask }) => {
                let (node, sender) = (worker.id, worker.link.sender.clone());
                let desk = self.running.values().find_map(|running| running.desk(deployment));
                actor::run(async move {
                    let answer = match desk {
                        Some(desk) => desk.serve(node, ask).await,
                        None => vault::Answer::Failed("the deployment has ended, or has been started anew".to_owned()),
                    };
                    // Who is gone needs no answer.
                    let _ = sender.send(&ToWorker::Vault { id, answer }).await;
                });
            }
            Heard::Heartbeat => {}
        }
        self.members.handle(Event::Heard { node, incarnation, now });
    }

    fn look(&mut self) {
        for command in self.members.handle(Event::Tick { now: self.began.elapsed() }) {
            if let Command::Down { node, incarnation, reason } = command {
                self.lose(&node, incarnation, &reason.to_string());
            }
        }
    }

    /// A worker is gone. Deployments that have a part there fail.
    fn lose(&mut self, node: &NodeName, incarnation: u64, cause: &str) {
        let is_it = |worker: &Worker| worker.name() == node && worker.link.peer.incarnation == incarnation;
        let Some(number) = self.workers.iter().find(|(_, worker)| is_it(worker)).map(|(number, _)| *number) else {
            return;
        };
        debug!(cause, "The connection to a worker has ended");
        events::worker_disconnected(node, cause);
        // Dropping the link closes the connection: whatever still comes from this life of the node is not heard.
        let Some(worker) = self.workers.remove(&number) else { return };
        self.ears.lost(worker.id, Error::Node(format!("worker `{node}` disconnected: {cause}")));
        self.call(node);
    }

    async fn tell_all(&mut self, last: &ToWorker) {
        let told = async {
            if let Some(open) = self.open.take() {
                open.close().await;
            }
            // Those that have been let in, and not met yet, count on this node already.
            while let Ok(session) = self.sessions.try_recv() {
                // Who is refused is told so by the end of the connection.
                let _ = self.meet(session);
            }
            let workers = std::mem::take(&mut self.workers);
            join_all(workers.into_values().map(|worker| worker.link.part(last))).await;
        };
        let _ = timeout(FAREWELL, told).await;
    }
}

#[cfg(test)]
mod tests;
