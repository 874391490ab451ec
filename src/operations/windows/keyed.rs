//! Windows for each key.

use std::hash::Hash;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::slices::{Merge, Slices, Standing};
use super::{Aggregate, Window, Windows};
use crate::codec::{Record, stable_hash};
use crate::strategies::Partitioned;
use crate::workflow::{
    Behind, ByHand, Chain, Emit, In, Keyed, Operation, OutPort, React, Result, Saved, Snapshot, Stream, Timestamp,
};

/// What the records of a key in a window come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Windowed<K, V> {
    /// The window.
    pub window: Window,
    /// The key.
    pub key: K,
    /// The result of the aggregate.
    pub value: V,
    /// Whether it is the result of a window at its end.
    pub firing: Firing,
}

/// When a result is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Firing {
    /// Before the end of the window: of the records so far; see [`Windows::early_every`].
    Early,
    /// At the end of the window.
    OnTime,
    /// Again, with a record that came late; see [`Windows::allowed_lateness`].
    Late,
}

/// What a window gives: results, and the records that came too late for any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<R, T> {
    /// A result, by port [`OnTime`].
    Result(R),
    /// A record, by port [`Late`].
    Late(T),
}

/// The port of results.
#[derive(Clone, Copy, Debug)]
pub struct OnTime;

/// The port of records that came when all windows that they are in were gone.
#[derive(Clone, Copy, Debug)]
pub struct Late;

impl<R: 'static, T: 'static> OutPort<Outcome<R, T>> for OnTime {
    type Record = R;
    const INDEX: usize = 0;

    #[inline(always)]
    fn has(output: &Outcome<R, T>) -> bool {
        matches!(output, Outcome::Result(_))
    }

    #[inline(always)]
    fn take(output: Outcome<R, T>) -> Option<R> {
        if let Outcome::Result(result) = output { Some(result) } else { None }
    }
}

impl<R: 'static, T: 'static> OutPort<Outcome<R, T>> for Late {
    type Record = T;
    const INDEX: usize = 1;

    #[inline(always)]
    fn has(output: &Outcome<R, T>) -> bool {
        matches!(output, Outcome::Late(_))
    }

    #[inline(always)]
    fn take(output: Outcome<R, T>) -> Option<T> {
        if let Outcome::Late(record) = output { Some(record) } else { None }
    }
}

/// The names of the out ports of windows.
pub(super) const PORTS: &[&str] = &["on time", "late"];

/// Merges by an aggregate.
pub(super) struct By<'a, G, T>(pub &'a G, pub PhantomData<fn(T)>);

impl<T, G: Aggregate<T>> Merge<G::Accumulator> for By<'_, G, T> {
    #[inline(always)]
    fn merge(&self, value: &mut G::Accumulator, other: G::Accumulator) {
        self.0.merge(value, other);
    }
}

/// Windows of one size for each key.
pub struct KeyedWindow<T, K, KF, TF, G> {
    key: KF,
    time: TF,
    windows: Windows,
    aggregate: G,
    types: PhantomData<fn(T) -> K>,
}

impl<T, K, KF: Clone, TF: Clone, G: Clone> Clone for KeyedWindow<T, K, KF, TF, G> {
    fn clone(&self) -> Self {
        KeyedWindow {
            key: self.key.clone(),
            time: self.time.clone(),
            windows: self.windows,
            aggregate: self.aggregate.clone(),
            types: PhantomData,
        }
    }
}

impl<T, K, KF, TF, G> std::fmt::Debug for KeyedWindow<T, K, KF, TF, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedWindow").field("windows", &self.windows).finish_non_exhaustive()
    }
}

impl<T, K, KF, TF, G> KeyedWindow<T, K, KF, TF, G>
where
    KF: Fn(&T) -> K,
    TF: Fn(&T) -> Timestamp,
    G: Aggregate<T>,
{
    /// An operation that aggregates the records of each key in each window.
    pub fn new(key: KF, time: TF, windows: Windows, aggregate: G) -> Self {
        KeyedWindow { key, time, windows, aggregate, types: PhantomData }
    }

    fn by(&self) -> By<'_, G, T> {
        By(&self.aggregate, PhantomData)
    }

    /// What one record comes to; made before anything is kept of it, because it may fail.
    fn first(&self, record: T) -> G::Accumulator {
        let mut value = self.aggregate.create();
        self.aggregate.add(&mut value, record);
        value
    }

    fn result(&self, window: Window, key: K, value: G::Accumulator, firing: Firing) -> Outcome<Windowed<K, G::Out>, T> {
        Outcome::Result(Windowed { window, key, value: self.aggregate.finish(value), firing })
    }
}

impl<T, K, KF, TF, G> Operation for KeyedWindow<T, K, KF, TF, G>
where
    T: Record,
    K: Send + 'static,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    TF: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    type In = T;
    type Out = Outcome<Windowed<K, G::Out>, T>;
    const NAME: &'static str = "keyed window";
    const OUT_PORTS: &'static [&'static str] = PORTS;
    const NEEDS_TIME: bool = true;

    fn check(&self) -> Result<()> {
        self.windows.check()
    }
}

impl<T, K, KF, TF, G> Keyed for KeyedWindow<T, K, KF, TF, G>
where
    T: Record,
    K: Record + Hash + Eq + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    TF: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    type Key = K;

    #[inline(always)]
    fn key(&self, record: &T) -> K {
        (self.key)(record)
    }
}

impl<T, K, KF, TF, G> React for KeyedWindow<T, K, KF, TF, G>
where
    T: Record,
    K: Record + Hash + Eq + Clone,
    KF: Fn(&T) -> K + Clone + Send + Sync + 'static,
    TF: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    type State = ByHand<Slices<K, G::Accumulator>>;

    fn init(&self) -> Self::State {
        ByHand(Slices::new())
    }

    #[inline(always)]
    fn react<E: Emit<Self::Out>>(&self, state: &mut Self::State, record: T, emit: &mut E) -> Result<()> {
        let slice = self.windows.slice_of((self.time)(&record));
        let standing = state.standing(&self.windows, slice);
        if standing == Standing::Gone {
            emit.emit(Outcome::Late(record));
            return Ok(());
        }
        let (key, table) = (self.key(&record), state.table(slice));
        let hash = stable_hash(&key);
        if standing == Standing::OnTime {
            match table.find(hash, |other| *other == key) {
                Some(value) => self.aggregate.add(value, record),
                None => drop(table.insert(hash, key, self.first(record))),
            }
        } else {
            match table.find(hash, |other| *other == key) {
                Some(value) => self.aggregate.add(value, record),
                None => drop(table.insert(hash, key.clone(), self.first(record))),
            }
            for window in self.windows.kept(slice, state.time()) {
                if let Some(value) = state.again(window, &key, &self.by()) {
                    emit.emit(self.result(window, key.clone(), value, Firing::Late));
                }
            }
        }
        Ok(())
    }

    fn advance<E: Emit<Self::Out>>(&self, state: &mut Self::State, time: Timestamp, emit: &mut E) -> Result<()> {
        let mut give = |window, key, value| emit.emit(self.result(window, key, value, Firing::OnTime));
        state.advance(&self.windows, &self.by(), time, &mut give);
        let mut give = |window, key, value| emit.emit(self.result(window, key, value, Firing::Early));
        state.early(&self.windows, &self.by(), &mut give);
        Ok(())
    }

    fn finish<E: Emit<Self::Out>>(&self, state: &mut Self::State, emit: &mut E) -> Result<()> {
        let mut give = |window, key, value| emit.emit(self.result(window, key, value, Firing::OnTime));
        state.advance(&self.windows, &self.by(), Timestamp::MAX, &mut give);
        Ok(())
    }

    fn snapshot(&self, state: &mut Self::State, snapshot: &mut Snapshot) -> Result<()> {
        state.snapshot(snapshot)
    }

    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        Ok(ByHand(Slices::restore(saved)?))
    }
}

/// Windows for each key behind a stream.
pub type KeyedWindowOf<C, P, T, K, KF, TF, G> = Behind<C, P, KeyedWindow<T, K, KF, TF, G>, Partitioned>;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Aggregates the records of each key in each window, and gives the results as windows end: the earlier window
    /// first, its keys in no order. `time` is that of a record. Needs [`watermarks`](Stream::watermarks) before it.
    /// Distributed by [`Partitioned`].
    ///
    /// It keeps a value for each key in each slice of the windows that have not ended. Where windows overlap and most
    /// keys are in many slices, sums of slices are kept, too: they take several times the memory, and windows are
    /// merged many times as fast. With [early results](Windows::early_every) each open window is merged anew each time.
    ///
    /// ```
    /// use skitter::operations::windows::{Count, Windows};
    /// use std::time::Duration;
    ///
    /// // When somebody bought what.
    /// let sales = vec![(1_000i64, "tea"), (4_000, "tea"), (5_000, "milk"), (11_000, "tea")];
    /// let sales = sales.into_iter().map(|(time, what)| (time, what.to_owned())).collect();
    /// let mut counts = skitter::testing::run(sales, |sales| {
    ///     let windows = Windows::sliding(Duration::from_secs(10), Duration::from_secs(5));
    ///     let timed = sales.watermarks(|(time, _)| *time, Duration::ZERO);
    ///     timed.keyed_window(|(_, what)| what.clone(), |(time, _)| *time, windows, Count)
    /// })?;
    /// counts.sort_by_key(|count| (count.window, count.key.clone()));
    /// let tea = counts.iter().filter(|count| count.key == "tea");
    /// let tea: Vec<_> = tea.map(|count| (count.window.start, count.value)).collect();
    /// assert_eq!(tea, [(-5_000, 2), (0, 2), (5_000, 1), (10_000, 1)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn keyed_window<K, KF, TF, G>(
        self,
        key: KF,
        time: TF,
        windows: Windows,
        aggregate: G,
    ) -> Stream<KeyedWindowOf<C, P, P::Record, K, KF, TF, G>, OnTime>
    where
        P::Record: Record,
        K: Record + Hash + Eq + Clone,
        KF: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        TF: Fn(&P::Record) -> Timestamp + Clone + Send + Sync + 'static,
        G: Aggregate<P::Record>,
    {
        self.vertex_at::<In, OnTime, _, _>(KeyedWindow::new(key, time, windows, aggregate), Partitioned)
    }
}

/// The stable hash of what all records have as their key where there is none.
pub(super) fn nobody() -> u64 {
    stable_hash(&())
}
