//! Who belongs to a deployment, and those who are about to.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::coordinator::Event;
use super::deployment::DeploymentHandle;
use super::growth::Growth;
use super::plan::Outline;
use super::progress::{ENDED, ProgressCell};
use super::supervisor::{Note, Way};
use crate::id::{NodeId, VertexId, WorkerId};
use crate::workflow::{Cluster, Error, NodeInfo, Result, Workers, Workflow};

/// Nodes and workers of a deployment.
#[derive(Clone)]
pub struct Crew {
    pub outline: Arc<Outline>,
    /// The name of each node, by number.
    pub nodes: BTreeMap<u32, String>,
    pub progress: BTreeMap<WorkerId, Arc<ProgressCell>>,
}

impl Crew {
    /// The workers of a plan.
    pub fn new(outline: Outline, cluster: &Cluster) -> Crew {
        let progress = outline.ids(outline.workers.keys()).map(|worker| (worker, Arc::default())).collect();
        let nodes = cluster.nodes().iter().map(|node| (node.id.number, node.name.clone())).collect();
        Crew { outline: Arc::new(outline), nodes, progress }
    }

    /// The name of the node that a worker is on.
    pub fn node_of(&self, worker: WorkerId) -> String {
        let info = self.outline.worker(worker);
        info.and_then(|info| self.nodes.get(&info.node.number)).cloned().unwrap_or_default()
    }

    /// The same, with further workers on a node of this name.
    pub fn grown(&self, growth: &Growth, name: String) -> Crew {
        let mut crew = Crew { outline: Arc::new(self.outline.grown(growth)), ..self.clone() };
        crew.nodes.insert(growth.node.number, name);
        let Crew { outline, progress, .. } = &mut crew;
        for worker in outline.ids(outline.workers.keys()) {
            progress.entry(worker).or_default();
        }
        crew
    }

    /// Whether all workers of a vertex have ended, as far as is known here.
    fn has_ended(&self, vertex: VertexId) -> bool {
        let first = WorkerId { vertex, index: 0 };
        let mut of = self.progress.range(first..).take_while(|(id, _)| id.vertex == vertex);
        of.all(|(_, cell)| cell.calls() == ENDED)
    }
}

/// A node that is to get workers of a deployment.
pub struct Join {
    growth: Growth,
    /// The name of the node.
    name: String,
    /// Has it make its workers.
    invite: Option<Box<dyn FnOnce() -> Way + Send>>,
    outcome: oneshot::Sender<Result<()>>,
}

/// The nodes that are about to join a deployment.
#[derive(Default)]
pub struct Joins(BTreeMap<NodeId, Join>);

impl Joins {
    /// Keeps what is needed later. What follows is up to the coordinator.
    pub fn begin(&mut self, join: Join) -> Event {
        let growth = join.growth.clone();
        self.0.insert(growth.node, join);
        Event::Grow(growth)
    }

    /// Has a node make its workers; gives the way to it.
    pub fn invite(&mut self, node: NodeId) -> Option<Way> {
        self.0.get_mut(&node)?.invite.take().map(|invite| invite())
    }

    /// A node has joined: `grow` is given its workers, and its name, before anybody else hears of it.
    pub fn joined(&mut self, node: NodeId, grow: impl FnOnce(&Growth, String)) {
        if let Some(Join { growth, name, outcome, .. }) = self.0.remove(&node) {
            grow(&growth, name);
            // Nobody may be interested.
            let _ = outcome.send(Ok(()));
        }
    }

    /// A node does not join.
    pub fn dismissed(&mut self, node: NodeId, error: Error) {
        if let Some(join) = self.0.remove(&node) {
            let _ = join.outcome.send(Err(error));
        }
    }
}

/// What strategies have said about a node that has joined.
#[derive(Debug)]
pub struct Growing {
    /// The name of each vertex that is to get workers, and how many.
    pub added: Vec<(String, usize)>,
    /// What strategies have warned of, or done wrong.
    pub remarks: Vec<String>,
    /// Whether it has come to that, if there is anything to add. Ends without a result when the deployment does.
    pub outcome: Option<oneshot::Receiver<Result<()>>>,
}

impl DeploymentHandle {
    /// Lets the deployment of this workflow grow onto a node that has joined `cluster`, as far as its strategies want.
    /// One node at a time: the next one when there is an outcome. `invite` is given all workers of the deployment by
    /// vertex, has the node make its own, and gives the way to it; it is called in the supervisor, and must not wait.
    pub(crate) fn join(
        &self,
        workflow: &Workflow,
        cluster: &Cluster,
        joined: &NodeInfo,
        invite: impl FnOnce(&BTreeMap<VertexId, Workers>) -> Way + Send + 'static,
    ) -> Growing {
        let crew = self.shared.crew();
        let outline = &crew.outline;
        let (growth, remarks) = Growth::plan(workflow, cluster, joined, outline, |vertex| crew.has_ended(vertex));
        let added = |(vertex, workers): (&VertexId, &Vec<_>)| (outline.name(*vertex).to_owned(), workers.len());
        let added: Vec<_> = growth.workers.iter().map(added).collect();
        if added.is_empty() {
            return Growing { added, remarks, outcome: None };
        }
        let workers = outline.grown(&growth).workers;
        let (outcome, comes) = oneshot::channel();
        let invite: Box<dyn FnOnce() -> Way + Send> = Box::new(move || invite(&workers));
        // A supervisor that has ended drops it, and with it the outcome.
        drop(self.supervisor.cast(Note::Join(Join {
            growth,
            name: joined.name.clone(),
            invite: Some(invite),
            outcome,
        })));
        Growing { added, remarks, outcome: Some(comes) }
    }
}
