//! Renoir 0.6: at its best in [`tuned`], as its documentation writes it in [`docs`].

use renoir::{RuntimeConfig, StreamContext};

use crate::jobs::THREADS;

pub mod docs;
pub mod tuned;

fn environment() -> StreamContext {
    StreamContext::new(RuntimeConfig::local(THREADS as u64).expect("a number of threads"))
}
