//! When a checkpoint begins, when it is complete, and what follows.
//!
//! 1. Workers that no barrier can come to are told to save: sources, and those whose senders have all ended. All others
//!    save when their barriers have come.
//! 2. When every worker's snapshot is in the store, the checkpoint is *sealed*: its manifest is written.
//! 3. Workers are told that their effects are there to stay.
//!
//! One at a time; none while a node joins. What goes wrong is the end of the checkpoint, and not of the deployment.
//! When all workers have come to their end there is a last one, after which everything is there to stay.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Command, Coordinator};
use crate::id::{VertexId, WorkerId};
use crate::state::SavedObject;
use crate::workflow::{Commit, Error};

/// How often the last checkpoint of a deployment is tried, before its end does without.
const LAST_TRIES: u32 = 3;

/// What a worker has saved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WorkerSaved {
    pub worker: WorkerId,
    pub checkpoint: u64,
    /// It has come to its end.
    pub finished: bool,
    /// All its senders have, and it has drained.
    pub drained: bool,
    /// Where it is: what was written for this checkpoint, and what counts of what was written before.
    pub objects: Vec<SavedObject>,
    /// The complete checkpoint that parts were kept of, if any were.
    pub base: Option<u64>,
}

/// The checkpoints of a deployment.
#[derive(Clone, Debug, Hash)]
pub(super) struct Checkpointing {
    /// The number of the next one.
    next: u64,
    pending: Option<Pending>,
    /// The newest one that is complete, and of this attempt.
    sealed: Option<u64>,
    /// The deployment goes on at this one, which nobody has been told of yet.
    resumed: Option<u64>,
    /// One is due that has to wait for a node that joins.
    due: bool,
    /// Savepoints that somebody wants, and whether the deployment is to stop at them.
    wanted: VecDeque<bool>,
    /// The newest savepoints: the last one may have begun when the one before is found to have failed.
    savepoints: VecDeque<u64>,
    /// How often the last one has been tried.
    last_tries: u32,
    /// Workers have been told that everything is there to stay.
    ended: bool,
    /// No checkpoint knows of that.
    unsaved: bool,
}

#[derive(Clone, Debug, Hash)]
struct Pending {
    checkpoint: u64,
    triggered: BTreeSet<WorkerId>,
    saved: BTreeMap<WorkerId, WorkerSaved>,
    kind: Kind,
    sealing: bool,
}

/// What a checkpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// To go on at after a failure.
    Usual,
    /// Somebody has asked for it; the deployment may be to stop at it.
    Savepoint { stop: bool },
    /// All workers have come to their end.
    Last,
}

impl Checkpointing {
    /// Behind `resumed`, if the deployment goes on at that one.
    pub fn new(resumed: Option<u64>) -> Self {
        let next = resumed.unwrap_or_default() + 1;
        Checkpointing {
            next,
            pending: None,
            sealed: None,
            resumed,
            due: false,
            wanted: VecDeque::new(),
            savepoints: VecDeque::new(),
            last_tries: 0,
            ended: false,
            unsaved: false,
        }
    }

    pub fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}

impl Coordinator {
    /// Takes checkpoints from now on.
    #[must_use]
    pub fn with_checkpoints(mut self, resumed: Option<u64>) -> Self {
        self.checkpoints = Some(Checkpointing::new(resumed));
        self
    }

    /// Everybody has begun: what a checkpoint that they go on at has prepared is there to stay.
    pub(super) fn resumed(&mut self) -> Option<Command> {
        let resumed = self.checkpoints.as_mut()?.resumed.take()?;
        Some(Command::Commit(Commit::Checkpoint(resumed)))
    }

    /// Everybody is there, to end at the savepoint that the attempt before has come to.
    pub(super) fn resumed_to_end(&mut self) -> Vec<Command> {
        let resumed = self.checkpoints.take().and_then(|checkpoints| checkpoints.resumed);
        resumed.map(|checkpoint| Command::Suspend { checkpoint }).into_iter().collect()
    }

    /// It is time for a checkpoint.
    pub(super) fn checkpoint_due(&mut self) -> Vec<Command> {
        if self.workers.values().all(|member| member.done) {
            return self.last_checkpoint();
        }
        let runs = self.all_run();
        let Some(checkpoints) = &mut self.checkpoints else { return Vec::new() };
        if !runs || checkpoints.pending.is_some() {
            return Vec::new();
        }
        if self.growing.is_some() {
            checkpoints.due = true;
            return Vec::new();
        }
        let wanted = checkpoints.wanted.pop_front();
        let mut commands = self.begin_checkpoint(wanted.map_or(Kind::Usual, |stop| Kind::Savepoint { stop }));
        if wanted.is_some() && self.stopping && !self.awaits_savepoint() {
            commands.push(Command::StopSources);
        }
        commands
    }

    /// Whether there is a savepoint to be taken before sources may be stopped.
    pub(super) fn awaits_savepoint(&self) -> bool {
        self.checkpoints.as_ref().is_some_and(|checkpoints| !checkpoints.wanted.is_empty())
    }

    /// Somebody wants a savepoint.
    pub(super) fn savepoint(&mut self, stop: bool) -> Vec<Command> {
        let Some(checkpoints) = &mut self.checkpoints else { return Vec::new() };
        checkpoints.wanted.push_back(stop);
        self.checkpoint_due()
    }

    /// Whether this was a savepoint, one of the two newest.
    pub fn was_savepoint(&self, checkpoint: u64) -> bool {
        self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.savepoints.contains(&checkpoint))
    }

    /// A node has joined, or does not.
    pub(super) fn checkpoint_if_due(&mut self) -> Vec<Command> {
        let is_due = self.checkpoints.as_mut().is_some_and(|checkpoints| std::mem::take(&mut checkpoints.due));
        if is_due { self.checkpoint_due() } else { Vec::new() }
    }

    fn begin_checkpoint(&mut self, kind: Kind) -> Vec<Command> {
        let Some(checkpoints) = &mut self.checkpoints else { return Vec::new() };
        let checkpoint = checkpoints.next;
        checkpoints.next += 1;
        if matches!(kind, Kind::Savepoint { .. }) {
            checkpoints.savepoints.truncate(1);
            checkpoints.savepoints.push_front(checkpoint);
        }
        let (triggered, saved) = (BTreeSet::new(), BTreeMap::new());
        checkpoints.pending = Some(Pending { checkpoint, triggered, saved, kind, sealing: false });
        self.trigger_roots().into_iter().collect()
    }

    /// Tells those to save that no barrier can come to any more.
    fn trigger_roots(&mut self) -> Option<Command> {
        let running = |vertex: &VertexId| self.workers.iter().any(|(id, member)| id.vertex == *vertex && !member.done);
        let fed: BTreeSet<VertexId> =
            self.links.iter().filter(|(from, _)| running(from)).flat_map(|(_, to)| to.iter().copied()).collect();
        let pending = self.checkpoints.as_mut()?.pending.as_mut()?;
        let roots = self.workers.keys().filter(|id| !fed.contains(&id.vertex));
        let workers: Vec<WorkerId> = roots.filter(|id| pending.triggered.insert(**id)).copied().collect();
        let halt = pending.kind == Kind::Savepoint { stop: true };
        if workers.is_empty() { None } else { Some(Command::Trigger { checkpoint: pending.checkpoint, workers, halt }) }
    }

    /// A checkpoint takes long. A savepoint may: it is worth more if other workers can go on from it, which cannot be
    /// given what was under way to these.
    pub(super) fn overdue(&self, checkpoint: u64) -> Vec<Command> {
        let pending = self.checkpoints.as_ref().and_then(|checkpoints| checkpoints.pending.as_ref());
        let waits = |pending: &&Pending| pending.checkpoint == checkpoint && !pending.sealing;
        match pending.filter(waits).map(|pending| pending.kind) {
            Some(Kind::Usual) => vec![Command::Hurry { checkpoint }],
            _ => Vec::new(),
        }
    }

    /// A worker's snapshot is in the store.
    pub(super) fn saved(&mut self, saved: WorkerSaved) -> Vec<Command> {
        let known = self.workers.contains_key(&saved.worker);
        let Some(checkpoints) = &mut self.checkpoints else { return Vec::new() };
        let sealed = checkpoints.sealed;
        let Some(pending) = &mut checkpoints.pending else { return Vec::new() };
        if pending.checkpoint != saved.checkpoint || !known || pending.sealing {
            return Vec::new();
        }
        if saved.base.is_some() && saved.base != sealed {
            // Of what it has kept, some may be deleted by now. It does better when it has heard of that one.
            let error = format!("a worker has not heard in time that checkpoint {} is complete", sealed.unwrap_or(0));
            return self.not_saved(saved.checkpoint, Error::Runtime(error));
        }
        pending.saved.insert(saved.worker, saved);
        if pending.saved.len() < self.workers.len() {
            return Vec::new();
        }
        pending.sealing = true;
        let saved = pending.saved.values().cloned().collect();
        let savepoint = matches!(pending.kind, Kind::Savepoint { .. });
        vec![Command::Seal { checkpoint: pending.checkpoint, saved, savepoint }]
    }

    /// The manifest of a checkpoint is in the store.
    pub(super) fn sealed(&mut self, checkpoint: u64) -> Vec<Command> {
        let Some(pending) = self.take_pending(checkpoint) else { return Vec::new() };
        if pending.kind == (Kind::Savepoint { stop: true }) {
            self.suspended = true;
            self.checkpoints = None;
            let mut commands = vec![Command::Suspend { checkpoint }];
            if let Some((worker, failed)) = self.first_failure() {
                commands.extend(self.fail(worker, failed));
            }
            return commands;
        }
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.sealed = Some(checkpoint);
        }
        let mut commands = vec![Command::Commit(Commit::Checkpoint(checkpoint))];
        if pending.kind == Kind::Last {
            if let Some((worker, failed)) = self.first_failure() {
                // Effects are to be brought about everywhere, and nothing else.
                commands.extend(self.fail(worker, failed));
                return commands;
            }
            commands.extend(self.commit_all());
        } else {
            commands.extend(self.next_checkpoint());
        }
        commands.extend(self.restart_all_gone());
        commands
    }

    /// A region has failed: what is not about to be complete will not be.
    pub(super) fn abandon(&mut self, why: &Error) -> Option<Command> {
        let checkpoints = self.checkpoints.as_mut()?;
        let pending = checkpoints.pending.take_if(|pending| !pending.sealing)?;
        if pending.kind == Kind::Last {
            // The store is not to blame.
            checkpoints.last_tries -= 1;
        }
        Some(Command::Abandon { checkpoint: pending.checkpoint, error: why.clone() })
    }

    /// Whether a checkpoint is about to be complete, or not: nobody can be started anew before that is known.
    pub(super) fn is_sealing(&self) -> bool {
        let pending = self.checkpoints.as_ref().and_then(|checkpoints| checkpoints.pending.as_ref());
        pending.is_some_and(|pending| pending.sealing)
    }

    /// Whether a part can go on from a checkpoint while the rest does.
    pub(super) fn can_go_on(&self) -> bool {
        self.checkpoints.as_ref().is_some_and(|checkpoints| !checkpoints.ended && !checkpoints.unsaved)
    }

    /// A checkpoint cannot be completed.
    pub(super) fn not_saved(&mut self, checkpoint: u64, error: Error) -> Vec<Command> {
        let Some(pending) = self.take_pending(checkpoint) else { return Vec::new() };
        let mut commands = vec![Command::Abandon { checkpoint, error }];
        let tries = self.checkpoints.as_ref().map_or(0, |checkpoints| checkpoints.last_tries);
        if pending.kind == Kind::Last && tries >= LAST_TRIES && self.first_failure().is_none() {
            // All records have been handled; only a failure from now on could tell, and does.
            commands.extend(self.commit_all());
            self.checkpoints.iter_mut().for_each(|checkpoints| checkpoints.unsaved = true);
        } else {
            // The last one is tried again later: what is wrong may pass.
            commands.extend(if pending.kind == Kind::Last { self.grow_next() } else { self.next_checkpoint() });
        }
        commands.extend(self.restart_all_gone());
        commands
    }

    /// What had to wait for a checkpoint.
    pub(super) fn next_checkpoint(&mut self) -> Vec<Command> {
        let mut commands = self.grow_next();
        commands.extend(self.last_checkpoint());
        if self.checkpoints.as_ref().is_some_and(|checkpoints| !checkpoints.wanted.is_empty()) {
            commands.extend(self.checkpoint_due());
        }
        commands
    }

    fn take_pending(&mut self, checkpoint: u64) -> Option<Pending> {
        self.checkpoints.as_mut()?.pending.take_if(|pending| pending.checkpoint == checkpoint)
    }

    /// A worker has come to its end, so its receivers may have no barrier to wait for.
    pub(super) fn done_while_checkpointing(&mut self) -> Vec<Command> {
        let mut commands: Vec<Command> = self.trigger_roots().into_iter().collect();
        commands.extend(self.last_checkpoint());
        commands
    }

    /// Begins with the last one, if everybody has come to an end.
    fn last_checkpoint(&mut self) -> Vec<Command> {
        let all_done = self.all_run() && self.workers.values().all(|member| member.done);
        match &mut self.checkpoints {
            Some(checkpoints) if all_done && checkpoints.pending.is_none() && !checkpoints.ended => {
                checkpoints.last_tries += 1;
                self.begin_checkpoint(Kind::Last)
            }
            _ => Vec::new(),
        }
    }

    /// Whether all workers have come to their end, and that is not saved yet.
    pub fn awaits_last_checkpoint(&self) -> bool {
        let all_done = self.workers.values().all(|member| member.done);
        all_done && self.checkpoints.as_ref().is_some_and(|checkpoints| !checkpoints.ended)
    }

    /// Whether effects are there to stay that no checkpoint knows of.
    pub(super) fn ends_unsaved(&self) -> bool {
        self.checkpoints.as_ref().is_some_and(|checkpoints| checkpoints.unsaved)
    }

    fn commit_all(&mut self) -> Option<Command> {
        let checkpoints = self.checkpoints.as_mut()?;
        checkpoints.ended = true;
        Some(Command::Commit(Commit::End))
    }
}
