//! A simulated node that joins while the others are at work.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::engine::{Engine, Phase, reason};
use crate::workflow::{Cluster, Error, Grown, NodeInfo, Result, Survey, WorkerInfo, Workers};

impl Engine {
    /// Asks all strategies what they make of a node, and does it. As in a deployment, nobody is added when a worker
    /// behind has heard the end of all its senders.
    pub fn join(&mut self, joined: &NodeInfo) -> Result<()> {
        self.cluster = Cluster::new(self.cluster.nodes().iter().chain([joined]).cloned().collect())?;
        let mut added: BTreeMap<usize, Vec<WorkerInfo>> = BTreeMap::new();
        for (number, vertex) in self.vertices.iter_mut().enumerate().filter(|(_, vertex)| !vertex.factory.peers()) {
            let cluster = self.cluster.with_parallelism(vertex.parallelism);
            let deployment = vertex.factory.on_node_joined(joined, &cluster, &vertex.workers)?;
            vertex.warnings.extend(deployment.warnings);
            if deployment.workers.iter().any(|worker| worker.node != joined.id) {
                let reason = "a strategy adds workers on another node than the one that joined";
                return Err(Error::Deploy(reason.to_owned()));
            }
            if !deployment.workers.is_empty() {
                added.insert(number, deployment.workers);
            }
        }
        if added.keys().any(|vertex| self.is_too_late(*vertex)) {
            return Ok(());
        }
        let before = self.workers.len();
        let (mut grown, mut place) = (Grown::new(), before);
        for (number, workers) in &added {
            let vertex = &mut self.vertices[*number];
            vertex.workers = vertex.workers.iter().chain(workers).cloned().collect::<Workers>();
            vertex.places.extend(place..place + workers.len());
            place += workers.len();
            vertex.received.resize(vertex.workers.len(), 0);
            vertex.from_peers.resize(vertex.workers.len(), 0);
            grown.insert(vertex.id, Arc::clone(&vertex.workers));
            self.network.plan().insert(vertex.id, (Arc::clone(&vertex.workers), vertex.places.clone()));
        }
        for (number, workers) in &added {
            let count = self.vertices[*number].workers.len();
            (count - workers.len()..count).try_for_each(|index| self.open_worker(*number, index))?;
        }
        let mut living = self.workers[..before].iter_mut().filter(|worker| worker.phase != Phase::Finished);
        living.try_for_each(|worker| worker.stage.joined(&grown).map_err(reason))
    }

    /// Whether somebody behind this vertex has nobody left to wait for.
    fn is_too_late(&self, vertex: usize) -> bool {
        let vertex = &self.vertices[vertex];
        let mut survey = Survey::new(vertex.offset);
        vertex.factory.survey(&mut survey);
        let behind = self.vertices.iter().filter(|other| survey.receivers.contains(&other.id));
        behind.flat_map(|other| &other.places).any(|place| self.workers[*place].phase != Phase::Running)
    }
}
