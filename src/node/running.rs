//! A workflow that a master has deployed on its workers, and that grows onto those that join.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::control::{self, Blueprint, Neighbour, ToWorker};
use super::journal::Entry;
use super::vault::Desk;
use crate::id::{DeploymentId, NodeId, VertexId};
use crate::net::{ChannelError, Sender};
use crate::runtime::{
    Again, DeploymentHandle, Keeping, OnError, Outline, Region, Report, Resume, Runtime, Scope, SiteEvent, Tell, Way,
};
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
    /// What follows when its code fails on a record.
    pub on_error: OnError,
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
    /// What it has been begun with.
    begun: Option<Resume>,
    /// Hears that it is written down somewhere; before that no checkpoint is complete.
    noted: watch::Sender<bool>,
    attempts: Attempts,
    /// What has failed of it, and waits for its nodes.
    recovering: Vec<Recovering>,
    /// The numbers of workers that have joined since.
    waiting: VecDeque<u32>,
    underway: Option<Underway>,
}

/// What the parts of a region are told, which is something else for each attempt.
#[derive(Clone)]
struct Attempt {
    /// The number by which they know it.
    id: DeploymentId,
    scope: Scope,
    keeping: Option<Keeping>,
    desk: Arc<Desk>,
}

/// The newest attempt of each region, and the number that users know the deployment by.
#[derive(Clone, Default)]
struct Attempts(Arc<Mutex<(BTreeMap<Region, Attempt>, Option<DeploymentId>)>>);

impl Attempts {
    fn lock(&self) -> MutexGuard<'_, (BTreeMap<Region, Attempt>, Option<DeploymentId>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, region: Region) -> Option<Attempt> {
        self.lock().0.get(&region).cloned()
    }

    /// Takes the place of the one before of the region; says which that was, and what the deployment is known as.
    fn begin(&self, attempt: Attempt) -> (Option<DeploymentId>, DeploymentId) {
        let mut attempts = self.lock();
        let known_as = *attempts.1.get_or_insert(attempt.id);
        (attempts.0.insert(attempt.scope.region, attempt).map(|before| before.id), known_as)
    }

    /// What the deployment is known as: the number of its first attempt.
    fn known_as(&self) -> DeploymentId {
        self.lock().1.unwrap_or_default()
    }

    /// Forgets all of them, and gives their numbers.
    fn end(&self) -> Vec<DeploymentId> {
        std::mem::take(&mut self.lock().0).into_values().map(|attempt| attempt.id).collect()
    }
}

/// A deployment that is to be started anew, or a region of it.
struct Recovering {
    again: Again,
    /// The names of the nodes that it waits for.
    nodes: Vec<String>,
    /// Until when it waits for the nodes that it has lost.
    deadline: Instant,
}

/// A deployment that has failed, and what is needed to start it anew.
pub struct Wanted(pub DeploymentId, pub Again);

impl Running {
    /// Deploys a workflow on these workers; it may be one that a master before had deployed, and goes on.
    ///
    /// # Errors
    /// When there is no worker, or a strategy refuses.
    pub fn deploy(
        runtime: &Runtime,
        (program, resume, goes_on): (Program, Option<Resume>, bool),
        members: Vec<Member>,
        ears: &Ears,
        wanted: mpsc::Sender<Wanted>,
    ) -> Result<Running> {
        let cluster = cluster(&members)?;
        let team = members.iter().map(|member| member.info.name.clone()).collect();
        let attempts = Attempts::default();
        let parts = parts(&program, members, ears, &attempts);
        let known = attempts.clone();
        let relaunch = move |again: Again| {
            if let Err(error) = wanted.try_send(Wanted(known.known_as(), again)) {
                let (TrySendError::Full(Wanted(_, again)) | TrySendError::Closed(Wanted(_, again))) = error;
                again.begin(Err(Error::Runtime("the master has too much to do".to_owned())));
            }
        };
        let Program { name, arguments, workflow, .. } = &program;
        let (begun, (noted, is_noted)) = (resume.clone(), watch::channel(false));
        let again = (relaunch, is_noted, goes_on);
        let deployment = runtime.deploy_on(&cluster, name, workflow, (arguments, resume), parts, again)?;
        let (ears, waiting) = (ears.clone(), VecDeque::new());
        let (recovering, underway) = (Vec::new(), None);
        Ok(Running { deployment, program, ears, team, begun, noted, attempts, recovering, waiting, underway })
    }

    /// It has failed, or a region of it, and is to be started anew: at once when all of its nodes are there, else when
    /// it has waited for them so long.
    pub fn recover(&mut self, again: Again, wait: Duration) {
        let nodes = match again.region {
            Some(region) => self.deployment.nodes_of(region).into_iter().collect(),
            None => {
                self.underway = None;
                self.recovering.clear();
                self.team.clone()
            }
        };
        let wait = if again.waited { Duration::ZERO } else { wait };
        self.recovering.push(Recovering { again, nodes, deadline: Instant::now() + wait });
    }

    /// When it goes on, whoever is there by then.
    pub fn deadline(&self) -> Option<Instant> {
        self.recovering.iter().map(|recovering| recovering.deadline).min()
    }

    /// Starts anew what is to be, if enough of its nodes are there.
    pub fn resume(&mut self, runtime: &Runtime, members: Vec<Member>) {
        let (is_here, now) = (|name: &String| members.iter().any(|member| member.info.name == *name), Instant::now());
        let is_ready = |it: &mut Recovering| it.deadline <= now || it.nodes.iter().all(is_here);
        let ready: Vec<_> = self.recovering.extract_if(.., is_ready).collect();
        for Recovering { again, .. } in ready {
            self.start_anew(runtime, members.clone(), again);
        }
    }

    fn start_anew(&mut self, runtime: &Runtime, mut members: Vec<Member>, again: Again) {
        // In the same order, so that strategies that say the same place workers where they were.
        let place = |member: &Member| self.team.iter().position(|name| *name == member.info.name);
        members.sort_by_key(|member| (place(member).unwrap_or(usize::MAX), member.info.id.number));
        if let Some(region) = again.region {
            let nodes = self.deployment.nodes_of(region);
            let is_back = |number: &u32| {
                members.iter().any(|member| member.info.id.number == *number && nodes.contains(&member.info.name))
            };
            self.waiting.retain(|number| !is_back(number));
        } else {
            // Those that are there are planned with, and need not join.
            self.waiting.clear();
            self.attempts.end().into_iter().for_each(|id| self.ears.close(id));
        }
        match cluster(&members) {
            Ok(cluster) => {
                let parts = parts(&self.program, members, &self.ears, &self.attempts);
                runtime.deploy_again(&cluster, (&self.deployment, &self.program.workflow), again, parts);
            }
            Err(error) => again.begin(Err(error)),
        }
    }

    /// What is written down of it, if it takes checkpoints; and what hears when that is done.
    pub fn entry(&self, before: Vec<String>) -> Option<(Entry, watch::Sender<bool>)> {
        let Program { name, arguments, .. } = &self.program;
        let (name, arguments, run) = (name.clone(), arguments.clone(), self.deployment.run()?.to_owned());
        let (from, drop_unfit) = self.begun.clone().unzip();
        let drop_unfit = drop_unfit.unwrap_or_default();
        Some((Entry { name, arguments, run, before, from, drop_unfit, ended: false }, self.noted.clone()))
    }

    /// What serves its nodes with checkpoints, if this is the number by which they know it now.
    pub fn desk(&self, deployment: DeploymentId) -> Option<Arc<Desk>> {
        let attempts = self.attempts.lock();
        let attempt = attempts.0.values().find(|attempt| attempt.id == deployment)?;
        Some(Arc::clone(&attempt.desk))
    }

    /// It has ended: nobody is heard for it any more.
    pub fn end(&self) {
        self.attempts.end().into_iter().for_each(|id| self.ears.close(id));
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
        if self.underway.is_some() || !self.recovering.is_empty() { None } else { self.waiting.pop_front() }
    }

    /// Grows onto one of these workers, if a strategy has use for it.
    pub fn grow(&mut self, number: u32, members: Vec<Member>) {
        let Some(joined) = members.iter().find(|member| member.info.id.number == number).cloned() else { return };
        let Ok(cluster) = cluster(&members) else { return };
        let (name, node) = (&self.program.name, joined.info.name.clone());
        let mut sketch = Sketch::new(&self.program, &members);
        let (info, ears, attempts) = (joined.info.clone(), self.ears.clone(), self.attempts.clone());
        let invite = move |workers: &BTreeMap<VertexId, Workers>, region: Region| {
            let Some(Attempt { id: deployment, keeping, scope, .. }) = attempts.of(region) else {
                let nobody: Way = Box::new(|_| {});
                return nobody;
            };
            sketch.keeping = keeping;
            for other in members.iter().filter(|other| other.info.id != joined.info.id) {
                let neighbour = Box::new(joined.neighbour.clone());
                teller(other, deployment, &ears)(&ToWorker::Meet(deployment, neighbour));
            }
            sketch.part(&joined, (deployment, attempts.known_as(), &scope), workers, &ears).1
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

/// Makes the parts of an attempt of a region on these nodes, and notes its number.
fn parts(
    program: &Program,
    members: Vec<Member>,
    ears: &Ears,
    attempts: &Attempts,
) -> impl FnMut((DeploymentId, &Scope), &Outline, Option<Keeping>, Tell) -> Result<Vec<(NodeId, Way)>> + Send + 'static
{
    let (mut sketch, heard, attempts) = (Sketch::new(program, &members), ears.clone(), attempts.clone());
    move |(id, scope), outline, keeping, tell| {
        let desk = Arc::new(Desk::new(keeping.clone()));
        sketch.keeping = keeping.clone();
        let (before, known_as) = attempts.begin(Attempt { id, scope: scope.clone(), keeping, desk });
        before.into_iter().for_each(|before| heard.close(before));
        // First, for workers answer at once.
        heard.open(id, &tell);
        let parts = members.iter().filter(|member| scope.is_on(member.info.id, outline));
        Ok(parts.map(|member| sketch.part(member, (id, known_as, scope), &outline.workers, &heard)).collect())
    }
}

/// What all blueprints of a deployment have in common.
struct Sketch {
    name: String,
    arguments: Vec<String>,
    fingerprint: u64,
    vertices: Vec<String>,
    nodes: Vec<Neighbour>,
    keeping: Option<Keeping>,
    on_error: OnError,
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
            on_error: program.on_error,
        }
    }

    /// Has a worker make its part; gives the way to it.
    fn part(
        &self,
        member: &Member,
        (deployment, known_as, scope): (DeploymentId, DeploymentId, &Scope),
        workers: &BTreeMap<VertexId, Workers>,
        ears: &Ears,
    ) -> (NodeId, Way) {
        let node = member.info.id;
        let blueprint = Blueprint {
            deployment,
            known_as,
            region: scope.vertices.clone(),
            name: self.name.clone(),
            arguments: self.arguments.clone(),
            fingerprint: self.fingerprint,
            vertices: self.vertices.clone(),
            node,
            workers: workers.iter().map(|(vertex, workers)| (*vertex, workers.to_vec())).collect(),
            nodes: self.nodes.clone(),
            keeping: self.keeping.clone(),
            on_error: self.on_error,
        };
        let tell = teller(member, deployment, ears);
        tell(&ToWorker::Prepare(Box::new(blueprint)));
        (node, Box::new(move |order| tell(&ToWorker::Order(deployment, order))))
    }
}
