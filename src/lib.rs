//! Skitter
pub mod codec;
pub mod id;
pub mod operations;
pub mod strategies;
pub mod workflow;
