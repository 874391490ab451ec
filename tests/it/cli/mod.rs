//! The command line, as a user meets it: processes, their output and their exit status.

pub mod cargo;
mod checkpoints;
mod commands;
mod config;
mod faults;
mod hello;
mod new;
mod nodes;
pub mod process;
mod progress;
mod release;
mod signals;
pub mod wordcount;
