//! All records in one value.

use std::marker::PhantomData;

use crate::codec::Record;
use crate::strategies::{Chained, Sedentary};
use crate::workflow::{Behind, Chain, Emit, Operation, Out, OutPort, React, Result, Stream};

/// Folds all records into one value, and emits it when all have come: nothing, before a source that never ends.
pub struct Fold<T, S, F> {
    init: S,
    add: F,
    types: PhantomData<fn(T)>,
}

impl<T, S: Clone, F: Clone> Clone for Fold<T, S, F> {
    fn clone(&self) -> Self {
        Fold { init: self.init.clone(), add: self.add.clone(), types: PhantomData }
    }
}

impl<T, S: std::fmt::Debug, F> std::fmt::Debug for Fold<T, S, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fold").field("init", &self.init).finish_non_exhaustive()
    }
}

impl<T, S, F: Fn(&mut S, T)> Fold<T, S, F> {
    /// An operation that starts with `init` and adds each record.
    pub fn new(init: S, add: F) -> Self {
        Fold { init, add, types: PhantomData }
    }
}

impl<T, S, F> Operation for Fold<T, S, F>
where
    T: Send + 'static,
    S: Clone + Send + Sync + 'static,
    F: Fn(&mut S, T) + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = S;
    const NAME: &'static str = "fold";
}

impl<T, S, F> React for Fold<T, S, F>
where
    T: Send + 'static,
    S: Record + Clone + Sync,
    F: Fn(&mut S, T) + Clone + Send + Sync + 'static,
{
    type State = S;

    fn init(&self) -> S {
        self.init.clone()
    }

    #[inline(always)]
    fn react<E: Emit<S>>(&self, state: &mut S, record: T, _emit: &mut E) -> Result<()> {
        (self.add)(state, record);
        Ok(())
    }

    fn finish<E: Emit<S>>(&self, state: &mut S, emit: &mut E) -> Result<()> {
        emit.emit(std::mem::replace(state, self.init.clone()));
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Folds all records into one value in one worker, and emits it when all have come.
    ///
    /// ```
    /// let longest = skitter::testing::run(vec![3u64, 9, 4], |numbers| {
    ///     numbers.fold(0, |most, n| *most = n.max(*most))
    /// })?;
    /// assert_eq!(longest, [9]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn fold<S, F>(self, init: S, add: F) -> Stream<Behind<C, P, Fold<P::Record, S, F>, Sedentary>>
    where
        P::Record: Record,
        S: Record + Clone + Sync,
        F: Fn(&mut S, P::Record) + Clone + Send + Sync + 'static,
    {
        self.vertex(Fold::new(init, add), Sedentary)
    }

    /// As [`fold`](Stream::fold), for a fold that can be done in parts: each worker before it folds its own records,
    /// starting with `init`, and the values of all are then joined, starting with `init` again. Two vertices.
    ///
    /// ```
    /// let sum = skitter::testing::run((0..100u64).collect(), |numbers| {
    ///     numbers.fold_combine(0u64, |sum, n| *sum += n, |sum, part| *sum += part)
    /// })?;
    /// assert_eq!(sum, [4950]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn fold_combine<S, F, J>(
        self,
        init: S,
        add: F,
        join: J,
    ) -> Stream<Behind<Behind<C, P, Fold<P::Record, S, F>, Chained>, Out, Fold<S, S, J>, Sedentary>>
    where
        P::Record: Send,
        S: Record + Clone + Sync,
        F: Fn(&mut S, P::Record) + Clone + Send + Sync + 'static,
        J: Fn(&mut S, S) + Clone + Send + Sync + 'static,
    {
        self.vertex(Fold::new(init.clone(), add), Chained).vertex(Fold::new(init, join), Sedentary)
    }
}
