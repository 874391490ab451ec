//! What a worker is told to emit.

use crate::workflow::{Batch, Messages};

/// So many batches with this label go to a receiver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Emission {
    pub(super) to: usize,
    pub(super) count: usize,
    pub(super) label: u64,
}

/// What travels to the worker: what it is to emit; and, between peers, to be sent on.
pub(super) type Told = Messages<(usize, usize, u64)>;

pub(super) fn told(emission: Emission) -> Box<dyn Batch> {
    Box::new(Messages(vec![(emission.to, emission.count, emission.label)]))
}
