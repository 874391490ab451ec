//! Points of a workflow where the type ends: a stream that several vertices read, the ports of an operation that has
//! several, the open ports of a nested workflow. Records pass them in batches, one call through a pointer a batch.

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use super::chain::{Chain, Downstream, Opening, Outlet, Survey};
use super::failure::Failure;
use super::{Commit, Emit, Flush, Graph, Grown, OutPort, Result, Snapshot, Watermark, batch_capacity};
use crate::id::VertexId;

/// A recipe with its type erased.
trait AnyDownstream<T>: Send + Sync {
    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn BatchOutlet<T>>>;
    fn survey(&self, survey: &mut Survey);
}

/// An outlet with its type erased; takes records by the batch.
trait BatchOutlet<T>: Send {
    /// Takes what belongs to it out of the records: all, or those of its port.
    fn take(&mut self, records: &mut Vec<T>);
    fn settle(&mut self) -> Result<(), Failure>;
    fn flush(&mut self, due: Flush) -> Result<(), Failure>;
    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure>;
    fn joined(&mut self, grown: &Grown);
    fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure>;
    fn commit(&mut self, commit: Commit) -> Result<(), Failure>;
    fn finish(&mut self) -> Result<(), Failure>;
}

/// The recipes behind a point, in the order of linking; each with the shift of vertex numbers from the workflow of the
/// point to its own.
pub(super) struct Branches<T>(Arc<Mutex<Vec<(i64, Box<dyn AnyDownstream<T>>)>>>);

impl<T> Clone for Branches<T> {
    fn clone(&self) -> Self {
        Branches(Arc::clone(&self.0))
    }
}

impl<T: 'static> Branches<T> {
    pub(super) fn new() -> Self {
        Branches(Arc::default())
    }

    pub(super) fn add<D: Downstream<T>>(&self, shift: i64, down: D) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((shift, Box::new(Whole(down))));
    }

    fn open(&self, opening: &mut Opening<'_>, shift: i64) -> Result<Vec<Box<dyn BatchOutlet<T>>>> {
        let branches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        branches.iter().map(|(by, down)| down.open(&mut opening.shifted(by + shift))).collect()
    }

    fn survey(&self, survey: &mut Survey, shift: i64) {
        for (by, down) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            survey.shifted(by + shift, |survey| down.survey(survey));
        }
    }
}

/// Recipe: all branches get each record.
pub(super) struct Fork<T> {
    vertex: Option<VertexId>,
    shift: i64,
    branches: Branches<T>,
}

impl<T> Clone for Fork<T> {
    fn clone(&self) -> Self {
        Fork { vertex: self.vertex, shift: self.shift, branches: self.branches.clone() }
    }
}

impl<T> Fork<T> {
    /// A fork; `shift` leads from the vertex numbers here to those of the workflow that the branches belong to.
    /// `vertex` is the open port that it stands for, if any.
    pub(super) fn new(vertex: Option<VertexId>, shift: i64, branches: Branches<T>) -> Self {
        Fork { vertex, shift, branches }
    }
}

impl<T: Clone + Send + 'static> Downstream<T> for Fork<T> {
    type Outlet = ForkOutlet<T>;

    fn open(&self, opening: &mut Opening<'_>) -> Result<ForkOutlet<T>> {
        Ok(ForkOutlet { waiting: Vec::new(), branches: self.branches.open(opening, self.shift)? })
    }

    fn open_tolerant(&self, opening: &mut Opening<'_>) -> Result<Box<dyn Outlet<T>>> {
        Ok(Box::new(self.open(opening)?))
    }

    fn survey(&self, survey: &mut Survey) {
        if let Some(vertex) = self.vertex {
            survey.fuse(vertex);
        }
        self.branches.survey(survey, self.shift);
    }
}

/// Records with memory of their own that are passed on together: few, as nobody knows how large they are.
const MOST_HEAVY: usize = 128;

/// How many records of a type are passed on together.
fn together<T>() -> usize {
    let fit = batch_capacity::<T>();
    if std::mem::needs_drop::<T>() { fit.min(MOST_HEAVY) } else { fit }
}

/// Hands each record to all branches.
pub(super) struct ForkOutlet<T> {
    waiting: Vec<T>,
    branches: Vec<Box<dyn BatchOutlet<T>>>,
}

impl<T: Clone> ForkOutlet<T> {
    #[cold]
    #[inline(never)]
    fn pass_on(&mut self) {
        if let Some((last, others)) = self.branches.split_last_mut() {
            for branch in others {
                branch.take(&mut self.waiting.clone());
            }
            last.take(&mut self.waiting);
        }
        self.waiting.clear();
        self.waiting.reserve_exact(together::<T>());
    }
}

impl<T: Clone> Emit<T> for ForkOutlet<T> {
    #[inline(always)]
    fn emit(&mut self, record: T) {
        if self.waiting.len() == self.waiting.capacity() {
            self.pass_on();
        }
        self.waiting.push(record);
    }
}

impl<T: Clone + Send + 'static> Outlet<T> for ForkOutlet<T> {
    fn settle(&mut self, _records: u64) -> Result<(), Failure> {
        if !self.waiting.is_empty() {
            self.pass_on();
        }
        self.branches.iter_mut().try_for_each(|branch| branch.settle())
    }

    fn flush(&mut self, due: Flush) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.flush(due))
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.advance(watermark))
    }

    fn joined(&mut self, grown: &Grown) {
        self.branches.iter_mut().for_each(|branch| branch.joined(grown));
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.snapshot(snapshot))
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.commit(commit))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.finish())
    }
}

/// Recipe: each branch takes the outputs of its port.
pub(super) struct Split<O>(Branches<O>);

impl<O> Clone for Split<O> {
    fn clone(&self) -> Self {
        Split(self.0.clone())
    }
}

impl<O: Send + 'static> Split<O> {
    pub(super) fn new() -> Self {
        Split(Branches::new())
    }

    /// Adds a branch that takes the outputs of a port.
    pub(super) fn add<P: OutPort<O>, D: Downstream<P::Record>>(&self, down: D) {
        let port = OfPort::<P, D> { down, port: PhantomData };
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).push((0, Box::new(port)));
    }
}

impl<O: Send + 'static> Downstream<O> for Split<O> {
    type Outlet = SplitOutlet<O>;

    fn open(&self, opening: &mut Opening<'_>) -> Result<SplitOutlet<O>> {
        Ok(SplitOutlet { waiting: Vec::new(), branches: self.0.open(opening, 0)? })
    }

    fn open_tolerant(&self, opening: &mut Opening<'_>) -> Result<Box<dyn Outlet<O>>> {
        Ok(Box::new(self.open(opening)?))
    }

    fn survey(&self, survey: &mut Survey) {
        self.0.survey(survey, 0);
    }
}

/// Hands each output to the branch of its port.
pub(super) struct SplitOutlet<O> {
    waiting: Vec<O>,
    branches: Vec<Box<dyn BatchOutlet<O>>>,
}

impl<O> SplitOutlet<O> {
    #[cold]
    #[inline(never)]
    fn pass_on(&mut self) {
        for branch in &mut self.branches {
            branch.take(&mut self.waiting);
        }
        self.waiting.clear();
        self.waiting.reserve_exact(together::<O>());
    }
}

impl<O> Emit<O> for SplitOutlet<O> {
    #[inline(always)]
    fn emit(&mut self, output: O) {
        if self.waiting.len() == self.waiting.capacity() {
            self.pass_on();
        }
        self.waiting.push(output);
    }
}

impl<O: Send + 'static> Outlet<O> for SplitOutlet<O> {
    fn settle(&mut self, _records: u64) -> Result<(), Failure> {
        if !self.waiting.is_empty() {
            self.pass_on();
        }
        self.branches.iter_mut().try_for_each(|branch| branch.settle())
    }

    fn flush(&mut self, due: Flush) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.flush(due))
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.advance(watermark))
    }

    fn joined(&mut self, grown: &Grown) {
        self.branches.iter_mut().for_each(|branch| branch.joined(grown));
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.snapshot(snapshot))
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.commit(commit))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.branches.iter_mut().try_for_each(|branch| branch.finish())
    }
}

/// A branch that takes every record.
struct Whole<D>(D);

impl<T: 'static, D: Downstream<T>> AnyDownstream<T> for Whole<D> {
    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn BatchOutlet<T>>> {
        if opening.tolerance().is_some() {
            return Ok(Box::new(WholeOutlet { next: self.0.open_tolerant(opening)?, count: 0 }));
        }
        Ok(Box::new(WholeOutlet { next: self.0.open(opening)?, count: 0 }))
    }

    fn survey(&self, survey: &mut Survey) {
        self.0.survey(survey);
    }
}

struct WholeOutlet<N> {
    next: N,
    count: u64,
}

impl<T, N: Outlet<T>> BatchOutlet<T> for WholeOutlet<N> {
    fn take(&mut self, records: &mut Vec<T>) {
        self.count += records.len() as u64;
        for record in records.drain(..) {
            self.next.emit(record);
        }
    }

    fn settle(&mut self) -> Result<(), Failure> {
        self.next.settle(std::mem::take(&mut self.count))
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

/// A branch that takes the outputs of one port.
struct OfPort<P, D> {
    down: D,
    port: PhantomData<fn(P)>,
}

impl<O: Send + 'static, P: OutPort<O>, D: Downstream<P::Record>> AnyDownstream<O> for OfPort<P, D> {
    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn BatchOutlet<O>>> {
        if opening.tolerance().is_some() {
            let next = self.down.open_tolerant(opening)?;
            return Ok(Box::new(OfPortOutlet::<O, P, _> { next, count: 0, others: Vec::new(), port: PhantomData }));
        }
        let next = self.down.open(opening)?;
        Ok(Box::new(OfPortOutlet::<O, P, D::Outlet> { next, count: 0, others: Vec::new(), port: PhantomData }))
    }

    fn survey(&self, survey: &mut Survey) {
        self.down.survey(survey);
    }
}

struct OfPortOutlet<O, P, N> {
    next: N,
    count: u64,
    others: Vec<O>,
    port: PhantomData<fn(P)>,
}

impl<O: Send, P: OutPort<O>, N: Outlet<P::Record>> BatchOutlet<O> for OfPortOutlet<O, P, N> {
    fn take(&mut self, outputs: &mut Vec<O>) {
        for output in outputs.drain(..) {
            if !P::has(&output) {
                self.others.push(output);
            } else if let Some(record) = P::take(output) {
                self.count += 1;
                self.next.emit(record);
            }
        }
        std::mem::swap(outputs, &mut self.others);
    }

    fn settle(&mut self) -> Result<(), Failure> {
        self.next.settle(std::mem::take(&mut self.count))
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

/// A chain that ended in a fork: any number of vertices can be put behind it.
pub struct Shared<T> {
    pub(super) vertex: VertexId,
    pub(super) port: usize,
    pub(super) branches: Branches<T>,
    /// From the vertex numbers of the fork to those of the stream.
    pub(super) shift: i64,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Shared { vertex: self.vertex, port: self.port, branches: self.branches.clone(), shift: self.shift }
    }
}

impl<T: Clone + Send + 'static> Chain for Shared<T> {
    type Out = T;

    fn close<D: Downstream<T>>(self, down: D, graph: &Graph) {
        graph.draft(self.vertex, |draft| draft.unread.remove(&self.port));
        self.branches.add(self.shift, down);
    }

    fn vertex(&self) -> VertexId {
        self.vertex
    }

    fn port(&self) -> Option<usize> {
        Some(self.port)
    }
}
