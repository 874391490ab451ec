//! What checkpoints cost.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

/// What is measured with checkpoints and without.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub name: &'static str,
    pub keys: u64,
    pub records: u64,
    /// Milliseconds from one checkpoint to the next.
    pub every: u64,
    /// What checkpoints may cost, as a part of the records a second.
    pub most_cost: f64,
    /// How long a worker may pause, in milliseconds, if there is a bound.
    pub most_pause: Option<f64>,
}

/// J3, and J3 with more keys than any cache holds; so many records that there are some checkpoints.
pub const LOADS: [Load; 2] = [
    Load { name: "100 k keys", keys: 100_000, records: 1_000_000_000, every: 1_000, most_cost: 0.03, most_pause: None },
    Load {
        name: "10 M keys",
        keys: 10_000_000,
        records: 600_000_000,
        every: 10_000,
        most_cost: 0.1,
        most_pause: Some(50.0),
    },
];

/// A run to be measured.
#[derive(Args)]
pub struct Order {
    /// Different keys
    #[arg(long)]
    pub keys: u64,
    /// Numbers that are added up
    #[arg(long)]
    pub records: u64,
    /// Milliseconds from one checkpoint to the next; none without
    #[arg(long)]
    pub every: Option<u64>,
    /// The directory of the checkpoints
    #[arg(long, default_value = "target/bench/checkpoints")]
    pub store: PathBuf,
    /// Of a thousand keys, how many get records once all of them are there
    #[arg(long, default_value_t = 1000)]
    pub busy: u64,
    /// Fails once, after so many numbers, and goes on at a checkpoint
    #[arg(long)]
    pub fail: Option<u64>,
}

/// What was measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Checkpointed {
    pub keys: u64,
    pub records: u64,
    pub every: Option<u64>,
    pub busy: u64,
    pub seconds: f64,
    /// From when every key had been seen some times, to the end.
    pub steady_seconds: f64,
    /// Records of that time.
    pub steady_records: u64,
    pub cpu_seconds: f64,
    pub peak_rss_mb: f64,
    /// The longest time in which a worker handled nothing, in milliseconds, from then on.
    pub longest_pause_ms: f64,
    /// The most processor time that its thread had in between, in milliseconds: what is left of pauses when others on
    /// the machine keep it waiting.
    pub busiest_ms: f64,
    /// How long each checkpoint took, from when the first worker began to save, in milliseconds.
    pub checkpoints: Vec<f64>,
    /// From a failure to the first record that was handled after it, in milliseconds.
    pub recovery_ms: Option<f64>,
    /// Equal with checkpoints and without.
    pub checksum: String,
}

/// What was measured of one table.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Sliced {
    pub keys: u64,
    pub bytes: usize,
    pub slices: usize,
    /// Time of all slices, and of the longest one, in milliseconds.
    pub save_ms: f64,
    pub longest_ms: f64,
    /// The same when a value is changed between each two slices and the next snapshot keeps what it can.
    pub again_ms: f64,
    /// Nanoseconds to look a key up: before the first snapshot, and while one is under way.
    pub find_ns: f64,
    pub find_meanwhile_ns: f64,
    /// From bytes to a table, in milliseconds.
    pub restore_ms: f64,
}

impl Checkpointed {
    /// Millions of records a second, when all keys are there.
    pub fn rate(&self) -> f64 {
        self.steady_records as f64 / self.steady_seconds / 1e6
    }

    /// Processor time of a million records, in milliseconds.
    pub fn cpu_ms(&self) -> f64 {
        self.cpu_seconds * 1e3 / (self.records as f64 / 1e6)
    }
}
