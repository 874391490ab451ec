//! Any number of records for each.

use std::marker::PhantomData;

use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, Operation, OutPort, React, Result, Stream};

/// Gives the items of an iterator for each record.
pub struct FlatMap<T, I, F> {
    map: F,
    types: PhantomData<fn(T) -> I>,
}

super::closure::clone_and_debug!(FlatMap < T, I, F > { map });

impl<T, I: IntoIterator, F: Fn(T) -> I> FlatMap<T, I, F> {
    /// An operation that applies a function and emits what it gives.
    pub fn new(map: F) -> Self {
        FlatMap { map, types: PhantomData }
    }
}

impl<T, I, F> Operation for FlatMap<T, I, F>
where
    T: Send + 'static,
    I: IntoIterator<Item: Send + 'static> + 'static,
    F: Fn(T) -> I + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = I::Item;
    const NAME: &'static str = "flat map";
}

impl<T, I, F> React for FlatMap<T, I, F>
where
    T: Send + 'static,
    I: IntoIterator<Item: Send + 'static> + 'static,
    F: Fn(T) -> I + Clone + Send + Sync + 'static,
{
    type State = ();

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<I::Item>>(&self, _state: &mut (), record: T, emit: &mut E) -> Result<()> {
        for item in (self.map)(record) {
            emit.emit(item);
        }
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Gives the items of an iterator for each record. An iterator that borrows from the record cannot be given;
    /// collect its items first.
    ///
    /// ```
    /// let twice = skitter::testing::run(vec![1u64, 2], |numbers| numbers.flat_map(|n| [n, n]))?;
    /// assert_eq!(twice, [1, 1, 2, 2]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn flat_map<I, F>(self, map: F) -> Stream<Behind<C, P, FlatMap<P::Record, I, F>, Chained>>
    where
        P::Record: Send,
        I: IntoIterator<Item: Send + 'static> + 'static,
        F: Fn(P::Record) -> I + Clone + Send + Sync + 'static,
    {
        self.vertex(FlatMap::new(map), Chained)
    }
}
