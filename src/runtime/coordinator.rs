//! The coordinator of a deployment: what follows from what its workers say. Pure: an event in, commands out.

mod checkpointing;
mod growing;
mod restarting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use self::checkpointing::Checkpointing;
pub use self::checkpointing::WorkerSaved;
use self::growing::Growing;
use self::restarting::Standing;
use super::growth::Growth;
use super::plan::Links;
use super::regions::Region;
use crate::id::{NodeId, VertexId, WorkerId};
use crate::workflow::{Commit, Error, Failure};

/// What happens to a deployment.
#[derive(Debug, Serialize, Deserialize)]
pub enum Event {
    /// A node has made its workers.
    Prepared(NodeId),
    /// A node is connected to all those that its workers exchange batches with.
    Connected(NodeId),
    /// A node takes no part in it, or not any more; its workers are gone.
    Lost { node: NodeId, error: Error },
    /// A node has lost what it needs to go on: its connection to another node, if there is the number of one.
    Broken { node: NodeId, with: Option<u32>, error: Error },
    /// A worker is prepared.
    Opened(WorkerId),
    /// A worker has no senders left and nothing to do; so many batches went to and came from its peers.
    Drained { worker: WorkerId, sent: u64, received: u64 },
    /// The answer to a probe.
    Probed { worker: WorkerId, round: u32, sent: u64, received: u64 },
    /// A worker is done; all that it had to send has left.
    Done(WorkerId),
    /// A worker has failed.
    Failed(WorkerId, Failure),
    /// The actor of a worker has ended.
    Gone(WorkerId),
    /// A node has joined, and is to get workers.
    Grow(Growth),
    /// A node is connected to the one that joins, or need not be.
    Met { node: NodeId, joined: NodeId },
    /// Whether a worker waits for the ends of those that join, too; it does not if it has ended.
    Expects { worker: WorkerId, joined: NodeId, agreed: bool },
    /// Whether a worker sends to those that have joined, too, and will tell them when it ends; it does not if it has
    /// ended.
    Told { worker: WorkerId, joined: NodeId, knows: bool },
    /// It is time for a checkpoint.
    Checkpoint,
    /// A checkpoint has taken so long that it is not to wait for alignment any more.
    Overdue { checkpoint: u64 },
    /// Somebody wants a savepoint, and perhaps the deployment to stop at it.
    Savepoint { stop: bool },
    /// What a worker has saved is in the store.
    Saved(WorkerSaved),
    /// What a worker has saved cannot be stored.
    NotSaved { worker: WorkerId, checkpoint: u64, error: Error },
    /// A checkpoint is complete.
    Sealed { checkpoint: u64 },
    /// The manifest of a checkpoint cannot be stored.
    NotSealed { checkpoint: u64, error: Error },
    /// Somebody wants it to stop in order.
    Stop,
    /// Somebody wants it to stop at once.
    Abort,
    /// Workers that were to end at once have had their time.
    Expired,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Let the nodes connect to each other.
    Connect,
    /// Let all workers prepare.
    Open,
    /// Tell all workers that everybody is prepared.
    Start,
    /// Tell the sources to end.
    StopSources,
    /// Ask the workers of a vertex for their counts.
    Probe { vertex: VertexId, round: u32 },
    /// Tell the workers of a vertex that no message between them is under way.
    Finish { vertex: VertexId },
    /// Have workers save what they keep, as soon as no barrier is awaited any more.
    /// Sources that are to halt read nothing behind it.
    Trigger { checkpoint: u64, workers: Vec<WorkerId>, halt: bool },
    /// Have all workers save what they keep for a checkpoint, with what is under way to them.
    Hurry { checkpoint: u64 },
    /// Complete a checkpoint, of which workers have saved this.
    Seal { checkpoint: u64, saved: Vec<WorkerSaved>, savepoint: bool },
    /// Have workers end at a savepoint, whose effects are there to stay.
    Suspend { checkpoint: u64 },
    /// A checkpoint is not completed.
    Abandon { checkpoint: u64, error: Error },
    /// Tell all workers that effects are there to stay.
    Commit(Commit),
    /// Have a node that joins make its workers.
    Invite(NodeId),
    /// Let nodes connect to the one that joins.
    Meet(Growth),
    /// Let the workers on a node that joins prepare.
    OpenOn(NodeId),
    /// Ask the workers of these vertices to wait for so many further ends.
    Expect { joined: NodeId, ends: BTreeMap<VertexId, u32> },
    /// Let the workers on a node that joins begin, and tell those that send to them.
    Welcome(NodeId),
    /// Tell a worker that it need not wait for so many ends.
    Release { worker: WorkerId, ends: u32 },
    /// Forget a node that was to join.
    Dismiss { joined: NodeId, error: Error },
    /// End all workers at once.
    GiveUp,
    /// The deployment has ended.
    End(Ending),
    /// Do this in one region alone, of several. For the supervisor, which takes it apart.
    #[serde(skip)]
    Within(Region, Box<Command>),
    /// The workers of a region have failed and are gone: start them anew, or give up all. For the supervisor.
    #[serde(skip)]
    Restart { region: Region, worker: Option<WorkerId>, failure: Failed, stuck: Vec<WorkerId> },
}

/// How a deployment ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// All sources came to their end and the last record was handled.
    Completed,
    /// It was told to stop, and did so in order.
    Stopped,
    /// It failed. With the worker that did, and those whose user code had not returned when the rest had ended.
    Failed { worker: Option<WorkerId>, failure: Failed, stuck: Vec<WorkerId> },
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    pub vertex: Option<VertexId>,
    pub error: Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Counts {
    sent: u64,
    received: u64,
}

#[derive(Clone, Debug, Hash)]
struct Member {
    node: NodeId,
    region: Region,
    opened: bool,
    done: bool,
    gone: bool,
    drained: Option<Counts>,
    probed: Option<Counts>,
}

impl Member {
    fn new(node: NodeId, region: Region) -> Member {
        Member { node, region, opened: false, done: false, gone: false, drained: None, probed: None }
    }
}

/// How far a node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    #[default]
    Asked,
    Prepared,
    Connected,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Coordinator {
    regions: BTreeMap<Region, Standing>,
    workers: BTreeMap<WorkerId, Member>,
    links: Links,
    /// A node that joins, and those that wait until it has.
    growing: Option<Growing>,
    waiting: VecDeque<Growth>,
    /// None if it takes none.
    checkpoints: Option<Checkpointing>,
    /// It has come to the savepoint at which it is to stop: workers end before their work is done.
    suspended: bool,
    /// Vertices whose workers send to each other.
    peers: BTreeSet<VertexId>,
    /// The round of probes that each vertex is in.
    rounds: BTreeMap<VertexId, u32>,
    /// Records have flowed, everywhere.
    started: bool,
    stopping: bool,
    failed: Option<(Option<WorkerId>, Failed)>,
    ended: bool,
}

impl Coordinator {
    /// A coordinator of these workers, each with its node, which depend on each other.
    pub fn new(workers: impl IntoIterator<Item = (WorkerId, NodeId)>, links: Links) -> Self {
        let member = |(id, node)| (id, Member::new(node, Region::default()));
        let workers: BTreeMap<_, _> = workers.into_iter().map(member).collect();
        let all = Standing::of(workers.values().map(|member| member.node));
        Coordinator {
            regions: BTreeMap::from([(Region::default(), all)]),
            workers,
            links,
            growing: None,
            waiting: VecDeque::new(),
            checkpoints: None,
            suspended: false,
            peers: BTreeSet::new(),
            rounds: BTreeMap::new(),
            started: false,
            stopping: false,
            failed: None,
            ended: false,
        }
    }

    /// Workers of these vertices send to each other.
    #[must_use]
    pub fn with_peers(mut self, peers: BTreeSet<VertexId>) -> Self {
        self.peers = peers;
        self
    }

    /// An attempt before has come to the savepoint at which it was to stop, and failed before all effects were brought
    /// about: this one does that, and nothing else.
    #[must_use]
    pub fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    /// Whether it has come to the savepoint at which it is to stop.
    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// What follows from an event where there is only one region.
    #[cfg(test)]
    pub fn handle(&mut self, event: Event) -> Vec<Command> {
        self.handle_from(Region::default(), event)
    }

    /// What follows from an event of a region, or of nobody.
    pub fn handle_from(&mut self, region: Region, event: Event) -> Vec<Command> {
        if self.ended {
            return Vec::new();
        }
        let event = match self.handle_of_joining(event) {
            Ok(commands) => return commands,
            Err(event) => event,
        };
        match event {
            Event::Prepared(node) => self.stepped(region, node, Step::Prepared),
            Event::Connected(node) => self.stepped(region, node, Step::Connected),
            Event::Lost { node, error } => self.lost(region, node, error),
            Event::Broken { node, with, error } if self.knows(node.number) && with.is_none_or(|n| self.knows(n)) => {
                self.broken(region, error)
            }
            Event::Opened(worker) => self.opened(worker),
            Event::Drained { worker, sent, received } => self.drained(worker, Counts { sent, received }),
            Event::Probed { worker, round, sent, received } => self.probed(worker, round, Counts { sent, received }),
            Event::Done(worker) => self.done(worker),
            Event::Failed(worker, failure) if self.workers.contains_key(&worker) => {
                let failed = Failed { vertex: Some(failure.vertex), error: failure.error };
                self.fail_in(region, Some(worker), failed)
            }
            Event::Gone(worker) => self.gone(worker),
            Event::Grow(growth) => self.grow(growth),
            Event::Expects { worker, joined, agreed } => self.expects(worker, joined, agreed),
            Event::Told { worker, joined, knows } => self.told(worker, joined, knows),
            Event::Checkpoint => self.checkpoint_due(),
            Event::Savepoint { stop } => self.savepoint(stop),
            Event::Saved(saved) => self.saved(saved),
            Event::Overdue { checkpoint } => self.overdue(checkpoint),
            Event::NotSaved { checkpoint, error, .. } | Event::NotSealed { checkpoint, error } => {
                self.not_saved(checkpoint, error)
            }
            Event::Sealed { checkpoint } => self.sealed(checkpoint),
            Event::Stop => self.stop(),
            Event::Abort => self.fail(None, Failed { vertex: None, error: Error::Aborted }),
            Event::Expired if self.failed.is_some() => self.end(),
            // Of nodes that were to join, and are forgotten; or too late.
            Event::Broken { .. } | Event::Failed(..) | Event::Met { .. } | Event::Expired => Vec::new(),
        }
    }

    fn knows(&self, node: u32) -> bool {
        self.regions.values().any(|standing| standing.knows(node))
    }

    /// All nodes of a region take each step before one takes the next.
    fn stepped(&mut self, region: Region, node: NodeId, step: Step) -> Vec<Command> {
        let failed = self.failed.is_some();
        let Some(standing) = self.regions.get_mut(&region) else { return Vec::new() };
        match standing.stepped(node, step).filter(|_| !failed) {
            None | Some(Step::Asked) => Vec::new(),
            Some(Step::Prepared) => vec![self.within(region, Command::Connect)],
            Some(Step::Connected) => vec![self.within(region, Command::Open)],
        }
    }

    fn lost(&mut self, region: Region, node: NodeId, error: Error) -> Vec<Command> {
        if !self.regions.get_mut(&region).is_some_and(|standing| standing.forget(node)) {
            return self.wait_no_more(node, error);
        }
        let lost = self.workers.values_mut().filter(|member| member.node == node && member.region == region);
        lost.for_each(|member| member.gone = true);
        if self.failed.is_some() {
            self.end_if_gone()
        } else if self.fails(region) {
            self.restart_if_gone(region)
        } else {
            self.broken(region, error)
        }
    }

    fn broken(&mut self, region: Region, error: Error) -> Vec<Command> {
        self.fail_in(region, None, Failed { vertex: None, error })
    }

    fn opened(&mut self, worker: WorkerId) -> Vec<Command> {
        let Some(member) = self.workers.get_mut(&worker) else { return Vec::new() };
        member.opened = true;
        let region = member.region;
        if self.started {
            return self.restarted(region);
        }
        if self.failed.is_some() || !self.workers.values().all(|member| member.opened) {
            return Vec::new();
        }
        self.started = true;
        self.regions.values_mut().for_each(Standing::start);
        if self.suspended {
            return self.resumed_to_end();
        }
        let mut commands = vec![Command::Start];
        commands.extend(self.resumed());
        if self.stopping {
            commands.push(Command::StopSources);
        }
        commands.extend(self.grow_next());
        commands
    }

    fn stop(&mut self) -> Vec<Command> {
        if self.stopping || self.failed.is_some() {
            return Vec::new();
        }
        self.stopping = true;
        let mut commands = self.dismiss_all(&Error::from("the deployment stops"));
        // Who goes on from a savepoint that somebody has asked for before goes on with what is left to read.
        if self.started && !self.awaits_savepoint() {
            commands.extend(self.stop_sources());
        }
        commands
    }

    /// Messages between the workers of a vertex have come to rest when all have drained, as many were received as were
    /// sent, and none of that has changed when everybody is asked again (the four-counter method of Mattern, 1987).
    fn drained(&mut self, worker: WorkerId, counts: Counts) -> Vec<Command> {
        let vertex = worker.vertex;
        let Some(member) = self.workers.get_mut(&worker) else { return Vec::new() };
        member.drained = Some(counts);
        let (mut sent, mut received) = (0, 0);
        for (_, member) in self.workers.iter_mut().filter(|(id, _)| id.vertex == vertex) {
            member.probed = None;
            let Some(counts) = member.drained else { return Vec::new() };
            sent += counts.sent;
            received += counts.received;
        }
        // Whatever round is under way was about older counts.
        let round = self.rounds.entry(vertex).or_insert(0);
        *round += 1;
        if sent == received { vec![Command::Probe { vertex, round: *round }] } else { Vec::new() }
    }

    fn probed(&mut self, worker: WorkerId, round: u32, counts: Counts) -> Vec<Command> {
        let vertex = worker.vertex;
        if self.rounds.get(&vertex) != Some(&round) {
            return Vec::new();
        }
        let Some(member) = self.workers.get_mut(&worker) else { return Vec::new() };
        member.probed = Some(counts);
        let unchanged = |(_, member): (&WorkerId, &Member)| member.probed.is_some() && member.probed == member.drained;
        if self.workers.iter().filter(|(id, _)| id.vertex == vertex).all(unchanged) {
            vec![Command::Finish { vertex }]
        } else {
            Vec::new()
        }
    }

    /// All of it fails.
    pub fn fail(&mut self, worker: Option<WorkerId>, mut failed: Failed) -> Vec<Command> {
        if self.failed.is_some() {
            return Vec::new();
        }
        if self.ends_unsaved() && failed.error != Error::Aborted {
            failed.error = Error::Unsaved { cause: Box::new(failed.error) };
        }
        self.failed = Some((worker, failed));
        self.growing = None;
        self.waiting.clear();
        self.checkpoints = None;
        let mut commands = vec![Command::GiveUp];
        commands.extend(self.end_if_gone());
        commands
    }

    fn done(&mut self, worker: WorkerId) -> Vec<Command> {
        let Some(member) = self.workers.get_mut(&worker) else { return Vec::new() };
        member.done = true;
        let was_done_before = member.drained.is_none();
        let mut commands = self.ended_while_growing(worker);
        if was_done_before && self.peers.contains(&worker.vertex) {
            // It goes on after its end: its peers have nothing to expect of it.
            commands.extend(self.drained(worker, Counts { sent: 0, received: 0 }));
        }
        commands.extend(self.done_while_checkpointing());
        commands
    }

    fn gone(&mut self, worker: WorkerId) -> Vec<Command> {
        let Some(member) = self.workers.get_mut(&worker) else { return Vec::new() };
        member.gone = true;
        let (may_go, region) = (member.done || (self.suspended && self.started), member.region);
        if self.failed.is_none() && self.fails(region) {
            return self.restart_if_gone(region);
        }
        if !may_go && self.failed.is_none() {
            let error = Error::Operation("the worker ended before its work was done".to_owned());
            return self.fail_in(region, Some(worker), Failed { vertex: Some(worker.vertex), error });
        }
        self.end_if_gone()
    }

    fn end_if_gone(&mut self) -> Vec<Command> {
        if self.workers.values().all(|member| member.gone) { self.end() } else { Vec::new() }
    }

    fn end(&mut self) -> Vec<Command> {
        self.ended = true;
        let ending = match self.failed.take() {
            Some((worker, failure)) => {
                let stuck = self.workers.iter().filter(|(_, member)| !member.gone).map(|(id, _)| *id).collect();
                Ending::Failed { worker, failure, stuck }
            }
            None if self.stopping || self.suspended => Ending::Stopped,
            None => Ending::Completed,
        };
        vec![Command::End(ending)]
    }
}

#[cfg(test)]
mod tests;
