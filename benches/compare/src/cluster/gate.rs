//! What a process tells the one that has started it, and waits for: lines on stdout, and one on stdin.
//!
//! Lines that begin with none of these words are somebody else's: Timely says on stdout what it waits for.

use std::io::{Write, stdin, stdout};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::process::cpu_seconds;

/// It is connected to the others and could begin.
pub const READY: &str = "@ready";
/// The clock runs from now on, where a process says so itself.
pub const BEGIN: &str = "@begin";
/// The last result is there.
pub const END: &str = "@end";
/// In front of what it has added up and used, in JSON.
pub const PART: &str = "@part ";

/// Whether this process is one of several.
static ONE_OF_SEVERAL: AtomicBool = AtomicBool::new(false);
/// The processor time that was used before the clock ran, in seconds.
static BEFORE: OnceLock<f64> = OnceLock::new();

/// This process is one of several.
pub fn open() {
    ONE_OF_SEVERAL.store(true, Relaxed);
}

/// Says that this process is ready, the first time, and waits until it is let go. Does nothing in a process alone.
#[inline]
pub fn pass() {
    if ONE_OF_SEVERAL.load(Relaxed) {
        BEFORE.get_or_init(|| {
            say(READY);
            let mut line = String::new();
            let read = stdin().read_line(&mut line).expect("stdin is a pipe");
            assert!(read > 0, "whoever started this process is gone");
            cpu_seconds()
        });
    }
}

/// Says that this process is ready, the first time. Nothing in it has to be let go.
pub fn ready() {
    if ONE_OF_SEVERAL.load(Relaxed) {
        BEFORE.get_or_init(|| {
            say(READY);
            cpu_seconds()
        });
    }
}

/// Processor time since the clock runs, in seconds.
pub fn cpu_seconds_since() -> f64 {
    cpu_seconds() - BEFORE.get().copied().unwrap_or_default()
}

/// Says a line.
pub fn say(line: &str) {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).expect("stdout is a pipe");
}

/// An iterator whose first step waits until this process is let go.
#[derive(Clone)]
pub struct Gated<I> {
    inner: I,
    passed: bool,
}

impl<I: Iterator> Gated<I> {
    pub fn new(inner: I) -> Gated<I> {
        Gated { inner, passed: false }
    }
}

impl<I: Iterator> Iterator for Gated<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        if !self.passed {
            pass();
            self.passed = true;
        }
        self.inner.next()
    }
}
