//! How a region that has failed is started anew, while all others go on.
//!
//! 1. Its workers are given up, and the checkpoint that is under way with them, unless it is about to be complete.
//! 2. When they are gone, and it is known whether that checkpoint is complete, somebody else makes them anew.
//! 3. They take all steps of a beginning, by themselves, and go on at the newest checkpoint.
//!
//! No checkpoint is begun in between. Whatever makes this impossible is the failure of all.

use std::collections::BTreeMap;

use super::{Command, Coordinator, Failed, Member, Step};
use crate::id::{NodeId, WorkerId};
use crate::runtime::regions::{Region, Regions};
use crate::workflow::{Commit, Error};

/// How a region stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    nodes: BTreeMap<NodeId, Step>,
    /// How far all nodes have come.
    step: Step,
    started: bool,
    /// Why it is to be started anew.
    failed: Option<(Option<WorkerId>, Failed)>,
    /// Its workers have had their time to end.
    expired: bool,
    /// Its workers are gone, and others are to come.
    waits: bool,
    /// It goes on at this checkpoint, which it has not been told of yet.
    resumed: Option<u64>,
}

impl Standing {
    /// A region on these nodes, which make its workers.
    pub fn of(nodes: impl IntoIterator<Item = NodeId>) -> Standing {
        Standing { nodes: nodes.into_iter().map(|node| (node, Step::Asked)).collect(), ..Standing::default() }
    }

    pub fn knows(&self, number: u32) -> bool {
        self.nodes.keys().any(|node| node.number == number)
    }

    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    /// A node has come so far; says how far all have, if they have come further by that.
    pub fn stepped(&mut self, node: NodeId, step: Step) -> Option<Step> {
        let stands = self.nodes.get_mut(&node)?;
        *stands = step.max(*stands);
        let all = self.nodes.values().min().copied().unwrap_or(Step::Connected);
        let further = all > self.step && self.failed.is_none();
        further.then(|| self.step = all);
        further.then_some(all)
    }

    /// A node takes no part any more; says whether it had one.
    pub fn forget(&mut self, node: NodeId) -> bool {
        self.nodes.remove(&node).is_some()
    }

    /// A node takes part from now on.
    pub fn join(&mut self, node: NodeId) {
        self.nodes.insert(node, Step::Connected);
    }

    /// Its records flow.
    pub fn start(&mut self) {
        self.started = true;
    }

    /// What tells apart two that have not failed.
    #[cfg(test)]
    pub fn key(&self) -> impl std::hash::Hash + use<> {
        (self.nodes.clone(), self.step, self.started, self.resumed)
    }

    fn runs(&self) -> bool {
        self.started && self.failed.is_none()
    }
}

impl Coordinator {
    /// Those of its workers that do not depend on each other may fail apart.
    #[must_use]
    pub fn with_regions(mut self, regions: &Regions) -> Self {
        for (id, member) in &mut self.workers {
            member.region = regions.of_worker(id.vertex, member.node).unwrap_or_default();
        }
        let nodes = |region: Region| {
            let members = self.workers.values().filter(move |member| member.region == region);
            members.map(|member| member.node)
        };
        let standing = |region: Region| (region, Standing::of(nodes(region)));
        self.regions = regions.scopes().iter().map(|scope| standing(scope.region)).collect();
        self
    }

    /// A command for one region.
    pub(super) fn within(&self, region: Region, command: Command) -> Command {
        if self.regions.len() > 1 { Command::Within(region, Box::new(command)) } else { command }
    }

    /// Whether all regions run.
    pub(super) fn all_run(&self) -> bool {
        self.started && self.failed.is_none() && self.regions.values().all(Standing::runs)
    }

    /// Whether a region has failed and its workers are to end.
    pub(super) fn fails(&self, region: Region) -> bool {
        self.regions.get(&region).is_some_and(|standing| standing.failed.is_some())
    }

    /// Why the first of the regions that are not started anew yet has failed.
    pub(super) fn first_failure(&self) -> Option<(Option<WorkerId>, Failed)> {
        self.regions.values().find_map(|standing| standing.failed.clone())
    }

    /// A region fails, and with it all others if they cannot go on.
    pub(super) fn fail_in(&mut self, region: Region, worker: Option<WorkerId>, failed: Failed) -> Vec<Command> {
        let alone = self.regions.len() > 1 && self.started && !self.suspended && self.growing.is_none();
        if !alone || self.failed.is_some() || !self.can_go_on() || failed.error == Error::Aborted {
            return self.fail(worker, failed);
        }
        let Some(standing) = self.regions.get_mut(&region).filter(|standing| standing.failed.is_none()) else {
            return Vec::new();
        };
        standing.failed = Some((worker, failed));
        let mut commands = vec![self.within(region, Command::GiveUp)];
        commands.extend(self.abandon(&Error::from("a part of the deployment has failed, and is started anew")));
        commands.extend(self.restart_if_gone(region));
        commands
    }

    /// The workers of a region that were to end at once have had their time.
    pub fn expired(&mut self, region: Region) -> Vec<Command> {
        if self.ended || self.failed.is_some() || !self.fails(region) {
            return Vec::new();
        }
        self.regions.entry(region).or_default().expired = true;
        self.restart_if_gone(region)
    }

    /// Has a region started anew, when nothing of it is left that would still end.
    pub(super) fn restart_if_gone(&mut self, region: Region) -> Vec<Command> {
        let expired = self.regions.get(&region).is_some_and(|standing| standing.expired);
        let mut of = self.workers.values().filter(|member| member.region == region);
        if expired || of.all(|member| member.gone) { self.restart(region) } else { Vec::new() }
    }

    /// Has the sources end, of those regions that have begun: the others are told when they do.
    pub(super) fn stop_sources(&self) -> Vec<Command> {
        if self.all_run() {
            return vec![Command::StopSources];
        }
        let running = self.regions.iter().filter(|(_, standing)| standing.runs());
        running.map(|(region, _)| self.within(*region, Command::StopSources)).collect()
    }

    /// As [`restart_if_gone`](Coordinator::restart_if_gone), for all that have failed.
    pub(super) fn restart_all_gone(&mut self) -> Vec<Command> {
        let failed: Vec<Region> = self.regions.keys().copied().filter(|region| self.fails(*region)).collect();
        failed.into_iter().flat_map(|region| self.restart_if_gone(region)).collect()
    }

    /// Has a region started anew, whatever is left of it.
    pub(super) fn restart(&mut self, region: Region) -> Vec<Command> {
        let sealing = self.is_sealing();
        let Some(standing) = self.regions.get_mut(&region) else { return Vec::new() };
        if standing.waits {
            return Vec::new();
        }
        let Some((worker, failure)) = standing.failed.clone().filter(|_| !sealing) else { return Vec::new() };
        standing.waits = true;
        let left = self.workers.iter_mut().filter(|(_, member)| member.region == region && !member.gone);
        let forget = |(id, member): (&WorkerId, &mut Member)| {
            member.gone = true;
            *id
        };
        let stuck = left.map(forget).collect();
        vec![Command::Restart { region, worker, failure, stuck }]
    }

    /// Whether other workers are to come in place of those of a region.
    pub fn awaits(&self, region: Region) -> bool {
        self.failed.is_none() && self.regions.get(&region).is_some_and(|standing| standing.waits)
    }

    /// Other workers come in place of those of a region, to go on at a checkpoint.
    pub fn relaunch(
        &mut self,
        region: Region,
        workers: impl IntoIterator<Item = (WorkerId, NodeId)>,
        resumed: Option<u64>,
    ) {
        let workers: Vec<_> = workers.into_iter().collect();
        let standing = Standing { resumed, ..Standing::of(workers.iter().map(|(_, node)| *node)) };
        self.regions.insert(region, standing);
        for (id, node) in workers {
            self.workers.insert(id, Member::new(node, region));
        }
    }

    /// A worker of a region that was started anew is prepared; the region begins when all are.
    pub(super) fn restarted(&mut self, region: Region) -> Vec<Command> {
        let all = self.workers.values().filter(|member| member.region == region).all(|member| member.opened);
        let begins = |standing: &&mut Standing| all && !standing.started && standing.failed.is_none();
        let Some(standing) = self.regions.get_mut(&region).filter(begins).filter(|_| self.failed.is_none()) else {
            return Vec::new();
        };
        standing.start();
        let resumed = standing.resumed.take();
        let mut commands = vec![self.within(region, Command::Start)];
        commands.extend(resumed.map(|it| self.within(region, Command::Commit(Commit::Checkpoint(it)))));
        if self.stopping && !self.awaits_savepoint() {
            commands.push(self.within(region, Command::StopSources));
        }
        commands.extend(self.next_checkpoint());
        commands
    }
}
