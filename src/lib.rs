//! Skitter
pub mod codec;
pub mod id;
pub mod workflow;
