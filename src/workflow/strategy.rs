//! How an operation is distributed: the strategy and what its hooks get to see.

use std::time::Duration;

use super::chain::{Downstream, Upstream};
use super::operation::Progress;
use super::stage::StageRecipe;
use super::{
    Cluster, Commit, Deliver, Deployment, Emit, Graph, Intake, NodeInfo, Operation, Outbox, Pull, Result, Role, Saved,
    Saving, Snapshot, Timestamp, Workers,
};
use crate::codec::{KEY_GROUPS, Record};
use crate::id::{NodeId, VertexId};

/// Where the records of a vertex come from, if not from links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// From other vertices, by links.
    #[default]
    Links,
    /// [`Strategy::produce`] is asked for them.
    Produce,
    /// [`Strategy::listen`] takes them in, on a thread of its own.
    Listen,
}

/// The worker that owns a key group, of so many: workers own groups in ranges, so that a change of their number moves
/// whole ranges.
#[inline(always)]
pub fn owner_of_group(group: u32, workers: usize) -> usize {
    (group as usize * workers) / KEY_GROUPS as usize
}

/// What the hooks on the sender's side see.
#[derive(Debug)]
pub struct LinkContext<'a, O> {
    /// The operation of the receiving vertex.
    pub operation: &'a O,
    /// The workers of the receiving vertex; an outbox numbers them in this order.
    pub workers: &'a Workers,
    /// The in port of the receiving vertex, by its place in [`Operation::IN_PORTS`].
    pub port: usize,
    /// The node that the sender runs on.
    pub node: NodeId,
    /// The number of the sender among the workers of its own vertex.
    pub sender: usize,
}

/// What the hooks in a worker see.
#[derive(Debug)]
pub struct WorkerContext<'a, O> {
    /// The operation.
    pub operation: &'a O,
    /// All workers of the vertex.
    pub workers: &'a Workers,
    /// The number of this worker.
    pub index: usize,
}

impl<O> WorkerContext<'_, O> {
    /// The role of this worker.
    pub fn role(&self) -> &Role {
        &self.workers[self.index].role
    }
}

/// Why a flush is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// The worker is busy; this comes about every millisecond. `now` is the time since the worker started.
    Busy {
        /// Time since the worker started.
        now: Duration,
    },
    /// The worker has nothing to do.
    Idle {
        /// Time since the worker started.
        now: Duration,
    },
    /// A checkpoint or a watermark: what was delivered before it must be received before it.
    Barrier,
    /// No more records will come.
    End,
}

/// How what was saved is given to workers of another number than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rescale {
    /// It is not: each worker goes on with what the worker of its number has saved, and there have to be as many. A
    /// vertex of which nothing was saved may have any number.
    #[default]
    Refused,
    /// Key groups go to their owners, in ranges, as [`owner_of_group`](crate::workflow::owner_of_group) says; units are
    /// dealt out. What was saved as a whole is refused.
    Dealt,
    /// Each worker is given all that was saved, and takes what it needs.
    Given,
}

/// Distribution logic: where workers stand, who gets a record, what a worker does with it.
///
/// A strategy is generic over the operations that it can distribute: it asks for the callbacks that it needs,
/// `impl<O: Keyed + React> Strategy<O> for KeyedState`. All built-in strategies are written on this trait, and a
/// user's can do what they can. To take a strategy as it is and replace a hook, see
/// [`Extension`](super::Extension).
///
/// What a strategy asks for and an operation lacks, the compiler names:
///
/// ```compile_fail,E0277
/// use skitter::prelude::*;
///
/// # let workflow = WorkflowBuilder::new();
/// // error: the operation `KeyedReduce<…>` cannot combine records before they travel
/// let numbers = workflow.source(StreamSource::new(|| 0..10u64));
/// numbers.keyed_reduce(|n| n % 3, 0u64, |sum, n| { *sum += n; *sum }).with(Combining).discard();
/// ```
///
/// Guarantees: messages from one sender to one worker arrive in the order of sending; a worker runs one hook at a time.
#[diagnostic::on_unimplemented(
    message = "the strategy `{Self}` cannot distribute the operation `{O}`",
    note = "the operation lacks a callback that the strategy needs, or its records cannot travel"
)]
pub trait Strategy<O: Operation>: Clone + Send + Sync + 'static {
    /// What travels to a worker.
    type Message: Record;
    /// What a sender keeps between records, for example whose turn it is.
    type Sender: Send + 'static;
    /// What a worker keeps.
    type State: Record;

    /// The name shown in graphs.
    const NAME: &'static str;
    /// Where records come from, if not by links.
    const ORIGIN: Origin = Origin::Links;
    /// Whether workers send messages to workers of the same vertex ([`process`](Strategy::process) and
    /// [`drain`](Strategy::drain) may then use their outbox).
    const PEERS: bool = false;
    /// Whether its workers tell the operation how far time has come, in [`advance`](Strategy::advance). One that does
    /// not is refused for operations that [need time](Operation::NEEDS_TIME).
    const TELLS_TIME: bool = false;
    /// What becomes of what was saved when there are other workers.
    ///
    /// A workflow that goes on has workers of the same numbers, and nodes that come back under their names have the
    /// numbers that they had, as long as the master lives. Who gets what may depend on these, and on nothing that a
    /// node is started with.
    const RESCALE: Rescale = Rescale::Refused;

    /// Says which workers there are. Runs once, on the master; must depend on its arguments alone.
    ///
    /// # Errors
    /// An error fails the deployment before anything starts.
    fn deploy(&self, operation: &O, cluster: &Cluster) -> Result<Deployment>;

    /// Says which workers there are to be beside those that there are, on a node that has joined the cluster while the
    /// workflow runs; all of them on that node. They come behind the others, whose numbers stay. Runs on the master;
    /// must depend on its arguments alone. `cluster` has the new node in it.
    ///
    /// The default adds none, and is right where the result depends on who gets what: a worker that is added begins
    /// without any state, and senders learn of it one after the other. So for a strategy under which any worker may
    /// handle any record. Not asked when workers have [`PEERS`](Strategy::PEERS).
    ///
    /// # Errors
    /// An error is written to the log, and no worker is added.
    fn on_node_joined(
        &self,
        operation: &O,
        joined: &NodeInfo,
        cluster: &Cluster,
        workers: &Workers,
    ) -> Result<Deployment> {
        let _ = (operation, joined, cluster, workers);
        Ok(Deployment::default())
    }

    /// The state of a sender, made in each worker that has a link to the vertex.
    fn sender(&self, link: &LinkContext<'_, O>) -> Self::Sender;

    /// The vertex has got further workers, which are the last of `link.workers`. Runs in the *sender's* worker, between
    /// two records. Only a sender that keeps something about its receivers has anything to do.
    fn on_workers_joined(&self, link: &LinkContext<'_, O>, sender: &mut Self::Sender) {
        let _ = (link, sender);
    }

    /// Picks the receiver of a record. Runs in the *sender's* worker, for each record, in its loop.
    fn deliver(
        &self,
        link: &LinkContext<'_, O>,
        sender: &mut Self::Sender,
        record: O::In,
        outbox: &mut Outbox<Self::Message>,
    );

    /// Lets go of what a sender has kept back. With [`Flush::End`] and [`Flush::Barrier`] it must keep no record: what
    /// a sender has is not saved.
    fn flush(
        &self,
        link: &LinkContext<'_, O>,
        sender: &mut Self::Sender,
        outbox: &mut Outbox<Self::Message>,
        due: Flush,
    ) {
        let _ = (link, sender, outbox, due);
    }

    /// The clock shows `now`; see [`React::tick`](super::React::tick).
    ///
    /// # Errors
    /// An error fails the deployment.
    fn tick<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        now: Timestamp,
        emit: &mut E,
    ) -> Result<()> {
        let _ = (worker, state, now, emit);
        Ok(())
    }

    /// The state of a worker.
    ///
    /// # Errors
    /// An error fails the deployment before it starts.
    fn init(&self, worker: &WorkerContext<'_, O>) -> Result<Self::State>;

    /// Saves what a worker keeps: all messages before the checkpoint have been handled, and none after it. The default
    /// saves the state as a whole.
    ///
    /// With [`Saving::More`] it is called again, between other calls, until it is done: what it saves later must be as
    /// it was at the first call, as [`KeyedTable`](super::KeyedTable) sees to.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn snapshot(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        snapshot: &mut Snapshot,
    ) -> Result<Saving> {
        let _ = worker;
        snapshot.put(state)?;
        Ok(Saving::Done)
    }

    /// The state of a worker that goes on with what was saved; in place of [`init`](Strategy::init).
    ///
    /// # Errors
    /// An error fails the deployment.
    fn restore(&self, worker: &WorkerContext<'_, O>, saved: &Saved) -> Result<Self::State> {
        saved.whole()?.map_or_else(|| self.init(worker), Ok)
    }

    /// Effects of the operation are there to stay; see [`React::commit`](super::React::commit).
    ///
    /// # Errors
    /// An error fails the deployment.
    fn commit(&self, worker: &WorkerContext<'_, O>, state: &mut Self::State, commit: Commit) -> Result<()> {
        let _ = (worker, state, commit);
        Ok(())
    }

    /// Handles a message in a worker.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        message: Self::Message,
        emit: &mut E,
        peers: &mut Outbox<Self::Message>,
    ) -> Result<()>;

    /// Emits about `budget` records; only called with [`Origin::Produce`].
    ///
    /// # Errors
    /// An error fails the deployment.
    fn produce<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        budget: usize,
        emit: &mut E,
    ) -> Result<Pull> {
        let _ = (worker, state, budget, emit);
        Ok(Pull::End)
    }

    /// How far a bounded source has come, if it knows.
    fn progress(&self, worker: &WorkerContext<'_, O>, state: &Self::State) -> Option<Progress> {
        let _ = (worker, state);
        None
    }

    /// Takes records in from outside; only called with [`Origin::Listen`], on a thread of its own.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn listen(&self, worker: &WorkerContext<'_, O>, intake: &mut Intake<Self::Message>) -> Result<()> {
        let _ = (worker, intake);
        Ok(())
    }

    /// Time has come to `time` in all streams before the worker; see [`React::advance`](super::React::advance). What it
    /// keeps back it has to emit, because watermarks go on behind this. Not called with [`PEERS`](Strategy::PEERS):
    /// time does not pass such a vertex until that ends.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn advance<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        time: Timestamp,
        emit: &mut E,
    ) -> Result<()> {
        let _ = (worker, state, time, emit);
        Ok(())
    }

    /// Lets a worker emit, or send to its peers, what it has kept back, and its operation flush. Called when the worker
    /// has nothing to do and about ten times a second while it is busy.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn settle<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        emit: &mut E,
        peers: &mut Outbox<Self::Message>,
        due: Flush,
    ) -> Result<()> {
        let _ = (worker, state, emit, peers, due);
        Ok(())
    }

    /// Called, with [`Strategy::PEERS`] only, when all senders have ended; messages from peers may still follow. The
    /// last time at which a worker may begin to send to peers on its own: after it, it may answer in
    /// [`process`](Strategy::process), but send nothing in [`settle`](Strategy::settle).
    ///
    /// # Errors
    /// An error fails the deployment.
    fn drain(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        peers: &mut Outbox<Self::Message>,
    ) -> Result<()> {
        let _ = (worker, state, peers);
        Ok(())
    }

    /// Called once, when no message will come any more.
    ///
    /// # Errors
    /// An error fails the deployment.
    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        let _ = (worker, state, emit);
        Ok(())
    }

    /// Joins the operation to what is before and behind it. The default gives the vertex workers of its own;
    /// [`Chained`](crate::strategies::Chained) runs it inside the workers before it instead.
    #[doc(hidden)]
    fn close<U: Upstream<O::In>, D: Downstream<O::Out>>(
        self,
        vertex: VertexId,
        operation: O,
        upstream: U,
        down: D,
        graph: &Graph,
    ) {
        if O::KEEPS_TIME {
            graph.refuse(vertex, "it says how far time has come where the records are; leave it `Chained`");
        }
        if O::NEEDS_TIME && !Self::TELLS_TIME {
            let strategy = Self::NAME;
            graph.refuse(vertex, &format!("strategy `{strategy}` does not tell it how far time has come"));
        }
        let operation = graph.prepared(vertex, operation);
        graph.add_stage(vertex, StageRecipe::new(vertex, self.clone(), operation.clone(), down));
        upstream.close(Deliver::new(vertex, self, operation), graph);
    }
}
