//! Small benchmarks of single parts: `scripts/bench small [FILTER]`, for example `scripts/bench small codec`.
//!
//! All are one program, because linking one takes most of the time. An iteration handles a thousand records unless its
//! file says otherwise, so microseconds an iteration read as nanoseconds a record.

#![expect(clippy::expect_used, reason = "a benchmark that fails has no better answer")]

mod chain;
mod codec;
mod event_time;
mod hash;
mod strategies;
mod text;

// What the program uses.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records that an iteration handles.
const RECORDS: usize = 1000;

fn main() {
    divan::main();
}
