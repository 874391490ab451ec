//! A workflow that a master has deployed on its workers, and that grows onto those that join.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::control::{self, Blueprint, Neighbour, ToWorker};
use crate::id::{DeploymentId, NodeId, VertexId};
use crate::net::{ChannelError, Sender};
use crate::runtime::{DeploymentHandle, Outline, Report, Runtime, SiteEvent, Tell, Way};
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
    /// The numbers of workers that have joined since.
    waiting: VecDeque<u32>,
    underway: Option<Underway>,
}

impl Running {
    /// Deploys a workflow on these workers.
    ///
    /// # Errors
    /// When there is no worker, or a strategy refuses.
    pub fn deploy(runtime: &Runtime, program: Program, members: Vec<Member>, ears: &Ears) -> Result<Running> {
        let cluster = cluster(&members)?;
        let sketch = Sketch::new(&program, &members);
        let heard = ears.clone();
        let parts = move |deployment: DeploymentId, outline: &Outline, tell: Tell| {
            // First, for workers answer at once.
            heard.open(deployment, &tell);
            let takes_part = |node: NodeId| outline.workers.values().any(|of| of.iter().any(|info| info.node == node));
            let parts = members.iter().filter(|member| takes_part(member.info.id));
            Ok(parts.map(|member| sketch.part(member, deployment, &outline.workers, &heard)).collect())
        };
        let deployment = runtime.deploy_on(&cluster, &program.name, &program.workflow, parts)?;
        Ok(Running { deployment, program, ears: ears.clone(), waiting: VecDeque::new(), underway: None })
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
        if self.underway.is_some() { None } else { self.waiting.pop_front() }
    }

    /// Grows onto one of these workers, if a strategy has use for it.
    pub fn grow(&mut self, number: u32, members: Vec<Member>) {
        let Some(joined) = members.iter().find(|member| member.info.id.number == number).cloned() else { return };
        let Ok(cluster) = cluster(&members) else { return };
        let (deployment, name, node) = (self.deployment.id(), &self.program.name, joined.info.name.clone());
        let (info, ears, sketch) = (joined.info.clone(), self.ears.clone(), Sketch::new(&self.program, &members));
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

/// What all blueprints of a deployment have in common.
struct Sketch {
    name: String,
    arguments: Vec<String>,
    fingerprint: u64,
    vertices: Vec<String>,
    nodes: Vec<Neighbour>,
}

impl Sketch {
    fn new(program: &Program, members: &[Member]) -> Sketch {
        Sketch {
            name: program.name.clone(),
            arguments: program.arguments.clone(),
            fingerprint: program.workflow.fingerprint(),
            vertices: control::vertices(&program.workflow),
            nodes: members.iter().map(|member| member.neighbour.clone()).collect(),
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
        };
        let tell = teller(member, deployment, ears);
        tell(&ToWorker::Prepare(Box::new(blueprint)));
        (node, Box::new(move |order| tell(&ToWorker::Order(deployment, order))))
    }
}
