//! A process in its mode: what it starts, what it waits for, and the order in which it stops.

pub mod console;
mod control;
mod deployments;
mod endpoint;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod journal;
mod link;
pub mod local;
pub mod master;
mod parts;
mod running;
mod settings;
mod signals;
#[cfg(test)]
mod tests;
mod vault;
mod waiting;
pub mod worker;

pub use console::Console;
pub use failure::NodeFailure;
pub use settings::{Catalog, NodeSettings};
pub use signals::{Signal, Signals, Stopper};

/// What a node waits on: one thread, as little happens there.
fn executor() -> Result<tokio::runtime::Runtime, NodeFailure> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build();
    executor.map_err(|error| NodeFailure::Start(error.to_string()))
}
