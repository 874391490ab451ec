//! What most workflows need: `use skitter::prelude::*;`.

pub use crate::operations::{StreamSource, TextFiles};
pub use crate::strategies::{
    Broadcast, Chained, Combining, ImmutableLocal, KeyedState, PartialKey, PassiveSource, Rebalance, RoundRobin,
    Sedentary,
};
pub use crate::workflow::{Emit, Operation, React, Result, Strategy, Stream, Workflow, WorkflowBuilder};
