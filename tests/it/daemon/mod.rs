//! Daemons, as real processes.

mod attach;
mod control;
mod deployments;
mod home;
mod life;
mod private;
mod service;
