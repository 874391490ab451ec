//! Workflows whose results show whether a record was lost, counted twice, or out of order.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::{Book, Ledger, Update};
use super::ring::Ring;
use crate::id::Part;
use crate::node::Catalog;
use crate::operations::KeyedReduce;
use crate::operations::windows::{Folded, Windowed, Windows};
use crate::strategies::{Chained, Combining, KeyedState, PartialKey, RoundRobin, Sedentary};
use crate::workflow::{
    Chain, Emit, Operation, Out, Pull, Result, Saved, Share, Snapshot, Source, Stream, Timestamp, Workflow,
    WorkflowBuilder, load, save,
};

/// Keys of the numbers.
pub const KEYS: u64 = 7;

/// How records come to the worker of their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    Keyed,
    Combining,
    PartialKey,
    Ring,
    /// Windows of event time, which is the number itself.
    Windows,
}

/// A workflow.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    pub distribution: Distribution,
    /// The sink is a part of the workers before it, and not a worker of its own.
    pub chained: bool,
    /// Numbers go to workers that pass them on, and stand between source and keys.
    pub passed_on: bool,
    /// The same numbers flow a second time, past everything else, so that either may fail without the other.
    pub twice: bool,
    /// Watermarks travel with the numbers.
    pub timed: bool,
    /// How many numbers there are.
    pub count: u64,
    /// How many a reader gives at a time, and the milliseconds between.
    pub pace: (u64, u64),
}

impl Job {
    /// Whether there have to be as many nodes as before to go on.
    pub fn is_fixed(&self) -> bool {
        self.chained || matches!(self.distribution, Distribution::PartialKey | Distribution::Ring)
    }

    /// Whether each number gives an update of its key, in the order of its reader.
    pub fn is_ordered(&self) -> bool {
        !self.passed_on && self.gives_each()
    }

    /// Whether each number gives an update of its key.
    pub fn gives_each(&self) -> bool {
        matches!(self.distribution, Distribution::Keyed | Distribution::Ring)
    }

    /// A number, with the first one of the range that it was dealt out with: in that they are in order.
    pub fn mark(first: u64, number: u64) -> u64 {
        first << 32 | number
    }

    pub fn unmark(marked: u64) -> (u64, u64) {
        (marked >> 32, marked & u64::from(u32::MAX))
    }
}

/// A range of numbers, of which these are left.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Left {
    first: u64,
    left: Range<u64>,
}

/// What all nodes of a simulation share.
#[derive(Clone)]
pub struct Shared {
    pub job: Job,
    pub book: Book,
    /// Of the numbers that flow a second time.
    pub second: Book,
    /// So many records more are handled until an operation panics.
    pub trap: Arc<Mutex<Option<u64>>>,
    /// Numbers that were read, by whichever attempt.
    pub read: Arc<Mutex<u64>>,
}

impl Shared {
    fn step(&self) {
        let mut trap = self.trap.lock().expect("no panic while it is held");
        match *trap {
            Some(0) => {
                *trap = None;
                drop(trap);
                panic!("as asked for");
            }
            Some(left) => *trap = Some(left - 1),
            None => {}
        }
    }
}

impl Catalog for Shared {
    fn build(&self, _name: &str, _arguments: &[String]) -> Result<Workflow> {
        let workflow = WorkflowBuilder::new();
        let numbers = workflow.source(Paced(self.clone()));
        if self.job.timed {
            self.flow(numbers.watermarks(|marked| Job::unmark(*marked).1 as Timestamp, Duration::ZERO));
        } else {
            self.flow(numbers);
        }
        if self.job.twice {
            let trapped = self.clone();
            let update = move |marked: u64| {
                trapped.step();
                let (first, number) = Job::unmark(marked);
                Update { key: first, first, number, count: 0, sum: 0, disorder: 0 }
            };
            self.write(workflow.source(Paced(self.clone())).named("second").map(update).named("update"), &self.second);
        }
        workflow.build()
    }
}

/// What is known of a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sum {
    count: u64,
    sum: u64,
    /// The last number of each range.
    last: Vec<(u64, u64)>,
    disorder: u64,
}

/// How many numbers a window has, and how far apart windows begin.
const SIZE: u64 = 32;
const SLIDE: u64 = 16;

/// A window of a key, as a number.
pub fn window(end: u64, key: u64) -> u64 {
    end / SLIDE * KEYS + key
}

/// How many numbers of a key each window has, and their sum.
pub fn windows(count: u64) -> BTreeMap<u64, (u64, u64)> {
    let mut windows: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for number in 0..count {
        for end in [number / SLIDE * SLIDE + SLIDE, number / SLIDE * SLIDE + SIZE] {
            let window = windows.entry(window(end, number % KEYS)).or_default();
            *window = (window.0 + 1, window.1 + number);
        }
    }
    windows
}

impl Shared {
    fn flow(&self, numbers: Stream<impl Chain<Out = u64>, Out>) {
        if self.job.passed_on {
            let trapped = self.clone();
            let pass = move |number: u64| {
                trapped.step();
                number
            };
            self.keyed(numbers.map(pass).with(RoundRobin).named("pass"));
        } else {
            self.keyed(numbers);
        }
    }

    fn keyed(&self, numbers: Stream<impl Chain<Out = u64>, Out>) {
        let trapped = self.clone();
        match self.job.distribution {
            Distribution::Keyed | Distribution::Ring => {
                let add = move |sum: &mut Sum, marked: u64| {
                    trapped.step();
                    let (first, number) = Job::unmark(marked);
                    sum.count += 1;
                    sum.sum += number;
                    match sum.last.iter_mut().find(|(other, _)| *other == first) {
                        Some((_, last)) => {
                            sum.disorder += u64::from(*last >= number);
                            *last = number;
                        }
                        None => sum.last.push((first, number)),
                    }
                    Update { key: number % KEYS, first, number, count: sum.count, sum: sum.sum, disorder: sum.disorder }
                };
                let sums = KeyedReduce::new(|marked: &u64| Job::unmark(*marked).1 % KEYS, Sum::default(), add);
                if self.job.distribution == Distribution::Ring {
                    self.write(numbers.vertex(sums, Ring { places: 20 }), &self.book);
                } else {
                    self.write(numbers.vertex(sums, KeyedState), &self.book);
                }
            }
            Distribution::Windows => {
                let sum = Folded::new(
                    (0u64, 0u64),
                    |sum: &mut (u64, u64), number| *sum = (sum.0 + 1, sum.1 + number),
                    |sum, other| *sum = (sum.0 + other.0, sum.1 + other.1),
                );
                let update = move |sum: Windowed<u64, (u64, u64)>| {
                    trapped.step();
                    let (key, (count, sum)) = (window(sum.window.end as u64, sum.key), sum.value);
                    Update { key, first: 0, number: 0, count, sum, disorder: 0 }
                };
                let windows = Windows::sliding(Duration::from_millis(SIZE), Duration::from_millis(SLIDE));
                let numbers = numbers.map(|marked| Job::unmark(marked).1);
                let sums = numbers.keyed_window(|number| number % KEYS, |number| *number as Timestamp, windows, sum);
                self.write(sums.map(update), &self.book);
            }
            Distribution::Combining | Distribution::PartialKey => {
                let join = |sum: &mut (u64, u64), other: (u64, u64)| *sum = (sum.0 + other.0, sum.1 + other.1);
                let sums = numbers.map(|marked| Job::unmark(marked).1).keyed_combine(
                    |number| number % KEYS,
                    |number: &u64| (1u64, *number),
                    join,
                );
                let update = move |(key, (count, sum)): (u64, (u64, u64))| {
                    trapped.step();
                    Update { key, first: 0, number: 0, count, sum, disorder: 0 }
                };
                if self.job.distribution == Distribution::Combining {
                    self.write(sums.with(Combining).map(update), &self.book);
                } else {
                    self.write(sums.with(PartialKey).map(update), &self.book);
                }
            }
        }
    }

    fn write(&self, updates: Stream<impl Chain<Out = Update>, Out>, book: &Book) {
        let ledger = Ledger(book.clone());
        if self.job.chained {
            drop(updates.sink(ledger, Chained));
        } else {
            drop(updates.sink(ledger, Sedentary));
        }
    }
}

/// Numbers, a few at a time.
#[derive(Clone)]
struct Paced(Shared);

impl Operation for Paced {
    type In = Infallible;
    type Out = u64;
    const NAME: &'static str = "paced";
}

impl Source for Paced {
    /// The ranges that are left.
    type Reader = Vec<Left>;

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, share: Share) -> Result<Self::Reader> {
        let bound = |index: usize| self.0.job.count * index as u64 / share.of as u64;
        let left = bound(share.index)..bound(share.index + 1);
        Ok(vec![Left { first: left.start, left }])
    }

    fn read<E: Emit<u64>>(&self, left: &mut Self::Reader, _budget: usize, emit: &mut E) -> Result<Pull> {
        let (most, pause) = self.0.job.pace;
        let Some(Left { first, left: range }) = left.first_mut() else { return Ok(Pull::End) };
        let slice = range.start..range.end.min(range.start + most);
        range.start = slice.end;
        *self.0.read.lock().expect("no panic") += slice.end - slice.start;
        slice.for_each(|number| emit.emit(Job::mark(*first, number)));
        if range.is_empty() {
            left.remove(0);
        }
        Ok(if pause == 0 { Pull::Again } else { Pull::After(Duration::from_millis(pause)) })
    }

    fn position(&self, left: &mut Self::Reader, snapshot: &mut Snapshot) -> Result<()> {
        for range in left.iter().filter(|range| !range.left.is_empty()) {
            let mut bytes = Vec::new();
            save(range, &mut bytes)?;
            snapshot.put_part(Part::Unit(range.left.start), bytes);
        }
        Ok(())
    }

    fn resume(&self, _share: Share, saved: &Saved) -> Result<Self::Reader> {
        saved.units().map(|(_, mut bytes)| load(&mut bytes)).collect()
    }
}
