//! The records of an iterator.

use std::convert::Infallible;
use std::marker::PhantomData;

use crate::workflow::{Emit, Operation, Pull, Result, Saved, Share, Snapshot, Source};

/// A source that gives the items of an iterator, made anew in the worker that reads it. It ends with the iterator; an
/// endless one is read until the workflow is stopped.
///
/// **On failure** the iterator is made anew, and what it has given before the last checkpoint is skipped: exactly once,
/// if it gives the same items each time. Skipping takes as long as its `nth`.
///
/// ```
/// use skitter::prelude::*;
///
/// let one = StreamSource::new(|| 0..10u64);
/// // Each of `of` workers reads every `of`th number.
/// let split = StreamSource::split(|share| (share.index as u64..1000).step_by(share.of));
/// # let workflow = WorkflowBuilder::new();
/// # workflow.source(one).discard();
/// # workflow.source(split).discard();
/// ```
pub struct StreamSource<I, F> {
    open: F,
    splits: bool,
    types: PhantomData<fn() -> I>,
}

impl<I, F: Clone> Clone for StreamSource<I, F> {
    fn clone(&self) -> Self {
        StreamSource { open: self.open.clone(), splits: self.splits, types: PhantomData }
    }
}

impl<I, F> std::fmt::Debug for StreamSource<I, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamSource").field("splits", &self.splits).finish_non_exhaustive()
    }
}

impl<I: IntoIterator, F: Fn(Share) -> I> StreamSource<I, F> {
    /// A source that several workers read: the function gives each the iterator of its share.
    pub fn split(open: F) -> Self {
        StreamSource { open, splits: true, types: PhantomData }
    }
}

impl<I: IntoIterator> StreamSource<I, ()> {
    /// A source that one worker reads.
    pub fn new<F>(open: F) -> StreamSource<I, impl Fn(Share) -> I + Clone + Send + Sync + 'static>
    where
        F: Fn() -> I + Clone + Send + Sync + 'static,
    {
        StreamSource { open: move |_| open(), splits: false, types: PhantomData }
    }
}

impl<I, F> Operation for StreamSource<I, F>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Send> + 'static,
    F: Fn(Share) -> I + Clone + Send + Sync + 'static,
{
    type In = Infallible;
    type Out = I::Item;
    const NAME: &'static str = "stream source";
}

/// The place that a worker reads an iterator from.
#[derive(Clone, Debug)]
pub struct Taken<I> {
    items: I,
    /// How many it has given.
    count: u64,
}

impl<I, F> Source for StreamSource<I, F>
where
    I: IntoIterator<Item: Send + 'static, IntoIter: Send> + 'static,
    F: Fn(Share) -> I + Clone + Send + Sync + 'static,
{
    type Reader = Taken<I::IntoIter>;

    fn splits(&self) -> bool {
        self.splits
    }

    fn open(&self, share: Share) -> Result<Self::Reader> {
        Ok(Taken { items: (self.open)(share).into_iter(), count: 0 })
    }

    #[inline(always)]
    fn read<E: Emit<I::Item>>(&self, reader: &mut Self::Reader, budget: usize, emit: &mut E) -> Result<Pull> {
        for taken in 0..budget {
            match reader.items.next() {
                Some(record) => emit.emit(record),
                None => {
                    reader.count += taken as u64;
                    return Ok(Pull::End);
                }
            }
        }
        reader.count += budget as u64;
        Ok(Pull::More)
    }

    fn position(&self, reader: &mut Self::Reader, snapshot: &mut Snapshot) -> Result<()> {
        snapshot.put(&reader.count)
    }

    fn resume(&self, share: Share, saved: &Saved) -> Result<Self::Reader> {
        let mut reader = self.open(share)?;
        let count = saved.whole::<u64>()?.unwrap_or_default();
        let mut left = count;
        while left > 0 {
            let skipped = usize::try_from(left).unwrap_or(usize::MAX);
            if reader.items.nth(skipped - 1).is_none() {
                break;
            }
            left -= skipped as u64;
        }
        reader.count = count;
        Ok(reader)
    }
}
