//! All pairs of a key, ever.

use std::hash::Hash;
use std::marker::PhantomData;

use super::{Either, Left, PORTS, Right};
use crate::codec::Record;
use crate::strategies::KeyedState;
use crate::workflow::{Both, Chain, Emit, Keyed, Linked, Operation, Out, OutPort, Placed, React, Result, Stream};

/// What has come of a key.
pub type Sides<L, R> = (Vec<L>, Vec<R>);

/// Joins each record with all of the other stream that have its key, whichever comes first. It keeps all records.
pub struct KeyedJoin<L, R, K, LK, RK> {
    left_key: LK,
    right_key: RK,
    types: PhantomData<fn(L, R) -> K>,
}

impl<L, R, K, LK: Clone, RK: Clone> Clone for KeyedJoin<L, R, K, LK, RK> {
    fn clone(&self) -> Self {
        KeyedJoin { left_key: self.left_key.clone(), right_key: self.right_key.clone(), types: PhantomData }
    }
}

impl<L, R, K, LK, RK> std::fmt::Debug for KeyedJoin<L, R, K, LK, RK> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyedJoin")
    }
}

impl<L, R, K, LK: Fn(&L) -> K, RK: Fn(&R) -> K> KeyedJoin<L, R, K, LK, RK> {
    /// An operation that joins records of equal keys.
    pub fn new(left_key: LK, right_key: RK) -> Self {
        KeyedJoin { left_key, right_key, types: PhantomData }
    }
}

impl<L, R, K, LK, RK> Operation for KeyedJoin<L, R, K, LK, RK>
where
    L: Record,
    R: Record,
    K: 'static,
    LK: Fn(&L) -> K + Clone + Send + Sync + 'static,
    RK: Fn(&R) -> K + Clone + Send + Sync + 'static,
{
    type In = Either<L, R>;
    type Out = (L, R);
    const NAME: &'static str = "join";
    const IN_PORTS: &'static [&'static str] = PORTS;
}

impl<L, R, K, LK, RK> Keyed for KeyedJoin<L, R, K, LK, RK>
where
    L: Record,
    R: Record,
    K: Record + Hash + Eq + Clone,
    LK: Fn(&L) -> K + Clone + Send + Sync + 'static,
    RK: Fn(&R) -> K + Clone + Send + Sync + 'static,
{
    type Key = K;

    #[inline(always)]
    fn key(&self, record: &Either<L, R>) -> K {
        match record {
            Either::Left(left) => (self.left_key)(left),
            Either::Right(right) => (self.right_key)(right),
        }
    }
}

impl<L, R, K, LK, RK> React for KeyedJoin<L, R, K, LK, RK>
where
    L: Record + Clone,
    R: Record + Clone,
    K: 'static,
    LK: Fn(&L) -> K + Clone + Send + Sync + 'static,
    RK: Fn(&R) -> K + Clone + Send + Sync + 'static,
{
    type State = Sides<L, R>;

    fn init(&self) -> Sides<L, R> {
        (Vec::new(), Vec::new())
    }

    fn react<E: Emit<(L, R)>>(
        &self,
        (lefts, rights): &mut Sides<L, R>,
        record: Either<L, R>,
        emit: &mut E,
    ) -> Result<()> {
        match record {
            Either::Left(left) => {
                rights.iter().for_each(|right| emit.emit((left.clone(), right.clone())));
                lefts.push(left);
            }
            Either::Right(right) => {
                lefts.iter().for_each(|left| emit.emit((left.clone(), right.clone())));
                rights.push(right);
            }
        }
        Ok(())
    }
}

/// A join of two chains.
pub type JoinOf<C, P, C2, P2, O, S> = Placed<Both<Linked<C, P, Left>, Linked<C2, P2, Right>>, O, S>;

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Joins each record of this stream with all records of another one that have its key, whichever comes first. All
    /// records of both are kept for ever: for streams that do not end, see
    /// [`interval_join`](Stream::interval_join). Distributed by [`KeyedState`].
    ///
    /// ```
    /// let mut pairs = skitter::testing::run(vec![1u64, 2, 3, 4], |numbers| {
    ///     let tens = numbers.clone().map(|n| n * 10);
    ///     numbers.join(tens, |n| n % 3, |ten| ten / 10 % 3)
    /// })?;
    /// pairs.sort();
    /// assert_eq!(pairs, [(1, 10), (1, 40), (2, 20), (3, 30), (4, 10), (4, 40)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn join<C2, P2, K, LK, RK>(
        self,
        right: Stream<C2, P2>,
        left_key: LK,
        right_key: RK,
    ) -> Stream<JoinOf<C, P, C2, P2, KeyedJoin<P::Record, P2::Record, K, LK, RK>, KeyedState>>
    where
        C2: Chain,
        P2: OutPort<C2::Out>,
        P::Record: Record + Clone,
        P2::Record: Record + Clone,
        K: Record + Hash + Eq + Clone,
        LK: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
        RK: Fn(&P2::Record) -> K + Clone + Send + Sync + 'static,
    {
        self.vertex_of_two::<Left, Right, Out, _, _, _, _>(right, KeyedJoin::new(left_key, right_key), KeyedState)
    }
}
