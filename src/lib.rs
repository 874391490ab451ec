//! Distributed stream processing that feels like Erlang: workflows of operations, strategies that distribute them, one
//! binary.

/// Tests use what the examples do.
#[cfg(test)]
extern crate self as skitter;

pub mod actor;
mod cli;
pub mod codec;
#[cfg(any(
    feature = "http",
    feature = "kafka",
    feature = "mqtt",
    feature = "nats",
    feature = "postgres",
    feature = "redis"
))]
pub mod connectors;
#[cfg(feature = "disk")]
pub mod disk;
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

/// The examples of the README and of the guide are tested, too.
#[cfg(doctest)]
mod documents {
    macro_rules! documents {
        ($($name:ident $path:literal)*) => { $(#[doc = include_str!($path)] struct $name;)* };
    }
    documents! {
        Readme "../README.md"
        EventTime "../docs/guide/event-time.md"
        Windows "../docs/guide/windows.md"
        Joins "../docs/guide/joins.md"
        Processes "../docs/guide/processes.md"
        Testing "../docs/guide/testing.md"
        Connectors "../docs/guide/connectors.md"
    }
}
