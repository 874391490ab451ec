//! A value for each key, joined from the values of its records in any order and grouping.

use std::hash::Hash;
use std::marker::PhantomData;

use crate::codec::Record;
use crate::strategies::Combining;
use crate::workflow::{Behind, Chain, Combine, Emit, Keyed, Operation, OutPort, React, Result, Stream};

/// Keeps a value for each key, to which the value of each record is joined; emits the key and its value whenever that
/// has changed.
///
/// Because `join` is associative and commutative, strategies may join values before they travel, and then emit once for
/// many records; see [`Combining`] and [`PartialKey`](crate::strategies::PartialKey). With
/// [`KeyedState`](crate::strategies::KeyedState) each record gives one update.
pub struct KeyedCombine<T, K, V, KF, VF, F> {
    key: KF,
    value: VF,
    join: F,
    types: PhantomData<fn(T) -> (K, V)>,
}

impl<T, K, V, KF: Clone, VF: Clone, F: Clone> Clone for KeyedCombine<T, K, V, KF, VF, F> {
    fn clone(&self) -> Self {
        KeyedCombine { key: self.key.clone(), value: self.value.clone(), join: self.join.clone(), types: PhantomData }
    }
}

impl<T, K, V, KF, VF, F> std::fmt::Debug for KeyedCombine<T, K, V, KF, VF, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedCombine").finish_non_exhaustive()
    }
}

impl<T, K, V, KF, VF, F> KeyedCombine<T, K, V, KF, VF, F>
where
    KF: Fn(&T) -> K,
    VF: Fn(&T) -> V,
    F: Fn(&mut V, V),
{
    /// An operation that joins the `value` of each record to that of its `key`. `join` has to be associative and
    /// commutative.
    pub fn new(key: KF, value: VF, join: F) -> Self {
        KeyedCombine { key, value, join, types: PhantomData }
    }
}

impl<T, K, V, KF, VF, F> Operation for KeyedCombine<T, K, V, KF, VF, F>
where
    T: Send + 'static,
    K: Send + 'static,
    V: Send + 'static,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    VF: Fn(&T) -> V + Clone + Send + Sync + 'static,
    F: Fn(&mut V, V) + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = (K, V);
    const NAME: &'static str = "keyed combine";
}

impl<T, K, V, KF, VF, F> Keyed for KeyedCombine<T, K, V, KF, VF, F>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    V: Send + 'static,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    VF: Fn(&T) -> V + Clone + Send + Sync + 'static,
    F: Fn(&mut V, V) + Clone + Send + Sync + 'static,
{
    type Key = K;

    #[inline(always)]
    fn key(&self, record: &T) -> K {
        (self.key)(record)
    }
}

impl<T, K, V, KF, VF, F> React for KeyedCombine<T, K, V, KF, VF, F>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    V: Record + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    VF: Fn(&T) -> V + Clone + Send + Sync + 'static,
    F: Fn(&mut V, V) + Clone + Send + Sync + 'static,
{
    type State = Option<V>;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> Option<V> {
        None
    }

    #[inline(always)]
    fn react<E: Emit<(K, V)>>(&self, state: &mut Option<V>, record: T, emit: &mut E) -> Result<()> {
        self.join(state, (self.value)(&record));
        if let Some(value) = state {
            emit.emit(((self.key)(&record), value.clone()));
        }
        Ok(())
    }
}

impl<T, K, V, KF, VF, F: Fn(&mut V, V)> KeyedCombine<T, K, V, KF, VF, F> {
    #[inline(always)]
    fn join(&self, value: &mut Option<V>, other: V) {
        match value {
            Some(value) => (self.join)(value, other),
            None => *value = Some(other),
        }
    }
}

impl<T, K, V, KF, VF, F> Combine for KeyedCombine<T, K, V, KF, VF, F>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    V: Record + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    VF: Fn(&T) -> V + Clone + Send + Sync + 'static,
    F: Fn(&mut V, V) + Clone + Send + Sync + 'static,
{
    type Partial = V;

    #[inline(always)]
    fn start(&self, record: T) -> V {
        (self.value)(&record)
    }

    #[inline(always)]
    fn add(&self, partial: &mut V, record: T) {
        (self.join)(partial, (self.value)(&record));
    }

    #[inline(always)]
    fn join(&self, partial: &mut V, other: V) {
        (self.join)(partial, other);
    }

    #[inline(always)]
    fn merge<E: Emit<(K, V)>>(&self, key: &K, state: &mut Option<V>, partial: V, emit: &mut E) -> Result<()> {
        KeyedCombine::join(self, state, partial);
        if let Some(value) = state {
            emit.emit((key.clone(), value.clone()));
        }
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Keeps a value for each key, to which the `value` of each record is joined, and emits key and value as they
    /// change. `join` has to be associative and commutative. Distributed by [`Combining`].
    ///
    /// ```
    /// let sums = skitter::testing::run((0..100u64).collect(), |numbers| {
    ///     numbers.keyed_combine(|n| n % 3, |n| *n, |sum, n| *sum += n)
    /// })?;
    /// assert!(sums.contains(&(0, 1683)));
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn keyed_combine<K, V, KF, VF, F>(
        self,
        key: KF,
        value: VF,
        join: F,
    ) -> Stream<Behind<C, P, KeyedCombine<P::Record, K, V, KF, VF, F>, Combining>>
    where
        P::Record: Send,
        K: Record + Hash + Eq + Clone,
        V: Record + Clone,
        KF: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        VF: Fn(&P::Record) -> V + Clone + Send + Sync + 'static,
        F: Fn(&mut V, V) + Clone + Send + Sync + 'static,
    {
        self.vertex(KeyedCombine::new(key, value, join), Combining)
    }
}
