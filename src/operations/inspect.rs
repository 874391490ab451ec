//! A look at each record.

use std::marker::PhantomData;

use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, Operation, OutPort, React, Result, Stream};

/// Calls a function on each record and passes it on.
pub struct Inspect<T, F> {
    look: F,
    types: PhantomData<fn(T)>,
}

super::closure::clone_and_debug!(Inspect < T, F > { look });

impl<T, F: Fn(&T)> Inspect<T, F> {
    /// An operation that calls a function on each record.
    pub fn new(look: F) -> Self {
        Inspect { look, types: PhantomData }
    }
}

impl<T, F> Operation for Inspect<T, F>
where
    T: Send + 'static,
    F: Fn(&T) + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = T;
    const NAME: &'static str = "inspect";
}

impl<T, F> React for Inspect<T, F>
where
    T: Send + 'static,
    F: Fn(&T) + Clone + Send + Sync + 'static,
{
    type State = ();
    const ONE_TO_ONE: bool = true;

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<T>>(&self, _state: &mut (), record: T, emit: &mut E) -> Result<()> {
        (self.look)(&record);
        emit.emit(record);
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Calls a function on each record and passes it on.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let sum = Arc::new(AtomicU64::new(0));
    /// let seen = Arc::clone(&sum);
    /// skitter::testing::run(vec![1u64, 2, 3], |numbers| {
    ///     numbers.inspect(move |n| { seen.fetch_add(*n, Ordering::Relaxed); })
    /// })?;
    /// assert_eq!(sum.load(Ordering::Relaxed), 6);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn inspect<F>(self, look: F) -> Stream<Behind<C, P, Inspect<P::Record, F>, Chained>>
    where
        P::Record: Send,
        F: Fn(&P::Record) + Clone + Send + Sync + 'static,
    {
        self.vertex(Inspect::new(look), Chained)
    }
}
