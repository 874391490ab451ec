//! The command line: what an application's `main` calls. Only this room prints, and only it ends the process.
//!
//! An application hands its workflows over and gets the commands of `skitter` with them:
//!
//! ```no_run
//! use skitter::prelude::*;
//!
//! fn squares(_: &NoArgs) -> Result<Workflow> {
//!     let workflow = WorkflowBuilder::new();
//!     workflow.source(StreamSource::new(|| 0..10u64)).map(|n| n * n).discard();
//!     workflow.build()
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     skitter::main(&[skitter::workflow("squares", "Squares ten numbers", squares)])
//! }
//! ```

mod agent;
mod app;
mod build;
mod catalog;
mod command;
mod config;
mod daemon;
mod entry;
mod failure;
mod graphviz;
mod log_file;
mod output;
mod panics;
mod progress;
mod rollout;
mod terminal;
mod worker_file;

pub use app::{App, main};
pub use entry::{NoArgs, WorkflowEntry, workflow};
