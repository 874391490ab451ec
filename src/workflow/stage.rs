//! A vertex with workers of its own, together with all that runs in them.

use std::sync::Arc;
use std::time::Duration;

use super::blame::{Blame, take_blame};
use super::chain::{Downstream, Opening, Outlet, Prepared, Survey};
use super::failure::Failure;
use super::fused::{BUSY_FLUSH, Counted};
use super::operation::Progress;
use super::tolerance::Watch;
use super::{
    Batch, Cluster, Commit, Deployment, Error, Flush, Gate, Grown, Intake, Messages, Meter, NodeInfo, Operation,
    Origin, Outbox, Post, Pull, Rescale, Result, Saving, Snapshot, Strategy, Timestamp, Watermark, WorkerContext,
    Workers,
};
use crate::codec::CodecError;
use crate::id::VertexId;

/// The recipe of a stage, its types erased: what the runtime sees of a vertex that has workers.
pub trait StageFactory: Send + Sync {
    /// Where its records come from.
    fn origin(&self) -> Origin;
    /// Whether its workers send to each other.
    fn peers(&self) -> bool;
    /// What becomes of what was saved when there are other workers.
    fn rescale(&self) -> Rescale;
    /// Says which workers there are.
    ///
    /// # Errors
    /// As [`Strategy::deploy`].
    fn deploy(&self, cluster: &Cluster) -> Result<Deployment>;
    /// Says which workers there are to be beside these, on a node that has joined.
    ///
    /// # Errors
    /// As [`Strategy::on_node_joined`].
    fn on_node_joined(&self, joined: &NodeInfo, cluster: &Cluster, workers: &Workers) -> Result<Deployment>;
    /// Which vertices run in its workers besides its own, and which ones it sends to.
    fn survey(&self, survey: &mut Survey);
    /// Makes the stage of one worker.
    ///
    /// # Errors
    /// When an operation cannot be prepared or a strategy's `init` fails; with the vertex it failed in.
    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn Stage>, Failure>;
    /// Runs [`Strategy::listen`] for one worker; blocks until the source ends.
    ///
    /// # Errors
    /// As there.
    fn listen(&self, workers: &Workers, index: usize, gate: Box<dyn Gate>) -> Result<()>;
    /// Reads a batch that came over the network, into the memory of an empty one, if there is one.
    ///
    /// # Errors
    /// As [`Messages::decode`].
    fn decode(&self, bytes: &[u8], spare: Option<Box<dyn Batch>>) -> Result<Box<dyn Batch>, CodecError>;
}

/// What runs in one worker.
pub trait Stage: Send {
    /// Handles a batch of messages and leaves it empty.
    ///
    /// # Errors
    /// When an operation or the strategy fails.
    fn process(&mut self, batch: &mut dyn Batch) -> Result<(), Failure>;
    /// Asks a source for about `budget` records.
    ///
    /// # Errors
    /// When the source or an operation behind it fails.
    fn produce(&mut self, budget: usize) -> Result<Pull, Failure>;
    /// Lets everything leave that waits in the worker.
    ///
    /// # Errors
    /// When an operation or the strategy fails.
    fn flush(&mut self, due: Flush) -> Result<(), Failure>;
    /// Time has come so far behind all that has come.
    ///
    /// # Errors
    /// When an operation or the strategy fails.
    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure>;
    /// The clock shows this.
    ///
    /// # Errors
    /// When an operation or the strategy fails.
    fn tick(&mut self, now: Timestamp) -> Result<(), Failure> {
        let _ = now;
        Ok(())
    }
    /// Saves what the worker keeps; first when everything before the checkpoint has left it, and again, with the same
    /// snapshot, until it is done.
    ///
    /// # Errors
    /// When an operation or the strategy fails.
    fn snapshot(&mut self, snapshot: &mut Snapshot, first: bool) -> Result<Saving, Failure>;
    /// Tells the operations that their effects are there to stay.
    ///
    /// # Errors
    /// When an operation or the strategy fails.
    fn commit(&mut self, commit: Commit) -> Result<(), Failure>;
    /// Further workers have joined vertices: its own, or some that it sends to.
    ///
    /// # Errors
    /// When a hook has panicked before.
    fn joined(&mut self, grown: &Grown) -> Result<(), Failure>;
    /// All senders have ended.
    ///
    /// # Errors
    /// When the strategy fails.
    fn drain(&mut self) -> Result<(), Failure>;
    /// No message will come any more: ends the operations and lets everything leave.
    ///
    /// # Errors
    /// When an operation or the strategy fails.
    fn finish(&mut self) -> Result<(), Failure>;
    /// How far a bounded source has come.
    fn progress(&self) -> Option<Progress>;
}

/// The recipe of a stage.
pub(super) struct StageRecipe<S, O, D> {
    vertex: VertexId,
    strategy: S,
    operation: Prepared<O>,
    down: D,
}

impl<S, O, D> StageRecipe<S, O, D> {
    pub(super) fn new(vertex: VertexId, strategy: S, operation: Prepared<O>, down: D) -> Self {
        StageRecipe { vertex, strategy, operation, down }
    }
}

impl<O: Operation, S: Strategy<O>, D: Downstream<O::Out>> StageFactory for StageRecipe<S, O, D> {
    fn origin(&self) -> Origin {
        S::ORIGIN
    }

    fn peers(&self) -> bool {
        S::PEERS
    }

    fn rescale(&self) -> Rescale {
        S::RESCALE
    }

    fn deploy(&self, cluster: &Cluster) -> Result<Deployment> {
        self.strategy.deploy(self.operation.as_given(), cluster)
    }

    fn on_node_joined(&self, joined: &NodeInfo, cluster: &Cluster, workers: &Workers) -> Result<Deployment> {
        self.strategy.on_node_joined(self.operation.as_given(), joined, cluster, workers)
    }

    fn survey(&self, survey: &mut Survey) {
        survey.operation::<O>(self.vertex, |survey| self.down.survey(survey));
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn Stage>, Failure> {
        if let Some(tolerance) = opening.tolerance() {
            let watch = Watch::of_messages(tolerance, opening.id(self.vertex));
            let open = |down: &D, opening: &mut Opening<'_>| down.open_tolerant(opening);
            return Ok(Box::new(self.running::<_, true>(opening, Some(watch), open)?));
        }
        let open = |down: &D, opening: &mut Opening<'_>| down.open(opening);
        Ok(Box::new(self.running::<_, false>(opening, None, open)?))
    }

    fn listen(&self, workers: &Workers, index: usize, gate: Box<dyn Gate>) -> Result<()> {
        let operation = self.operation.get()?;
        let worker = WorkerContext { operation: &operation, workers, index };
        self.strategy.listen(&worker, &mut Intake::new(gate))
    }

    fn decode(&self, bytes: &[u8], spare: Option<Box<dyn Batch>>) -> Result<Box<dyn Batch>, CodecError> {
        Messages::<S::Message>::decode(bytes, spare)
    }
}

impl<O: Operation, S: Strategy<O>, D: Downstream<O::Out>> StageRecipe<S, O, D> {
    fn running<N: Outlet<O::Out>, const TOLERANT: bool>(
        &self,
        opening: &mut Opening<'_>,
        watch: Option<Watch<S::Message>>,
        open: impl FnOnce(&D, &mut Opening<'_>) -> Result<N>,
    ) -> Result<RunningStage<S, O, N, TOLERANT>, Failure> {
        let vertex = opening.id(self.vertex);
        // What stands behind it may have failed in its place.
        let fail = |error| Failure { vertex: take_blame().unwrap_or(vertex), error };
        let operation = self.operation.get().map_err(fail)?;
        let outlet = open(&self.down, opening).map_err(fail)?;
        let meter = opening.meter(self.vertex);
        let saved = opening.saved(self.vertex);
        let wiring = opening.wiring();
        let workers = wiring.workers(vertex);
        let index = wiring.index();
        let peers =
            if S::PEERS { Outbox::new(workers.len(), wiring.post(vertex)) } else { Outbox::new(0, Box::new(Nowhere)) };
        let worker = WorkerContext { operation: &operation, workers: &workers, index };
        let state = match saved {
            Some(saved) => self.strategy.restore(&worker, &saved),
            None => self.strategy.init(&worker),
        };
        let state = state.map_err(fail)?;
        let strategy = self.strategy.clone();
        Ok(RunningStage {
            running: Some((state, outlet)),
            strategy,
            operation,
            peers,
            workers,
            index,
            vertex,
            meter,
            settled: Duration::ZERO,
            watch,
        })
    }
}

/// Of the peers of a strategy that has said that it has none.
struct Nowhere;

impl Post for Nowhere {
    fn post(&mut self, _worker: usize, _batch: Box<dyn Batch>) {}

    fn spare(&mut self, _worker: usize) -> Option<Box<dyn Batch>> {
        None
    }

    fn load(&self, _worker: usize) -> usize {
        0
    }

    fn joined(&mut self, _workers: usize) {}

    fn advance(&mut self, _worker: usize, _watermark: Watermark) {}
}

struct RunningStage<S: Strategy<O>, O: Operation, N, const TOLERANT: bool> {
    /// The worker's state and what stands behind it; gone once a hook has panicked.
    running: Option<(S::State, N)>,
    strategy: S,
    operation: O,
    peers: Outbox<S::Message>,
    workers: Workers,
    index: usize,
    vertex: VertexId,
    meter: Arc<Meter>,
    /// When the strategy last settled.
    settled: Duration,
    /// Over messages that may fail.
    watch: Option<Watch<S::Message>>,
}

impl<O: Operation, S: Strategy<O>, N: Outlet<O::Out>, const TOLERANT: bool> RunningStage<S, O, N, TOLERANT> {
    /// Runs a hook of the strategy as user code of this vertex, with a counting outlet, and settles what it emitted.
    #[inline(always)]
    fn run<R>(
        &mut self,
        received: u64,
        hook: impl FnOnce(
            &S,
            &WorkerContext<'_, O>,
            &mut S::State,
            &mut Counted<'_, N>,
            &mut Outbox<S::Message>,
        ) -> Result<R>,
    ) -> Result<R, Failure> {
        // Moved to the stack for the length of a slice: what is written there for each record (a sum, a count) the
        // compiler keeps in registers, which it must not do with memory that it does not see the owner of.
        let Some((mut state, mut outlet)) = self.running.take() else { return Err(self.panicked()) };
        let blame = Blame(self.vertex);
        let worker = WorkerContext { operation: &self.operation, workers: &self.workers, index: self.index };
        let mut emitted = 0;
        let mut counted = Counted { next: &mut outlet, count: &mut emitted };
        let result = hook(&self.strategy, &worker, &mut state, &mut counted, &mut self.peers);
        std::mem::forget(blame);
        // Moved once more, so that the address of the one above is not seen by a call that is not inlined.
        let mut outlet = outlet;
        let settled = outlet.settle(emitted);
        self.running = Some((state, outlet));
        self.meter.add(received, emitted);
        let result = result.map_err(|error| Failure { vertex: self.vertex, error })?;
        settled?;
        Ok(result)
    }

    fn panicked(&self) -> Failure {
        Failure { vertex: self.vertex, error: Error::Operation("called again after a panic".to_owned()) }
    }

    fn outlet(&mut self) -> Result<&mut N, Failure> {
        let panicked = self.panicked();
        self.running.as_mut().map(|(_, outlet)| outlet).ok_or(panicked)
    }
}

impl<O: Operation, S: Strategy<O>, N: Outlet<O::Out>, const TOLERANT: bool> Stage for RunningStage<S, O, N, TOLERANT> {
    fn process(&mut self, batch: &mut dyn Batch) -> Result<(), Failure> {
        let Some(messages) = batch.as_any_mut().downcast_mut::<Messages<S::Message>>() else {
            let error = Error::Operation("received a batch of another type".to_owned());
            return Err(Failure { vertex: self.vertex, error });
        };
        let received = messages.0.len() as u64;
        if TOLERANT && let Some(mut watch) = self.watch.take() {
            let result = self.run(received, |strategy, worker, state, outlet, peers| {
                messages.0.drain(..).try_for_each(|message| {
                    watch.give(message, |message| strategy.process(worker, state, message, outlet, peers).err())
                })
            });
            self.watch = Some(watch);
            return result;
        }
        self.run(received, |strategy, worker, state, outlet, peers| {
            for message in messages.0.drain(..) {
                strategy.process(worker, state, message, outlet, peers)?;
            }
            Ok(())
        })
    }

    fn produce(&mut self, budget: usize) -> Result<Pull, Failure> {
        self.run(0, |strategy, worker, state, outlet, _| strategy.produce(worker, state, budget, outlet))
    }

    fn flush(&mut self, due: Flush) -> Result<(), Failure> {
        if !matches!(due, Flush::Busy { now } if now < self.settled + BUSY_FLUSH) {
            self.run(0, |strategy, worker, state, outlet, peers| strategy.settle(worker, state, outlet, peers, due))?;
            if let Flush::Busy { now } | Flush::Idle { now } = due {
                self.settled = now;
            }
        }
        self.peers.flush();
        self.outlet()?.flush(due)
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        if S::PEERS {
            // What is under way between them may be earlier, and nobody knows.
            return Ok(());
        }
        if let Watermark::At(time) = watermark {
            self.run(0, |strategy, worker, state, outlet, _| strategy.advance(worker, state, time, outlet))?;
        }
        self.outlet()?.advance(watermark)
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), Failure> {
        self.run(0, |strategy, worker, state, outlet, _| strategy.tick(worker, state, now, outlet))
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot, first: bool) -> Result<Saving, Failure> {
        if first {
            self.outlet()?.snapshot(snapshot)?;
            snapshot.of(self.vertex);
        }
        self.run(0, |strategy, worker, state, _, _| strategy.snapshot(worker, state, snapshot))
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.run(0, |strategy, worker, state, _, _| strategy.commit(worker, state, commit))?;
        self.outlet()?.commit(commit)
    }

    fn joined(&mut self, grown: &Grown) -> Result<(), Failure> {
        if let Some(workers) = grown.get(&self.vertex) {
            self.workers = Arc::clone(workers);
        }
        self.outlet()?.joined(grown);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Failure> {
        self.run(0, |strategy, worker, state, _, peers| strategy.drain(worker, state, peers))?;
        self.peers.flush();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.run(0, |strategy, worker, state, outlet, _| strategy.finish(worker, state, outlet))?;
        self.outlet()?.finish()
    }

    fn progress(&self) -> Option<Progress> {
        let worker = WorkerContext { operation: &self.operation, workers: &self.workers, index: self.index };
        self.strategy.progress(&worker, self.running.as_ref().map(|(state, _)| state)?)
    }
}
