//! Windows of so many records.

use std::hash::Hash;
use std::marker::PhantomData;

use super::Aggregate;
use crate::codec::Record;
use crate::strategies::KeyedState;
use crate::workflow::{Behind, Chain, Emit, Error, Keyed, Operation, OutPort, React, Result, Stream};

/// Aggregates so many records of a key, and then begins anew. What is left at the end is given, too.
pub struct CountWindow<T, K, KF, G> {
    key: KF,
    count: u64,
    aggregate: G,
    types: PhantomData<fn(T) -> K>,
}

impl<T, K, KF: Clone, G: Clone> Clone for CountWindow<T, K, KF, G> {
    fn clone(&self) -> Self {
        let CountWindow { key, count, aggregate, .. } = self;
        CountWindow { key: key.clone(), count: *count, aggregate: aggregate.clone(), types: PhantomData }
    }
}

impl<T, K, KF, G> std::fmt::Debug for CountWindow<T, K, KF, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CountWindow").field("count", &self.count).finish_non_exhaustive()
    }
}

impl<T, K, KF: Fn(&T) -> K, G: Aggregate<T>> CountWindow<T, K, KF, G> {
    /// An operation that aggregates `count` records of each key.
    pub fn new(key: KF, count: u64, aggregate: G) -> Self {
        CountWindow { key, count, aggregate, types: PhantomData }
    }
}

impl<T, K, KF, G> Operation for CountWindow<T, K, KF, G>
where
    T: Send + 'static,
    K: Send + 'static,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    type In = T;
    type Out = (K, G::Out);
    const NAME: &'static str = "count window";

    fn check(&self) -> Result<()> {
        match self.count {
            0 => Err(Error::Operation("a window has one record at least".to_owned())),
            _ => Ok(()),
        }
    }
}

impl<T, K, KF, G> Keyed for CountWindow<T, K, KF, G>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    type Key = K;

    #[inline(always)]
    fn key(&self, record: &T) -> K {
        (self.key)(record)
    }
}

impl<T, K, KF, G> React for CountWindow<T, K, KF, G>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    /// The key, how many records there are in the window, and what they come to.
    type State = Option<(K, u64, G::Accumulator)>;

    fn init(&self) -> Self::State {
        None
    }

    #[inline(always)]
    fn react<E: Emit<Self::Out>>(&self, state: &mut Self::State, record: T, emit: &mut E) -> Result<()> {
        let (_, count, value) = state.get_or_insert_with(|| ((self.key)(&record), 0, self.aggregate.create()));
        self.aggregate.add(value, record);
        *count += 1;
        if *count >= self.count
            && let Some((key, _, value)) = state.take()
        {
            emit.emit((key, self.aggregate.finish(value)));
        }
        Ok(())
    }

    fn finish<E: Emit<Self::Out>>(&self, state: &mut Self::State, emit: &mut E) -> Result<()> {
        if let Some((key, _, value)) = state.take() {
            emit.emit((key, self.aggregate.finish(value)));
        }
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Aggregates `count` records of each key, in the order in which they arrive, gives key and result, and begins
    /// anew; what is left at the end is given, too. Distributed by [`KeyedState`].
    ///
    /// ```
    /// use skitter::operations::windows::Collect;
    ///
    /// let numbers = (0..5u64).collect();
    /// let pairs = skitter::testing::run(numbers, |numbers| numbers.count_window(|_| 'n', 2, Collect))?;
    /// assert_eq!(pairs, [('n', vec![0, 1]), ('n', vec![2, 3]), ('n', vec![4])]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn count_window<K, KF, G>(
        self,
        key: KF,
        count: u64,
        aggregate: G,
    ) -> Stream<Behind<C, P, CountWindow<P::Record, K, KF, G>, KeyedState>>
    where
        P::Record: Record,
        K: Record + Hash + Eq + Clone,
        KF: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        G: Aggregate<P::Record>,
    {
        self.vertex(CountWindow::new(key, count, aggregate), KeyedState)
    }
}
