//! A sink as a bank would have it: transactions are prepared with a checkpoint, and take effect when that is complete.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use super::jobs::{Distribution, Job, KEYS, windows};
use crate::workflow::{Commit, Emit, Operation, React, Result, Snapshot};

/// What is said of a key after a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    pub key: u64,
    /// The first number of its range.
    pub first: u64,
    pub number: u64,
    /// How many numbers it has had.
    pub count: u64,
    pub sum: u64,
    /// How many of them were out of order.
    pub disorder: u64,
}

/// What was written, outside of all nodes. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    next: u64,
    /// Transactions that have taken effect.
    done: BTreeSet<u64>,
    updates: Vec<Update>,
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("no panic")
    }

    fn begin(&self) -> u64 {
        let mut pages = self.lock();
        pages.next += 1;
        pages.next
    }

    fn apply(&self, transaction: &Transaction) {
        let mut pages = self.lock();
        if pages.done.insert(transaction.number) {
            pages.updates.extend(transaction.updates.iter().cloned());
        }
    }

    /// What is wrong, if anything is: each number has had its effect once, and in order.
    pub fn check(&self, job: &Job, extent: Extent) -> std::result::Result<(), String> {
        if job.distribution == Distribution::Windows {
            return self.check_windows(job.count, extent);
        }
        let pages = self.lock();
        let mut last: BTreeMap<u64, &Update> = BTreeMap::new();
        let mut numbers: BTreeSet<u64> = BTreeSet::new();
        for update in &pages.updates {
            let before = last.insert(update.key, update);
            let (count, sum) = before.map_or((0, 0), |before| (before.count, before.sum));
            let follows = update.count == count + 1 && update.sum == sum + update.number;
            if update.count <= count || (job.gives_each() && extent != Extent::Any && !follows) {
                return Err(format!("{update:?} comes behind {before:?}"));
            }
            if job.gives_each() && !numbers.insert(update.number) {
                return Err(format!("{} is there twice", update.number));
            }
            if job.is_ordered() && update.disorder > 0 {
                return Err(format!("{update:?} is out of order"));
            }
        }
        if extent == Extent::Any {
            return Ok(());
        }
        if extent == Extent::Prefix {
            let hole = |update: &&Update| update.number > update.first && !numbers.contains(&(update.number - 1));
            return match pages.updates.iter().find(hole) {
                Some(update) if job.gives_each() => Err(format!("there is {update:?}, and not the one before")),
                _ => Ok(()),
            };
        }
        for key in 0..KEYS.min(job.count) {
            let of = (key..job.count).step_by(KEYS as usize);
            let (count, sum) = (of.clone().count() as u64, of.sum::<u64>());
            match last.get(&key) {
                Some(update) if update.count == count && update.sum == sum => {}
                other => return Err(format!("key {key} has {count} numbers, {sum} in all: {other:?}")),
            }
        }
        Ok(())
    }
}

impl Book {
    /// What is wrong, if anything is, with windows: each is there once, with all that belongs to it.
    fn check_windows(&self, count: u64, extent: Extent) -> std::result::Result<(), String> {
        let (pages, wanted) = (self.lock(), windows(count));
        let mut there = BTreeMap::new();
        for update in &pages.updates {
            if there.insert(update.key, (update.count, update.sum)).is_some() {
                return Err(format!("window {} is there twice", update.key));
            }
            let whole = wanted.get(&update.key);
            if whole.is_none_or(|(count, sum)| update.count > *count || update.sum > *sum) {
                return Err(format!("{update:?} has more than belongs to it: {whole:?}"));
            }
        }
        match extent {
            Extent::All if there != wanted => {
                let wrong = wanted.iter().find(|(window, whole)| there.get(window) != Some(whole));
                Err(format!("{wrong:?} is not there, but {:?}", wrong.and_then(|(window, _)| there.get(window))))
            }
            _ => Ok(()),
        }
    }

    /// What is wrong, if anything is, with numbers that nothing was counted of: each is there once, and those of a
    /// range are in order.
    pub fn check_numbers(&self, count: u64, extent: Extent) -> std::result::Result<(), String> {
        let pages = self.lock();
        let mut ranges: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for update in &pages.updates {
            let range = ranges.entry(update.first).or_default();
            if range.last().is_some_and(|last| *last >= update.number) {
                return Err(format!("{} comes behind {range:?}", update.number));
            }
            range.push(update.number);
        }
        let is_whole = |(first, range): (&u64, &Vec<u64>)| range.iter().copied().eq(*first..first + range.len() as u64);
        let there: usize = ranges.values().map(Vec::len).sum();
        match extent {
            Extent::All if there as u64 != count => Err(format!("{there} of {count} numbers are there")),
            Extent::All | Extent::Prefix if !ranges.iter().all(is_whole) => Err(format!("some are not: {ranges:?}")),
            _ => Ok(()),
        }
    }
}

/// How much of it has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    All,
    /// Up to some number of each range: it was stopped.
    Prefix,
    /// What is there, is there once.
    Any,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Transaction {
    number: u64,
    checkpoint: u64,
    updates: Vec<Update>,
}

/// What a worker keeps.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Till {
    open: Vec<Update>,
    prepared: Vec<Transaction>,
}

impl Till {
    fn prepare(&mut self, book: &Book, checkpoint: u64) {
        if !self.open.is_empty() {
            let updates = std::mem::take(&mut self.open);
            self.prepared.push(Transaction { number: book.begin(), checkpoint, updates });
        }
    }
}

/// The sink.
#[derive(Clone, Debug)]
pub struct Ledger(pub Book);

impl Operation for Ledger {
    type In = Update;
    type Out = Infallible;
    const NAME: &'static str = "ledger";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;
}

impl React for Ledger {
    type State = Till;

    fn init(&self) -> Till {
        Till::default()
    }

    fn react<E: Emit<Infallible>>(&self, till: &mut Till, update: Update, _emit: &mut E) -> Result<()> {
        till.open.push(update);
        Ok(())
    }

    fn snapshot(&self, till: &mut Till, snapshot: &mut Snapshot) -> Result<()> {
        till.prepare(&self.0, snapshot.checkpoint());
        snapshot.put(till)
    }

    fn commit(&self, till: &mut Till, commit: Commit) -> Result<()> {
        if commit == Commit::End {
            till.prepare(&self.0, u64::MAX);
        }
        let book = &self.0;
        till.prepared.retain(|transaction| {
            let counts = match commit {
                Commit::Checkpoint(checkpoint) => transaction.checkpoint <= checkpoint,
                Commit::End => true,
            };
            if counts {
                book.apply(transaction);
            }
            !counts
        });
        Ok(())
    }
}
