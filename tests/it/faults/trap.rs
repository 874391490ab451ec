//! User code with a trap in a place of the test's choice.

use serde::{Deserialize, Serialize};
use skitter::prelude::*;
use skitter::workflow::{
    Cluster, Deployment, Error, Flush, Intake, Keyed, LinkContext, Outbox, Passive, Progress, Pull, Share, Source,
    WorkerContext,
};

/// Where something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    Nowhere,
    // Of an operation.
    Conf,
    Init,
    React,
    Key,
    Flush,
    Finish,
    DropState,
    DropOperation,
    // Of a source.
    Open,
    Read,
    ReadProgress,
    Listen,
    // Of a strategy.
    Sender,
    Deliver,
    DeliverFlush,
    StrategyInit,
    Process,
    Settle,
    Drain,
    StrategyFinish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum How {
    Error,
    Panic,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Trap(pub(super) Place, pub(super) How);

pub(super) const SET_NOWHERE: Trap = Trap(Place::Nowhere, How::Error);

impl Trap {
    /// Fails if this is the place.
    pub(super) fn step(self, here: Place) -> Result<()> {
        match self {
            Trap(place, How::Error) if place == here => Err(Error::from("sprung")),
            trap => {
                trap.sprung(here);
                Ok(())
            }
        }
    }

    /// Panics if this is the place.
    pub(super) fn sprung(self, here: Place) {
        // Nobody could live through a panic in a panic.
        assert!(self.0 != here || std::thread::panicking(), "sprung");
    }

    pub(super) fn error(self) -> Error {
        match self.1 {
            How::Error => Error::from("sprung"),
            How::Panic => Error::Panic("sprung".to_owned()),
        }
    }
}

/// An operation that does nothing to its records.
#[derive(Clone)]
pub(super) struct Trapped(pub(super) Trap);

#[derive(Serialize, Deserialize)]
pub(super) struct TrappedState(Trap);

impl Drop for TrappedState {
    fn drop(&mut self) {
        self.0.sprung(Place::DropState);
    }
}

impl Drop for Trapped {
    fn drop(&mut self) {
        // Copies are dropped while the workflow is built, too.
        if std::thread::current().name() == Some("skitter-worker") {
            self.0.sprung(Place::DropOperation);
        }
    }
}

impl Operation for Trapped {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "trapped";

    fn conf(&mut self) -> Result<()> {
        self.0.step(Place::Conf)
    }
}

impl React for Trapped {
    type State = TrappedState;

    fn init(&self) -> TrappedState {
        self.0.sprung(Place::Init);
        TrappedState(self.0)
    }

    fn react<E: Emit<u64>>(&self, _state: &mut TrappedState, record: u64, emit: &mut E) -> Result<()> {
        self.0.step(Place::React)?;
        emit.emit(record);
        Ok(())
    }

    fn flush(&self, _state: &mut TrappedState) -> Result<()> {
        self.0.step(Place::Flush)
    }

    fn finish<E: Emit<u64>>(&self, _state: &mut TrappedState, _emit: &mut E) -> Result<()> {
        self.0.step(Place::Finish)
    }
}

impl Keyed for Trapped {
    type Key = u64;

    fn key(&self, record: &u64) -> u64 {
        self.0.sprung(Place::Key);
        record % 7
    }
}

/// Round robin.
#[derive(Clone)]
pub(super) struct Handed(pub(super) Trap);

impl Strategy<Trapped> for Handed {
    type Message = u64;
    type Sender = usize;
    type State = TrappedState;
    const NAME: &'static str = "handed";
    const PEERS: bool = true;

    fn deploy(&self, _operation: &Trapped, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, link: &LinkContext<'_, Trapped>) -> usize {
        self.0.sprung(Place::Sender);
        link.sender
    }

    fn deliver(&self, _link: &LinkContext<'_, Trapped>, next: &mut usize, record: u64, outbox: &mut Outbox<u64>) {
        self.0.sprung(Place::Deliver);
        *next += 1;
        outbox.send(*next % outbox.workers(), record);
    }

    fn flush(&self, _link: &LinkContext<'_, Trapped>, _next: &mut usize, _outbox: &mut Outbox<u64>, _due: Flush) {
        self.0.sprung(Place::DeliverFlush);
    }

    fn init(&self, worker: &WorkerContext<'_, Trapped>) -> Result<TrappedState> {
        self.0.step(Place::StrategyInit)?;
        Ok(worker.operation.init())
    }

    fn process<E: Emit<u64>>(
        &self,
        worker: &WorkerContext<'_, Trapped>,
        state: &mut TrappedState,
        record: u64,
        emit: &mut E,
        _peers: &mut Outbox<u64>,
    ) -> Result<()> {
        self.0.step(Place::Process)?;
        worker.operation.react(state, record, emit)
    }

    fn settle<E: Emit<u64>>(
        &self,
        worker: &WorkerContext<'_, Trapped>,
        state: &mut TrappedState,
        _emit: &mut E,
        _peers: &mut Outbox<u64>,
        _due: Flush,
    ) -> Result<()> {
        self.0.step(Place::Settle)?;
        worker.operation.flush(state)
    }

    fn drain(
        &self,
        _worker: &WorkerContext<'_, Trapped>,
        _state: &mut TrappedState,
        _peers: &mut Outbox<u64>,
    ) -> Result<()> {
        self.0.step(Place::Drain)
    }

    fn finish<E: Emit<u64>>(
        &self,
        worker: &WorkerContext<'_, Trapped>,
        state: &mut TrappedState,
        emit: &mut E,
    ) -> Result<()> {
        self.0.step(Place::StrategyFinish)?;
        worker.operation.finish(state, emit)
    }
}

/// A source of ten numbers.
#[derive(Clone)]
pub(super) struct TrappedSource(pub(super) Trap);

impl Operation for TrappedSource {
    type In = std::convert::Infallible;
    type Out = u64;
    const NAME: &'static str = "trapped source";

    fn conf(&mut self) -> Result<()> {
        self.0.step(Place::Conf)
    }
}

impl Source for TrappedSource {
    type Reader = (u64, TrappedState);

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, _share: Share) -> Result<(u64, TrappedState)> {
        self.0.step(Place::Open)?;
        Ok((0, TrappedState(self.0)))
    }

    fn read<E: Emit<u64>>(&self, reader: &mut (u64, TrappedState), _budget: usize, emit: &mut E) -> Result<Pull> {
        self.0.step(Place::Read)?;
        emit.emit(reader.0);
        reader.0 += 1;
        Ok(if reader.0 < 10 { Pull::More } else { Pull::End })
    }

    fn progress(&self, reader: &(u64, TrappedState)) -> Option<Progress> {
        self.0.sprung(Place::ReadProgress);
        Some(Progress { done: reader.0, total: 10 })
    }
}

/// A source that is told one record.
#[derive(Clone)]
pub(super) struct TrappedPassive(pub(super) Trap);

impl Operation for TrappedPassive {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "trapped passive";
    const IN_PORTS: &'static [&'static str] = &[];
}

impl React for TrappedPassive {
    type State = TrappedState;

    fn init(&self) -> TrappedState {
        self.0.sprung(Place::Init);
        TrappedState(self.0)
    }

    fn react<E: Emit<u64>>(&self, _state: &mut TrappedState, record: u64, emit: &mut E) -> Result<()> {
        self.0.step(Place::React)?;
        emit.emit(record);
        Ok(())
    }
}

impl Passive for TrappedPassive {
    fn listen(&self, _share: Share, intake: &mut Intake<u64>) -> Result<()> {
        assert!(intake.take(vec![1]) || intake.is_closed());
        self.0.step(Place::Listen)
    }
}
