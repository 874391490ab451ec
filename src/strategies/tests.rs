//! What all strategies have to keep to, under any order of things; and what the tests of single ones share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::codec::stable_hash;
use crate::operations::{Count, KeyedReduce, Map};
use crate::testing::Simulation;
use crate::workflow::{Cluster, Combine, Emit, Keyed, Operation, React, Result, Strategy};

/// A record that knows who sent it, and as which.
pub(super) type Letter = (u32, u32);

/// Emits what it gets.
pub(super) fn echo() -> impl React<In = Letter, Out = Letter> {
    Map::new(|letter: Letter| letter)
}

/// Emits what it gets; letters with equal numbers modulo 7 have one key.
fn keyed_echo() -> impl Keyed<In = Letter, Out = Letter> + React {
    KeyedReduce::new(|letter: &Letter| letter.1 % 7, (), |_, letter| letter)
}

/// Counts numbers.
pub(super) fn counting() -> impl Combine<In = u64, Out = (u64, u64), Key = u64, Partial = u64, State = u64> {
    Count::by(|n: &u64| *n)
}

/// Counts numbers, and says so at the end only.
#[derive(Clone)]
pub(super) struct Tally;

impl Operation for Tally {
    type In = u64;
    type Out = (u64, u64);
    const NAME: &'static str = "tally";
}

impl Keyed for Tally {
    type Key = u64;

    fn key(&self, number: &u64) -> u64 {
        *number
    }
}

impl React for Tally {
    /// A number and its count.
    type State = (u64, u64);

    fn init(&self) -> (u64, u64) {
        (0, 0)
    }

    fn react<E: Emit<(u64, u64)>>(&self, state: &mut (u64, u64), number: u64, _emit: &mut E) -> Result<()> {
        *state = (number, state.1 + 1);
        Ok(())
    }

    fn finish<E: Emit<(u64, u64)>>(&self, state: &mut (u64, u64), emit: &mut E) -> Result<()> {
        emit.emit(*state);
        Ok(())
    }
}

impl Combine for Tally {
    type Partial = u64;

    fn start(&self, _number: u64) -> u64 {
        1
    }

    fn add(&self, partial: &mut u64, _number: u64) {
        *partial += 1;
    }

    fn join(&self, partial: &mut u64, other: u64) {
        *partial += other;
    }

    fn merge<E: Emit<(u64, u64)>>(
        &self,
        number: &u64,
        state: &mut (u64, u64),
        partial: u64,
        _emit: &mut E,
    ) -> Result<()> {
        *state = (*number, state.1 + partial);
        Ok(())
    }
}

/// Emits what it gets by either of two in ports.
#[derive(Clone)]
pub(super) struct Both;

impl Operation for Both {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "both";
    const IN_PORTS: &'static [&'static str] = &["left", "right"];
}

impl React for Both {
    type State = ();

    fn init(&self) {}

    fn react<E: Emit<u64>>(&self, _state: &mut (), number: u64, emit: &mut E) -> Result<()> {
        emit.emit(number);
        Ok(())
    }
}

/// This number of letters from each sender.
pub(super) fn letters(senders: usize, each: u32) -> Vec<(usize, Letter)> {
    (0..each).flat_map(|number| (0..senders).map(move |sender| (sender, (sender as u32, number)))).collect()
}

/// Numbers of which small ones are frequent: rank `r` has a weight of `r^-exponent`.
pub(super) fn zipf(exponent: f64, keys: usize, records: usize, seed: u64) -> impl Iterator<Item = u64> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        })
        .collect();
    (0..records as u64).map(move |record| {
        let pick = stable_hash(&(seed, record)) as f64 / u64::MAX as f64 * sum;
        sums.partition_point(|&below| below < pick) as u64
    })
}

/// How often each number is there.
pub(super) fn count(numbers: impl IntoIterator<Item = u64>) -> HashMap<u64, u64> {
    let mut counts = HashMap::new();
    numbers.into_iter().for_each(|number| *counts.entry(number).or_default() += 1);
    counts
}

/// The last update of each key, after checking that its updates only grow and all come from one worker.
pub(super) fn last_updates(emitted: &[(usize, (u64, u64))]) -> HashMap<u64, u64> {
    let mut last: HashMap<u64, (usize, u64)> = HashMap::new();
    for &(worker, (key, count)) in emitted {
        let (owner, before) = last.entry(key).or_insert((worker, 0));
        assert_eq!(*owner, worker, "updates of key {key} come from two workers");
        assert!(*before < count, "key {key} went from {before} to {count}");
        *before = count;
    }
    last.into_iter().map(|(key, (_, count))| (key, count)).collect()
}

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub nodes: usize,
    pub cores: usize,
    pub senders: usize,
    pub parallelism: Option<usize>,
    pub slow: Option<usize>,
    /// A node joins when so many records have been sent.
    pub joined_after: Option<u64>,
    pub seed: u64,
}

impl Setting {
    pub fn simulate<O: Operation, S: Strategy<O>>(&self, operation: O, strategy: S) -> Simulation<O, S> {
        let cluster = Cluster::simulated(self.nodes, self.cores);
        let mut simulation = Simulation::new(operation, strategy, cluster).senders(self.senders).seed(self.seed);
        if let Some(workers) = self.parallelism {
            simulation = simulation.parallelism(workers);
        }
        if let Some(records) = self.joined_after {
            simulation = simulation.joined_by(self.cores, records);
        }
        match self.slow {
            Some(worker) => simulation.slow(worker),
            None => simulation,
        }
    }
}

pub(super) fn settings() -> impl Generator<Value = Setting> {
    let slow = prop::option::weighted(0.3, 0usize..4);
    let parallelism = prop::option::weighted(0.3, 1usize..6);
    let joined_after = prop::option::weighted(0.5, 0u64..3000);
    (1usize..4, 1usize..4, 1usize..5, parallelism, slow, joined_after, any::<u64>()).prop_map(
        |(nodes, cores, senders, parallelism, slow, joined_after, seed)| Setting {
            nodes,
            cores,
            senders,
            parallelism,
            slow,
            joined_after,
            seed,
        },
    )
}

/// What proptest calls a strategy.
pub(super) use proptest::strategy::Strategy as Generator;

/// Checks that each letter arrived, as often as it should, and the letters of a sender in order at each worker.
fn check_letters(by_worker: &[Vec<Letter>], sent: &[(usize, Letter)], copies: usize) -> Result<(), TestCaseError> {
    for (worker, letters) in by_worker.iter().enumerate() {
        let mut last: HashMap<u32, u32> = HashMap::new();
        for &(sender, number) in letters {
            let before = last.insert(sender, number);
            prop_assert!(before < Some(number), "worker {worker} got {number} of {sender} after {before:?}");
        }
    }
    let mut arrived: Vec<Letter> = by_worker.iter().flatten().copied().collect();
    let mut expected: Vec<Letter> = sent.iter().flat_map(|(_, letter)| vec![*letter; copies]).collect();
    arrived.sort_unstable();
    expected.sort_unstable();
    prop_assert!(arrived == expected, "{} letters arrived of {}", arrived.len(), expected.len());
    Ok(())
}

macro_rules! letters_arrive_in_order {
    ($($test:ident: $strategy:expr, $operation:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(40))]
            $(
                #[test]
                fn $test(setting in settings(), each in 0u32..800) {
                    let sent = letters(setting.senders, each);
                    let outcome = setting.simulate($operation, $strategy).run_from(sent.clone()).expect("no failure");
                    check_letters(&outcome.by_worker(), &sent, 1)?;
                }
            )*
        }
    };
}

letters_arrive_in_order! {
    chained_keeps_letters: Chained, echo();
    immutable_local_keeps_letters: ImmutableLocal, echo();
    keyed_state_keeps_letters: KeyedState, keyed_echo();
    rebalance_keeps_letters: Rebalance, echo();
    round_robin_keeps_letters: RoundRobin, echo();
    sedentary_keeps_letters: Sedentary, echo();
}

macro_rules! counts_are_right {
    ($($test:ident: $strategy:expr;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(40))]
            $(
                #[test]
                fn $test(setting in settings(), keys in 1usize..300, records in 0usize..3000, skew in 0.0f64..3.0) {
                    let numbers: Vec<u64> = zipf(skew, keys, records, setting.seed).collect();
                    let outcome = setting.simulate(counting(), $strategy).run(numbers.clone()).expect("no failure");
                    let truth = count(numbers.iter().copied());
                    prop_assert_eq!(last_updates(&outcome.emitted), truth.clone());
                    prop_assert!(outcome.received.iter().sum::<u64>() <= records as u64);
                    // Each state finishes once, at its owner.
                    let tallied = setting.simulate(Tally, $strategy).run(numbers).expect("no failure").records();
                    prop_assert_eq!(tallied.len(), truth.len());
                    prop_assert_eq!(tallied.into_iter().collect::<HashMap<_, _>>(), truth);
                }
            )*
        }
    };
}

counts_are_right! {
    keyed_state_counts: KeyedState;
    combining_counts: Combining;
    partial_key_counts: PartialKey;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn broadcast_keeps_letters(setting in settings(), each in 0u32..800) {
        let sent = letters(setting.senders, each);
        let outcome = setting.simulate(echo(), Broadcast).run_from(sent.clone()).expect("no failure");
        let workers = outcome.workers.len();
        check_letters(&outcome.by_worker(), &sent, workers)?;
    }
}

/// The workers of a strategy when a node of two cores joins two of one.
fn grown<O: Operation<In = Letter, Out = Letter>, S: Strategy<O>>(operation: O, strategy: S) -> Vec<u64> {
    let simulation = Simulation::new(operation, strategy, Cluster::simulated(2, 1)).senders(2).joined_by(2, 8000);
    let outcome = simulation.run_from(letters(2, 20_000)).expect("no failure");
    assert!(outcome.warnings.is_empty());
    outcome.received
}

#[test]
fn those_that_can_use_a_node_that_joins_do() {
    for received in [grown(echo(), RoundRobin), grown(echo(), Rebalance)] {
        assert_eq!(received.iter().sum::<u64>(), 40_000);
        assert!(received.len() == 4 && received[2..].iter().all(|records| *records > 6000), "{received:?}");
    }
    // Senders here have workers beside them.
    assert_eq!(grown(echo(), ImmutableLocal), [20_000, 20_000, 0, 0]);
    for received in [grown(keyed_echo(), KeyedState), grown(echo(), Broadcast)] {
        assert_eq!(received.len(), 2);
    }
    assert_eq!(grown(echo(), Sedentary), [40_000]);
    let asked = Simulation::new(echo(), RoundRobin, Cluster::simulated(2, 1)).parallelism(3).joined_by(2, 0);
    assert_eq!(asked.run_from(letters(1, 100)).expect("no failure").workers.len(), 3, "as many as the user wants");
}

/// Keeps what it gets until it is flushed.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u64>>>);

impl Operation for Buffer {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "buffer";
}

impl React for Buffer {
    type State = Vec<u64>;

    fn init(&self) -> Vec<u64> {
        Vec::new()
    }

    fn react<E: Emit<u64>>(&self, kept: &mut Vec<u64>, number: u64, emit: &mut E) -> Result<()> {
        kept.push(number);
        emit.emit(self.0.lock().expect("no panic").len() as u64);
        Ok(())
    }

    fn flush(&self, kept: &mut Vec<u64>) -> Result<()> {
        self.0.lock().expect("no panic").append(kept);
        Ok(())
    }
}

/// 300 numbers at 1000 a second: a busy worker flushes its operation after 100 ms, and again after 200.
fn check_flushes<S: Strategy<Buffer>>(strategy: S) {
    let buffer = Buffer::default();
    let simulation = Simulation::new(buffer.clone(), strategy, Cluster::simulated(1, 2)).rate(1000);
    let flushed = simulation.run(0..300).expect("no failure").records();
    assert_eq!(flushed.first(), Some(&0));
    assert!(flushed.last() >= Some(&150), "{flushed:?}");
    let mut all = buffer.0.lock().expect("no panic").clone();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all, (0..300).collect::<Vec<_>>());
}

#[test]
fn operations_flush_while_busy_and_when_idle() {
    check_flushes(Broadcast);
    check_flushes(Chained);
    check_flushes(Rebalance);
    check_flushes(RoundRobin);
    check_flushes(Sedentary);
}
