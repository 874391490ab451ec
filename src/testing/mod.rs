//! For tests of workflows, strategies and operations.

mod run;

pub use run::run;
