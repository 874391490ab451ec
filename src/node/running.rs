//! A workflow that a master has deployed on its workers, and that grows onto those that join.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::control::{self, Blueprint, Neighbour, ToWorker};
use super::journal::Entry;
use super::vault::Desk;
use crate::id::{DeploymentId, NodeId, VertexId};
use crate::net::{ChannelError, Sender};
use crate::runtime::{Again, DeploymentHandle, Keeping, Outline, Report, Resume, Runtime, SiteEvent, Tell, Way};
use crate::telemetry::events;
use crate::workflow::{Cluster, Error, NodeInfo, Result, Workers, Workflow};

/// What takes what the parts of each deployment tell.
#[derive(Clone, Default)]
pub struct Ears(Arc<Mutex<Listening>>);

#[derive(Default)]
struct Listening {
    tells: BTreeMap<DeploymentId, Tell>,
    /// Workers that are gone, and why: a deployment that was planned before hears of it when it begins.
    gone: BTreeMap<NodeId, Error>,
}

impl Ears {
    fn lock(&self) -> MutexGuard<'_, Listening> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A deployment, or an attempt of one, has ended.
    pub fn close(&self, deployment: DeploymentId) {
        self.lock().tells.remove(&deployment);
    }

    /// A deployment begins.
    pub fn open(&self, deployment: DeploymentId, tell: &Tell) {
        let mut listening = self.lock();
        listening.tells.insert(deployment, Arc::clone(tell));
        for (node, error) in &listening.gone {
            tell(Report::Event(SiteEvent::Lost { node: *node, error: error.clone() }));
        }
    }

    pub fn report(&self, reports: Vec<(DeploymentId, Report)>) {
        let listening = self.lock();
        for (deployment, report) in reports {
            if let Some(tell) = listening.tells.get(&deployment) {
                tell(report);
            }
        }
    }

    /// A worker is gone.
    pub fn lost(&self, node: NodeId, error: Error) {
        let mut listening = self.lock();
        for tell in listening.tells.values() {
            tell(Report::Event(SiteEvent::Lost { node, error: error.clone() }));
        }
        listening.gone.insert(node, error);
    }
}

/// A worker node, as far as deployments are concerned.
#[derive(Clone)]
pub struct Member {
    pub info: NodeInfo,
    pub neighbour: Neighbour,
    pub sender: Sender<ToWorker>,
}

/// The nodes that strategies are asked about.
///
/// # Errors
/// When there is none.
pub fn cluster(members: &[Member]) -> Result<Cluster> {
    Cluster::new(members.iter().map(|member| member.info.clone()).collect())
}

/// What a deployment needs of a node: to be told.
fn teller(member: &Member, deployment: DeploymentId, ears: &Ears) -> impl Fn(&ToWorker) + Send + use<> {
    let (node, sender, ears) = (member.info.id, member.sender.clone(), ears.clone());
    move |message| match sender.try_send(message) {
        // Whoever reads from the connection finds out why.
        Ok(()) | Err(ChannelError::Ended) => {}
        Err(error) => {
            let error = Error::Node(format!("node {} cannot be told: {error}", node.number));
            ears.report(vec![(deployment, Report::Event(SiteEvent::Lost { node, error }))]);
        }
    }
}

/// A workflow, and how all nodes build it.
pub struct Program {
    pub name: String,
    pub arguments: Vec<String>,
    pub workflow: Workflow,
}

/// A node that a deployment is about to grow onto.
struct Underway {
    node: String,
    added: Vec<(String, usize)>,
    outcome: oneshot::Receiver<Result<()>>,
}

/// See the module.
pub struct Running {
    deployment: DeploymentHandle,
    program: Program,
    ears: Ears,
    /// The names of its nodes, in the order in which its strategies saw them first.
    team: Vec<String>,
    attempt: Arc<Mutex<Attempt>>,
    /// It has failed, and waits for its nodes.
    recovering: Option<Recovering>,
    /// The numbers of workers that have joined since.
    waiting: VecDeque<u32>,
    underway: Option<Underway>,
}

/// What the parts of a deployment are told, which is something else for each attempt.
#[derive(Clone, Default)]
struct Attempt {
    /// The number by which they know it.
    id: DeploymentId,
    keeping: Option<Keeping>,
    desk: Arc<Desk>,
}

/// A deployment that is to be started anew.
struct Recovering {
    again: Again,
    /// Until when it waits for the nodes that it has lost.
    deadline: Instant,
}

/// A deployment that has failed, and what is needed to start it anew.
pub struct Wanted(pub DeploymentId, pub Again);

impl Running {
    /// Deploys a workflow on these workers.
    ///
    /// # Errors
    /// When there is no worker, or a strategy refuses.
    pub fn deploy(
        runtime: &Runtime,
        (program, resume): (Program, Option<Resume>),
        members: Vec<Member>,
        ears: &Ears,
        wanted: mpsc::Sender<Wanted>,
    ) -> Result<Running> {
        let cluster = cluster(&members)?;
        let team = members.iter().map(|member| member.info.name.clone()).collect();
        let attempt: Arc<Mutex<Attempt>> = Arc::default();
        let parts = parts(&program, members, ears, &attempt);
        // The number that it is known by is that of its first attempt.
        let (first, now) = (OnceLock::new(), Arc::clone(&attempt));
        let relaunch = move |again: Again| {
            let id = *first.get_or_init(|| locked(&now).id);
            if let Err(error) = wanted.try_send(Wanted(id, again)) {
                let (TrySendError::Full(Wanted(_, again)) | TrySendError::Closed(Wanted(_, again))) = error;
                again.begin(Err(Error::Runtime("the master has too much to do".to_owned())));
            }
        };
        let Program { name, arguments, workflow } = &program;
        let deployment = runtime.deploy_on(&cluster, name, workflow, (arguments, resume), parts, relaunch)?;
        let (ears, waiting) = (ears.clone(), VecDeque::new());
        Ok(Running { deployment, program, ears, team, attempt, recovering: None, waiting, underway: None })
    }

    /// It has failed, and is to be started anew: at once when all of its nodes are there, else when it has waited for
    /// them so long.
    pub fn recover(&mut self, again: Again, wait: Duration) {
        self.underway = None;
        self.recovering = Some(Recovering { again, deadline: Instant::now() + wait });
    }

    /// When it goes on, whoever is there by then.
    pub fn deadline(&self) -> Option<Instant> {
        self.recovering.as_ref().map(|recovering| recovering.deadline)
    }

    /// Starts it anew, if it is to be and enough of its nodes are there.
    pub fn resume(&mut self, runtime: &Runtime, mut members: Vec<Member>) {
        let Some(Recovering { deadline, .. }) = self.recovering else { return };
        let is_here = |name: &String| members.iter().any(|member| member.info.name == *name);
        if !self.team.iter().all(is_here) && Instant::now() < deadline {
            return;
        }
        let Some(Recovering { again, .. }) = self.recovering.take() else { return };
        // In the same order, so that strategies that say the same place workers where they were.
        let place = |member: &Member| self.team.iter().position(|name| *name == member.info.name);
        members.sort_by_key(|member| (place(member).unwrap_or(usize::MAX), member.info.id.number));
        // Those that are there are planned with, and need not join.
        self.waiting.clear();
        match cluster(&members) {
            Ok(cluster) => {
                self.ears.close(locked(&self.attempt).id);
                let parts = parts(&self.program, members, &self.ears, &self.attempt);
                runtime.deploy_again(&cluster, &self.program.workflow, again, parts);
            }
            Err(error) => again.begin(Err(error)),
        }
    }

    /// What is written down of it, if it takes checkpoints.
    pub fn entry(&self) -> Option<Entry> {
        let Program { name, arguments, .. } = &self.program;
        let run = self.deployment.run()?.to_owned();
        Some(Entry { name: name.clone(), arguments: arguments.clone(), run, before: Vec::new() })
    }

    /// What serves its nodes with checkpoints, if this is the number by which they know it now.
    pub fn desk(&self, deployment: DeploymentId) -> Option<Arc<Desk>> {
        let attempt = locked(&self.attempt);
        (attempt.id == deployment).then(|| Arc::clone(&attempt.desk))
    }

    /// How it stands.
    pub fn deployment(&self) -> &DeploymentHandle {
        &self.deployment
    }

    /// The worker with this number has joined.
    pub fn joined(&mut self, number: u32) {
        self.waiting.push_back(number);
    }

    /// The number of the worker that is to be asked about now; none while another one is under way.
    pub fn next_to_join(&mut self) -> Option<u32> {
        if self.underway.is_some() || self.recovering.is_some() { None } else { self.waiting.pop_front() }
    }

    /// Grows onto one of these workers, if a strategy has use for it.
    pub fn grow(&mut self, number: u32, members: Vec<Member>) {
        let Some(joined) = members.iter().find(|member| member.info.id.number == number).cloned() else { return };
        let Ok(cluster) = cluster(&members) else { return };
        let Attempt { id: deployment, keeping, .. } = locked(&self.attempt).clone();
        let (name, node) = (&self.program.name, joined.info.name.clone());
        let sketch = Sketch { keeping, ..Sketch::new(&self.program, &members) };
        let (info, ears) = (joined.info.clone(), self.ears.clone());
        let invite = move |workers: &BTreeMap<VertexId, Workers>| {
            for other in members.iter().filter(|other| other.info.id != joined.info.id) {
                let neighbour = Box::new(joined.neighbour.clone());
                teller(other, deployment, &ears)(&ToWorker::Meet(deployment, neighbour));
            }
            sketch.part(&joined, deployment, workers, &ears).1
        };
        let growing = self.deployment.join(&self.program.workflow, &cluster, &info, invite);
        for remark in &growing.remarks {
            events::placed_otherwise(name, remark);
        }
        match growing.outcome {
            Some(outcome) => self.underway = Some(Underway { node, added: growing.added, outcome }),
            None => events::not_grown(name, &node),
        }
    }

    /// Waits until it is known whether it grows onto the worker that is under way, and says so. Never ends if there is
    /// none. Can be dropped and called again.
    pub async fn settled(&mut self) {
        let Some(Underway { node, added, outcome }) = &mut self.underway else { return std::future::pending().await };
        match outcome.await {
            Ok(Ok(())) => added.iter().for_each(|(vertex, workers)| events::grew(vertex, *workers, node)),
            Ok(Err(error)) => events::cannot_grow(&self.program.name, node, &error),
            // It has ended.
            Err(_) => {}
        }
        self.underway = None;
    }
}

/// Waits until one of them has [settled](Running::settled). Never ends if there is none. Can be dropped and called
/// again.
pub async fn settled(all: impl Iterator<Item = &mut Running>) {
    let all: Vec<_> = all.map(|running| Box::pin(running.settled())).collect();
    if all.is_empty() {
        return std::future::pending().await;
    }
    futures_util::future::select_all(all).await;
}

/// Makes the parts of an attempt on these nodes, and notes its number.
fn parts(
    program: &Program,
    members: Vec<Member>,
    ears: &Ears,
    attempt: &Arc<Mutex<Attempt>>,
) -> impl FnOnce(DeploymentId, &Outline, Option<Keeping>, Tell) -> Result<Vec<(NodeId, Way)>> + Send + 'static {
    let (mut sketch, heard, attempt) = (Sketch::new(program, &members), ears.clone(), Arc::clone(attempt));
    move |deployment, outline, keeping, tell| {
        let desk = Arc::new(Desk::new(keeping.clone()));
        *locked(&attempt) = Attempt { id: deployment, keeping: keeping.clone(), desk };
        sketch.keeping = keeping;
        // First, for workers answer at once.
        heard.open(deployment, &tell);
        let takes_part = |node: NodeId| outline.workers.values().any(|of| of.iter().any(|info| info.node == node));
        let parts = members.iter().filter(|member| takes_part(member.info.id));
        Ok(parts.map(|member| sketch.part(member, deployment, &outline.workers, &heard)).collect())
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What all blueprints of a deployment have in common.
struct Sketch {
    name: String,
    arguments: Vec<String>,
    fingerprint: u64,
    vertices: Vec<String>,
    nodes: Vec<Neighbour>,
    keeping: Option<Keeping>,
}

impl Sketch {
    fn new(program: &Program, members: &[Member]) -> Sketch {
        Sketch {
            name: program.name.clone(),
            arguments: program.arguments.clone(),
            fingerprint: program.workflow.fingerprint(),
            vertices: control::vertices(&program.workflow),
            nodes: members.iter().map(|member| member.neighbour.clone()).collect(),
            keeping: None,
        }
    }

    /// Has a worker make its part; gives the way to it.
    fn part(
        &self,
        member: &Member,
        deployment: DeploymentId,
        workers: &BTreeMap<VertexId, Workers>,
        ears: &Ears,
    ) -> (NodeId, Way) {
        let node = member.info.id;
        let blueprint = Blueprint {
            deployment,
            name: self.name.clone(),
            arguments: self.arguments.clone(),
            fingerprint: self.fingerprint,
            vertices: self.vertices.clone(),
            node,
            workers: workers.iter().map(|(vertex, workers)| (*vertex, workers.to_vec())).collect(),
            nodes: self.nodes.clone(),
            keeping: self.keeping.clone(),
        };
        let tell = teller(member, deployment, ears);
        tell(&ToWorker::Prepare(Box::new(blueprint)));
        (node, Box::new(move |order| tell(&ToWorker::Order(deployment, order))))
    }
}
