//! Distributed stream processing that feels like Erlang: workflows of operations, strategies that distribute them, one
//! binary.

/// Tests use what the examples do.
#[cfg(test)]
extern crate self as skitter;

pub mod actor;
mod cli;
pub mod codec;
#[cfg(any(feature = "http", feature = "mqtt", feature = "nats", feature = "postgres", feature = "redis"))]
pub mod connectors;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hosts;
pub mod id;
pub mod net;
pub mod node;
pub mod operations;
pub mod prelude;
pub mod release;
pub mod runtime;
mod state;
pub mod strategies;
pub mod telemetry;
pub mod testing;
pub mod workflow;

pub use clap;
/// A word or another short text: up to 24 bytes without an allocation.
pub use compact_str::CompactString as Word;

pub use cli::{App, NoArgs, WorkflowEntry, main, workflow};
pub use runtime::Runtime;
pub use workflow::{Error, Result};

/// The examples of the README are tested, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
