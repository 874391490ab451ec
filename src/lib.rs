//! Distributed stream processing that feels like Erlang: workflows of operations, strategies that distribute them, one
//! binary.

pub mod actor;
pub mod cli;
pub mod codec;
pub mod id;
pub mod operations;
pub mod prelude;
pub mod runtime;
pub mod strategies;
pub mod testing;
pub mod workflow;

pub use runtime::Runtime;
pub use workflow::{Error, Result};
