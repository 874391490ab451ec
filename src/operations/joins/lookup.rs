//! Records with what a table says of them.

use std::hash::Hash;
use std::marker::PhantomData;

use super::keyed::JoinOf;
use super::{Either, Left, Right};
use crate::codec::{Record, stable_hash};
use crate::strategies::SideInput;
use crate::workflow::{
    Chain, Emit, KeyedTable, Operation, Out, OutPort, React, Result, Saved, Saving, Snapshot, Stream,
};

/// Gives each record with what a table says of its key at that moment. The table is a stream of changes.
pub struct Lookup<T, U, K, V, KF, UF> {
    key: KF,
    update: UF,
    types: PhantomData<fn(T, U) -> (K, V)>,
}

impl<T, U, K, V, KF: Clone, UF: Clone> Clone for Lookup<T, U, K, V, KF, UF> {
    fn clone(&self) -> Self {
        Lookup { key: self.key.clone(), update: self.update.clone(), types: PhantomData }
    }
}

impl<T, U, K, V, KF, UF> std::fmt::Debug for Lookup<T, U, K, V, KF, UF> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookup")
    }
}

impl<T, U, K, V, KF, UF> Lookup<T, U, K, V, KF, UF>
where
    KF: Fn(&T) -> K,
    UF: Fn(U) -> (K, Option<V>),
{
    /// An operation that looks up the `key` of a record in what updates say: a key and its value, or none where the key
    /// is to be forgotten.
    pub fn new(key: KF, update: UF) -> Self {
        Lookup { key, update, types: PhantomData }
    }
}

impl<T, U, K, V, KF, UF> Operation for Lookup<T, U, K, V, KF, UF>
where
    T: Record,
    U: Record,
    K: 'static,
    V: Send + 'static,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    UF: Fn(U) -> (K, Option<V>) + Clone + Send + Sync + 'static,
{
    type In = Either<T, U>;
    type Out = (T, Option<V>);
    const NAME: &'static str = "lookup";
    const IN_PORTS: &'static [&'static str] = &["in", "table"];
}

/// What a table says, by key; none of a key that is forgotten.
pub type LookupByKey<K, V> = KeyedTable<K, Option<V>>;

impl<T, U, K, V, KF, UF> React for Lookup<T, U, K, V, KF, UF>
where
    T: Record,
    U: Record,
    K: Record + Hash + Eq,
    V: Record + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    UF: Fn(U) -> (K, Option<V>) + Clone + Send + Sync + 'static,
{
    type State = LookupByKey<K, V>;

    fn init(&self) -> Self::State {
        KeyedTable::new()
    }

    #[inline(always)]
    fn react<E: Emit<(T, Option<V>)>>(&self, table: &mut Self::State, record: Self::In, emit: &mut E) -> Result<()> {
        match record {
            Either::Left(record) => {
                let key = (self.key)(&record);
                let value = table.find(stable_hash(&key), |other| *other == key).and_then(|value| value.clone());
                emit.emit((record, value));
            }
            Either::Right(update) => {
                let (key, value) = (self.update)(update);
                let hash = stable_hash(&key);
                match table.find(hash, |other| *other == key) {
                    Some(known) => *known = value,
                    None => drop(table.insert(hash, key, value)),
                }
            }
        }
        Ok(())
    }

    /// Each worker has all of it, so that others can have it from any.
    fn snapshot(&self, table: &mut Self::State, snapshot: &mut Snapshot) -> Result<()> {
        while table.snapshot(snapshot)? == Saving::More {}
        Ok(())
    }

    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        KeyedTable::restore(saved)
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Gives each record with what a table says of its key at that moment, or nothing. The table is a stream of
    /// changes, of which each worker has a copy: `update` makes a key and its value of each, or none where the key is
    /// to be forgotten: its value is dropped, the key stays. Records do not wait for the table: what comes before the
    /// change that it needs finds nothing.
    /// Distributed by [`SideInput`]: no order is kept among records that go to different workers.
    ///
    /// ```
    /// let found = skitter::testing::run(vec![1u64, 2, 3], |numbers| {
    ///     let table = numbers.clone().map(|n| (n, n * n));
    ///     numbers.lookup(table, |n| *n, |(n, square)| (n, Some(square)))
    /// })?;
    /// assert!(found.iter().all(|(n, square)| square.is_none_or(|square| square == n * n)));
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn lookup<C2, P2, K, V, KF, UF>(
        self,
        table: Stream<C2, P2>,
        key: KF,
        update: UF,
    ) -> Stream<JoinOf<C, P, C2, P2, Lookup<P::Record, P2::Record, K, V, KF, UF>, SideInput>>
    where
        C2: Chain,
        P2: OutPort<C2::Out>,
        P::Record: Record + Clone,
        P2::Record: Record + Clone,
        K: Record + Hash + Eq,
        V: Record + Clone,
        KF: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        UF: Fn(P2::Record) -> (K, Option<V>) + Clone + Send + Sync + 'static,
    {
        self.vertex_of_two::<Left, Right, Out, _, _, _, _>(table, Lookup::new(key, update), SideInput)
    }
}
