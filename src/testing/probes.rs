//! What stands before and behind the vertex that is simulated: senders that are fed from a list, and a tap that notes
//! who emitted what. Both are made of the public traits.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use crate::workflow::{
    Cluster, Deployment, Emit, InPort, LinkContext, Operation, Origin, Outbox, Pull, Result, Strategy, WorkerContext,
    WorkerInfo,
};

/// A source of which each worker has records of its own.
pub(super) struct Feed<T>(Arc<Mutex<Vec<VecDeque<T>>>>);

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Feed(Arc::clone(&self.0))
    }
}

impl<T> Feed<T> {
    pub fn new(records: Vec<VecDeque<T>>) -> Self {
        Feed(Arc::new(Mutex::new(records)))
    }
}

impl<T: Send + 'static> Operation for Feed<T> {
    type In = Infallible;
    type Out = T;
    const NAME: &'static str = "senders";
}

/// Workers where the test wants them.
#[derive(Clone)]
pub(super) struct Standing(pub Vec<WorkerInfo>);

impl<T: Send + 'static> Strategy<Feed<T>> for Standing {
    type Message = ();
    type Sender = ();
    type State = ();
    const NAME: &'static str = "standing";
    const ORIGIN: Origin = Origin::Produce;

    fn deploy(&self, _feed: &Feed<T>, _cluster: &Cluster) -> Result<Deployment> {
        Ok(Deployment { workers: self.0.clone(), warnings: Vec::new() })
    }

    fn sender(&self, _link: &LinkContext<'_, Feed<T>>) {}

    fn deliver(
        &self,
        _link: &LinkContext<'_, Feed<T>>,
        _sender: &mut (),
        record: Infallible,
        _outbox: &mut Outbox<()>,
    ) {
        match record {}
    }

    fn init(&self, _worker: &WorkerContext<'_, Feed<T>>) -> Result<()> {
        Ok(())
    }

    fn process<E: Emit<T>>(
        &self,
        _worker: &WorkerContext<'_, Feed<T>>,
        _state: &mut (),
        _message: (),
        _emit: &mut E,
        _peers: &mut Outbox<()>,
    ) -> Result<()> {
        Ok(())
    }

    fn produce<E: Emit<T>>(
        &self,
        worker: &WorkerContext<'_, Feed<T>>,
        _state: &mut (),
        budget: usize,
        emit: &mut E,
    ) -> Result<Pull> {
        let mut records = worker.operation.0.lock().unwrap_or_else(PoisonError::into_inner);
        let records = &mut records[worker.index];
        for record in records.drain(..budget.min(records.len())) {
            emit.emit(record);
        }
        Ok(if records.is_empty() { Pull::End } else { Pull::More })
    }
}

/// The in port with number `N`, for records that are the operation's input already.
pub(super) struct Numbered<const N: usize>;

impl<T: 'static, const N: usize> InPort<T> for Numbered<N> {
    type Record = T;
    const INDEX: usize = N;

    fn wrap(record: T) -> T {
        record
    }
}

/// Keeps all records, each with the number of the worker that emitted it.
pub(super) struct Tap<T>(Arc<Mutex<Vec<(usize, T)>>>);

impl<T> Clone for Tap<T> {
    fn clone(&self) -> Self {
        Tap(Arc::clone(&self.0))
    }
}

impl<T> Tap<T> {
    pub fn new() -> Self {
        Tap(Arc::default())
    }

    pub fn take(&self) -> Vec<(usize, T)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Send + 'static> Operation for Tap<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "tap";
    const OUT_PORTS: &'static [&'static str] = &[];
}

/// Takes records in the worker that emits them; its own worker gets nothing.
#[derive(Clone, Copy)]
pub(super) struct AtSender;

impl<T: Send + 'static> Strategy<Tap<T>> for AtSender {
    type Message = ();
    type Sender = ();
    type State = ();
    const NAME: &'static str = "at sender";

    fn deploy(&self, _tap: &Tap<T>, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_n(1))
    }

    fn sender(&self, _link: &LinkContext<'_, Tap<T>>) {}

    fn deliver(&self, link: &LinkContext<'_, Tap<T>>, _sender: &mut (), record: T, _outbox: &mut Outbox<()>) {
        link.operation.0.lock().unwrap_or_else(PoisonError::into_inner).push((link.sender, record));
    }

    fn init(&self, _worker: &WorkerContext<'_, Tap<T>>) -> Result<()> {
        Ok(())
    }

    fn process<E: Emit<Infallible>>(
        &self,
        _worker: &WorkerContext<'_, Tap<T>>,
        _state: &mut (),
        _message: (),
        _emit: &mut E,
        _peers: &mut Outbox<()>,
    ) -> Result<()> {
        Ok(())
    }
}
