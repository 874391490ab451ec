//! What tests of the runtime share.

use std::time::{Duration, Instant};

use skitter::prelude::*;
use skitter::runtime::{DeploymentHandle, Runtime, Settings, Summary};

/// How long a test waits for what must come: far longer than it takes on a machine with much else to do.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A runtime of this many cores and two threads, whatever machine it is.
pub fn runtime(cores: usize) -> Runtime {
    Runtime::with(Settings { cores, threads: 2, ..Settings::default() }).expect("a runtime")
}

/// Deploys what was built.
pub fn deploy(runtime: &Runtime, workflow: WorkflowBuilder) -> DeploymentHandle {
    runtime.deploy("test", workflow.build().expect("a valid workflow")).expect("deployable")
}

/// How the deployment ends; fails the test if it does not.
pub fn ended(deployment: &DeploymentHandle) -> Result<Summary> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an executor");
    let ended = executor.block_on(async { tokio::time::timeout(PATIENCE, deployment.ended()).await });
    ended.unwrap_or_else(|_| panic!("it has not ended: {:?}, {:?}", deployment.status(), deployment.activity()))
}

/// Deploys what was built and waits for its end, and for the last of its actors.
pub fn run(runtime: &Runtime, workflow: WorkflowBuilder) -> Result<Summary> {
    let summary = ended(&deploy(runtime, workflow));
    nobody_lives(runtime);
    summary
}

/// Waits until no actor or thread of a deployment is left.
pub fn nobody_lives(runtime: &Runtime) {
    eventually("actors are left", || runtime.living() == 0);
}

/// Waits until something is so.
pub fn eventually(otherwise: &str, mut so: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < limit, "{otherwise}");
        std::thread::yield_now();
    }
}
