//! The newest record of each key.

use std::hash::Hash;
use std::marker::PhantomData;

use crate::codec::Record;
use crate::strategies::KeyedState;
use crate::workflow::{Behind, Chain, Emit, Keyed, Operation, OutPort, React, Result, Stream};

/// Keeps the newest record of each key, and emits each when all have come: nothing, before a source that never ends. It
/// holds a record for each key.
pub struct Last<T, K, F> {
    key: F,
    types: PhantomData<fn(T) -> K>,
}

super::closure::clone_and_debug!(Last < T, K, F > { key });

impl<T, K, F: Fn(&T) -> K> Last<T, K, F> {
    /// An operation that tells records apart by this key.
    pub fn by(key: F) -> Self {
        Last { key, types: PhantomData }
    }
}

impl<T, K, F> Operation for Last<T, K, F>
where
    T: Send + 'static,
    K: 'static,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = T;
    const NAME: &'static str = "last";
}

impl<T, K, F> Keyed for Last<T, K, F>
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

impl<T, K, F> React for Last<T, K, F>
where
    T: Record,
    K: 'static,
    F: Fn(&T) -> K + Clone + Send + Sync + 'static,
{
    /// The newest record.
    type State = Option<T>;

    fn init(&self) -> Option<T> {
        None
    }

    #[inline(always)]
    fn react<E: Emit<T>>(&self, newest: &mut Option<T>, record: T, _emit: &mut E) -> Result<()> {
        *newest = Some(record);
        Ok(())
    }

    fn finish<E: Emit<T>>(&self, newest: &mut Option<T>, emit: &mut E) -> Result<()> {
        if let Some(record) = newest.take() {
            emit.emit(record);
        }
        Ok(())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// The newest record of each key, once all have come, in no particular order. Behind an operation that emits
    /// updates, such as a count, that is the result.
    ///
    /// The newest record is the one that arrives last. Records of one key that come from several workers arrive in any
    /// order; those of a keyed operation with the same key come from one.
    ///
    /// ```
    /// let words = vec!["to", "be", "to"].into_iter().map(str::to_owned).collect();
    /// let mut counts = skitter::testing::run(words, |words| {
    ///     words.count_by(String::clone).last_by(|(word, _)| word.clone())
    /// })?;
    /// counts.sort();
    /// assert_eq!(counts, [("be".to_owned(), 1), ("to".to_owned(), 2)]);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "the type of a vertex names its operation")]
    pub fn last_by<K, F>(self, key: F) -> Stream<Behind<C, P, Last<P::Record, K, F>, KeyedState>>
    where
        P::Record: Record,
        K: Record + Hash + Eq + Clone,
        F: Fn(&P::Record) -> K + Clone + Send + Sync + 'static,
    {
        self.vertex(Last::by(key), KeyedState)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_record_is_emitted_at_the_end_only() {
        let last = Last::by(|(word, _): &(String, u64)| word.clone());
        let record = |n| ("to".to_owned(), n);
        assert_eq!(last.key(&record(1)), "to");
        let (mut state, mut emitted) = (last.init(), Vec::new());
        for n in 1..=3 {
            last.react(&mut state, record(n), &mut emitted).expect("accepted");
            last.flush(&mut state).expect("flushed");
        }
        assert!(emitted.is_empty());
        last.finish(&mut state, &mut emitted).expect("finished");
        assert_eq!(emitted, [record(3)]);
    }
}
