//! Runs workflows: the room that joins the programming model with actors.
//!
//! [`Runtime::deploy`] asks the strategies for a *plan*, starts a *supervisor* actor, which starts a *worker* actor for
//! each worker in the plan. Workers exchange batches through *links*, each with a *window* of credit. What follows from
//! what workers say is decided by the *coordinator*, which is pure.
//!
//! Workers run on a multi-threaded executor; supervisors run on a thread of their own, so that user code that never
//! returns keeps nobody from being stopped.

mod connection;
mod coordinator;
mod crew;
mod dead_letters;
mod deployment;
mod flow;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod growth;
mod intake;
mod keeper;
mod ledger;
mod local;
mod neighbours;
mod pace;
mod plan;
mod progress;
mod recovery;
mod regions;
mod restarts;
mod restore;
mod site;
mod status;
mod supervisor;
mod vault;
mod watch;
mod window;
mod wire;
mod wiring;
mod worker;

pub(crate) use coordinator::Event as SiteEvent;
pub use dead_letters::{DeadLetter, OnError};
pub use deployment::DeploymentHandle;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::{frames_of as fuzz_frames, manifests as fuzz_manifests, snapshots as fuzz_snapshots};
#[cfg(test)]
pub(crate) use fuzz::{saved as fuzz_saved, seeds as fuzz_seeds};
pub use keeper::Checkpoints;
pub(crate) use keeper::{From, Keeping, Origin, Resume};
pub use local::{Runtime, Settings};
pub(crate) use plan::Outline;
pub(crate) use recovery::Again;
pub(crate) use regions::{Region, Scope};
pub use restarts::Intensity;
pub(crate) use restarts::Restarts;
#[cfg(test)]
pub(crate) use site::Counts;
pub(crate) use site::{Line, Order, Others, Report, SiteHandle, Tell};
pub use status::{DeploymentStatus, Phase, Summary, VertexStatus, WorkerActivity, WorkerStatus};
pub(crate) use supervisor::Way;
pub(crate) use vault::{Courier, ObjectOf};

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread, whatever runtime it belongs to or not.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

/// As [`block_on`], until a deadline.
fn block_until<F: Future>(future: F, deadline: Instant) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        std::thread::park_timeout(left);
    }
}
