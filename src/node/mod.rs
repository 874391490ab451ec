//! A process in its mode: what it starts, what it waits for, and the order in which it stops.

pub mod local;
mod signals;

pub use signals::{Signal, Signals};
