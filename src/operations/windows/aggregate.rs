//! What is made of the records of a window.

use std::marker::PhantomData;

use crate::codec::Record;

/// Makes one result of many records, record by record, so that a window need not keep them.
///
/// Records are added in the order in which they arrive at a worker; accumulators of adjoining parts of a window are
/// merged, the earlier one first. For results that need all records at once, [`Collect`] keeps them.
///
/// ```
/// use skitter::operations::windows::Aggregate;
///
/// /// The mean.
/// #[derive(Clone)]
/// struct Mean;
///
/// impl Aggregate<f64> for Mean {
///     type Accumulator = (f64, u64);
///     type Out = f64;
///
///     fn create(&self) -> (f64, u64) { (0.0, 0) }
///     fn add(&self, (sum, count): &mut (f64, u64), record: f64) { *sum += record; *count += 1; }
///     fn merge(&self, (sum, count): &mut (f64, u64), other: (f64, u64)) { *sum += other.0; *count += other.1; }
///     fn finish(&self, (sum, count): (f64, u64)) -> f64 { sum / count as f64 }
/// }
///
/// let mut mean = Mean.create();
/// [1.0, 2.0, 6.0].into_iter().for_each(|n| Mean.add(&mut mean, n));
/// assert_eq!(Mean.finish(mean), 3.0);
/// ```
pub trait Aggregate<T>: Clone + Send + Sync + 'static {
    /// What is kept of some records.
    type Accumulator: Record + Clone;
    /// What comes of all.
    type Out: Send + 'static;

    /// Of no records.
    fn create(&self) -> Self::Accumulator;
    /// Adds a record.
    fn add(&self, accumulator: &mut Self::Accumulator, record: T);
    /// Adds another accumulator, of later records.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: Self::Accumulator);
    /// The result.
    fn finish(&self, accumulator: Self::Accumulator) -> Self::Out;
}

/// How many records there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count;

impl<T> Aggregate<T> for Count {
    type Accumulator = u64;
    type Out = u64;

    fn create(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn add(&self, count: &mut u64, _record: T) {
        *count += 1;
    }

    #[inline(always)]
    fn merge(&self, count: &mut u64, other: u64) {
        *count += other;
    }

    fn finish(&self, count: u64) -> u64 {
        count
    }
}

/// All records, in the order in which they arrived: for functions of whole windows. It keeps them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collect;

impl<T: Record + Clone> Aggregate<T> for Collect {
    type Accumulator = Vec<T>;
    type Out = Vec<T>;

    fn create(&self) -> Vec<T> {
        Vec::new()
    }

    fn add(&self, records: &mut Vec<T>, record: T) {
        records.push(record);
    }

    fn merge(&self, records: &mut Vec<T>, mut other: Vec<T>) {
        records.append(&mut other);
    }

    fn finish(&self, records: Vec<T>) -> Vec<T> {
        records
    }
}

/// Folds records into a value, and such values into one.
pub struct Folded<T, S, A, M> {
    init: S,
    add: A,
    merge: M,
    types: PhantomData<fn(T)>,
}

impl<T, S: Clone, A: Clone, M: Clone> Clone for Folded<T, S, A, M> {
    fn clone(&self) -> Self {
        Folded { init: self.init.clone(), add: self.add.clone(), merge: self.merge.clone(), types: PhantomData }
    }
}

impl<T, S: std::fmt::Debug, A, M> std::fmt::Debug for Folded<T, S, A, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folded").field("init", &self.init).finish_non_exhaustive()
    }
}

impl<T, S, A: Fn(&mut S, T), M: Fn(&mut S, S)> Folded<T, S, A, M> {
    /// An aggregate that begins with `init`, adds records by one function, and merges values by another.
    pub fn new(init: S, add: A, merge: M) -> Self {
        Folded { init, add, merge, types: PhantomData }
    }
}

impl<T, S, A, M> Aggregate<T> for Folded<T, S, A, M>
where
    T: 'static,
    S: Record + Clone + Sync,
    A: Fn(&mut S, T) + Clone + Send + Sync + 'static,
    M: Fn(&mut S, S) + Clone + Send + Sync + 'static,
{
    type Accumulator = S;
    type Out = S;

    fn create(&self) -> S {
        self.init.clone()
    }

    #[inline(always)]
    fn add(&self, value: &mut S, record: T) {
        (self.add)(value, record);
    }

    #[inline(always)]
    fn merge(&self, value: &mut S, other: S) {
        (self.merge)(value, other);
    }

    fn finish(&self, value: S) -> S {
        value
    }
}

/// The records that are greatest by some measure, all of them where several are: in the order in which they arrived.
pub struct Greatest<T, V, F> {
    measure: F,
    types: PhantomData<fn(T) -> V>,
}

impl<T, V, F: Clone> Clone for Greatest<T, V, F> {
    fn clone(&self) -> Self {
        Greatest { measure: self.measure.clone(), types: PhantomData }
    }
}

impl<T, V, F> std::fmt::Debug for Greatest<T, V, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Greatest")
    }
}

impl<T, V: Ord, F: Fn(&T) -> V> Greatest<T, V, F> {
    /// An aggregate that keeps the records of which `measure` gives most.
    pub fn by(measure: F) -> Self {
        Greatest { measure, types: PhantomData }
    }
}

impl<T, V, F> Aggregate<T> for Greatest<T, V, F>
where
    T: Record + Clone,
    V: Ord + 'static,
    F: Fn(&T) -> V + Clone + Send + Sync + 'static,
{
    type Accumulator = Vec<T>;
    type Out = Vec<T>;

    fn create(&self) -> Vec<T> {
        Vec::new()
    }

    #[inline(always)]
    fn add(&self, greatest: &mut Vec<T>, record: T) {
        match greatest.first().map(|first| (self.measure)(&record).cmp(&(self.measure)(first))) {
            Some(std::cmp::Ordering::Less) => {}
            Some(std::cmp::Ordering::Equal) => greatest.push(record),
            Some(std::cmp::Ordering::Greater) | None => {
                greatest.clear();
                greatest.push(record);
            }
        }
    }

    fn merge(&self, greatest: &mut Vec<T>, other: Vec<T>) {
        other.into_iter().for_each(|record| self.add(greatest, record));
    }

    fn finish(&self, greatest: Vec<T>) -> Vec<T> {
        greatest
    }
}
