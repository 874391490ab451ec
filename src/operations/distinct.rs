//! The first record of each key.

use std::hash::Hash;
use std::marker::PhantomData;

use crate::codec::Record;
use crate::strategies::KeyedState;
use crate::workflow::{Behind, Chain, Emit, Keyed, Operation, OutPort, React, Result, Stream};

/// Passes on the first record of each key. It remembers all keys.
pub struct Distinct<T, K, F> {
    key: F,
    types: PhantomData<fn(T) -> K>,
}

super::closure::clone_and_debug!(Distinct < T, K, F > { key });

impl<T, K, F: Fn(&T) -> K> Distinct<T, K, F> {
    /// An operation that tells records apart by this key.
    pub fn by(key: F) -> Self {
        Distinct { key, types: PhantomData }
    }
}

impl<T, K, F> Operation for Distinct<T, K, F>
where
    T: Send + 'static,
    K: 'static,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = T;
    const NAME: &'static str = "distinct";
}

impl<T, K, F> Keyed for Distinct<T, K, F>
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

impl<T, K, F> React for Distinct<T, K, F>
where
    T: Send + 'static,
    K: 'static,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    /// Whether the key has been seen.
    type State = bool;

    fn init(&self) -> bool {
        false
    }

    #[inline(always)]
    fn react<E: Emit<T>>(&self, seen: &mut bool, record: T, emit: &mut E) -> Result<()> {
        if !std::mem::replace(seen, true) {
            emit.emit(record);
        }
        Ok(())
    }
}

/// Uses a record as its own key.
type Itself<T> = fn(&T) -> T;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Passes on each record that is equal to none before it.
    ///
    /// ```
    /// let mut letters = skitter::testing::run(vec!['a', 'b', 'a'], |letters| letters.distinct())?;
    /// letters.sort();
    /// assert_eq!(letters, ['a', 'b']);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn distinct(self) -> Stream<Behind<C, P, Distinct<P::Record, P::Record, Itself<P::Record>>, KeyedState>>
    where
        P::Record: Record + Hash + Eq + Clone,
    {
        self.vertex(Distinct::by(P::Record::clone as Itself<P::Record>), KeyedState)
    }

    /// Passes on the first record of each key.
    pub fn distinct_by<K, F>(self, key: F) -> Stream<Behind<C, P, Distinct<P::Record, K, F>, KeyedState>>
    where
        P::Record: Record,
        K: Record + Hash + Eq + Clone,
        F: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
    {
        self.vertex(Distinct::by(key), KeyedState)
    }
}
