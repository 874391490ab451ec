//! Who belongs to a deployment, and those who are about to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::coordinator::Event;
use super::deployment::DeploymentHandle;
use super::growth::Growth;
use super::plan::{Outline, workers_of};
use super::progress::{ENDED, ProgressCell};
use super::regions::{Region, Regions};
use super::supervisor::{Note, Way};
use crate::id::{NodeId, VertexId, WorkerId};
use crate::workflow::{Cluster, Error, NodeInfo, Result, WorkerInfo, Workers, Workflow};

/// Nodes and workers of a deployment.
#[derive(Clone)]
pub struct Crew {
    pub outline: Arc<Outline>,
    /// The name of each node, by number.
    pub nodes: BTreeMap<u32, String>,
    pub progress: BTreeMap<WorkerId, Arc<ProgressCell>>,
    /// Who may fail apart from the others.
    pub regions: Arc<Regions>,
}

impl Crew {
    /// The workers of a plan. Where they do not recover from failures they fail together.
    pub fn new(outline: Outline, cluster: &Cluster, recovers: bool) -> Crew {
        let regions = Arc::new(if recovers { Regions::of(&outline) } else { Regions::one(&outline) });
        let progress = outline.ids(outline.workers.keys()).map(|worker| (worker, Arc::default())).collect();
        let nodes = cluster.nodes().iter().map(|node| (node.id.number, node.name.clone())).collect();
        Crew { outline: Arc::new(outline), nodes, progress, regions }
    }

    /// The workers of a region, each with its node.
    pub fn workers_in(&self, region: Region) -> impl Iterator<Item = (WorkerId, NodeId)> {
        let workers = |(vertex, workers): (&VertexId, &Workers)| -> Vec<(WorkerId, NodeId)> {
            workers_of(*vertex, workers.len()).zip(workers.iter().map(|worker| worker.node)).collect()
        };
        let in_region =
            move |(worker, node): &(WorkerId, NodeId)| self.regions.of_worker(worker.vertex, *node) == Some(region);
        self.outline.workers.iter().flat_map(workers).filter(in_region)
    }

    /// A region, in words: the names of its vertices, and its node if it has only one.
    pub fn part(&self, region: Region) -> String {
        let Some(scope) = self.regions.scope(region) else { return String::new() };
        let names: Vec<String> =
            scope.vertices.iter().map(|vertex| format!("`{}`", self.outline.name(*vertex))).collect();
        let node = scope.node.and_then(|number| self.nodes.get(&number));
        let on = node.map(|name| format!(" on `{name}`")).unwrap_or_default();
        format!("{}{on}", names.join(", "))
    }

    /// The names of the nodes of a region.
    pub fn nodes_of(&self, region: Region) -> BTreeSet<String> {
        self.workers_in(region).filter_map(|(_, node)| self.nodes.get(&node.number).cloned()).collect()
    }

    /// The same, where the workers of a region are new ones, in the places of those before, on these nodes.
    ///
    /// # Errors
    /// When a node of the region is not among them.
    pub fn renewed(&self, region: Region, nodes: &[NodeId]) -> Result<Crew> {
        let mut outline = self.outline.as_ref().clone();
        for (vertex, workers) in &mut outline.workers {
            let renew = |info: &WorkerInfo| {
                if self.regions.of_worker(*vertex, info.node) != Some(region) {
                    return Ok(info.clone());
                }
                let name = || self.nodes.get(&info.node.number).cloned().unwrap_or_default();
                let node = nodes.iter().find(|node| node.number == info.node.number).copied();
                let node = node.ok_or_else(|| Error::Node(format!("`{}` has not come back", name())))?;
                Ok(WorkerInfo { node, ..info.clone() })
            };
            *workers = workers.iter().map(renew).collect::<Result<_>>()?;
        }
        let mut progress = self.progress.clone();
        for (worker, _) in self.workers_in(region) {
            progress.insert(worker, Arc::default());
        }
        Ok(Crew { outline: Arc::new(outline), progress, ..self.clone() })
    }

    /// The same, with the workers that a region has in another crew: other regions may have been renewed since that was
    /// made.
    pub fn with(&self, region: Region, other: &Crew) -> Crew {
        let (mut outline, mut progress) = (self.outline.as_ref().clone(), self.progress.clone());
        for (vertex, workers) in &mut outline.workers {
            let others = other.outline.workers.get(vertex).map_or(&[][..], |workers| workers);
            let in_region = |info: &WorkerInfo| self.regions.of_worker(*vertex, info.node) == Some(region);
            let choose = |(index, info)| if in_region(info) { others.get(index).unwrap_or(info) } else { info };
            *workers = workers.iter().enumerate().map(choose).cloned().collect();
        }
        for (worker, _) in self.workers_in(region) {
            progress.extend(other.progress.get(&worker).map(|cell| (worker, Arc::clone(cell))));
        }
        Crew { outline: Arc::new(outline), progress, ..self.clone() }
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
    /// The region that they are of.
    pub region: Region,
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

    /// Has a node make its workers; gives the way to it, and the region that they are of.
    pub fn invite(&mut self, node: NodeId) -> Option<(Region, Way)> {
        let join = self.0.get_mut(&node)?;
        Some((join.region, join.invite.take()?()))
    }

    /// The region that a node makes workers of, if it has been told to.
    pub fn invited(&self, node: NodeId) -> Option<Region> {
        self.0.get(&node).filter(|join| join.invite.is_none()).map(|join| join.region)
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
    /// vertex and the region of the new ones, has the node make its own, and gives the way to it; it is called in the
    /// supervisor, and must not wait.
    pub(crate) fn join(
        &self,
        workflow: &Workflow,
        cluster: &Cluster,
        joined: &NodeInfo,
        invite: impl FnOnce(&BTreeMap<VertexId, Workers>, Region) -> Way + Send + 'static,
    ) -> Growing {
        let crew = self.shared.crew();
        let outline = &crew.outline;
        let (mut growth, mut remarks) =
            Growth::plan(workflow, cluster, joined, outline, |vertex| crew.has_ended(vertex));
        let of = |vertex: &VertexId| crew.regions.of_worker(*vertex, joined.id);
        let regions: BTreeSet<Option<Region>> = growth.workers.keys().map(of).collect();
        let region = match (regions.len(), regions.first()) {
            (1, Some(Some(region))) => *region,
            (0, _) => Region::default(),
            _ => {
                growth.workers.clear();
                remarks.push("no worker is added: its parts do not depend on each other".to_owned());
                Region::default()
            }
        };
        let added = |(vertex, workers): (&VertexId, &Vec<_>)| (outline.name(*vertex).to_owned(), workers.len());
        let added: Vec<_> = growth.workers.iter().map(added).collect();
        if added.is_empty() {
            return Growing { added, remarks, outcome: None };
        }
        let workers = outline.grown(&growth).workers;
        let (outcome, comes) = oneshot::channel();
        let invite: Box<dyn FnOnce() -> Way + Send> = Box::new(move || invite(&workers, region));
        // A supervisor that has ended drops it, and with it the outcome.
        drop(self.supervisor.cast(Note::Join(Join {
            growth,
            name: joined.name.clone(),
            region,
            invite: Some(invite),
            outcome,
        })));
        Growing { added, remarks, outcome: Some(comes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::Role;

    fn node(number: u32, incarnation: u32) -> NodeId {
        NodeId { number, incarnation }
    }

    /// Both begin on their way back before the first of them has come.
    #[test]
    fn regions_may_be_renewed_at_the_same_time() {
        let at = |number| WorkerInfo { node: node(number, 1), role: Role::WORKER };
        let workers: Workers = [at(1), at(2)].into();
        let outline = Outline { workers: [(VertexId(0), workers)].into(), ..Outline::default() };
        let (regions, ids) =
            (Arc::new(Regions::of(&outline)), [0, 1].map(|index| WorkerId { vertex: VertexId(0), index }));
        let progress = ids.map(|worker| (worker, Arc::default())).into();
        let names = [(1, "w1".to_owned()), (2, "w2".to_owned())].into();
        let before = Crew { outline: Arc::new(outline), nodes: names, progress, regions };
        let [left, right] = [Region(0), Region(1)]
            .map(|region| before.renewed(region, &[node(1, 7), node(2, 7)]).expect("its node is there"));
        let after = before.with(Region(0), &left).with(Region(1), &right);
        let nodes: Vec<NodeId> = after.outline.workers[&VertexId(0)].iter().map(|info| info.node).collect();
        assert_eq!(nodes, [node(1, 7), node(2, 7)]);
        for (worker, of) in ids.iter().zip([left, right]) {
            assert!(Arc::ptr_eq(&after.progress[worker], &of.progress[worker]));
        }
        assert!(before.renewed(Region(1), &[node(1, 7)]).is_err(), "its node is not there");
    }
}
