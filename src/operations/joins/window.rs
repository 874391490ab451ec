//! Pairs of a key that are in one window.

use std::hash::Hash;
use std::marker::PhantomData;

use super::keyed::JoinOf;
use super::{Either, JoinKind, Joined, Left, PORTS, Right};
use crate::codec::Record;
use crate::operations::windows::{Aggregate, Firing, KeyedWindow, OnTime, Outcome, Window, Windowed, Windows};
use crate::strategies::Partitioned;
use crate::workflow::{Chain, Emit, Keyed, Operation, OutPort, React, Result, Saved, Snapshot, Stream, Timestamp};

/// Keeps the records of two streams apart.
pub struct Pairs<L, R>(PhantomData<fn(L, R)>);

impl<L, R> Clone for Pairs<L, R> {
    fn clone(&self) -> Self {
        Pairs(PhantomData)
    }
}

impl<L: Record + Clone, R: Record + Clone> Aggregate<Either<L, R>> for Pairs<L, R> {
    type Accumulator = (Vec<L>, Vec<R>);
    type Out = (Vec<L>, Vec<R>);

    fn create(&self) -> (Vec<L>, Vec<R>) {
        (Vec::new(), Vec::new())
    }

    fn add(&self, (lefts, rights): &mut (Vec<L>, Vec<R>), record: Either<L, R>) {
        match record {
            Either::Left(left) => lefts.push(left),
            Either::Right(right) => rights.push(right),
        }
    }

    fn merge(&self, (lefts, rights): &mut (Vec<L>, Vec<R>), (mut more_lefts, mut more_rights): (Vec<L>, Vec<R>)) {
        lefts.append(&mut more_lefts);
        rights.append(&mut more_rights);
    }

    fn finish(&self, both: (Vec<L>, Vec<R>)) -> (Vec<L>, Vec<R>) {
        both
    }
}

/// The window of the records of both streams.
type Inner<L, R, K, KF, TF> = KeyedWindow<Either<L, R>, K, KF, TF, Pairs<L, R>>;

/// Joins the records of two streams that have one key and are in one window.
pub struct WindowJoin<L, R, K, KF, TF> {
    inner: Inner<L, R, K, KF, TF>,
    kind: JoinKind,
}

impl<L, R, K, KF: Clone, TF: Clone> Clone for WindowJoin<L, R, K, KF, TF> {
    fn clone(&self) -> Self {
        WindowJoin { inner: self.inner.clone(), kind: self.kind }
    }
}

impl<L, R, K, KF, TF> std::fmt::Debug for WindowJoin<L, R, K, KF, TF> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowJoin").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<L: Record + Clone, R: Record + Clone, K, KF, TF> WindowJoin<L, R, K, KF, TF>
where
    KF: Fn(&Either<L, R>) -> K,
    TF: Fn(&Either<L, R>) -> Timestamp,
{
    /// An operation that joins by the key and the time of each record.
    pub fn new(key: KF, time: TF, windows: Windows, kind: JoinKind) -> Self {
        WindowJoin { inner: KeyedWindow::new(key, time, windows, Pairs(PhantomData)), kind }
    }
}

/// A pair with its window.
type Given<K, L, R> = Outcome<Windowed<K, Joined<L, R>>, Either<L, R>>;

/// What the window gives, as pairs.
struct Apart<'a, E> {
    emit: &'a mut E,
    kind: JoinKind,
}

impl<K, L, R, E> Emit<Outcome<Windowed<K, (Vec<L>, Vec<R>)>, Either<L, R>>> for Apart<'_, E>
where
    K: Clone,
    L: Clone,
    R: Clone,
    E: Emit<Given<K, L, R>>,
{
    fn emit(&mut self, outcome: Outcome<Windowed<K, (Vec<L>, Vec<R>)>, Either<L, R>>) {
        let (window, key, (lefts, rights), firing): (Window, K, (Vec<L>, Vec<R>), Firing) = match outcome {
            Outcome::Late(record) => return self.emit.emit(Outcome::Late(record)),
            Outcome::Result(Windowed { window, key, value, firing }) => (window, key, value, firing),
        };
        let give = |value| Outcome::Result(Windowed { window, key: key.clone(), value, firing });
        match (lefts.is_empty(), rights.is_empty(), self.kind) {
            (false, true, JoinKind::Left | JoinKind::Outer) => {
                lefts.into_iter().for_each(|left| self.emit.emit(give(Joined::Left(left))));
            }
            (true, false, JoinKind::Outer) => {
                rights.into_iter().for_each(|right| self.emit.emit(give(Joined::Right(right))));
            }
            _ => {
                for left in &lefts {
                    for right in &rights {
                        self.emit.emit(give(Joined::Both(left.clone(), right.clone())));
                    }
                }
            }
        }
    }
}

impl<L, R, K, KF, TF> Operation for WindowJoin<L, R, K, KF, TF>
where
    L: Record + Clone,
    R: Record + Clone,
    K: Send + 'static,
    KF: Fn(&Either<L, R>) -> K + Clone + Send + Sync + 'static,
    TF: Fn(&Either<L, R>) -> Timestamp + Clone + Send + Sync + 'static,
{
    type In = Either<L, R>;
    type Out = Given<K, L, R>;
    const NAME: &'static str = "window join";
    const IN_PORTS: &'static [&'static str] = PORTS;
    const OUT_PORTS: &'static [&'static str] = <Inner<L, R, K, KF, TF> as Operation>::OUT_PORTS;
    const NEEDS_TIME: bool = true;

    fn check(&self) -> Result<()> {
        self.inner.check()
    }
}

impl<L, R, K, KF, TF> Keyed for WindowJoin<L, R, K, KF, TF>
where
    L: Record + Clone,
    R: Record + Clone,
    K: Record + Hash + Eq + Clone,
    KF: Fn(&Either<L, R>) -> K + Clone + Send + Sync + 'static,
    TF: Fn(&Either<L, R>) -> Timestamp + Clone + Send + Sync + 'static,
{
    type Key = K;

    #[inline(always)]
    fn key(&self, record: &Either<L, R>) -> K {
        self.inner.key(record)
    }
}

impl<L, R, K, KF, TF> React for WindowJoin<L, R, K, KF, TF>
where
    L: Record + Clone,
    R: Record + Clone,
    K: Record + Hash + Eq + Clone,
    KF: Fn(&Either<L, R>) -> K + Clone + Send + Sync + 'static,
    TF: Fn(&Either<L, R>) -> Timestamp + Clone + Send + Sync + 'static,
{
    type State = <Inner<L, R, K, KF, TF> as React>::State;

    fn init(&self) -> Self::State {
        self.inner.init()
    }

    fn react<E: Emit<Self::Out>>(&self, state: &mut Self::State, record: Self::In, emit: &mut E) -> Result<()> {
        self.inner.react(state, record, &mut Apart { emit, kind: self.kind })
    }

    fn advance<E: Emit<Self::Out>>(&self, state: &mut Self::State, time: Timestamp, emit: &mut E) -> Result<()> {
        self.inner.advance(state, time, &mut Apart { emit, kind: self.kind })
    }

    fn finish<E: Emit<Self::Out>>(&self, state: &mut Self::State, emit: &mut E) -> Result<()> {
        self.inner.finish(state, &mut Apart { emit, kind: self.kind })
    }

    fn snapshot(&self, state: &mut Self::State, snapshot: &mut Snapshot) -> Result<()> {
        self.inner.snapshot(state, snapshot)
    }

    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        self.inner.restore(saved)
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Joins the records of this stream with those of another one that have the same key and are in the same window,
    /// and gives them, with the window, when it ends. Needs [`watermarks`](Stream::watermarks) before it. What comes
    /// too late leaves by port [`Late`](crate::operations::windows::Late). Distributed by [`Partitioned`].
    ///
    /// ```
    /// use skitter::operations::joins::{Joined, JoinKind};
    /// use skitter::operations::windows::Windows;
    /// use std::time::Duration;
    ///
    /// let seconds = vec![1i64, 4, 12];
    /// let pairs = skitter::testing::run(seconds, |seconds| {
    ///     let seconds = seconds.watermarks(|second| second * 1000, Duration::ZERO).shared();
    ///     let even = seconds.clone().filter(|second| second % 2 == 0);
    ///     let (nobody, time) = (|_: &i64| (), |second: &i64| second * 1000);
    ///     let windows = Windows::tumbling(Duration::from_secs(10));
    ///     seconds.window_join(even, (nobody, nobody), (time, time), windows, JoinKind::Inner)
    /// })?;
    /// let pairs: Vec<_> = pairs.into_iter().map(|pair| pair.value).collect();
    /// assert_eq!(pairs, [Joined::Both(1, 4), Joined::Both(4, 4), Joined::Both(12, 12)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn window_join<C2, P2, K, LK, RK, LT, RT>(
        self,
        right: Stream<C2, P2>,
        keys: (LK, RK),
        times: (LT, RT),
        windows: Windows,
        kind: JoinKind,
    ) -> Stream<
        JoinOf<
            C,
            P,
            C2,
            P2,
            WindowJoin<
                P::Record,
                P2::Record,
                K,
                impl Fn(&Either<P::Record, P2::Record>) -> K + Clone + Send + Sync + 'static,
                impl Fn(&Either<P::Record, P2::Record>) -> Timestamp + Clone + Send + Sync + 'static,
            >,
            Partitioned,
        >,
        OnTime,
    >
    where
        C2: Chain,
        P2: OutPort<C2::Out>,
        P::Record: Record + Clone,
        P2::Record: Record + Clone,
        K: Record + Hash + Eq + Clone,
        LK: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        RK: Fn(&P2::Record) -> K + Clone + Send + Sync + 'static,
        LT: Fn(&P::Record) -> Timestamp + Clone + Send + Sync + 'static,
        RT: Fn(&P2::Record) -> Timestamp + Clone + Send + Sync + 'static,
    {
        let key = move |record: &Either<P::Record, P2::Record>| match record {
            Either::Left(left) => (keys.0)(left),
            Either::Right(right) => (keys.1)(right),
        };
        let time = move |record: &Either<P::Record, P2::Record>| match record {
            Either::Left(left) => (times.0)(left),
            Either::Right(right) => (times.1)(right),
        };
        let join = WindowJoin::new(key, time, windows, kind);
        self.vertex_of_two::<Left, Right, OnTime, _, _, _, _>(right, join, Partitioned)
    }
}
