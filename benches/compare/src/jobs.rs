//! The jobs: their names, sizes and functions, the same for every engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use clap::ValueEnum;

use crate::tally::Totals;

/// Worker threads of each engine: in one process, or one each in two processes.
pub const THREADS: usize = 2;
/// Numbers that go through J2.
pub const J2_RECORDS: u64 = 100_000_000;
/// Numbers that go through J3.
pub const J3_RECORDS: u64 = 50_000_000;
/// Different keys of J3.
pub const J3_KEYS: u64 = 100_000;
/// Different keys of J4.
pub const LATENCY_KEYS: u64 = 1_000;
/// How long J4 emits.
pub const LATENCY_SECONDS: u64 = 3;

/// What is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Job {
    /// Word count, pre-aggregated by thread and merged at the word's owner; final counts only.
    J1a,
    /// Word count, each word shuffled to its owner, each update emitted.
    J1b,
    /// Five maps and a filter over numbers, summed.
    J2,
    /// Running sum by key over shuffled numbers, each update emitted.
    J3,
    /// Latency of single records through source, keyed stage and sink at a given rate.
    J4,
}

impl Job {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Job::J1a => "j1a",
            Job::J1b => "j1b",
            Job::J2 => "j2",
            Job::J3 => "j3",
            Job::J4 => "j4",
        }
    }

    /// The name in tables.
    pub fn title_name(self) -> String {
        self.name().replacen('j', "J", 1)
    }

    /// A line that explains it, for the tables.
    pub fn title(self) -> &'static str {
        match self {
            Job::J1a => "word count, pre-aggregated, final counts",
            Job::J1b => "word count, each word shuffled, each update out",
            Job::J2 => "five maps and a filter over numbers, summed",
            Job::J3 => "running sum by key, 100 k keys",
            Job::J4 => "latency of single records",
        }
    }

    /// Whether it reads the text.
    pub fn reads_text(self) -> bool {
        matches!(self, Job::J1a | Job::J1b)
    }

    /// What must be equal over all engines.
    ///
    /// The running sums of J3 depend on the order in which two sources meet: there the final sums
    /// are compared.
    pub fn checksum(self, totals: &Totals) -> String {
        let updates = totals.updates.load(Relaxed);
        let (sum, xor) = (totals.sum.load(Relaxed), totals.xor.load(Relaxed));
        let state = totals.state.load(Relaxed);
        match self {
            Job::J1a | Job::J3 => format!("{updates}:{state:016x}"),
            Job::J1b => format!("{updates}:{sum:x}:{xor:x}"),
            Job::J2 => format!("{sum:016x}"),
            Job::J4 => format!("{updates}:{sum:x}"),
        }
    }
}

/// One run of a job: what engines are given.
#[derive(Clone)]
pub struct Run {
    pub job: Job,
    /// The text; empty for jobs that read none.
    pub input: PathBuf,
    /// Records a second for J4.
    pub rate: u64,
    pub totals: Arc<Totals>,
    /// Which part of the job runs here.
    pub place: Place,
}

/// Which part of a job runs in this process.
#[derive(Clone, Debug)]
pub enum Place {
    /// All of it.
    Alone,
    /// One of two threads.
    Part {
        /// 0 or 1.
        index: usize,
        /// The first of [`PORTS`] that each process may listen at.
        ports: [u16; 2],
    },
}

/// Ports that each of two processes has.
pub const PORTS: u16 = 8;

/// The maps of J2, to be run in this order.
pub mod maps {
    #[inline(always)]
    pub fn triple(x: u64) -> u64 {
        x.wrapping_mul(3)
    }

    #[inline(always)]
    pub fn fold7(x: u64) -> u64 {
        x ^ (x >> 7)
    }

    #[inline(always)]
    pub fn add11(x: u64) -> u64 {
        x.wrapping_add(11)
    }

    #[inline(always)]
    pub fn times5(x: u64) -> u64 {
        x.wrapping_mul(5)
    }

    #[inline(always)]
    pub fn fold3(x: u64) -> u64 {
        x ^ (x >> 3)
    }

    /// The filter of J2.
    #[inline(always)]
    pub fn keep(x: &u64) -> bool {
        !x.is_multiple_of(3)
    }
}

/// The key of the `i`-th number of J3.
#[inline(always)]
pub fn j3_key(i: u64) -> u64 {
    splitmix64(i) % J3_KEYS
}

/// The `i`-th output of the generator splitmix64.
#[inline(always)]
pub fn splitmix64(i: u64) -> u64 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The part of `0..total` that the `index`-th of `count` threads takes.
pub fn share(total: u64, index: usize, count: usize) -> std::ops::Range<u64> {
    let bound = |i: usize| total * i as u64 / count as u64;
    bound(index)..bound(index + 1)
}
