//! How a deployment grows onto a node that has joined, while it runs.
//!
//! 1. The node makes its workers, all nodes that need to connect to it do, and its workers open. Nobody else has
//!    noticed.
//! 2. Workers *behind* the new ones are asked to wait for their ends, too. One that has ended cannot: then the growth
//!    is taken back, and those that agreed are released from what they were to wait for.
//! 3. The new workers begin. From here on the node is one of the deployment, as all others.
//! 4. Workers *before* the new ones learn of them. One that has ended sends nothing, so they need not wait for it.
//!
//! Until the third step whatever goes wrong with the node is the end of the growth, and not of the deployment.

use std::collections::{BTreeMap, BTreeSet};

use super::restarting::Standing;
use super::{Command, Coordinator, Event, Member};
use crate::id::{NodeId, VertexId, WorkerId};
use crate::runtime::growth::Growth;
use crate::runtime::regions::Region;
use crate::workflow::Error;

/// A node that joins.
#[derive(Clone, Debug)]
pub(super) struct Growing {
    growth: Growth,
    /// The region that its vertices are in.
    region: Region,
    ids: Vec<WorkerId>,
    at: At,
}

/// How far it has come.
#[derive(Clone, Debug)]
enum At {
    /// It makes its workers.
    Invited,
    /// Nodes connect to it; these have not yet.
    Meeting(BTreeSet<NodeId>),
    /// Its workers open; these have not yet.
    Opening(BTreeSet<WorkerId>),
    /// Workers behind are asked, these have not answered.
    Asking { awaited: BTreeSet<WorkerId>, agreed: Vec<WorkerId>, ends: BTreeMap<VertexId, u32>, dismissed: bool },
    /// It has joined. Workers before have been told, these have not answered.
    Telling { awaited: BTreeSet<WorkerId>, missing: BTreeMap<VertexId, u32> },
}

impl Growing {
    /// Whether nothing of it can be taken back any more, or all of it has been.
    fn is_settled(&self) -> bool {
        matches!(self.at, At::Telling { .. } | At::Asking { dismissed: true, .. })
    }
}

impl Coordinator {
    /// Takes events of the node that joins, as long as it has not; gives all others back.
    pub(super) fn handle_of_joining(&mut self, event: Event) -> Result<Vec<Command>, Event> {
        let Some(growing) = self.growing.as_mut().filter(|growing| !growing.is_settled()) else { return Err(event) };
        let node = growing.growth.node;
        let is_it = |number: u32| number == node.number;
        match (event, &mut growing.at) {
            (Event::Prepared(prepared), At::Invited) if prepared == node => {
                let region = growing.region;
                let others = self.regions.get(&region).into_iter().flat_map(Standing::nodes);
                growing.at = At::Meeting(others.chain([node]).collect());
                let meet = Command::Meet(growing.growth.clone());
                Ok(vec![self.within(region, meet)])
            }
            (Event::Met { node: met, joined }, At::Meeting(awaited)) if joined == node => {
                awaited.remove(&met);
                if !awaited.is_empty() {
                    return Ok(Vec::new());
                }
                growing.at = At::Opening(growing.ids.iter().copied().collect());
                let region = growing.region;
                Ok(vec![self.within(region, Command::OpenOn(node))])
            }
            (Event::Opened(worker), At::Opening(awaited)) if awaited.contains(&worker) => {
                awaited.remove(&worker);
                Ok(if awaited.is_empty() { self.ask() } else { Vec::new() })
            }
            (Event::Lost { node: lost, error }, _) if lost == node => Ok(self.dismiss(error)),
            (Event::Broken { node: from, with, error }, _) if is_it(from.number) || with.is_some_and(is_it) => {
                Ok(self.dismiss(error))
            }
            (Event::Failed(worker, failure), _) if growing.ids.contains(&worker) => Ok(self.dismiss(failure.error)),
            (Event::Gone(worker), _) if growing.ids.contains(&worker) => {
                Ok(self.dismiss(Error::from("a worker ended before its work was done")))
            }
            (event, _) => Err(event),
        }
    }

    /// A node is to get workers, when the deployment has started and no other node is about to.
    pub(super) fn grow(&mut self, growth: Growth) -> Vec<Command> {
        let joined = growth.node;
        let refused = if self.stopping || self.failed.is_some() {
            "the deployment stops"
        } else if self.knows(joined.number) {
            KNOWN
        } else {
            self.waiting.push_back(growth);
            return self.grow_next();
        };
        vec![Command::Dismiss { joined, error: Error::from(refused) }]
    }

    /// A node that waits is lost.
    pub(super) fn wait_no_more(&mut self, node: NodeId, error: Error) -> Vec<Command> {
        let before = self.waiting.len();
        self.waiting.retain(|growth| growth.node != node);
        if self.waiting.len() < before { vec![Command::Dismiss { joined: node, error }] } else { Vec::new() }
    }

    /// Begins with the node that has waited longest.
    pub(super) fn grow_next(&mut self) -> Vec<Command> {
        let is_saving = self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.is_pending());
        if !self.all_run() || self.growing.is_some() || is_saving {
            return Vec::new();
        }
        let Some(growth) = self.waiting.pop_front() else { return self.checkpoint_if_due() };
        let joined = growth.node;
        if self.knows(joined.number) {
            // It has come back for a region that was started anew.
            let mut commands = vec![Command::Dismiss { joined, error: Error::from(KNOWN) }];
            commands.extend(self.grow_next());
            return commands;
        }
        let ids = growth.ids(|vertex| self.workers.keys().filter(|id| id.vertex == vertex).count());
        let of = |vertex: &VertexId| self.workers.iter().find(|(id, _)| id.vertex == *vertex);
        let region = growth.workers.keys().find_map(of).map(|(_, member)| member.region).unwrap_or_default();
        self.growing = Some(Growing { growth, region, ids, at: At::Invited });
        vec![Command::Invite(joined)]
    }

    fn ask(&mut self) -> Vec<Command> {
        let Some(growing) = &mut self.growing else { return Vec::new() };
        let (joined, ends) = (growing.growth.node, growing.growth.ends(&self.links));
        let behind = || self.workers.iter().filter(|(id, _)| ends.contains_key(&id.vertex));
        if behind().any(|(_, member)| member.done) {
            return self.dismiss(Error::from(TOO_LATE));
        }
        let awaited: BTreeSet<WorkerId> = behind().map(|(id, _)| *id).collect();
        if awaited.is_empty() {
            return self.welcome();
        }
        growing.at = At::Asking { awaited, agreed: Vec::new(), ends: ends.clone(), dismissed: false };
        let region = growing.region;
        vec![self.within(region, Command::Expect { joined, ends })]
    }

    /// A worker behind the new ones has answered.
    pub(super) fn expects(&mut self, worker: WorkerId, joined: NodeId, agreed: bool) -> Vec<Command> {
        let Some(growing) = self.growing.as_mut().filter(|growing| growing.growth.node == joined) else {
            return Vec::new();
        };
        let At::Asking { awaited, agreed: all, ends, dismissed } = &mut growing.at else { return Vec::new() };
        if !awaited.remove(&worker) {
            return Vec::new();
        }
        let is_last = awaited.is_empty();
        match (*dismissed, agreed) {
            (false, true) => {
                all.push(worker);
                if is_last { self.welcome() } else { Vec::new() }
            }
            (false, false) => self.dismiss(Error::from(TOO_LATE)),
            (true, agreed) => {
                let ends = ends.get(&worker.vertex).copied().unwrap_or_default();
                let mut commands = Vec::new();
                if agreed {
                    commands.push(Command::Release { worker, ends });
                }
                if is_last {
                    self.growing = None;
                    commands.extend(self.grow_next());
                }
                commands
            }
        }
    }

    /// The workers on the node begin, and those before them are told.
    fn welcome(&mut self) -> Vec<Command> {
        let Some(growing) = &mut self.growing else { return Vec::new() };
        let (growth, links) = (&growing.growth, &self.links);
        let (mut awaited, mut missing) = (BTreeSet::new(), BTreeMap::new());
        for (id, member) in self.workers.iter().filter(|(id, _)| growth.concerns(links, id.vertex)) {
            if member.done {
                growth.links_from(links, id.vertex).for_each(|to| *missing.entry(to).or_insert(0) += 1);
            } else {
                awaited.insert(*id);
            }
        }
        let (node, region) = (growth.node, growing.region);
        self.regions.entry(region).or_default().join(node);
        for id in &growing.ids {
            self.workers.insert(*id, Member { opened: true, ..Member::new(node, region) });
        }
        growing.at = At::Telling { awaited, missing };
        let mut commands = vec![self.within(region, Command::Welcome(node))];
        commands.extend(self.finish_growth());
        commands
    }

    /// A worker before the new ones has answered.
    pub(super) fn told(&mut self, worker: WorkerId, joined: NodeId, knows: bool) -> Vec<Command> {
        let Some(growing) = self.growing.as_mut().filter(|growing| growing.growth.node == joined) else {
            return Vec::new();
        };
        let At::Telling { awaited, missing } = &mut growing.at else { return Vec::new() };
        if !awaited.remove(&worker) {
            return Vec::new();
        }
        if !knows {
            let links = growing.growth.links_from(&self.links, worker.vertex);
            links.for_each(|to| *missing.entry(to).or_insert(0) += 1);
        }
        self.finish_growth()
    }

    /// When all have answered, the new workers need not wait for those that had ended.
    fn finish_growth(&mut self) -> Vec<Command> {
        let is_last = |growing: &mut Growing| matches!(&growing.at, At::Telling { awaited, .. } if awaited.is_empty());
        let Some(Growing { ids, at: At::Telling { missing, .. }, .. }) = self.growing.take_if(is_last) else {
            return Vec::new();
        };
        let release = |worker: &WorkerId| missing.get(&worker.vertex).map(|ends| (*worker, *ends));
        let released = ids.iter().filter_map(release);
        let mut commands: Vec<Command> = released.map(|(worker, ends)| Command::Release { worker, ends }).collect();
        commands.extend(self.grow_next());
        commands
    }

    /// A worker that has ended answers nothing any more.
    pub(super) fn ended_while_growing(&mut self, worker: WorkerId) -> Vec<Command> {
        let Some(growing) = &self.growing else { return Vec::new() };
        let joined = growing.growth.node;
        match &growing.at {
            At::Asking { .. } => self.expects(worker, joined, false),
            At::Telling { .. } => self.told(worker, joined, false),
            _ => Vec::new(),
        }
    }

    /// Takes the growth back, if that can be.
    fn dismiss(&mut self, error: Error) -> Vec<Command> {
        let Some(growing) = self.growing.as_mut().filter(|growing| !growing.is_settled()) else { return Vec::new() };
        let mut commands = vec![Command::Dismiss { joined: growing.growth.node, error }];
        if let At::Asking { awaited, agreed, ends, dismissed } = &mut growing.at {
            *dismissed = true;
            let ends_of = |worker: &WorkerId| ends.get(&worker.vertex).copied().unwrap_or_default();
            let release = |worker| Command::Release { ends: ends_of(&worker), worker };
            commands.extend(std::mem::take(agreed).into_iter().map(release));
            if !awaited.is_empty() {
                return commands;
            }
        }
        self.growing = None;
        commands.extend(self.grow_next());
        commands
    }

    /// Takes all back that can be: the deployment is about to end.
    pub(super) fn dismiss_all(&mut self, error: &Error) -> Vec<Command> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut commands: Vec<Command> =
            waiting.into_iter().map(|growth| Command::Dismiss { joined: growth.node, error: error.clone() }).collect();
        commands.extend(self.dismiss(error.clone()));
        commands
    }
}

/// Why a node gets no further workers.
const KNOWN: &str = "it takes part already";

/// Why a growth is taken back when a worker behind it has ended.
const TOO_LATE: &str = "the deployment comes to its end";
