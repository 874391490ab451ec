//! Masters and workers, as processes on this machine.

mod guide;
mod loss;
mod node;
mod noise;
mod refusals;
mod workflows;
