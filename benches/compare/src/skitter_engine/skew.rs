//! J1b over few workers that get most words, and how evenly they are busy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use skitter::prelude::*;

use super::numbers::Counting;
use super::words::{CountWords, Words};
use crate::figures::{Distribution, SKEW_WORKERS, Skew};
use crate::process::cpu_seconds;
use crate::tally::Totals;

/// Counts the words of a text.
///
/// # Errors
/// When the workflow fails.
pub fn measure(input: &Path, distribution: Distribution) -> Result<Skew, String> {
    let totals = Arc::new(Totals::default());
    let workflow = WorkflowBuilder::new();
    let words = workflow.source(Words::of(input));
    let count = CountWords::reporting(&totals);
    let sink = Counting(Arc::clone(&totals));
    match distribution {
        Distribution::KeyedState => {
            words.vertex(count, KeyedState).parallelism(SKEW_WORKERS).sink(sink, Chained);
        }
        Distribution::PartialKey => {
            words.vertex(count, PartialKey).parallelism(SKEW_WORKERS).sink(sink, Chained);
        }
    }
    let (clock, cpu) = (Instant::now(), cpu_seconds());
    let summary = super::complete("skew", workflow)?;
    let (seconds, cpu_seconds) = (clock.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let count = summary.vertex("count").ok_or("there is no vertex `count`")?;
    Ok(Skew {
        distribution,
        seconds,
        cpu_seconds,
        received: count.workers.iter().map(|worker| worker.received).collect(),
        checksum: format!("{:016x}", totals.state.load(Relaxed)),
    })
}
