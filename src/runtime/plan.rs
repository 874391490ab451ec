//! Which workers a workflow gets, and who waits for whom. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::VertexId;
use crate::workflow::{Cluster, Error, Origin, Result, StageFactory, Survey, VertexInfo, Workers, Workflow};

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
    /// Vertices that its workers send to, once for each link.
    pub receivers: Vec<VertexId>,
    /// Whether something in it may wait for the outside.
    pub blocks: bool,
}

impl std::fmt::Debug for PlannedStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlannedStage").field("vertex", &self.vertex).field("workers", &self.workers).finish()
    }
}

/// All workers of a workflow.
#[derive(Clone, Debug)]
pub struct Plan {
    pub vertices: Vec<VertexInfo>,
    pub stages: BTreeMap<VertexId, PlannedStage>,
    /// What could not be done as wished.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Asks the strategies of a workflow.
    ///
    /// # Errors
    /// When a port is open, or a strategy refuses or names no worker.
    pub fn new(workflow: &Workflow, cluster: &Cluster) -> Result<Plan> {
        workflow.closed()?;
        let vertices = workflow.vertices().to_vec();
        let mut plan = Plan { vertices, stages: BTreeMap::new(), warnings: Vec::new() };
        for (vertex, offset, factory) in workflow.stages() {
            let info = &plan.vertices[vertex.0 as usize];
            let refuse = |reason: String| Error::Vertex { vertex: info.name.clone(), reason };
            let deployment = factory
                .deploy(&cluster.with_parallelism(info.parallelism))
                .map_err(|error| refuse(error.to_string()))?;
            if deployment.workers.is_empty() {
                return Err(refuse(format!("strategy `{}` placed no worker", info.strategy)));
            }
            let strangers =
                |worker: &&crate::workflow::WorkerInfo| !cluster.nodes().iter().any(|n| n.id == worker.node);
            if let Some(stranger) = deployment.workers.iter().find(strangers) {
                let number = stranger.node.number;
                return Err(refuse(format!(
                    "strategy `{}` placed a worker on node {number}, which is not there",
                    info.strategy
                )));
            }
            plan.warnings
                .extend(deployment.warnings.iter().map(|warning| format!("vertex `{}`: {warning}", info.name)));
            let mut survey = Survey::new(offset);
            factory.survey(&mut survey);
            let stage = PlannedStage {
                vertex,
                offset,
                factory: Arc::clone(factory),
                workers: deployment.workers.into(),
                channels: usize::from(factory.origin() == Origin::Listen),
                receivers: survey.receivers,
                blocks: survey.blocks,
            };
            plan.stages.insert(vertex, stage);
        }
        let ends: Vec<(VertexId, usize)> =
            plan.stages.values().flat_map(|s| s.receivers.iter().map(|to| (*to, s.workers.len()))).collect();
        for (to, senders) in ends {
            match plan.stages.get_mut(&to) {
                Some(stage) => stage.channels += senders,
                None => return Err(Error::Deploy(format!("vertex {} is sent to and has no workers", to.0))),
            }
        }
        Ok(plan)
    }

    /// The name of a vertex.
    pub fn name(&self, vertex: VertexId) -> &str {
        self.vertices.get(vertex.0 as usize).map_or("?", |info| info.name.as_str())
    }
}
