//! J3 with checkpoints, with any number of keys.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use skitter::operations::Numbers;
use skitter::prelude::*;
use skitter::runtime::{Checkpoints, Intensity, Runtime, Settings};
use skitter::workflow::{ByHand, Commit, Saved, Snapshot};

use super::numbers::SumByKey;
use crate::figures::checkpoints::{Checkpointed, Order};
use crate::jobs::{THREADS, splitmix64};
use crate::process::{cpu_seconds, peak_rss_mb};
use crate::tally::Totals;

/// A worker looks at the clock once in so many records: often enough to see a pause of a millisecond, so seldom that it
/// costs nothing.
const LOOK: u64 = 1024;
/// How often each key is seen before pauses count: until then tables grow.
const WARM: u64 = 3;
/// Checkpoints that are kept.
const KEPT: usize = 2;

/// What is watched, over all workers.
#[derive(Debug, Default)]
struct Watched {
    /// The longest time between two looks, and the most processor time.
    longest: Mutex<(Duration, Duration)>,
    /// When pauses begin to count, and records from then on.
    steady: Mutex<Option<Instant>>,
    records: AtomicU64,
    /// Each checkpoint, from when the first worker has begun to save to when it is complete.
    checkpoints: Mutex<BTreeMap<u64, (Instant, Option<Duration>)>>,
    failed: Mutex<Option<Instant>>,
    recovered: Mutex<Option<Duration>>,
}

/// Runs once.
///
/// # Errors
/// When the workflow fails.
pub fn measure(order: &Order) -> Result<Checkpointed, String> {
    let (totals, watched) = (Arc::new(Totals::default()), Arc::new(Watched::default()));
    let workflow = WorkflowBuilder::new();
    let (keys, busy, half) = (order.keys, (order.keys * order.busy / 1000).max(1), order.records / THREADS as u64);
    let warm = keys * WARM / THREADS as u64;
    let key = move |n: u64| splitmix64(n) % if n % half < warm { keys } else { busy };
    workflow
        .source(Numbers::new(0..half * THREADS as u64))
        .map(move |n| (key(n), n))
        .vertex(SumByKey(Arc::clone(&totals)), KeyedState)
        .sink(Watching { watched: Arc::clone(&watched), warm, fail: order.fail }, Chained);
    let store = order.store.display().to_string();
    let checkpoints = order.every.map(|every| Checkpoints {
        unaligned_after: None,
        interval: Duration::from_millis(every),
        store: store.clone(),
        kept: KEPT,
        intensity: Intensity::default(),
    });
    let settings = Settings { cores: THREADS, threads: THREADS, checkpoints, ..Settings::default() };
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let error = |error: skitter::Error| error.to_string();
    let runtime = Runtime::with(settings).map_err(error)?;
    let deployment = runtime.deploy("checkpoints", workflow.build().map_err(error)?).map_err(error)?;
    deployment.wait().map_err(error)?;
    let (ended, cpu_seconds) = (Instant::now(), cpu_seconds() - cpu);
    let steady = *watched.steady.lock().expect("no panic under lock");
    let longest = *watched.longest.lock().expect("no panic under lock");
    let recovered = *watched.recovered.lock().expect("no panic under lock");
    let complete: Vec<Duration> =
        watched.checkpoints.lock().expect("no panic under lock").values().filter_map(|(_, took)| *took).collect();
    Ok(Checkpointed {
        keys,
        records: order.records,
        every: order.every,
        busy: order.busy,
        seconds: (ended - clock).as_secs_f64(),
        steady_seconds: steady.map_or(0.0, |steady| (ended - steady).as_secs_f64()),
        steady_records: watched.records.load(Relaxed),
        cpu_seconds,
        peak_rss_mb: peak_rss_mb(),
        longest_pause_ms: longest.0.as_secs_f64() * 1e3,
        busiest_ms: longest.1.as_secs_f64() * 1e3,
        checkpoints: complete.iter().map(|time| time.as_secs_f64() * 1e3).collect(),
        recovery_ms: recovered.map(|time| time.as_secs_f64() * 1e3),
        checksum: format!("{:016x}", totals.state.load(Relaxed)),
    })
}

/// The sink: it notes when nothing came for long.
#[derive(Clone)]
struct Watching {
    watched: Arc<Watched>,
    /// Records of a worker before pauses count.
    warm: u64,
    fail: Option<u64>,
}

/// What a worker has seen.
#[derive(Default)]
struct Seen {
    updates: u64,
    sum: u64,
    longest: Duration,
    looked: Option<Instant>,
    /// The most processor time of its thread between two looks.
    busiest: Duration,
    worked: Option<(ThreadId, Duration)>,
}

/// This thread, and the processor time that it has had.
fn working() -> (ThreadId, Duration) {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("there is a clock for each thread");
    (std::thread::current().id(), time.into())
}

impl Watching {
    #[cold]
    #[inline(never)]
    fn look(&self, seen: &mut Seen) -> Result<()> {
        let now = Instant::now();
        if let Some(failed) = *self.watched.failed.lock().expect("no panic under lock") {
            self.watched.recovered.lock().expect("no panic under lock").get_or_insert(now - failed);
        } else if self.fail.is_some_and(|fail| seen.updates >= fail) {
            *self.watched.failed.lock().expect("no panic under lock") = Some(now);
            return Err(skitter::workflow::Error::Operation("it was told to fail".to_owned()));
        }
        if seen.updates >= self.warm {
            self.watched.steady.lock().expect("no panic under lock").get_or_insert(now);
            if let Some(looked) = seen.looked.replace(now) {
                seen.longest = seen.longest.max(now - looked);
                // Whatever else runs on the machine does not count here. A worker that has changed its thread begins
                // anew.
                let worked = working();
                if let Some((_, before)) = seen.worked.replace(worked).filter(|(thread, _)| *thread == worked.0) {
                    seen.busiest = seen.busiest.max(worked.1.saturating_sub(before));
                }
                self.watched.records.fetch_add(LOOK, Relaxed);
            }
        }
        Ok(())
    }
}

impl Operation for Watching {
    type In = u64;
    type Out = Infallible;
    const NAME: &'static str = "watching sink";
    const OUT_PORTS: &'static [&'static str] = &[];
}

impl React for Watching {
    type State = ByHand<Seen>;

    fn init(&self) -> ByHand<Seen> {
        ByHand(Seen::default())
    }

    #[inline(always)]
    fn react<E: Emit<Infallible>>(&self, seen: &mut ByHand<Seen>, update: u64, _emit: &mut E) -> Result<()> {
        seen.updates += 1;
        seen.sum = seen.sum.wrapping_add(update);
        if seen.updates % LOOK == 0 { self.look(seen) } else { Ok(()) }
    }

    fn finish<E: Emit<Infallible>>(&self, seen: &mut ByHand<Seen>, _emit: &mut E) -> Result<()> {
        let mut longest = self.watched.longest.lock().expect("no panic under lock");
        *longest = (seen.longest.max(longest.0), seen.busiest.max(longest.1));
        Ok(())
    }

    fn snapshot(&self, seen: &mut ByHand<Seen>, snapshot: &mut Snapshot) -> Result<()> {
        let mut checkpoints = self.watched.checkpoints.lock().expect("no panic under lock");
        checkpoints.entry(snapshot.checkpoint()).or_insert((Instant::now(), None));
        snapshot.put(&(seen.updates, seen.sum))
    }

    fn restore(&self, saved: &Saved) -> Result<ByHand<Seen>> {
        let (updates, sum) = saved.whole()?.unwrap_or_default();
        Ok(ByHand(Seen { updates, sum, ..self.init().0 }))
    }

    fn commit(&self, _seen: &mut ByHand<Seen>, commit: Commit) -> Result<()> {
        let mut checkpoints = self.watched.checkpoints.lock().expect("no panic under lock");
        if let Commit::Checkpoint(number) = commit
            && let Some((begun, took)) = checkpoints.get_mut(&number)
        {
            took.get_or_insert(begun.elapsed());
        }
        Ok(())
    }
}
