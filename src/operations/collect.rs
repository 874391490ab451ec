//! Records in a vector, for tests.

use std::sync::{Arc, Mutex, PoisonError};

use crate::strategies::Chained;
use crate::workflow::{Behind, ByHand, Chain, Emit, Operation, OutPort, React, Result, Saved, Sink, Snapshot, Stream};

/// Keeps all records in memory, in this process. For tests and small results: there is no bound. At least once: after a
/// failure, records since the last checkpoint are kept again.
pub struct Collect<T>(Collected<T>);

/// What a [`Collect`] has kept.
pub struct Collected<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Collect<T> {
    fn clone(&self) -> Self {
        Collect(self.0.clone())
    }
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Collected(Arc::clone(&self.0))
    }
}

impl<T> std::fmt::Debug for Collect<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collect").finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for Collected<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collected").finish_non_exhaustive()
    }
}

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Collected(Arc::default())
    }
}

impl<T> Collected<T> {
    /// Nothing so far.
    pub fn new() -> Self {
        Collected::default()
    }

    /// Takes what has been kept so far. Records from one worker are in order.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Send + 'static> Operation for Collect<T> {
    type In = T;
    type Out = std::convert::Infallible;
    const NAME: &'static str = "collect";
    const OUT_PORTS: &'static [&'static str] = &[];
}

impl<T: Send + 'static> React for Collect<T> {
    /// What has not been handed over yet.
    type State = ByHand<Vec<T>>;

    fn init(&self) -> ByHand<Vec<T>> {
        ByHand(Vec::new())
    }

    fn react<E: Emit<Self::Out>>(&self, waiting: &mut ByHand<Vec<T>>, record: T, _emit: &mut E) -> Result<()> {
        waiting.push(record);
        Ok(())
    }

    fn flush(&self, waiting: &mut ByHand<Vec<T>>) -> Result<()> {
        if !waiting.is_empty() {
            self.0.0.lock().unwrap_or_else(PoisonError::into_inner).append(waiting);
        }
        Ok(())
    }

    fn finish<E: Emit<Self::Out>>(&self, waiting: &mut ByHand<Vec<T>>, _emit: &mut E) -> Result<()> {
        self.flush(waiting)
    }

    /// What was kept is with whoever holds it.
    fn snapshot(&self, waiting: &mut ByHand<Vec<T>>, _snapshot: &mut Snapshot) -> Result<()> {
        self.flush(waiting)
    }

    fn restore(&self, _saved: &Saved) -> Result<ByHand<Vec<T>>> {
        Ok(self.init())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Keeps all records in memory.
    ///
    /// ```
    /// use skitter::operations::Collected;
    /// use skitter::prelude::*;
    ///
    /// let numbers = Collected::new();
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(StreamSource::new(|| 0..3u64)).collect(&numbers);
    ///
    /// let runtime = skitter::Runtime::local()?;
    /// runtime.deploy("numbers", workflow.build()?)?.wait()?;
    /// assert_eq!(numbers.take(), [0, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn collect(self, into: &Collected<P::Record>) -> Sink<Behind<C, P, Collect<P::Record>, Chained>>
    where
        P::Record: Send,
    {
        self.sink(Collect(into.clone()), Chained)
    }
}
