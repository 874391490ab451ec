//! Strategies that take another strategy and replace some of its hooks.

use super::operation::Progress;
use super::{
    Cluster, Commit, Deployment, Emit, Flush, Intake, LinkContext, NodeInfo, Operation, Origin, Outbox, Pull, Rescale,
    Result, Saved, Saving, Snapshot, Strategy, Timestamp, WorkerContext, Workers,
};

type Message<S, O> = <S as Strategy<O>>::Message;
type Sender<S, O> = <S as Strategy<O>>::Sender;
type State<S, O> = <S as Strategy<O>>::State;

/// A strategy that is another one in all but the hooks that it writes itself. Use it as `.with(Extended(mine))`.
///
/// ```
/// use skitter::prelude::*;
/// use skitter::codec::Record;
/// use skitter::workflow::{Extended, Extension, Keyed, LinkContext, Outbox, React};
///
/// /// Keyed state, with the keys of one customer all on worker 0.
/// #[derive(Clone)]
/// struct Pinned(u64);
///
/// impl<O: Keyed<Key = u64, In: Record> + React> Extension<O> for Pinned {
///     type Base = KeyedState;
///     const NAME: &'static str = "pinned";
///     fn base(&self) -> &KeyedState { &KeyedState }
///
///     fn deliver(&self, link: &LinkContext<'_, O>, sender: &mut (), record: O::In, outbox: &mut Outbox<O::In>) {
///         if link.operation.key(&record) == self.0 {
///             outbox.send(0, record);
///         } else {
///             KeyedState.deliver(link, sender, record, outbox);
///         }
///     }
/// }
///
/// let counted = skitter::testing::run(vec![7u64, 8, 7], |numbers| {
///     numbers.keyed_reduce(|n| *n, 0u64, |count, n| { *count += 1; (n, *count) }).with(Extended(Pinned(7)))
/// });
/// assert_eq!(counted.unwrap().len(), 3);
/// ```
pub trait Extension<O: Operation>: Clone + Send + Sync + 'static {
    /// The strategy that is extended.
    type Base: Strategy<O>;
    /// The name shown in graphs.
    const NAME: &'static str;
    /// See [`Strategy::RESCALE`]. That of the base is right as long as the hooks that are replaced do not choose
    /// another owner for what was saved, so it has to be said.
    const RESCALE: Rescale = Rescale::Refused;

    /// The strategy that is extended.
    fn base(&self) -> &Self::Base;

    /// See [`Strategy::deploy`].
    ///
    /// # Errors
    /// As there.
    fn deploy(&self, operation: &O, cluster: &Cluster) -> Result<Deployment> {
        self.base().deploy(operation, cluster)
    }

    /// See [`Strategy::on_node_joined`]. The default is that of the base, which is right as long as any worker may
    /// still handle any record; where a hook that is replaced has made a difference between them, add none.
    ///
    /// # Errors
    /// As there.
    fn on_node_joined(
        &self,
        operation: &O,
        joined: &NodeInfo,
        cluster: &Cluster,
        workers: &Workers,
    ) -> Result<Deployment> {
        self.base().on_node_joined(operation, joined, cluster, workers)
    }

    /// See [`Strategy::sender`].
    fn sender(&self, link: &LinkContext<'_, O>) -> Sender<Self::Base, O> {
        self.base().sender(link)
    }

    /// See [`Strategy::on_workers_joined`].
    fn on_workers_joined(&self, link: &LinkContext<'_, O>, sender: &mut Sender<Self::Base, O>) {
        self.base().on_workers_joined(link, sender);
    }

    /// See [`Strategy::deliver`].
    #[inline(always)]
    fn deliver(
        &self,
        link: &LinkContext<'_, O>,
        sender: &mut Sender<Self::Base, O>,
        record: O::In,
        outbox: &mut Outbox<Message<Self::Base, O>>,
    ) {
        self.base().deliver(link, sender, record, outbox);
    }

    /// See [`Strategy::flush`].
    fn flush(
        &self,
        link: &LinkContext<'_, O>,
        sender: &mut Sender<Self::Base, O>,
        outbox: &mut Outbox<Message<Self::Base, O>>,
        due: Flush,
    ) {
        self.base().flush(link, sender, outbox, due);
    }

    /// See [`Strategy::init`].
    ///
    /// # Errors
    /// As there.
    fn init(&self, worker: &WorkerContext<'_, O>) -> Result<State<Self::Base, O>> {
        self.base().init(worker)
    }

    /// See [`Strategy::snapshot`].
    ///
    /// # Errors
    /// As there.
    fn snapshot(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut State<Self::Base, O>,
        snapshot: &mut Snapshot,
    ) -> Result<Saving> {
        self.base().snapshot(worker, state, snapshot)
    }

    /// See [`Strategy::restore`].
    ///
    /// # Errors
    /// As there.
    fn restore(&self, worker: &WorkerContext<'_, O>, saved: &Saved) -> Result<State<Self::Base, O>> {
        self.base().restore(worker, saved)
    }

    /// See [`Strategy::process`].
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut State<Self::Base, O>,
        message: Message<Self::Base, O>,
        emit: &mut E,
        peers: &mut Outbox<Message<Self::Base, O>>,
    ) -> Result<()> {
        self.base().process(worker, state, message, emit, peers)
    }

    /// See [`Strategy::settle`].
    ///
    /// # Errors
    /// As there.
    fn settle<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut State<Self::Base, O>,
        emit: &mut E,
        peers: &mut Outbox<Message<Self::Base, O>>,
        due: Flush,
    ) -> Result<()> {
        self.base().settle(worker, state, emit, peers, due)
    }

    /// See [`Strategy::advance`].
    ///
    /// # Errors
    /// As there.
    fn advance<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut State<Self::Base, O>,
        time: Timestamp,
        emit: &mut E,
    ) -> Result<()> {
        self.base().advance(worker, state, time, emit)
    }

    /// See [`Strategy::tick`].
    ///
    /// # Errors
    /// As there.
    fn tick<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut State<Self::Base, O>,
        now: Timestamp,
        emit: &mut E,
    ) -> Result<()> {
        self.base().tick(worker, state, now, emit)
    }

    /// See [`Strategy::drain`].
    ///
    /// # Errors
    /// As there.
    fn drain(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut State<Self::Base, O>,
        peers: &mut Outbox<Message<Self::Base, O>>,
    ) -> Result<()> {
        self.base().drain(worker, state, peers)
    }

    /// See [`Strategy::finish`].
    ///
    /// # Errors
    /// As there.
    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut State<Self::Base, O>,
        emit: &mut E,
    ) -> Result<()> {
        self.base().finish(worker, state, emit)
    }
}

/// Makes a [`Strategy`] of an [`Extension`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Extended<X>(pub X);

impl<O: Operation, X: Extension<O>> Strategy<O> for Extended<X> {
    type Message = Message<X::Base, O>;
    type Sender = Sender<X::Base, O>;
    type State = State<X::Base, O>;
    const NAME: &'static str = X::NAME;
    const ORIGIN: Origin = <X::Base as Strategy<O>>::ORIGIN;
    const PEERS: bool = <X::Base as Strategy<O>>::PEERS;
    const TELLS_TIME: bool = <X::Base as Strategy<O>>::TELLS_TIME;
    const RESCALE: Rescale = X::RESCALE;

    fn deploy(&self, operation: &O, cluster: &Cluster) -> Result<Deployment> {
        self.0.deploy(operation, cluster)
    }

    fn on_node_joined(
        &self,
        operation: &O,
        joined: &NodeInfo,
        cluster: &Cluster,
        workers: &Workers,
    ) -> Result<Deployment> {
        self.0.on_node_joined(operation, joined, cluster, workers)
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> Self::Sender {
        self.0.sender(link)
    }

    fn on_workers_joined(&self, link: &LinkContext<'_, O>, sender: &mut Self::Sender) {
        self.0.on_workers_joined(link, sender);
    }

    #[inline(always)]
    fn deliver(
        &self,
        link: &LinkContext<'_, O>,
        sender: &mut Self::Sender,
        record: O::In,
        outbox: &mut Outbox<Self::Message>,
    ) {
        self.0.deliver(link, sender, record, outbox);
    }

    fn flush(
        &self,
        link: &LinkContext<'_, O>,
        sender: &mut Self::Sender,
        outbox: &mut Outbox<Self::Message>,
        due: Flush,
    ) {
        self.0.flush(link, sender, outbox, due);
    }

    fn init(&self, worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        self.0.init(worker)
    }

    fn snapshot(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        snapshot: &mut Snapshot,
    ) -> Result<Saving> {
        self.0.snapshot(worker, state, snapshot)
    }

    fn restore(&self, worker: &WorkerContext<'_, O>, saved: &Saved) -> Result<Self::State> {
        self.0.restore(worker, saved)
    }

    fn commit(&self, worker: &WorkerContext<'_, O>, state: &mut Self::State, commit: Commit) -> Result<()> {
        self.0.base().commit(worker, state, commit)
    }

    #[inline(always)]
    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        message: Self::Message,
        emit: &mut E,
        peers: &mut Outbox<Self::Message>,
    ) -> Result<()> {
        self.0.process(worker, state, message, emit, peers)
    }

    fn produce<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        budget: usize,
        emit: &mut E,
    ) -> Result<Pull> {
        self.0.base().produce(worker, state, budget, emit)
    }

    fn progress(&self, worker: &WorkerContext<'_, O>, state: &Self::State) -> Option<Progress> {
        self.0.base().progress(worker, state)
    }

    fn listen(&self, worker: &WorkerContext<'_, O>, intake: &mut Intake<Self::Message>) -> Result<()> {
        self.0.base().listen(worker, intake)
    }

    fn settle<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        emit: &mut E,
        peers: &mut Outbox<Self::Message>,
        due: Flush,
    ) -> Result<()> {
        self.0.settle(worker, state, emit, peers, due)
    }

    fn advance<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        time: Timestamp,
        emit: &mut E,
    ) -> Result<()> {
        self.0.advance(worker, state, time, emit)
    }

    fn tick<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        now: Timestamp,
        emit: &mut E,
    ) -> Result<()> {
        self.0.tick(worker, state, now, emit)
    }

    fn drain(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        peers: &mut Outbox<Self::Message>,
    ) -> Result<()> {
        self.0.drain(worker, state, peers)
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        state: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        self.0.finish(worker, state, emit)
    }
}
