//! What most workflows need: `use skitter::prelude::*;`.

pub use crate::Word;
pub use crate::cli::{NoArgs, workflow};
pub use crate::operations::{Accept, Reject, StreamSource, TcpSource, TextFiles};
#[cfg(feature = "disk")]
pub use crate::strategies::DiskState;
pub use crate::strategies::{
    Broadcast, Chained, Combining, Funnel, ImmutableLocal, KeyedState, PartialKey, Partitioned, PassiveSource,
    Rebalance, RoundRobin, Sedentary, SideInput,
};
pub use crate::workflow::{Chain, Emit, Operation, React, Result, Strategy, Stream, Workflow, WorkflowBuilder};
