//! State on disk: many keys, each updated at random, by workers that keep few of them in memory.
//!
//!   cargo bench --features disk --bench disk -- [KEYS [UPDATES [BYTES [EVERY]]]]
//!
//! 20,000,000 keys and 20,000,000 updates, unless that is said, with states of 8 bytes, or of so many more; a
//! checkpoint every so many seconds, or none. All keys are made first, which is timed apart.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark has no better answer")]

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use skitter::codec::Record;
use skitter::operations::Numbers;
use skitter::prelude::*;
use skitter::runtime::{Checkpoints, Intensity, Runtime, Settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CORES: usize = 2;
/// How often workers look at the clock, in records.
const LOOK: u64 = 256;

/// When the last key was made, and how many updates there were.
#[derive(Default)]
struct Watched {
    updates: AtomicU64,
    made: OnceLock<Instant>,
}

/// Counts what comes.
#[derive(Clone)]
struct Watching {
    watched: Arc<Watched>,
    keys: u64,
}

impl Operation for Watching {
    type In = u64;
    type Out = Infallible;
    const NAME: &'static str = "watching sink";
    const OUT_PORTS: &'static [&'static str] = &[];
}

impl React for Watching {
    type State = u64;

    fn init(&self) -> u64 {
        0
    }

    fn react<E: Emit<Infallible>>(&self, seen: &mut u64, _sum: u64, _emit: &mut E) -> Result<()> {
        *seen += 1;
        if *seen % LOOK == 0 && self.watched.updates.fetch_add(LOOK, Relaxed) + LOOK >= self.keys {
            self.watched.made.get_or_init(Instant::now);
        }
        Ok(())
    }
}

/// A permutation of 64 bits (Steele, Lea and Flood, 2014).
fn splitmix64(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

fn run<V: Record + Clone + Sync>(keys: u64, updates: u64, every: Option<Duration>, first: V, sum: fn(&mut V) -> u64) {
    let watched = Arc::new(Watched::default());
    let workflow = WorkflowBuilder::new();
    // Sources are several, each with a part of the numbers in order.
    let half = (keys + updates) / CORES as u64;
    let (own, key_of) = (keys / CORES as u64, move |n: u64| {
        let (source, at) = (n / half, n % half);
        let key = if at < keys / CORES as u64 { at } else { splitmix64(n) % (keys / CORES as u64) };
        source * (keys / CORES as u64) + key
    });
    assert!(own > 0);
    workflow
        .source(Numbers::new(0..half * CORES as u64))
        .map(key_of)
        .keyed_reduce(|key| *key, first, move |state, _| sum(state))
        .with(DiskState::default())
        .sink(Watching { watched: Arc::clone(&watched), keys }, Chained);
    let store = tempfile::tempdir_in("/var/tmp").expect("a directory");
    let checkpoints = every.map(|interval| Checkpoints {
        unaligned_after: None,
        interval,
        store: store.path().display().to_string(),
        kept: 1,
        intensity: Intensity::default(),
    });
    let settings = Settings { cores: CORES, threads: CORES, checkpoints, ..Settings::default() };
    let begin = Instant::now();
    let runtime = Runtime::with(settings).expect("a runtime");
    let deployment = runtime.deploy("disk", workflow.build().expect("a workflow")).expect("deployed");
    deployment.wait().expect("no failure");
    let (end, made) = (Instant::now(), *watched.made.get().expect("keys"));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("?").trim();
    println!(
        "{keys} keys made in {:.1} s ({:.0}/s); {updates} updates in {:.1} s ({:.0}/s); peak of memory {peak}",
        (made - begin).as_secs_f64(),
        keys as f64 / (made - begin).as_secs_f64(),
        (end - made).as_secs_f64(),
        updates as f64 / (end - made).as_secs_f64(),
    );
}

fn main() {
    let arguments: Vec<u64> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let argument = |nth: usize, other: u64| arguments.get(nth).copied().unwrap_or(other);
    let (keys, updates, bytes) = (argument(0, 20_000_000), argument(1, 20_000_000), argument(2, 0));
    let every = arguments.get(3).map(|seconds| Duration::from_secs(*seconds));
    if bytes == 0 {
        run(keys, updates, every, 0u64, |sum| {
            *sum += 1;
            *sum
        });
    } else {
        run(keys, updates, every, (0u64, "x".repeat(bytes as usize)), |(sum, _)| {
            *sum += 1;
            *sum
        });
    }
}
