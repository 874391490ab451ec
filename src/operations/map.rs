//! One record for each.

use std::marker::PhantomData;

use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, Operation, OutPort, React, Result, Stream};

/// Gives one record for each record.
pub struct Map<T, U, F> {
    map: F,
    types: PhantomData<fn(T) -> U>,
}

super::closure::clone_and_debug!(Map < T, U, F > { map });

impl<T, U, F: Fn(T) -> U> Map<T, U, F> {
    /// An operation that applies a function.
    pub fn new(map: F) -> Self {
        Map { map, types: PhantomData }
    }
}

impl<T, U, F> Operation for Map<T, U, F>
where
    T: Send + 'static,
    U: Send + 'static,
    F: Fn(T) -> U + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = U;
    const NAME: &'static str = "map";
}

impl<T, U, F> React for Map<T, U, F>
where
    T: Send + 'static,
    U: Send + 'static,
    F: Fn(T) -> U + Clone + Send + Sync + 'static,
{
    type State = ();
    const ONE_TO_ONE: bool = true;

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<U>>(&self, _state: &mut (), record: T, emit: &mut E) -> Result<()> {
        emit.emit((self.map)(record));
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Gives one record for each record.
    ///
    /// ```
    /// let squares = skitter::testing::run(vec![1u64, 2, 3], |numbers| numbers.map(|n| n * n))?;
    /// assert_eq!(squares, [1, 4, 9]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn map<U, F>(self, map: F) -> Stream<Behind<C, P, Map<P::Record, U, F>, Chained>>
    where
        P::Record: Send,
        U: Send + 'static,
        F: Fn(P::Record) -> U + Clone + Send + Sync + 'static,
    {
        self.vertex(Map::new(map), Chained)
    }
}
