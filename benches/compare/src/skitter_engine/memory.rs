//! J1b with a sink that is much slower than all before it, and the memory that is resident meanwhile.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use skitter::prelude::*;
use skitter::workflow::ByHand;

use super::words::{CountWords, Words};
use crate::figures::{Memory, SlowSink};
use crate::process::{peak_rss_mb, rss_mb};
use crate::stats::slope;
use crate::tally::{Sink, Totals};

/// How long the sink takes for a record.
const DELAY: Duration = Duration::from_micros(1);
/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(50);

/// Counts the words of the first of `parts` of each worker's part of the text.
///
/// # Errors
/// When the workflow fails.
pub fn measure(input: &Path, sink: SlowSink, parts: usize) -> Result<Memory, String> {
    let totals = Arc::new(Totals::default());
    let workflow = WorkflowBuilder::new();
    let counts = workflow.source(Words::of(input).first_of(parts)).vertex(CountWords::silent(), KeyedState);
    let slow = Slow(Arc::clone(&totals));
    match sink {
        SlowSink::Chained => drop(counts.sink(slow, Chained)),
        SlowSink::Alone => drop(counts.sink(slow, Sedentary)),
    }
    let clock = Instant::now();
    let (end, ended) = channel::<()>();
    let (summary, samples) = std::thread::scope(|scope| {
        let sampler = scope.spawn(move || {
            let mut samples = Vec::new();
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                samples.push((clock.elapsed().as_secs_f64(), rss_mb()));
            }
            samples
        });
        let summary = super::complete("memory", workflow);
        drop(end);
        (summary, sampler.join().expect("nothing to panic"))
    });
    summary?;
    let seconds = clock.elapsed().as_secs_f64();
    let late: Vec<(f64, f64)> = samples.iter().copied().filter(|(at, _)| *at >= seconds / 4.0).collect();
    Ok(Memory {
        sink,
        records: totals.updates.load(Relaxed),
        seconds,
        peak_rss_mb: peak_rss_mb(),
        trend_mb_per_second: slope(&late),
        samples,
    })
}

/// The sink that counts updates, slowly.
#[derive(Clone)]
struct Slow(Arc<Totals>);

impl Operation for Slow {
    type In = u64;
    type Out = Infallible;
    const NAME: &'static str = "slow sink";
    const OUT_PORTS: &'static [&'static str] = &[];
}

impl React for Slow {
    type State = ByHand<Sink>;

    fn init(&self) -> ByHand<Sink> {
        ByHand(Sink::new(&self.0))
    }

    fn react<E: Emit<Infallible>>(&self, sink: &mut ByHand<Sink>, update: u64, _emit: &mut E) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < DELAY {
            std::hint::spin_loop();
        }
        sink.update(update);
        Ok(())
    }
}
