//! Which workers a workflow gets, and who waits for whom. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::actor;
use crate::id::{VertexId, WorkerId};
use crate::workflow::{
    Cluster, Deployment, Error, Origin, Result, StageFactory, Survey, VertexInfo, WorkerInfo, Workers, Workflow,
};

/// A vertex that has workers.
#[derive(Clone)]
pub struct PlannedStage {
    pub vertex: VertexId,
    /// The offset of the vertex numbers that its recipe was built with.
    pub offset: u32,
    pub factory: Arc<dyn StageFactory>,
    pub workers: Workers,
    /// How many ends each worker waits for: one from each link of each worker before it.
    pub channels: usize,
    /// Whether something in it may wait for the outside.
    pub blocks: bool,
    /// Whether somebody in the workflow says how far time has come, and whether somebody in this stage does.
    pub timed: bool,
    pub keeps_time: bool,
    /// Whether somebody in this stage waits for the clock.
    pub follows_clock: bool,
}

impl std::fmt::Debug for PlannedStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedStage").field("vertex", &self.vertex).field("workers", &self.workers).finish()
    }
}

/// All workers of a workflow.
#[derive(Clone, Debug)]
pub struct Plan {
    pub outline: Outline,
    pub stages: BTreeMap<VertexId, PlannedStage>,
}

/// The vertices that workers of each vertex send to, once for each link.
pub type Links = BTreeMap<VertexId, Vec<VertexId>>;

/// What there is to say about a plan. Holds nothing of user code's, so that what operations hold is dropped when their
/// deployment has ended, however long somebody keeps asking about it.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    pub vertices: Vec<VertexInfo>,
    /// The workers of each vertex that has any.
    pub workers: BTreeMap<VertexId, Workers>,
    /// The vertices that records come from.
    pub sources: Vec<VertexId>,
    pub links: Links,
    /// Vertices whose workers send to each other.
    pub peers: BTreeSet<VertexId>,
    /// Vertices with workers in which a source is aligned with others.
    pub aligned: BTreeSet<VertexId>,
    /// What could not be done as wished.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Asks the strategies of a workflow; for so many workers where a number is fixed, by the name of the vertex.
    ///
    /// # Errors
    /// When a port is open, or a strategy refuses, panics or names no worker.
    pub fn new(workflow: &Workflow, cluster: &Cluster, fixed: &BTreeMap<String, usize>) -> Result<Plan> {
        Plan::made(workflow, |_, info, factory| {
            let parallelism = fixed.get(&info.name).copied().or(info.parallelism);
            let deployment = actor::catch(|| factory.deploy(&cluster.with_parallelism(parallelism)));
            let deployment = deployment.unwrap_or_else(|message| Err(Error::Panic(message)));
            let deployment = deployment.map_err(|error| refuse(info, error.to_string()))?;
            let is_stranger = |worker: &&WorkerInfo| !cluster.nodes().iter().any(|node| node.id == worker.node);
            if let Some(stranger) = deployment.workers.iter().find(is_stranger) {
                let (strategy, number) = (&info.strategy, stranger.node.number);
                let reason = format!("strategy `{strategy}` placed a worker on node {number}, which is not there");
                return Err(refuse(info, reason));
            }
            Ok(deployment)
        })
    }

    /// The plan that another node has made of the same workflow.
    ///
    /// # Errors
    /// When a port is open, or it is the plan of another workflow.
    pub fn adopt(workflow: &Workflow, workers: &BTreeMap<VertexId, Vec<WorkerInfo>>) -> Result<Plan> {
        let plan = Plan::made(workflow, |vertex, info, _| {
            let workers = workers.get(&vertex).cloned();
            let workers = workers.ok_or_else(|| refuse(info, "the plan has no workers for it".to_owned()))?;
            Ok(Deployment { workers, warnings: Vec::new() })
        })?;
        match workers.keys().find(|vertex| !plan.stages.contains_key(vertex)) {
            Some(vertex) => {
                Err(Error::Deploy(format!("the plan has workers for vertex {}, which needs none", vertex.0)))
            }
            None => Ok(plan),
        }
    }

    /// What concerns these vertices alone.
    #[must_use]
    pub fn within(mut self, vertices: &BTreeSet<VertexId>) -> Plan {
        self.stages.retain(|vertex, _| vertices.contains(vertex));
        self.outline = self.outline.within(vertices);
        self
    }

    fn made(
        workflow: &Workflow,
        deploy: impl Fn(VertexId, &VertexInfo, &dyn StageFactory) -> Result<Deployment>,
    ) -> Result<Plan> {
        workflow.closed()?;
        let vertices = workflow.vertices().to_vec();
        let outline = Outline { vertices, ..Outline::default() };
        let mut plan = Plan { outline, stages: BTreeMap::new() };
        for (vertex, offset, factory) in workflow.stages() {
            plan.add(vertex, offset, factory, &deploy)?;
        }
        plan.check_time(workflow)?;
        let Plan { outline, stages } = &mut plan;
        for (from, to) in outline.links.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
            let senders = outline.workers.get(from).map_or(0, |workers| workers.len());
            match stages.get_mut(to) {
                Some(stage) => stage.channels += senders,
                None => return Err(Error::Deploy(format!("vertex {} is sent to and has no workers", to.0))),
            }
        }
        Ok(plan)
    }

    /// Lets all stages know whether there is time in the workflow.
    fn check_time(&mut self, workflow: &Workflow) -> Result<()> {
        let timed = self.stages.values().any(|stage| stage.timed);
        self.stages.values_mut().for_each(|stage| stage.timed = timed);
        let survey = |(vertex, offset, factory): (VertexId, u32, &Arc<dyn StageFactory>)| {
            let mut survey = Survey::new(offset);
            factory.survey(&mut survey);
            (vertex, survey)
        };
        let surveys: Vec<(VertexId, Survey)> = workflow.stages().map(survey).collect();
        for (vertex, survey) in &surveys {
            let origin = self.stages.get(vertex).map(|stage| stage.factory.origin());
            if let Some(aligned) = survey.aligned.filter(|_| origin != Some(Origin::Produce)) {
                let reason = "it is to stay near others in event time, and its worker has no source that can be held \
                              back; put it right behind a source that is asked for records";
                return Err(refuse(&self.outline.vertices[aligned.0 as usize], reason.to_owned()));
            }
            let Some(waits) = survey.needs_time else { continue };
            let (mut before, mut looked) = (vec![*vertex], BTreeSet::new());
            let mut comes = false;
            while let Some(stage) = before.pop() {
                if !looked.insert(stage) {
                    continue;
                }
                if self.outline.peers.contains(&stage) && timed {
                    let reason = format!(
                        "it waits for event time, which does not pass `{}`, because its workers send to each other; \
                         give that another strategy",
                        self.outline.name(stage)
                    );
                    return Err(refuse(&self.outline.vertices[waits.0 as usize], reason));
                }
                for (sender, survey) in &surveys {
                    comes |= survey.told.contains(&stage);
                    before.extend(survey.passed_on.contains(&stage).then_some(*sender));
                }
            }
            if !comes {
                let reason = "it waits for event time, and nothing before it says how far that has come; put \
                              `.watermarks(…)` behind the sources";
                return Err(refuse(&self.outline.vertices[waits.0 as usize], reason.to_owned()));
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        vertex: VertexId,
        offset: u32,
        factory: &Arc<dyn StageFactory>,
        deploy: impl Fn(VertexId, &VertexInfo, &dyn StageFactory) -> Result<Deployment>,
    ) -> Result<()> {
        let Plan { outline, stages } = self;
        let info = &outline.vertices[vertex.0 as usize];
        let mut survey = Survey::new(offset);
        factory.survey(&mut survey);
        let deployment = deploy(vertex, info, factory.as_ref())?;
        if deployment.workers.is_empty() {
            return Err(refuse(info, format!("strategy `{}` placed no worker", info.strategy)));
        }
        let named = deployment.warnings.iter().map(|warning| format!("vertex `{}`: {warning}", info.name));
        outline.warnings.extend(named);
        let workers: Workers = deployment.workers.into();
        outline.workers.insert(vertex, Arc::clone(&workers));
        if factory.origin() != Origin::Links {
            outline.sources.push(vertex);
        }
        if factory.peers() {
            outline.peers.insert(vertex);
        }
        if survey.aligned.is_some() {
            outline.aligned.insert(vertex);
        }
        outline.links.insert(vertex, survey.receivers);
        let stage = PlannedStage {
            vertex,
            offset,
            factory: Arc::clone(factory),
            workers,
            channels: usize::from(factory.origin() == Origin::Listen),
            blocks: survey.blocks,
            timed: survey.keeps_time,
            keeps_time: survey.keeps_time,
            follows_clock: survey.follows_clock,
        };
        stages.insert(vertex, stage);
        Ok(())
    }
}

fn refuse(info: &VertexInfo, reason: String) -> Error {
    Error::Vertex { vertex: info.name.clone(), reason }
}

impl Outline {
    /// The name of a vertex.
    pub fn name(&self, vertex: VertexId) -> &str {
        self.vertices.get(vertex.0 as usize).map_or("?", |info| info.name.as_str())
    }

    /// What concerns the workers of these vertices alone; the names of all vertices stay.
    #[must_use]
    pub fn within(&self, vertices: &BTreeSet<VertexId>) -> Outline {
        let mut outline = self.clone();
        outline.workers.retain(|vertex, _| vertices.contains(vertex));
        outline.sources.retain(|vertex| vertices.contains(vertex));
        outline.links.retain(|vertex, _| vertices.contains(vertex));
        outline.peers.retain(|vertex| vertices.contains(vertex));
        outline.aligned.retain(|vertex| vertices.contains(vertex));
        outline
    }

    /// A worker, if it is there.
    pub fn worker(&self, id: WorkerId) -> Option<&WorkerInfo> {
        self.workers.get(&id.vertex)?.get(id.index as usize)
    }

    /// The numbers of the workers of these vertices.
    pub fn ids<'a>(&'a self, vertices: impl IntoIterator<Item = &'a VertexId>) -> impl Iterator<Item = WorkerId> {
        let count = |vertex| self.workers.get(&vertex).map_or(0, |workers| workers.len());
        vertices.into_iter().flat_map(move |vertex| workers_of(*vertex, count(*vertex)))
    }
}

/// The numbers of the workers of a vertex.
pub fn workers_of(vertex: VertexId, count: usize) -> impl Iterator<Item = WorkerId> {
    (0..count as u32).map(move |index| WorkerId { vertex, index })
}
