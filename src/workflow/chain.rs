//! How operations are joined by type, so that a record passes from one to the next without leaving the loop.
//!
//! A [`Chain`] is what stands before a point of a workflow, a [`Downstream`] the recipe of what stands behind it, an
//! [`Outlet`] a running copy of that in one worker. Linking two vertices hands the downstream to the chain
//! ([`Chain::close`]), which passes it on upstream until a vertex with workers of its own takes all of it in: one
//! monomorphised loop per such vertex.

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::failure::Failure;
pub use super::survey::Survey;
use super::{
    Alignment, Commit, Emit, Error, Flush, Graph, Grown, InPort, Meter, Operation, OutPort, Pacing, Post, Result,
    Saved, Snapshot, Tolerance, Watermark, Workers,
};
use crate::id::{NodeId, VertexId};

/// What stands before a point of a workflow.
pub trait Chain: Sized + 'static {
    /// What it emits.
    type Out: 'static;

    /// Puts `down` behind it.
    fn close<D: Downstream<Self::Out>>(self, down: D, graph: &Graph);

    /// The vertex at its end.
    fn vertex(&self) -> VertexId;

    /// The out port of that vertex, by number, if the chain is the stream of one port; otherwise the type of the port
    /// says which it is.
    fn port(&self) -> Option<usize> {
        None
    }
}

/// What stands before an operation: a link from another vertex, or nothing.
pub trait Upstream<T>: 'static {
    /// Whether there is a chain to run the operation in.
    const CHAINS: bool;

    /// Puts `down` behind it.
    fn close<D: Downstream<T>>(self, down: D, graph: &Graph);
}

/// What stands before a vertex whose strategy can still be chosen.
#[diagnostic::on_unimplemented(
    message = "the strategy of this vertex is known to those that were linked to it",
    note = "give the strategy to `vertex(…)`, before `open()`"
)]
pub trait Choice {}

impl Choice for Nothing {}

impl<C, OP, IP> Choice for Linked<C, OP, IP> {}

impl<A, B> Choice for Both<A, B> {}

/// In ports that are linked one by one stand before it.
#[derive(Debug)]
pub struct OneByOne;

impl<T> Upstream<T> for OneByOne {
    const CHAINS: bool = false;

    fn close<D: Downstream<T>>(self, _down: D, _graph: &Graph) {}
}

/// Nothing stands before it: a source.
#[derive(Debug)]
pub struct Nothing;

impl<T> Upstream<T> for Nothing {
    const CHAINS: bool = false;

    fn close<D: Downstream<T>>(self, _down: D, _graph: &Graph) {}
}

/// A link: out port `OP` of the chain's end to in port `IP`.
#[derive(Debug)]
pub struct Linked<C, OP, IP> {
    pub(super) chain: C,
    pub(super) ports: PhantomData<fn(OP, IP)>,
}

impl<T, C, OP, IP> Upstream<T> for Linked<C, OP, IP>
where
    T: 'static,
    C: Chain,
    OP: OutPort<C::Out>,
    IP: InPort<T, Record = OP::Record>,
{
    const CHAINS: bool = true;

    fn close<D: Downstream<T>>(self, down: D, graph: &Graph) {
        self.chain.close(Ported::<D, OP, IP, T>::new(down), graph);
    }
}

/// Two links to one in port. What stands behind them is opened behind each.
#[derive(Debug)]
pub struct Both<A, B>(pub(super) A, pub(super) B);

impl<T, A: Upstream<T>, B: Upstream<T>> Upstream<T> for Both<A, B> {
    const CHAINS: bool = A::CHAINS && B::CHAINS;

    fn close<D: Downstream<T>>(self, down: D, graph: &Graph) {
        self.0.close(down.clone(), graph);
        self.1.close(down, graph);
    }
}

/// The recipe of what stands behind a point: opened once in each worker.
pub trait Downstream<T>: Clone + Send + Sync + 'static {
    /// A running copy.
    type Outlet: Outlet<T>;

    /// Makes a running copy.
    ///
    /// # Errors
    /// When an operation in it cannot be prepared.
    fn open(&self, opening: &mut Opening<'_>) -> Result<Self::Outlet>;

    /// Makes a running copy in which a record may fail, and has then no further effect ([`Wiring::tolerance`]).
    ///
    /// # Errors
    /// As [`open`](Downstream::open).
    fn open_tolerant(&self, opening: &mut Opening<'_>) -> Result<Box<dyn Outlet<T>>>;

    /// Tells the vertices in it: those that run in the same worker, and those that it sends to.
    fn survey(&self, survey: &mut Survey);

    /// The same, reached by the in port with this number.
    #[must_use]
    fn at_port(self, port: usize) -> Self {
        let _ = port;
        self
    }
}

/// What stands behind a point, running in one worker.
pub trait Outlet<T>: Emit<T> + Send + 'static {
    /// Ends a slice of work in which `records` were emitted into it: passes on what is buffered inside the worker,
    /// counts, and reports what failed.
    ///
    /// # Errors
    /// The first failure since the last call.
    fn settle(&mut self, records: u64) -> Result<(), Failure>;

    /// Lets everything that waits leave the worker.
    ///
    /// # Errors
    /// When an operation fails to flush.
    fn flush(&mut self, due: Flush) -> Result<(), Failure>;

    /// Time has come so far behind all that was emitted.
    ///
    /// # Errors
    /// When an operation fails on it.
    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure>;

    /// Further workers have joined vertices, some of which it may send to.
    fn joined(&mut self, grown: &Grown);

    /// Saves what the operations in it keep, in the order in which they were opened. Everything that had been emitted
    /// has been flushed before.
    ///
    /// # Errors
    /// When an operation cannot save its state.
    fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure>;

    /// Tells the operations in it that their effects are there to stay.
    ///
    /// # Errors
    /// When an operation cannot bring them about.
    fn commit(&mut self, commit: Commit) -> Result<(), Failure>;

    /// Ends the operations in it and lets everything leave. Not called twice.
    ///
    /// # Errors
    /// When an operation fails to finish.
    fn finish(&mut self) -> Result<(), Failure>;

    /// The error of the first operation in it since the last call, which [`settle`](Outlet::settle) then does not
    /// report.
    fn take_error(&mut self) -> Option<Error> {
        None
    }
}

/// What a recipe needs to become a running copy in a worker.
pub struct Opening<'a> {
    wiring: &'a mut dyn Wiring,
    offset: u32,
}

/// The runtime's side of an opening.
pub trait Wiring {
    /// The node that the worker runs on.
    fn node(&self) -> NodeId;
    /// The number of the worker in its vertex.
    fn index(&self) -> usize;
    /// The workers of a vertex.
    fn workers(&self, vertex: VertexId) -> Workers;
    /// A way from this worker to the workers of a vertex: a channel of its own, to be ended by the runtime.
    fn post(&mut self, vertex: VertexId) -> Box<dyn Post>;
    /// Who takes records that user code fails on; none if that is a failure of the worker.
    fn tolerance(&self) -> Option<Arc<dyn Tolerance>> {
        None
    }
    /// Where a source that is aligned with others tells how far its time has come; none where they are not held back.
    fn pacing(&mut self, alignment: &Alignment) -> Option<Arc<dyn Pacing>> {
        let _ = alignment;
        None
    }
    /// The counters of a vertex.
    fn meter(&mut self, vertex: VertexId) -> Arc<Meter>;
    /// What was saved for a vertex, if the worker is to go on with it. Asked once for each time that the vertex is
    /// opened in the worker, in the order of [`Outlet::snapshot`].
    fn saved(&mut self, vertex: VertexId) -> Option<Saved>;
}

impl<'a> Opening<'a> {
    /// An opening of a workflow whose vertices were numbered from `offset`.
    pub fn new(wiring: &'a mut dyn Wiring, offset: u32) -> Self {
        Opening { wiring, offset }
    }

    /// The same opening, in a workflow that is nested in this one or that this one is nested in.
    pub(super) fn shifted(&mut self, by: i64) -> Opening<'_> {
        Opening { offset: shift(self.offset, by), wiring: self.wiring }
    }

    pub(super) fn id(&self, vertex: VertexId) -> VertexId {
        VertexId(vertex.0 + self.offset)
    }

    pub(super) fn meter(&mut self, vertex: VertexId) -> Arc<Meter> {
        self.wiring.meter(self.id(vertex))
    }

    pub(super) fn saved(&mut self, vertex: VertexId) -> Option<Saved> {
        self.wiring.saved(self.id(vertex))
    }

    pub(super) fn tolerance(&self) -> Option<Arc<dyn Tolerance>> {
        self.wiring.tolerance()
    }

    pub(super) fn pacing(&mut self, alignment: &Alignment) -> Option<Arc<dyn Pacing>> {
        self.wiring.pacing(alignment)
    }

    pub(super) fn wiring(&mut self) -> &mut dyn Wiring {
        self.wiring
    }
}

pub(super) fn shift(offset: u32, by: i64) -> u32 {
    u32::try_from(i64::from(offset) + by).unwrap_or_default()
}

/// An operation, prepared at most once on a node ([`Operation::conf`]).
#[derive(Debug)]
pub struct Prepared<O>(Arc<(O, OnceLock<Result<O, String>>)>);

impl<O> Clone for Prepared<O> {
    fn clone(&self) -> Self {
        Prepared(Arc::clone(&self.0))
    }
}

impl<O: Operation> Prepared<O> {
    /// An operation that is not prepared yet.
    pub fn new(operation: O) -> Self {
        Prepared(Arc::new((operation, OnceLock::new())))
    }

    /// The operation as the user gave it.
    pub fn as_given(&self) -> &O {
        &self.0.0
    }

    /// The prepared operation.
    ///
    /// # Errors
    /// When [`Operation::conf`] failed.
    pub fn get(&self) -> Result<O> {
        let prepared = self.0.1.get_or_init(|| {
            let mut operation = self.0.0.clone();
            operation.conf().map(|()| operation).map_err(|error| error.to_string())
        });
        prepared.clone().map_err(Error::Operation)
    }
}

/// Recipe: the step from an out port to an in port.
pub struct Ported<D, OP, IP, T> {
    down: D,
    ports: PhantomData<fn(OP, IP, T)>,
}

impl<D: Clone, OP, IP, T> Clone for Ported<D, OP, IP, T> {
    fn clone(&self) -> Self {
        Ported { down: self.down.clone(), ports: PhantomData }
    }
}

impl<D: Downstream<T>, OP, IP: InPort<T>, T> Ported<D, OP, IP, T> {
    pub(super) fn new(down: D) -> Self {
        Ported { down: down.at_port(IP::INDEX), ports: PhantomData }
    }
}

impl<Output, D, OP, IP, T> Downstream<Output> for Ported<D, OP, IP, T>
where
    Output: 'static,
    T: 'static,
    D: Downstream<T>,
    OP: OutPort<Output>,
    IP: InPort<T, Record = OP::Record>,
{
    type Outlet = PortedOutlet<D::Outlet, OP, IP, T>;

    fn open(&self, opening: &mut Opening<'_>) -> Result<Self::Outlet> {
        Ok(PortedOutlet { next: self.down.open(opening)?, others: 0, ports: PhantomData })
    }

    fn open_tolerant(&self, opening: &mut Opening<'_>) -> Result<Box<dyn Outlet<Output>>> {
        let next = self.down.open_tolerant(opening)?;
        Ok(Box::new(PortedOutlet::<_, OP, IP, T> { next, others: 0, ports: PhantomData }))
    }

    fn survey(&self, survey: &mut Survey) {
        self.down.survey(survey);
    }
}

/// The step from an out port to an in port.
pub struct PortedOutlet<N, OP, IP, T> {
    next: N,
    /// Outputs that left by other ports: cheaper to count than those that left by this one, on which there is work to
    /// do.
    others: u64,
    ports: PhantomData<fn(OP, IP, T)>,
}

/// The in port.
struct Entry<'a, N, IP, T> {
    next: &'a mut N,
    port: PhantomData<fn(IP, T)>,
}

impl<N: Emit<T>, IP: InPort<T>, T> Emit<IP::Record> for Entry<'_, N, IP, T> {
    #[inline(always)]
    fn emit(&mut self, record: IP::Record) {
        self.next.emit(IP::wrap(record));
    }
}

impl<Output, N, OP, IP, T> Emit<Output> for PortedOutlet<N, OP, IP, T>
where
    N: Outlet<T>,
    OP: OutPort<Output>,
    IP: InPort<T, Record = OP::Record>,
{
    #[inline(always)]
    fn emit(&mut self, output: Output) {
        // Added without a branch, so that what follows can be compiled without one, too.
        self.others += u64::from(!OP::has(&output));
        OP::pass(output, &mut Entry { next: &mut self.next, port: PhantomData::<fn(IP, T)> });
    }
}

impl<Output, N, OP, IP, T> Outlet<Output> for PortedOutlet<N, OP, IP, T>
where
    Output: 'static,
    T: 'static,
    N: Outlet<T>,
    OP: OutPort<Output>,
    IP: InPort<T, Record = OP::Record>,
{
    fn settle(&mut self, records: u64) -> Result<(), Failure> {
        let others = std::mem::take(&mut self.others);
        self.next.settle(records.saturating_sub(others))
    }

    fn flush(&mut self, due: Flush) -> Result<(), Failure> {
        self.next.flush(due)
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        self.next.advance(watermark)
    }

    fn joined(&mut self, grown: &Grown) {
        self.next.joined(grown);
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        self.next.snapshot(snapshot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.next.commit(commit)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.next.finish()
    }
}

/// Recipe: nothing stands behind it.
#[derive(Clone, Copy, Debug)]
pub struct Discard;

impl<T: 'static> Downstream<T> for Discard {
    type Outlet = Discard;

    fn open(&self, _opening: &mut Opening<'_>) -> Result<Discard> {
        Ok(Discard)
    }

    fn open_tolerant(&self, _opening: &mut Opening<'_>) -> Result<Box<dyn Outlet<T>>> {
        Ok(Box::new(Discard))
    }

    fn survey(&self, _survey: &mut Survey) {}
}

impl<T> Emit<T> for Discard {
    #[inline(always)]
    fn emit(&mut self, _record: T) {}
}

impl<T: 'static> Outlet<T> for Discard {
    fn settle(&mut self, _records: u64) -> Result<(), Failure> {
        Ok(())
    }

    fn flush(&mut self, _due: Flush) -> Result<(), Failure> {
        Ok(())
    }

    fn advance(&mut self, _watermark: Watermark) -> Result<(), Failure> {
        Ok(())
    }

    fn joined(&mut self, _grown: &Grown) {}

    fn snapshot(&mut self, _snapshot: &mut Snapshot) -> Result<(), Failure> {
        Ok(())
    }

    fn commit(&mut self, _commit: Commit) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}
