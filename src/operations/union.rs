//! Two streams in one.

use std::marker::PhantomData;

use crate::strategies::Chained;
use crate::workflow::{Both, Chain, Emit, In, Linked, Operation, OutPort, Placed, React, Result, Stream};

/// Passes on what comes, by whichever link.
pub struct Union<T>(PhantomData<fn(T)>);

impl<T> Clone for Union<T> {
    fn clone(&self) -> Self {
        Union(PhantomData)
    }
}

impl<T> std::fmt::Debug for Union<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Union")
    }
}

impl<T> Default for Union<T> {
    fn default() -> Self {
        Union(PhantomData)
    }
}

impl<T> Union<T> {
    /// An operation that passes records on.
    pub fn new() -> Self {
        Union::default()
    }
}

impl<T: Send + 'static> Operation for Union<T> {
    type In = T;
    type Out = T;
    const NAME: &'static str = "union";
}

impl<T: Send + 'static> React for Union<T> {
    type State = ();
    const ONE_TO_ONE: bool = true;

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<T>>(&self, _state: &mut (), record: T, emit: &mut E) -> Result<()> {
        emit.emit(record);
        Ok(())
    }
}

/// The union of an out port of one chain and one of another.
pub type UnionOf<C, P, C2, P2, T> = Placed<Both<Linked<C, P, In>, Linked<C2, P2, In>>, Union<T>, Chained>;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// The records of this stream and of another one. Those of each stay in order; between them there is none.
    ///
    /// What stands behind it runs in the workers of both, so it costs nothing. For many streams, link them to one
    /// vertex: see [`Vertex`](crate::workflow::Vertex).
    ///
    /// ```
    /// let mut numbers = skitter::testing::run(vec![1u64, 2], |numbers| {
    ///     numbers.clone().union(numbers.map(|n| n * 10))
    /// })?;
    /// numbers.sort();
    /// assert_eq!(numbers, [1, 2, 10, 20]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn union<C2, P2>(self, other: Stream<C2, P2>) -> Stream<UnionOf<C, P, C2, P2, P::Record>>
    where
        P::Record: Send,
        C2: Chain,
        P2: OutPort<C2::Out, Record = P::Record>,
    {
        self.vertex_of_both(other, Union::new(), Chained)
    }
}
