//! For tests of what users write: a workflow on given input, one strategy over simulated nodes, one callback called by
//! hand.

mod callbacks;
mod dice;
mod engine;
mod fed;
mod joining;
mod network;
mod outcome;
mod probes;
mod run;
mod simulation;

pub use callbacks::{finish, merge, react, read_all};
#[cfg(test)]
pub(crate) use dice::Dice;
pub use fed::Fed;
pub use outcome::Outcome;
pub use run::run;
pub use simulation::Simulation;
