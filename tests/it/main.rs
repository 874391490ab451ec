//! All integration tests, in one binary.

// Lets helper functions use what only tests may.
#![cfg(test)]

mod alignment;
mod application;
mod building;
mod cli;
mod cluster;
mod daemon;
mod faults;
mod graphs;
mod nexmark;
mod outside;
mod placement;
mod recovery;
mod runtime;
mod strategies;
mod strategy_of_a_user;
mod support;
mod time;
