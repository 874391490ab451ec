//! Workflows that take checkpoints and fail in the middle.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use skitter::prelude::*;
use skitter::runtime::{Checkpoints, DeploymentHandle, Intensity, Runtime, Settings, Summary};
use skitter::workflow::{Commit, Saved, Snapshot};
use tempfile::TempDir;

use crate::server::PATIENCE;

/// A runtime that takes a checkpoint every few milliseconds, and where it keeps them.
pub struct House {
    pub runtime: Runtime,
    pub directory: TempDir,
}

impl House {
    pub fn new() -> House {
        let directory = tempfile::tempdir().expect("a directory");
        let checkpoints = Checkpoints {
            unaligned_after: None,
            interval: Duration::from_millis(20),
            store: directory.path().join("checkpoints").display().to_string(),
            kept: 2,
            intensity: Intensity::default(),
        };
        let settings = Settings { cores: 2, threads: 4, checkpoints: Some(checkpoints), ..Settings::default() };
        House { runtime: Runtime::with(settings).expect("a runtime"), directory }
    }

    /// A file beside the checkpoints.
    pub fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn deploy(&self, workflow: WorkflowBuilder) -> DeploymentHandle {
        self.runtime.deploy("test", workflow.build().expect("a valid workflow")).expect("deployable")
    }

    /// How a workflow ends.
    pub fn run(&self, workflow: WorkflowBuilder) -> Result<Summary> {
        ended(&self.deploy(workflow))
    }

    /// Something that fails once.
    pub fn fault(&self) -> Fault {
        Fault { store: self.at("checkpoints"), seen: Arc::default(), failed: Arc::default() }
    }
}

/// How a deployment ends; fails the test if it does not.
pub fn ended(deployment: &DeploymentHandle) -> Result<Summary> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("an executor");
    let ended = executor.block_on(async { tokio::time::timeout(PATIENCE, deployment.ended()).await });
    ended.unwrap_or_else(|_| panic!("it has not ended: {:?}, {:?}", deployment.status(), deployment.activity()))
}

/// Panics once, when this many records have passed and there is a checkpoint to go on from.
#[derive(Clone)]
pub struct Fault {
    store: PathBuf,
    seen: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
}

impl Fault {
    /// A record passes.
    pub fn pass(&self, behind: u64) {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if seen > behind && !self.failed.load(Ordering::Relaxed) && manifests(&self.store) > 0 {
            self.failed.store(true, Ordering::Relaxed);
            panic!("after {seen} records, as asked for");
        }
    }

    /// How many records have passed.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// How many complete checkpoints there are.
pub fn manifests(store: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(store) else { return 0 };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .map(|path| {
            let is_manifest = path.parent().is_some_and(|parent| parent.ends_with("manifests"));
            if path.is_dir() { manifests(&path) } else { usize::from(is_manifest) }
        })
        .sum()
}

/// What a worker with an exactly-once sink does that is taken for dead and is not, beside the one that has gone on with
/// its state: in the end there are three records, `(1, 2)`, `(2, 4)` and `(3, 6)`. `count` says how many there are.
pub fn fates_of_a_zombie<S>(sink: &S, mut count: impl FnMut() -> u64)
where
    S: React<In = (u64, u64), Out = Infallible>,
{
    let react = |state: &mut S::State, n| sink.react(state, (n, n * 2), &mut Vec::new()).expect("it is taken");
    let save = |state: &mut S::State, checkpoint| {
        let mut snapshot = Snapshot::new(checkpoint);
        sink.snapshot(state, &mut snapshot).expect("a snapshot");
        let parts = snapshot.finish().parts.into_iter().map(|(_, part, pieces)| (part, pieces.concat().into()));
        Saved::new(parts.collect(), 0)
    };
    let commit = |state: &mut S::State, checkpoint| {
        sink.commit(state, Commit::Checkpoint(checkpoint)).expect("a commit");
    };
    let mut zombie = sink.init();
    react(&mut zombie, 1);
    let saved = save(&mut zombie, 1);
    // Checkpoint 1 is complete; what follows in this worker is of no complete one.
    react(&mut zombie, 2);
    save(&mut zombie, 2);
    let mut heir = sink.restore(&saved).expect("a state");
    assert_eq!(count(), 0, "nobody has committed");
    commit(&mut heir, 1);
    assert_eq!(count(), 1);
    commit(&mut zombie, 1);
    assert_eq!(count(), 1, "it was there already");
    react(&mut heir, 2);
    react(&mut zombie, 2);
    save(&mut zombie, 3);
    save(&mut heir, 2);
    react(&mut heir, 3);
    commit(&mut heir, 2);
    commit(&mut heir, 2);
    assert_eq!(count(), 2);
    // It ends without a checkpoint in between.
    sink.finish(&mut heir, &mut Vec::new()).expect("an end");
    save(&mut heir, 4);
    drop(zombie);
    sink.commit(&mut heir, Commit::End).expect("a commit");
    assert_eq!(count(), 3);
}
