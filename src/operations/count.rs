//! How many records there are, of each key and in all.

use std::hash::Hash;
use std::marker::PhantomData;

use super::Fold;
use crate::codec::Record;
use crate::strategies::{Chained, Combining, Sedentary};
use crate::workflow::{Behind, Chain, Combine, Emit, Keyed, Operation, OutPort, React, Result, Stream};

/// Counts the records of each key; emits the key and its count whenever that has changed.
pub struct Count<T, K, F> {
    key: F,
    types: PhantomData<fn(T) -> K>,
}

super::closure::clone_and_debug!(Count < T, K, F > { key });

impl<T, K, F: Fn(&T) -> K> Count<T, K, F> {
    /// An operation that counts by this key.
    pub fn by(key: F) -> Self {
        Count { key, types: PhantomData }
    }
}

impl<T, K, F> Operation for Count<T, K, F>
where
    T: Send + 'static,
    K: Send + 'static,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = (K, u64);
    const NAME: &'static str = "count";
}

impl<T, K, F> Keyed for Count<T, K, F>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    type Key = K;

    #[inline(always)]
    fn key(&self, record: &T) -> K {
        (self.key)(record)
    }
}

impl<T, K, F> React for Count<T, K, F>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    type State = u64;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn react<E: Emit<(K, u64)>>(&self, count: &mut u64, record: T, emit: &mut E) -> Result<()> {
        *count += 1;
        emit.emit(((self.key)(&record), *count));
        Ok(())
    }
}

impl<T, K, F> Combine for Count<T, K, F>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    type Partial = u64;

    #[inline(always)]
    fn start(&self, _record: T) -> u64 {
        1
    }

    #[inline(always)]
    fn add(&self, partial: &mut u64, _record: T) {
        *partial += 1;
    }

    #[inline(always)]
    fn join(&self, partial: &mut u64, other: u64) {
        *partial += other;
    }

    #[inline(always)]
    fn merge<E: Emit<(K, u64)>>(&self, key: &K, count: &mut u64, partial: u64, emit: &mut E) -> Result<()> {
        *count += partial;
        emit.emit((key.clone(), *count));
        Ok(())
    }
}

/// Adds one for a record.
type AddOne<T> = fn(&mut u64, T);
/// Adds a count.
type AddCount = fn(&mut u64, u64);

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Counts the records of each key, and emits key and count as they change: with [`Combining`], the default, once
    /// for many records; with [`KeyedState`](crate::strategies::KeyedState), which needs serialisable records, once for
    /// each.
    ///
    /// ```
    /// let counts = skitter::testing::run(vec![3u64, 4, 5], |numbers| numbers.count_by(|n| n % 2))?;
    /// assert!(counts.contains(&(1, 2)) && counts.contains(&(0, 1)));
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn count_by<K, F>(self, key: F) -> Stream<Behind<C, P, Count<P::Record, K, F>, Combining>>
    where
        P::Record: Send,
        K: Record + Hash + Eq + Clone,
        F: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
    {
        self.vertex(Count::by(key), Combining)
    }

    /// The number of records, once all have come.
    ///
    /// ```
    /// assert_eq!(skitter::testing::run(vec!['a', 'b'], |letters| letters.count())?, [2]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn count(
        self,
    ) -> Stream<
        Behind<
            Behind<C, P, Fold<P::Record, u64, AddOne<P::Record>>, Chained>,
            crate::workflow::Out,
            Fold<u64, u64, AddCount>,
            Sedentary,
        >,
    >
    where
        P::Record: Send,
    {
        self.fold_combine(0u64, (|count, _| *count += 1) as AddOne<P::Record>, (|sum, n| *sum += n) as AddCount)
    }
}
