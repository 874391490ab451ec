//! Workflows that take checkpoints and fail in the middle.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use skitter::prelude::*;
use skitter::runtime::{Checkpoints, DeploymentHandle, Intensity, Runtime, Settings, Summary};
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
