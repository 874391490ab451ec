//! A state for each key, changed by each record of the key.

use std::hash::Hash;
use std::marker::PhantomData;

use crate::codec::Record;
use crate::strategies::KeyedState;
use crate::workflow::{Behind, Chain, Emit, Keyed, Operation, OutPort, React, Result, Stream};

/// Keeps a state for each key; a function changes it by each record and says what to emit.
pub struct KeyedReduce<T, K, S, U, KF, F> {
    key: KF,
    init: S,
    reduce: F,
    types: PhantomData<fn(T) -> (K, U)>,
}

impl<T, K, S: Clone, U, KF: Clone, F: Clone> Clone for KeyedReduce<T, K, S, U, KF, F> {
    fn clone(&self) -> Self {
        KeyedReduce { key: self.key.clone(), init: self.init.clone(), reduce: self.reduce.clone(), types: PhantomData }
    }
}

impl<T, K, S, U, KF, F> std::fmt::Debug for KeyedReduce<T, K, S, U, KF, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedReduce").finish_non_exhaustive()
    }
}

impl<T, K, S, U, KF, F> KeyedReduce<T, K, S, U, KF, F>
where
    KF: Fn(&T) -> K,
    F: Fn(&mut S, T) -> U,
{
    /// An operation that starts each key with a clone of `init`, and calls `reduce` for each record.
    pub fn new(key: KF, init: S, reduce: F) -> Self {
        KeyedReduce { key, init, reduce, types: PhantomData }
    }
}

impl<T, K, S, U, KF, F> Operation for KeyedReduce<T, K, S, U, KF, F>
where
    T: Send + 'static,
    K: 'static,
    S: Clone + Send + Sync + 'static,
    U: Send + 'static,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    F: Fn(&mut S, T) -> U + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = U;
    const NAME: &'static str = "keyed reduce";
}

impl<T, K, S, U, KF, F> Keyed for KeyedReduce<T, K, S, U, KF, F>
where
    T: Send + 'static,
    K: Record + Hash + Eq + Clone,
    S: Clone + Send + Sync + 'static,
    U: Send + 'static,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    F: Fn(&mut S, T) -> U + Clone + Send + Sync + 'static,
{
    type Key = K;

    #[inline(always)]
    fn key(&self, record: &T) -> K {
        (self.key)(record)
    }
}

impl<T, K, S, U, KF, F> React for KeyedReduce<T, K, S, U, KF, F>
where
    T: Send + 'static,
    K: 'static,
    S: Record + Clone + Sync,
    U: Send + 'static,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    F: Fn(&mut S, T) -> U + Clone + Send + Sync + 'static,
{
    type State = S;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> S {
        self.init.clone()
    }

    #[inline(always)]
    fn react<E: Emit<U>>(&self, state: &mut S, record: T, emit: &mut E) -> Result<()> {
        emit.emit((self.reduce)(state, record));
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Keeps a state for each key, which starts as `init`; `reduce` changes it by each record of the key and says what
    /// to emit. Records of one key from one sender are handled in order.
    ///
    /// If the reduction is associative and commutative, [`keyed_combine`](Stream::keyed_combine) sends far less.
    ///
    /// ```
    /// let words = vec!["Hello", "Skitter", "Hello"].into_iter().map(str::to_owned).collect();
    /// let counts = skitter::testing::run(words, |words| {
    ///     words.keyed_reduce(String::clone, 0u64, |count, word| { *count += 1; (word, *count) })
    /// })?;
    /// assert_eq!(counts.iter().filter(|(word, _)| word == "Hello").map(|(_, n)| *n).collect::<Vec<_>>(), [1, 2]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn keyed_reduce<K, S, U, KF, F>(
        self,
        key: KF,
        init: S,
        reduce: F,
    ) -> Stream<Behind<C, P, KeyedReduce<P::Record, K, S, U, KF, F>, KeyedState>>
    where
        P::Record: Record,
        K: Record + Hash + Eq + Clone,
        S: Record + Clone + Sync,
        U: Send + 'static,
        KF: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        F: Fn(&mut S, P::Record) -> U + Clone + Send + Sync + 'static,
    {
        self.vertex(KeyedReduce::new(key, init, reduce), KeyedState)
    }
}
