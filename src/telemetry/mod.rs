//! What a node says about itself: every event in one list, and how events become lines of a log.
//!
//! Events go out through [`tracing`], so a program that embeds Skitter sees them with a subscriber of its own.
//! Telemetry never fails and never waits: a line that nobody takes is dropped by who writes it.

pub mod events;
mod line;
mod log;
mod zone;

pub use log::{Format, Level, Verbosity, install};
