//! What users write: workflows of operations, and strategies that distribute them.
//!
//! A [`WorkflowBuilder`] gives typed [`Stream`]s; an operator on a stream puts a *vertex* behind it: an [`Operation`]
//! with its [`Strategy`]. Links are checked by the compiler; what it cannot see is checked by
//! [`WorkflowBuilder::build`]. The result, a [`Workflow`], is a recipe: the runtime asks its strategies where workers
//! stand and opens a running copy of each stage in each worker.
//!
//! This room has no input or output, no clock and no threads; it knows nothing of actors and networks.

mod batch;
mod blame;
mod builder;
mod chain;
mod cluster;
mod deliver;
mod draw;
mod earlier;
mod error;
mod extension;
mod failure;
mod fork;
mod fused;
mod graph;
mod meter;
mod nest;
mod operation;
mod outbox;
mod persist;
mod port;
mod stage;
mod strategy;
mod stream;
mod survey;
mod table;
mod time;
mod tolerance;
mod verify;

pub use batch::{BATCH_BYTES, BATCH_RECORDS, Batch, Messages, batch_capacity};
pub use blame::take_blame;
pub use builder::{Input, Inputs, Vertex, Workflow, WorkflowBuilder};
pub use chain::{
    Both, Chain, Choice, Discard, Downstream, Linked, Nothing, OneByOne, Opening, Outlet, Ported, Prepared, Survey,
    Upstream, Wiring,
};
pub use cluster::{Cluster, Deployment, Grown, NodeInfo, Place, Role, WorkerInfo, Workers};
pub use deliver::Deliver;
pub use draw::DRAWING_FORMAT;
pub use earlier::{Earlier, MOST_OBJECTS};
pub use error::{Error, Result};
pub use extension::{Extended, Extension};
pub use failure::Failure;
pub use fork::Shared;
pub use fused::Fused;
pub use graph::{Graph, LinkInfo, VertexInfo, VertexKind};
pub use meter::Meter;
pub use nest::Nested;
pub use operation::{
    Combine, Emit, Gather, Gathering, Keyed, Operation, Passive, Progress, Pull, React, Share, Source,
};
pub use outbox::{Gate, Intake, Outbox, Post};
pub use persist::{ByHand, Commit, Finished, Later, Pieces, Saved, Saving, Snapshot, load, save};
pub use port::{In, InPort, Out, OutPort};
pub use stage::{Stage, StageFactory};
pub use strategy::{Flush, LinkContext, Origin, Rescale, Strategy, WorkerContext, owner_of_group};
pub use stream::{Behind, Branches, Placed, Sink, Stream};
pub use table::KeyedTable;
pub use table::encoding;
pub use time::{Alignment, Clock, News, Pacing, Timestamp, Watermark};
pub use tolerance::{FailedRecord, Tolerance};
