//! An executor for a client that needs one, in an operation that is called and waits.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::workflow::{Error, Result};

/// Runs the futures of one client on the thread that calls. What the client does in the background goes on while
/// somebody waits for something.
#[derive(Debug)]
pub(super) struct Driver(Option<Runtime>);

impl Driver {
    /// An executor without a thread of its own.
    ///
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| Driver(Some(runtime))).map_err(|error| Error::Runtime(error.to_string()))
    }

    /// Waits for this, so long at most.
    pub fn run<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let runtime = self.0.as_ref()?;
        runtime.block_on(async { tokio::time::timeout(limit, future).await.ok() })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // To wait for its tasks is refused where the worker is let go of by another executor.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
