//! Masters and workers, as processes on this machine.

mod aligned;
mod guide;
mod joining;
mod loss;
mod mapper;
pub mod node;
mod noise;
mod peers;
mod refusals;
mod tls;
mod workflows;
