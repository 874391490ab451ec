//! How a deployment stands.

use std::fmt;
use std::time::Duration;

use super::progress::ENDED;
use crate::id::{DeploymentId, WorkerId};
use crate::workflow::{Error, Progress};

/// The phases of a deployment, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Workers are prepared.
    Starting,
    /// Records flow.
    Running,
    /// It has failed, and is about to go on at its newest checkpoint.
    Recovering,
    /// Sources have been told to end; what is under way drains.
    Stopping,
    /// All sources came to their end, and the last record has been handled.
    Completed,
    /// It was told to stop, and has drained.
    Stopped,
    /// It failed.
    Failed(Error),
}

impl Phase {
    /// Whether nothing more will happen.
    pub fn has_ended(&self) -> bool {
        matches!(self, Phase::Completed | Phase::Stopped | Phase::Failed(_))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Recovering => "recovering",
            Phase::Stopping => "stopping",
            Phase::Completed => "completed",
            Phase::Stopped => "stopped",
            Phase::Failed(_) => "failed",
        })
    }
}

/// What one worker has done for a vertex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerStatus {
    /// The node it runs on.
    pub node: String,
    /// Records, or messages of its strategy, that it was given.
    pub received: u64,
    /// Records that it emitted.
    pub emitted: u64,
}

/// What a worker is at, to find out who keeps the others waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerActivity {
    /// The worker.
    pub id: WorkerId,
    /// The name of its vertex.
    pub vertex: String,
    /// The node it runs on.
    pub node: String,
    /// How often it has entered or left user code. When this is the same after a while and the worker
    /// [is in a call](WorkerActivity::is_in_a_call), that call has not returned meanwhile.
    pub calls: u64,
}

impl WorkerActivity {
    /// Whether it is inside a call of an operation or a strategy.
    pub fn is_in_a_call(&self) -> bool {
        !self.has_ended() && self.calls % 2 == 1
    }

    /// Whether it has done all its work.
    pub fn has_ended(&self) -> bool {
        self.calls == ENDED
    }
}

/// What a vertex has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VertexStatus {
    /// The name of the vertex.
    pub name: String,
    /// Those that run it: its own workers, or, chained, those before it.
    pub workers: Vec<WorkerStatus>,
    /// Records that its code has failed on, and that were skipped; see [`OnError`](super::OnError).
    pub failed: u64,
}

impl VertexStatus {
    /// Records, or messages of its strategy, that it was given.
    pub fn received(&self) -> u64 {
        self.workers.iter().map(|worker| worker.received).sum()
    }

    /// Records that it emitted.
    pub fn emitted(&self) -> u64 {
        self.workers.iter().map(|worker| worker.emitted).sum()
    }
}

/// How a deployment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// Its number.
    pub id: DeploymentId,
    /// The name that it was deployed under.
    pub name: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Time since it was deployed, until it ended.
    pub elapsed: Duration,
    /// How far its sources have come, if all of them have an end that they know.
    pub progress: Option<Progress>,
    /// Its vertices.
    pub vertices: Vec<VertexStatus>,
}

/// What a deployment has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The name that it was deployed under.
    pub name: String,
    /// Whether it was told to stop, rather than complete.
    pub stopped: bool,
    /// Time from deployment to end.
    pub elapsed: Duration,
    /// Its vertices.
    pub vertices: Vec<VertexStatus>,
}

impl Summary {
    /// The vertex of this name.
    pub fn vertex(&self, name: &str) -> Option<&VertexStatus> {
        self.vertices.iter().find(|vertex| vertex.name == name)
    }
}

impl fmt::Display for Summary {
    /// One line: each vertex with the records that went in and came out, and the time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, vertex) in self.vertices.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{} {} -> {}", vertex.name, vertex.received(), vertex.emitted())?;
            if vertex.failed > 0 {
                write!(f, " ({} failed)", vertex.failed)?;
            }
        }
        write!(f, " in {:.3} s", self.elapsed.as_secs_f64())
    }
}
