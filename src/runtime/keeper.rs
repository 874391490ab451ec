//! Where a deployment keeps its checkpoints: what workers have saved goes to the store, and a manifest behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::coordinator::WorkerSaved;
use super::plan::Outline;
use super::restarts::Intensity;
use super::vault::{ObjectOf, Vault};
use super::worker::WorkerSnapshot;
use crate::actor;
use crate::id::Part;
use crate::state::{
    Manifest, Run, SavedObject, SavedVertex, SavedWorker, Section, SnapshotWriter, StateError, Store, runs,
};
use crate::workflow::{Error, Result};

/// How many bytes an object has, and a part more: so few that several in memory are nothing beside a worker's own
/// state, so many that a store has little to do for each.
const OBJECT_BYTES: u64 = if cfg!(test) { 1 << 10 } else { 64 << 20 };

/// How a runtime takes checkpoints of what it deploys; see [`Settings`](super::Settings).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// From the beginning of one to that of the next.
    pub interval: Duration,
    /// Where they are kept: a directory, or the URL of a store.
    pub store: String,
    /// How many are kept, the newest ones.
    pub kept: usize,
    /// How often a deployment that fails is started anew, from the last one.
    pub intensity: Intensity,
    /// How long one waits for what is under way to be handled, before it saves that, too: so that one is complete in
    /// time where operations are slow. Never, if there is none.
    pub unaligned_after: Option<Duration>,
}

/// Where the parts of a deployment find its checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// The URL of the store.
    pub store: String,
    /// The name of the workflow.
    pub workflow: String,
    /// The name of the run.
    pub run: String,
    /// How often it has been started.
    pub attempt: u32,
    /// The checkpoint that it goes on at.
    pub resume: Option<Origin>,
    /// State that does not fit the workflow is left behind.
    pub drop_unfit: bool,
}

/// A checkpoint that is gone on at: of the same run, or of another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The URL of the store.
    pub store: String,
    /// The name of the workflow.
    pub workflow: String,
    /// The name of the run.
    pub run: String,
    /// Its number.
    pub checkpoint: u64,
    /// Vertices that have to have as many workers as they had, by name: batches were under way to them.
    pub fixed: BTreeMap<String, usize>,
}

impl Origin {
    /// What is gone on at by this manifest.
    pub fn of(store: String, workflow: String, run: String, manifest: &Manifest) -> Origin {
        let is_flight = |section: &Section| matches!(section.part, Part::Flight { .. });
        let to = manifest.objects.iter().filter(|object| object.sections.iter().any(is_flight));
        let vertices: BTreeSet<_> = to.map(|object| object.worker.vertex).collect();
        let fixed = manifest.vertices.iter().filter(|vertex| vertices.contains(&vertex.id));
        let fixed = fixed.map(|vertex| (vertex.name.clone(), vertex.workers as usize)).collect();
        Origin { store, workflow, run, checkpoint: manifest.checkpoint, fixed }
    }

    /// Finds the run in its store.
    ///
    /// # Errors
    /// When there is no such store.
    pub fn open(&self) -> Result<Run> {
        open(&self.store, &self.workflow, &self.run)
    }
}

/// A checkpoint to go on at, and whether state that does not fit is left behind.
pub type Resume = (Origin, bool);

/// What a deployment goes on at, as a user says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct From {
    /// `latest`, or a savepoint as it was told: `[STORE/]WORKFLOW/RUN/CHECKPOINT`.
    pub what: String,
    /// State that does not fit the workflow is left behind.
    pub drop_unfit: bool,
}

/// In place of a savepoint: the newest checkpoint of the workflow.
pub const LATEST: &str = "latest";

impl From {
    /// Finds the checkpoint, for a workflow of this name; what names no store is in this one.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn find(&self, store: &str, workflow: &str) -> Result<Origin> {
        if self.what == LATEST {
            return latest(store, workflow).await;
        }
        let refused = |why: String| Error::Deploy(format!("cannot go on from `{}`: {why}", self.what));
        let mut parts = self.what.trim_end_matches('/').rsplitn(4, '/');
        let (Some(checkpoint), Some(run), Some(saved)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused(format!("it is neither `{LATEST}` nor [STORE/]WORKFLOW/RUN/CHECKPOINT")));
        };
        let Ok(checkpoint) = checkpoint.parse() else {
            return Err(refused(format!("`{checkpoint}` is not the number of a checkpoint")));
        };
        let store = parts.next().map_or(store, |prefix| if prefix.is_empty() { "/" } else { prefix });
        let (store, workflow, run) = (store.to_owned(), saved.to_owned(), run.to_owned());
        let found = open(&store, &workflow, &run)?.manifest(checkpoint).await;
        let manifest = found.map_err(|error| refused(error.to_string()))?;
        Ok(Origin::of(store, workflow, run, &manifest))
    }
}

/// The newest checkpoint of any run of a workflow.
async fn latest(store: &str, workflow: &str) -> Result<Origin> {
    let failed = |error: StateError| unusable(store, &error);
    let opened = Store::open(store).map_err(|error| unusable(store, &error))?;
    let mut newest: Option<(u64, Origin)> = None;
    for (workflow, run) in runs(&opened, Some(workflow)).await.map_err(failed)? {
        let found = Run::new(opened.clone(), &workflow, &run).latest().await.map_err(failed)?;
        if let Some(manifest) = found.filter(|found| newest.as_ref().is_none_or(|(at, _)| found.at_ms >= *at)) {
            let origin = Origin::of(store.to_owned(), workflow, run, &manifest);
            newest = Some((manifest.at_ms, origin));
        }
    }
    newest.map(|(_, origin)| origin).ok_or_else(|| {
        Error::Deploy(format!("cannot go on from `{LATEST}`: there is no checkpoint of `{workflow}` in `{store}`"))
    })
}

/// Copies a checkpoint to another store.
///
/// # Errors
/// When it cannot be read or written.
pub async fn copy(from: &Run, checkpoint: u64, to: &Run) -> Result<(), StateError> {
    let mut manifest = from.manifest(checkpoint).await?;
    manifest.savepoint = true;
    for object in &manifest.objects {
        let bytes = from.store().get(&object.path).await?;
        to.store().put(&object.path, bytes).await?;
    }
    to.put_manifest(&manifest).await
}

fn open(store: &str, workflow: &str, run: &str) -> Result<Run> {
    let opened = Store::open(store).map_err(|error| unusable(store, &error))?;
    Ok(Run::new(opened, workflow, run))
}

impl Keeping {
    /// Finds the run in its store.
    ///
    /// # Errors
    /// When there is no such store.
    pub fn open(&self) -> Result<Run> {
        open(&self.store, &self.workflow, &self.run)
    }

    /// The checkpoint of this run with this manifest.
    pub fn at(&self, manifest: &Manifest) -> Origin {
        let Keeping { store, workflow, run, .. } = self.clone();
        Origin::of(store, workflow, run, manifest)
    }

    /// Vertices that have to have so many workers, by name.
    pub fn fixed(&self) -> BTreeMap<String, usize> {
        self.resume.as_ref().map(|origin| origin.fixed.clone()).unwrap_or_default()
    }

    /// The number of the checkpoint that it goes on at.
    pub fn resumes(&self) -> Option<u64> {
        self.resume.as_ref().map(|origin| origin.checkpoint)
    }
}

/// A store that cannot be used.
pub fn unusable(store: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Runtime(format!("the checkpoint store `{store}` cannot be used: {error}"))
}

/// Stores what a worker has saved. Of what it has kept it says nothing yet.
///
/// # Errors
/// When it cannot be stored.
pub async fn store(
    run: &Run,
    vault: &Vault,
    attempt: u32,
    snapshot: WorkerSnapshot,
) -> Result<WorkerSaved, StateError> {
    let WorkerSnapshot { worker, checkpoint, parts, later, finished, drained, .. } = snapshot;
    let mut saved = WorkerSaved { worker, checkpoint, finished, drained, objects: Vec::new(), base: None };
    let mut left = parts.into_iter().map(Ok).chain(later.into_iter().flatten());
    for number in 0.. {
        let write = move || {
            let mut writer = SnapshotWriter::new(worker);
            while writer.length() < OBJECT_BYTES
                && let Some(next) = left.next()
            {
                let (vertex, part, pieces) = next?;
                writer.section(vertex, part, pieces.into_iter().map(Bytes::from));
            }
            Ok::<_, Error>((left, writer))
        };
        let written = actor::blocking(write).await.map_err(StateError::Written)?;
        let (after, writer) = written.map_err(|error| StateError::Written(error.to_string()))?;
        left = after;
        if writer.is_empty() {
            break;
        }
        let (pieces, sections) = writer.finish();
        let path = run.object_path(attempt, checkpoint, worker, number);
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        vault.put(run, ObjectOf { checkpoint, worker, number }, &path, pieces).await?;
        saved.objects.push(SavedObject { path, length, worker, sections });
    }
    Ok(saved)
}

/// What a manifest says of the workflow.
#[derive(Clone, Debug, Default)]
pub struct Title {
    pub workflow: String,
    pub arguments: Vec<String>,
    pub fingerprint: u64,
}

/// The manifest of a checkpoint of which workers have saved this.
pub fn manifest(
    title: &Title,
    run: &str,
    (checkpoint, savepoint): (u64, bool),
    took: Duration,
    outline: &Outline,
    saved: Vec<WorkerSaved>,
) -> Manifest {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let vertex = |info: &crate::workflow::VertexInfo| SavedVertex {
        id: info.id,
        name: info.name.clone(),
        operation: info.operation.clone(),
        strategy: info.strategy.clone(),
        types: info.types.clone(),
        workers: outline.workers.get(&info.id).map_or(0, |workers| workers.len() as u32),
    };
    let worker =
        |saved: &WorkerSaved| SavedWorker { worker: saved.worker, finished: saved.finished, drained: saved.drained };
    Manifest {
        checkpoint,
        run: run.to_owned(),
        workflow: title.workflow.clone(),
        arguments: title.arguments.clone(),
        fingerprint: title.fingerprint,
        version: crate::telemetry::events::VERSION.to_owned(),
        build: None,
        at_ms: milliseconds(now),
        took_ms: milliseconds(took),
        savepoint,
        vertices: outline.vertices.iter().map(vertex).collect(),
        workers: saved.iter().map(worker).collect(),
        objects: saved.into_iter().flat_map(|saved| saved.objects).collect(),
    }
}
