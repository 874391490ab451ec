//! What stands behind a point of a workflow, as far as workers and time are concerned.

use std::collections::BTreeSet;

use super::Operation;
use super::chain::shift;
use crate::id::VertexId;

/// The vertices behind a point.
#[derive(Debug, Default)]
pub struct Survey {
    offset: u32,
    /// Vertices that run in the same worker.
    pub fused: Vec<VertexId>,
    /// Vertices that the worker has a link to, once for each link.
    pub receivers: Vec<VertexId>,
    /// Whether an operation in the worker may wait for something outside.
    pub blocks: bool,
    /// Whether an operation in the worker says how far time has come.
    pub keeps_time: bool,
    /// Whether an operation in the worker waits for the clock.
    pub follows_clock: bool,
    /// A vertex in the worker that waits for time to come, with none before it in the worker that says how far that is.
    pub needs_time: Option<VertexId>,
    /// Of the receivers, those that are told how far time has come by somebody in the worker.
    pub told: BTreeSet<VertexId>,
    /// Those to whom passes what the worker is told.
    pub passed_on: BTreeSet<VertexId>,
    /// A vertex in the worker that is to stay near others in event time.
    pub aligned: Option<VertexId>,
    /// Somebody before this point, in the worker, says how far time has come.
    is_told: bool,
}

impl Survey {
    /// A survey of a workflow whose vertices were numbered from `offset`.
    pub fn new(offset: u32) -> Self {
        Survey { offset, ..Survey::default() }
    }

    /// Counts a vertex that runs in the same worker.
    pub(super) fn fuse(&mut self, vertex: VertexId) {
        self.fused.push(VertexId(vertex.0 + self.offset));
    }

    /// Counts what an operation in the worker may do, and what is behind it.
    pub(super) fn operation<O: Operation>(&mut self, vertex: VertexId, behind: impl FnOnce(&mut Survey)) {
        self.blocks |= O::BLOCKS;
        self.keeps_time |= O::KEEPS_TIME;
        self.follows_clock |= O::FOLLOWS_CLOCK;
        if O::NEEDS_TIME && !self.is_told {
            self.needs_time.get_or_insert(VertexId(vertex.0 + self.offset));
        }
        let is_told = self.is_told;
        self.is_told |= O::KEEPS_TIME;
        behind(self);
        self.is_told = is_told;
    }

    /// Counts a vertex that is to stay near others in event time.
    pub(super) fn align(&mut self, vertex: VertexId) {
        self.aligned.get_or_insert(VertexId(vertex.0 + self.offset));
    }

    /// Counts a link to a vertex.
    pub(super) fn link(&mut self, vertex: VertexId) {
        let vertex = VertexId(vertex.0 + self.offset);
        self.receivers.push(vertex);
        if self.is_told {
            self.told.insert(vertex)
        } else {
            self.passed_on.insert(vertex)
        };
    }

    pub(super) fn shifted(&mut self, by: i64, survey: impl FnOnce(&mut Survey)) {
        let offset = self.offset;
        self.offset = shift(offset, by);
        survey(self);
        self.offset = offset;
    }
}
