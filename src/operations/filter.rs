//! Records that meet a condition, and those that do not.

use std::marker::PhantomData;

use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, In, Operation, OutPort, React, Result, Stream};

/// Gives each record by port [`Accept`] or [`Reject`], as a condition says.
pub struct Filter<T, F> {
    condition: F,
    types: PhantomData<fn(T)>,
}

super::closure::clone_and_debug!(Filter < T, F > { condition });

impl<T, F: Fn(&T) -> bool> Filter<T, F> {
    /// An operation that accepts the records for which the condition holds.
    pub fn new(condition: F) -> Self {
        Filter { condition, types: PhantomData }
    }
}

/// What a filter says of a record.
///
/// A flag and not an enum: the compiler then has no branch before the one on what happens to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filtered<T> {
    /// The record.
    pub record: T,
    /// Whether the condition holds.
    pub accepted: bool,
}

/// The port of the records that a filter accepts.
#[derive(Clone, Copy, Debug)]
pub struct Accept;

/// The port of the records that a filter rejects.
#[derive(Clone, Copy, Debug)]
pub struct Reject;

impl<T: 'static> OutPort<Filtered<T>> for Accept {
    type Record = T;
    const INDEX: usize = 0;

    #[inline(always)]
    fn has(output: &Filtered<T>) -> bool {
        output.accepted
    }

    #[inline(always)]
    fn take(output: Filtered<T>) -> Option<T> {
        output.accepted.then_some(output.record)
    }
}

impl<T: 'static> OutPort<Filtered<T>> for Reject {
    type Record = T;
    const INDEX: usize = 1;

    #[inline(always)]
    fn has(output: &Filtered<T>) -> bool {
        !output.accepted
    }

    #[inline(always)]
    fn take(output: Filtered<T>) -> Option<T> {
        (!output.accepted).then_some(output.record)
    }
}

impl<T, F> Operation for Filter<T, F>
where
    T: Send + 'static,
    F: Fn(&T) -> bool + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = Filtered<T>;
    const NAME: &'static str = "filter";
    const OUT_PORTS: &'static [&'static str] = &["accept", "reject"];
}

impl<T, F> React for Filter<T, F>
where
    T: Send + 'static,
    F: Fn(&T) -> bool + Clone + Send + Sync + 'static,
{
    type State = ();
    const ONE_TO_ONE: bool = true;

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<Filtered<T>>>(&self, _state: &mut (), record: T, emit: &mut E) -> Result<()> {
        let accepted = (self.condition)(&record);
        emit.emit(Filtered { record, accepted });
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Gives the records for which the condition holds. The others leave by port [`Reject`]: to get at both, call
    /// [`ports`](Stream::ports) on the result.
    ///
    /// ```
    /// use skitter::operations::{Accept, Reject};
    ///
    /// let even = skitter::testing::run(vec![1u64, 2, 3, 4], |numbers| numbers.filter(|n| n % 2 == 0))?;
    /// assert_eq!(even, [2, 4]);
    ///
    /// let odd = skitter::testing::run(vec![1u64, 2, 3, 4], |numbers| {
    ///     let ports = numbers.filter(|n| n % 2 == 0).ports();
    ///     ports.stream(Accept).discard();
    ///     ports.stream(Reject)
    /// })?;
    /// assert_eq!(odd, [1, 3]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn filter<F>(self, condition: F) -> Stream<Behind<C, P, Filter<P::Record, F>, Chained>, Accept>
    where
        P::Record: Send,
        F: Fn(&P::Record) -> bool + Clone + Send + Sync + 'static,
    {
        self.vertex_at::<In, Accept, _, _>(Filter::new(condition), Chained)
    }
}
