//! Records with what a table says of them.

use std::hash::Hash;
use std::marker::PhantomData;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keyed::JoinOf;
use super::{Either, Left, Right};
use crate::codec::{Record, stable_hash};
use crate::operations::watermarks::milliseconds;
use crate::strategies::SideInput;
use crate::workflow::{
    ByHand, Chain, Emit, KeyedTable, Operation, Out, OutPort, React, Result, Saved, Saving, Snapshot, Stream, Timestamp,
};

/// Gives each record with what a table says of its key at that moment. The table is a stream of changes. If it
/// `EXPIRES`, values are forgotten when they have not been changed for a while.
pub struct Lookup<T, U, K, V, KF, UF, const EXPIRES: bool = false> {
    key: KF,
    update: UF,
    time_to_live: Timestamp,
    types: PhantomData<fn(T, U) -> (K, V)>,
}

impl<T, U, K, V, KF: Clone, UF: Clone, const EXPIRES: bool> Clone for Lookup<T, U, K, V, KF, UF, EXPIRES> {
    fn clone(&self) -> Self {
        let Lookup { key, update, time_to_live, .. } = self;
        Lookup { key: key.clone(), update: update.clone(), time_to_live: *time_to_live, types: PhantomData }
    }
}

impl<T, U, K, V, KF, UF, const EXPIRES: bool> std::fmt::Debug for Lookup<T, U, K, V, KF, UF, EXPIRES> {
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
        Lookup { key, update, time_to_live: Timestamp::MAX, types: PhantomData }
    }
}

impl<T, U, K, V, KF, UF> Lookup<T, U, K, V, KF, UF, true>
where
    KF: Fn(&T) -> K,
    UF: Fn(U) -> (K, Option<V>),
{
    /// As [`new`](Lookup::new); a key is forgotten so long in event time after its last update, too.
    pub fn expiring(key: KF, update: UF, time_to_live: Duration) -> Self {
        Lookup { key, update, time_to_live: milliseconds(time_to_live), types: PhantomData }
    }
}

impl<T, U, K, V, KF, UF, const EXPIRES: bool> Operation for Lookup<T, U, K, V, KF, UF, EXPIRES>
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
    const NEEDS_TIME: bool = EXPIRES;
}

/// What a table says of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row<V> {
    /// None of one that is forgotten, and not gone yet.
    value: Option<V>,
    /// The last time of its life; [`UNKNOWN`] if it came before any time was known.
    until: Timestamp,
}

const UNKNOWN: Timestamp = Timestamp::MIN;

impl<V> Row<V> {
    fn lives(&self, time: Timestamp) -> bool {
        self.value.is_some() && (self.until >= time || self.until == UNKNOWN)
    }
}

/// What a table says, by key.
#[derive(Debug)]
pub struct LookupByKey<K, V> {
    rows: KeyedTable<K, Row<V>>,
    /// How many of them have no value.
    forgotten: usize,
    /// How far time has come, and how far it had when those were last looked for whose time is over.
    time: Timestamp,
    swept: Timestamp,
}

/// As long as so few keys are forgotten, it is not worth the while to let go of them.
const FEW: usize = 64;

impl<K: Hash + Eq, V> LookupByKey<K, V> {
    fn of(rows: KeyedTable<K, Row<V>>) -> Self {
        let forgotten = rows.iter().filter(|(_, row)| row.value.is_none()).count();
        LookupByKey { rows, forgotten, time: Timestamp::MIN, swept: Timestamp::MIN }
    }

    /// How many keys take up memory.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.rows.len()
    }

    fn set(&mut self, key: K, value: Option<V>, until: Timestamp) {
        let hash = stable_hash(&key);
        let Some(row) = self.rows.find(hash, |other| *other == key) else {
            if value.is_some() {
                self.rows.insert(hash, key, Row { value, until });
            }
            return;
        };
        self.forgotten -= usize::from(row.value.is_none());
        self.forgotten += usize::from(value.is_none());
        *row = Row { value, until };
        // So that each that is forgotten pays for one that is looked at.
        if self.forgotten > FEW && self.forgotten > self.rows.len() / 2 {
            self.sweep();
        }
    }

    /// Lets go of those that are forgotten.
    fn sweep(&mut self) {
        let time = self.time;
        // The table itself stays, as it may be being saved.
        let living: Vec<(K, Row<V>)> = self.rows.drain().filter(|(_, row)| row.lives(time)).collect();
        for (key, row) in living {
            self.rows.insert(stable_hash(&key), key, row);
        }
        self.forgotten = 0;
    }

    fn advance(&mut self, time: Timestamp, time_to_live: Timestamp) {
        if self.time == Timestamp::MIN {
            let until = time.saturating_add(time_to_live);
            let unknown = self.rows.iter_mut().filter(|(_, row)| row.until == UNKNOWN);
            unknown.for_each(|(_, row)| row.until = until);
            self.swept = time;
        }
        self.time = self.time.max(time);
        if self.time > self.swept.saturating_add(time_to_live / 2) {
            self.swept = self.time;
            if self.rows.iter().any(|(_, row)| !row.lives(self.time)) {
                self.sweep();
            }
        }
    }
}

impl<T, U, K, V, KF, UF, const EXPIRES: bool> React for Lookup<T, U, K, V, KF, UF, EXPIRES>
where
    T: Record,
    U: Record,
    K: Record + Hash + Eq,
    V: Record + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    UF: Fn(U) -> (K, Option<V>) + Clone + Send + Sync + 'static,
{
    type State = ByHand<LookupByKey<K, V>>;

    fn init(&self) -> Self::State {
        ByHand(LookupByKey::of(KeyedTable::new()))
    }

    #[inline(always)]
    fn react<E: Emit<(T, Option<V>)>>(&self, table: &mut Self::State, record: Self::In, emit: &mut E) -> Result<()> {
        match record {
            Either::Left(record) => {
                let (key, time) = ((self.key)(&record), table.time);
                let row = table.rows.find(stable_hash(&key), |other| *other == key);
                let value = row.filter(|row| !EXPIRES || row.lives(time)).and_then(|row| row.value.clone());
                emit.emit((record, value));
            }
            Either::Right(update) => {
                let (key, value) = (self.update)(update);
                let until = match table.time {
                    _ if !EXPIRES => Timestamp::MAX,
                    Timestamp::MIN => UNKNOWN,
                    time => time.saturating_add(self.time_to_live),
                };
                table.set(key, value, until);
            }
        }
        Ok(())
    }

    fn advance<E: Emit<(T, Option<V>)>>(&self, table: &mut Self::State, time: Timestamp, _emit: &mut E) -> Result<()> {
        if EXPIRES {
            table.advance(time, self.time_to_live);
        }
        Ok(())
    }

    /// Each worker has all of it, so that others can have it from any.
    fn snapshot_in_slices(&self, table: &mut Self::State, snapshot: &mut Snapshot) -> Result<Saving> {
        table.rows.snapshot(snapshot)
    }

    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        Ok(ByHand(LookupByKey::of(KeyedTable::restore(saved)?)))
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Gives each record with what a table says of its key at that moment, or nothing. The table is a stream of
    /// changes, of which each worker has a copy: `update` makes a key and its value of each, or none where the key is
    /// to be forgotten: that is dropped when half of the keys are. Records do not wait for the table: what comes before
    /// the change that it needs finds nothing.
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

    /// As [`lookup`](Stream::lookup); a key is forgotten so long in event time after its last change, too. What changes
    /// before any time is known lives from the first time that is. Needs [`watermarks`](Stream::watermarks) before it,
    /// in one of the streams at least; time has come as far as in the one of these that is most behind.
    ///
    /// What is over is not found any more, at once. Its memory is free when half as long again has passed: all keys are
    /// looked at then.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let found = skitter::testing::run(vec![1i64, 2, 3], |seconds| {
    ///     let seconds = seconds.watermarks(|second| second * 1000, Duration::ZERO).shared();
    ///     let table = seconds.clone().map(|second| (second, second * second));
    ///     let minute = Duration::from_secs(60);
    ///     seconds.expiring_lookup(table, |n| *n, |(n, square)| (n, Some(square)), minute)
    /// })?;
    /// assert!(found.iter().all(|(n, square)| square.is_none_or(|square| square == n * n)));
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn expiring_lookup<C2, P2, K, V, KF, UF>(
        self,
        table: Stream<C2, P2>,
        key: KF,
        update: UF,
        time_to_live: Duration,
    ) -> Stream<JoinOf<C, P, C2, P2, Lookup<P::Record, P2::Record, K, V, KF, UF, true>, SideInput>>
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
        let lookup = Lookup::expiring(key, update, time_to_live);
        self.vertex_of_two::<Left, Right, Out, _, _, _, _>(table, lookup, SideInput)
    }
}
