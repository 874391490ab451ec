//! How a worker calls user code: what that fails or panics with ends the worker and fails the deployment.

use super::{Phase, State};
use crate::actor;
use crate::id::VertexId;
use crate::runtime::coordinator::Event;
use crate::workflow::{Error, Failure, Stage, take_blame};

/// Stands for the worker's own vertex where a panic passed through no user code.
const NOBODY: VertexId = VertexId(u32::MAX);

/// Runs user code and turns a panic into a failure. With `blocks` it may wait, and run a runtime of its own meanwhile.
pub(super) fn guarded<R>(blocks: bool, work: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    take_blame();
    let result = if blocks { actor::in_place(|| actor::catch(work)) } else { actor::catch(work) };
    result
        .unwrap_or_else(|message| Err(Failure { vertex: take_blame().unwrap_or(NOBODY), error: Error::Panic(message) }))
}

impl State {
    /// Runs user code; what it fails or panics with fails the deployment.
    pub(super) fn run<R>(&mut self, work: impl FnOnce(&mut dyn Stage) -> Result<R, Failure>) -> Option<R> {
        let stage = self.stage.as_deref_mut()?;
        self.arguments.progress.enter();
        let result = guarded(self.arguments.stage.blocks, || work(stage));
        self.arguments.progress.leave();
        let result = self.checked(result)?;
        if let Some(fault) = self.arguments.flow.take_fault() {
            self.fail(fault);
            return None;
        }
        Some(result)
    }

    /// Lets go of the stage, with all that user code keeps in it.
    pub(super) fn drop_stage(&mut self) -> Option<()> {
        let stage = self.stage.take();
        self.arguments.progress.enter();
        let result = guarded(self.arguments.stage.blocks, || {
            drop(stage);
            Ok(())
        });
        self.arguments.progress.leave();
        self.checked(result)
    }

    pub(super) fn checked<R>(&mut self, result: Result<R, Failure>) -> Option<R> {
        match result {
            Ok(result) => Some(result),
            Err(failure) => {
                self.end_with(failure);
                None
            }
        }
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.end_with(Failure { vertex: self.arguments.id.vertex, error });
    }

    fn end_with(&mut self, mut failure: Failure) {
        if failure.vertex == NOBODY {
            failure.vertex = self.arguments.id.vertex;
        }
        self.phase = Phase::Ended;
        (self.arguments.tell)(Event::Failed(self.arguments.id, failure));
    }
}
