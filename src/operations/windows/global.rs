//! Windows of all records.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::keyed::{By, Firing, OnTime, Outcome, PORTS, Windowed, nobody};
use super::slices::{Slices, Standing};
use super::{Aggregate, Window, Windows};
use crate::codec::stable_hash;
use crate::strategies::Funnel;
use crate::workflow::{
    Behind, ByHand, Chain, Emit, Gathering, In, KeyedTable, Operation, OutPort, React, Result, Saved, Snapshot, Stream,
    Timestamp,
};

/// What records of a slice of time come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice<A> {
    /// Where the slice begins.
    pub start: Timestamp,
    /// What has been made of them.
    pub value: A,
}

/// Windows of one size, of all records.
pub struct GlobalWindow<T, TF, G> {
    time: TF,
    windows: Windows,
    aggregate: G,
    types: PhantomData<fn(T)>,
}

impl<T, TF: Clone, G: Clone> Clone for GlobalWindow<T, TF, G> {
    fn clone(&self) -> Self {
        let GlobalWindow { time, windows, aggregate, .. } = self;
        GlobalWindow { time: time.clone(), windows: *windows, aggregate: aggregate.clone(), types: PhantomData }
    }
}

impl<T, TF, G> std::fmt::Debug for GlobalWindow<T, TF, G> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalWindow").field("windows", &self.windows).finish_non_exhaustive()
    }
}

impl<T, TF: Fn(&T) -> Timestamp, G: Aggregate<T>> GlobalWindow<T, TF, G> {
    /// An operation that aggregates all records in each window.
    pub fn new(time: TF, windows: Windows, aggregate: G) -> Self {
        GlobalWindow { time, windows, aggregate, types: PhantomData }
    }

    fn by(&self) -> By<'_, G, T> {
        By(&self.aggregate, PhantomData)
    }

    fn result(&self, window: Window, value: G::Accumulator, firing: Firing) -> OutcomeOf<T, G> {
        Outcome::Result(Windowed { window, key: (), value: self.aggregate.finish(value), firing })
    }
}

type OutcomeOf<T, G> = Outcome<Windowed<(), <G as Aggregate<T>>::Out>, Slice<<G as Aggregate<T>>::Accumulator>>;

impl<T, TF, G> Operation for GlobalWindow<T, TF, G>
where
    T: Send + 'static,
    TF: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    type In = T;
    type Out = OutcomeOf<T, G>;
    const NAME: &'static str = "window";
    const OUT_PORTS: &'static [&'static str] = PORTS;
    const NEEDS_TIME: bool = true;

    fn check(&self) -> Result<()> {
        self.windows.check()
    }
}

impl<T, TF, G> React for GlobalWindow<T, TF, G>
where
    T: Send + 'static,
    TF: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    type State = ByHand<Slices<(), G::Accumulator>>;

    fn init(&self) -> Self::State {
        ByHand(Slices::new())
    }

    fn react<E: Emit<Self::Out>>(&self, state: &mut Self::State, record: T, emit: &mut E) -> Result<()> {
        let start = self.windows.slice_of((self.time)(&record));
        let mut value = self.aggregate.create();
        self.aggregate.add(&mut value, record);
        self.merge(state, start, value, emit)
    }

    fn advance<E: Emit<Self::Out>>(&self, state: &mut Self::State, time: Timestamp, emit: &mut E) -> Result<()> {
        let mut give = |window, (), value| emit.emit(self.result(window, value, Firing::OnTime));
        state.advance(&self.windows, &self.by(), time, &mut give);
        let mut give = |window, (), value| emit.emit(self.result(window, value, Firing::Early));
        state.early(&self.windows, &self.by(), &mut give);
        Ok(())
    }

    fn finish<E: Emit<Self::Out>>(&self, state: &mut Self::State, emit: &mut E) -> Result<()> {
        let mut give = |window, (), value| emit.emit(self.result(window, value, Firing::OnTime));
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

impl<T, TF, G> Gathering for GlobalWindow<T, TF, G>
where
    T: Send + 'static,
    TF: Fn(&T) -> Timestamp + Clone + Send + Sync + 'static,
    G: Aggregate<T>,
{
    /// Where a slice begins.
    type Key = Timestamp;
    type Partial = G::Accumulator;

    #[inline(always)]
    fn gather(&self, record: T, slices: &mut KeyedTable<Timestamp, G::Accumulator>) {
        let start = self.windows.slice_of((self.time)(&record));
        let hash = stable_hash(&start);
        let value = match slices.find(hash, |other| *other == start) {
            Some(value) => value,
            None => slices.insert(hash, start, self.aggregate.create()).1,
        };
        self.aggregate.add(value, record);
    }

    fn merge<E: Emit<Self::Out>>(
        &self,
        state: &mut Self::State,
        start: Timestamp,
        value: G::Accumulator,
        emit: &mut E,
    ) -> Result<()> {
        let standing = state.standing(&self.windows, start);
        if standing == Standing::Gone {
            emit.emit(Outcome::Late(Slice { start, value }));
            return Ok(());
        }
        let table = state.table(start);
        match table.find(nobody(), |()| true) {
            Some(sum) => self.aggregate.merge(sum, value),
            None => drop(table.insert(nobody(), (), value)),
        }
        if standing == Standing::Late {
            for window in self.windows.kept(start, state.time()) {
                if let Some(value) = state.again(window, &(), &self.by()) {
                    emit.emit(self.result(window, value, Firing::Late));
                }
            }
        }
        Ok(())
    }
}

/// Windows of all records behind a stream.
pub type GlobalWindowOf<C, P, T, TF, G> = Behind<C, P, GlobalWindow<T, TF, G>, Funnel>;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Aggregates all records in each window, and gives the results as windows end, the earlier one first. `time` is
    /// that of a record. Needs [`watermarks`](Stream::watermarks) before it. Distributed by [`Funnel`]: senders
    /// aggregate what they have, slice by slice, and one worker joins these. So what comes too late leaves as the
    /// [`Slice`] that its sender has made of it.
    ///
    /// ```
    /// use skitter::operations::windows::{Greatest, Windows};
    /// use std::time::Duration;
    ///
    /// // When somebody offered how much.
    /// let bids = vec![(1_000i64, 7u64), (3_000, 9), (9_000, 9), (12_000, 1)];
    /// let highest = skitter::testing::run(bids, |bids| {
    ///     let timed = bids.watermarks(|(time, _)| *time, Duration::ZERO);
    ///     let windows = Windows::tumbling(Duration::from_secs(10));
    ///     timed.window(|(time, _)| *time, windows, Greatest::by(|(_, price): &(i64, u64)| *price))
    /// })?;
    /// assert_eq!(highest[0].value, [(3_000, 9), (9_000, 9)]);
    /// assert_eq!(highest[1].value, [(12_000, 1)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn window<TF, G>(
        self,
        time: TF,
        windows: Windows,
        aggregate: G,
    ) -> Stream<GlobalWindowOf<C, P, P::Record, TF, G>, OnTime>
    where
        P::Record: Send,
        TF: Fn(&P::Record) -> Timestamp + Clone + Send + Sync + 'static,
        G: Aggregate<P::Record>,
    {
        self.vertex_at::<In, OnTime, _, _>(GlobalWindow::new(time, windows, aggregate), Funnel)
    }
}
