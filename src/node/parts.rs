//! The parts of deployments that run on a worker node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::control::{self, Blueprint, Neighbour, difference};
use super::endpoint::Endpoint;
use super::settings::Catalog;
use super::vault::Client;
use crate::id::{DeploymentId, NodeAddress, NodeId};
use crate::net::{BoxFuture, BoxStream, Identity, Mode, Purpose, Reason, Refusal, Session};
use crate::runtime::{Line, Order, Others, Report, Runtime, SiteHandle, Tell};
use crate::workflow::{Error, Result};

/// What is to be told to the master. Its bound is that workers tell a few things each, and sites count twice a second.
#[derive(Default)]
pub struct Outbox {
    reports: Mutex<Vec<(DeploymentId, Report)>>,
    ready: Notify,
}

impl Outbox {
    /// Adds a report. Does not wait.
    pub fn put(&self, deployment: DeploymentId, report: Report) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = std::mem::discriminant(&report);
        let same = |(other, old): &&mut (DeploymentId, Report)| {
            *other == deployment && std::mem::discriminant(old) == kind && !matches!(old, Report::Event(_))
        };
        match reports.iter_mut().find(same) {
            // Only the newest is of interest. It takes the place of the one before, which may be the one that has
            // to come before the end of the last worker.
            Some((_, old)) => *old = report,
            None => reports.push((deployment, report)),
        }
        self.ready.notify_one();
    }

    /// Waits until there are some, and takes them.
    pub async fn take(&self) -> Vec<(DeploymentId, Report)> {
        loop {
            let reports = std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner));
            if !reports.is_empty() {
                return reports;
            }
            self.ready.notified().await;
        }
    }
}

/// By which of its hosts each node was reached. Those that lead nowhere are not tried again, because a way that is cut
/// is to be found before another one is looked for: each takes up to five seconds.
#[derive(Default)]
struct Found(Mutex<BTreeMap<u32, String>>);

impl Found {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hosts to try.
    fn hosts(&self, node: &Neighbour) -> Vec<String> {
        self.lock().get(&node.id.number).map_or_else(|| node.hosts.clone(), |host| vec![host.clone()])
    }
}

/// The nodes of a deployment, by number; those that join come to them.
#[derive(Clone)]
struct Nodes(Arc<Mutex<BTreeMap<u32, Neighbour>>>);

impl Nodes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Neighbour>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, number: u32) -> Option<Neighbour> {
        self.lock().get(&number).cloned()
    }
}

struct Part {
    known_as: DeploymentId,
    name: String,
    began: Instant,
    site: SiteHandle,
    nodes: Nodes,
}

/// The parts of deployments on this node, by number. Shared with whoever decides which connections are let in.
#[derive(Clone, Default)]
pub struct Parts(Arc<Mutex<BTreeMap<DeploymentId, Part>>>);

impl Parts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<DeploymentId, Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the part of a deployment that a master has planned.
    ///
    /// # Errors
    /// When the workflow cannot be built, or is not the master's.
    pub fn prepare(
        &self,
        blueprint: Blueprint,
        catalog: &dyn Catalog,
        runtime: &Runtime,
        endpoint: &Arc<Endpoint>,
        (outbox, vault): (&Arc<Outbox>, &Client),
    ) -> Result<()> {
        let Blueprint { deployment, name, arguments, fingerprint, vertices, node, workers, nodes, .. } = blueprint;
        let Blueprint { keeping, on_error, known_as, region, .. } = blueprint;
        let workflow = catalog.build(&name, &arguments)?;
        if workflow.fingerprint() != fingerprint {
            let what = difference(&control::vertices(&workflow), &vertices);
            let why = "what it is built of, such as files, differs between the nodes";
            let error = format!("workflow `{name}` is another one here than on the master: {what}; {why}");
            return Err(Error::Deploy(error));
        }
        let nodes: BTreeMap<u32, Neighbour> = nodes.into_iter().map(|node| (node.id.number, node)).collect();
        let nodes = Nodes(Arc::new(Mutex::new(nodes)));
        let others = Others {
            name: {
                let nodes = nodes.clone();
                Arc::new(move |number| nodes.get(number).map(|node| node.name.to_string()))
            },
            courier: Some(vault.courier(deployment)),
            dial: {
                let (endpoint, nodes, found) = (Arc::clone(endpoint), nodes.clone(), Arc::new(Found::default()));
                let from = node.number;
                Arc::new(move |to: NodeId, line: Line| -> BoxFuture<'static, Result<BoxStream, Refusal>> {
                    let (endpoint, node, found) = (Arc::clone(&endpoint), nodes.get(to.number), Arc::clone(&found));
                    let purpose = match line {
                        Line::Data => Purpose::Data { deployment, from },
                        Line::Watch => Purpose::Watch { deployment, from },
                    };
                    Box::pin(async move { dial(&endpoint, node.as_ref(), &found, purpose).await })
                })
            },
        };
        let outbox = Arc::clone(outbox);
        let tell: Tell = Arc::new(move |report| outbox.put(deployment, report));
        let meant = (&workers, &region);
        let site = runtime.take_part(node, &workflow, meant, others, (on_error, &name, keeping), tell)?;
        let part = Part { known_as, name, began: Instant::now(), site, nodes };
        let before = self.lock().insert(deployment, part);
        if let Some(before) = before {
            before.site.order(Order::Close);
        }
        Ok(())
    }

    /// A node may join a deployment.
    pub fn meet(&self, deployment: DeploymentId, neighbour: Neighbour) {
        if let Some(part) = self.lock().get(&deployment) {
            part.nodes.lock().insert(neighbour.id.number, neighbour);
        }
    }

    /// Has a part do something.
    pub fn order(&self, deployment: DeploymentId, order: Order) {
        let mut parts = self.lock();
        let ends = order == Order::Close;
        if let Some(part) = parts.get(&deployment) {
            part.site.order(order);
        }
        if ends {
            parts.remove(&deployment);
        }
    }

    /// The deployments that have parts here, their names, and how long they have had one.
    pub fn running(&self) -> Vec<(DeploymentId, String, Duration)> {
        let mut running: BTreeMap<DeploymentId, (String, Duration)> = BTreeMap::new();
        for part in self.lock().values() {
            let (_, longest) = running.entry(part.known_as).or_insert_with(|| (part.name.clone(), Duration::ZERO));
            *longest = part.began.elapsed().max(*longest);
        }
        running.into_iter().map(|(id, (name, time))| (id, name, time)).collect()
    }

    /// Ends all parts at once.
    pub fn close_all(&self) {
        for part in std::mem::take(&mut *self.lock()).into_values() {
            part.site.order(Order::Close);
        }
    }

    /// Whether a peer may connect for a deployment.
    ///
    /// # Errors
    /// When there is no such deployment here, or the peer is not the node of it that it says.
    pub fn admit(&self, peer: &Identity, deployment: DeploymentId, from: u32) -> Result<(), Refusal> {
        let parts = self.lock();
        let none = || Refusal::new(Reason::NotConnected, format!("deployment {deployment} does not run here"));
        let part = parts.get(&deployment).ok_or_else(none)?;
        match part.nodes.get(from) {
            Some(node) if node.name == peer.name && node.incarnation == peer.incarnation => Ok(()),
            _ => {
                let detail = format!("`{}` is not node {from} of deployment {deployment}", peer.name);
                Err(Refusal::new(Reason::DeclaredDead, detail))
            }
        }
    }

    /// Gives a connection to the part that it is for.
    pub fn attach(&self, session: Session) {
        let (deployment, from, line) = match session.purpose {
            Purpose::Data { deployment, from } => (deployment, from, Line::Data),
            Purpose::Watch { deployment, from } if self.admit(&session.peer, deployment, from).is_ok() => {
                (deployment, from, Line::Watch)
            }
            _ => return,
        };
        if let Some(part) = self.lock().get(&deployment) {
            part.site.attach(from, line, session.stream);
        }
    }
}

/// Connects to a node by whichever of its hosts is right.
async fn dial(
    endpoint: &Endpoint,
    node: Option<&Neighbour>,
    found: &Found,
    purpose: Purpose,
) -> Result<BoxStream, Refusal> {
    let unknown = || Refusal::new(Reason::NotConnected, "the master has not said where it is");
    let node = node.ok_or_else(unknown)?;
    let mut refused = unknown();
    for host in found.hosts(node) {
        let address = NodeAddress { name: node.name.name().to_owned(), host: host.clone(), port: Some(node.port) };
        match endpoint.dial(&address, purpose, Mode::Worker).await {
            Ok(session) if session.peer.incarnation == node.incarnation => {
                found.lock().insert(node.id.number, host);
                return Ok(session.stream);
            }
            Ok(_) => refused = Refusal::new(Reason::DeclaredDead, "it was started anew since the master saw it"),
            Err(refusal) => refused = refusal,
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{VertexId, WorkerId};
    use crate::runtime::{Counts, SiteEvent as Event};

    #[tokio::test]
    async fn the_last_counts_come_before_what_follows_them() {
        let (outbox, deployment) = (Outbox::default(), DeploymentId(1));
        let worker = WorkerId { vertex: VertexId(0), index: 0 };
        let counts = |received| {
            Report::Counts(Counts {
                vertices: vec![(worker.vertex, worker, received, 0)],
                workers: Vec::new(),
                failed: Vec::new(),
            })
        };
        outbox.put(deployment, counts(1));
        outbox.put(deployment, Report::Event(Event::Gone(worker)));
        outbox.put(deployment, counts(2));
        outbox.put(DeploymentId(2), counts(3));
        let reports = outbox.take().await;
        let shown: Vec<_> = reports
            .iter()
            .map(|(deployment, report)| match report {
                Report::Counts(counts) => (deployment.0, Some(counts.vertices[0].2)),
                Report::Event(_) | Report::Paced(..) => (deployment.0, None),
            })
            .collect();
        assert_eq!(shown, [(1, Some(2)), (1, None), (2, Some(3))]);
    }
}
