//! Where the checkpoints of a run are in a store, and what is done with them.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::manifest::MOST_MANIFEST;
use super::names::text_of;
use super::retention::{Deletions, Keep, Listed, Says, Stored, deletions};
use super::snapshot::contents;
use super::{Manifest, Section, StateError, Store, StoreError, path_name};
use crate::id::{VertexId, WorkerId};
use crate::telemetry::events;

/// The directory of manifests in that of a run.
const MANIFESTS: &str = "manifests";
/// The directory of objects in that of a run.
const DATA: &str = "data";

/// How many objects are deleted at the same time: a cloud takes some 50 ms for each.
const AT_ONCE: usize = 16;

/// One run of a workflow: what it has saved from its beginning to its end, over all its attempts.
#[derive(Clone, Debug)]
pub struct Run {
    store: Store,
    workflow: String,
    name: String,
    /// The directory of the run in the store.
    directory: String,
}

impl Run {
    /// A run of a workflow, of which there may be nothing yet.
    pub fn new(store: Store, workflow: &str, run: &str) -> Run {
        let directory = format!("{}/{}", path_name(workflow), path_name(run));
        Run { store, workflow: workflow.to_owned(), name: run.to_owned(), directory }
    }

    /// The workflow that it is a run of.
    pub fn workflow(&self) -> &str {
        &self.workflow
    }

    /// The name of the run.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where in the store a worker puts an object of what it saves for a checkpoint: mostly there is one, number 0.
    /// Attempts are numbered, so that none writes where one that is over may still do.
    pub fn object_path(&self, attempt: u32, checkpoint: u64, worker: WorkerId, number: u32) -> String {
        let WorkerId { vertex, index } = worker;
        let first = format!("{}/{DATA}/{attempt}/{checkpoint}/{}-{index}", self.directory, vertex.0);
        if number == 0 { first } else { format!("{first}-{number}") }
    }

    /// Digits are filled up, so that a listing is in the order of the numbers.
    fn manifest_path(&self, checkpoint: u64) -> String {
        format!("{}/{MANIFESTS}/{checkpoint:020}.json", self.directory)
    }

    /// Makes a checkpoint complete, whose objects are all there.
    ///
    /// # Errors
    /// [`StateError::Exists`] if there is a checkpoint of this number: somebody else goes on with the run, and who gets
    /// this must not. When the store fails; then the manifest may be there or not.
    pub async fn put_manifest(&self, manifest: &Manifest) -> Result<(), StateError> {
        let path = self.manifest_path(manifest.checkpoint);
        match self.store.put_new(&path, manifest.to_bytes().into()).await? {
            true => Ok(()),
            false => Err(StateError::Exists(manifest.checkpoint)),
        }
    }

    /// The manifest of a checkpoint.
    ///
    /// # Errors
    /// When it is not there, damaged, or of a later version; when the store fails.
    pub async fn manifest(&self, checkpoint: u64) -> Result<Manifest, StateError> {
        let what = || format!("the manifest of checkpoint {checkpoint}");
        let bytes = match self.store.get_at_most(&self.manifest_path(checkpoint), MOST_MANIFEST).await {
            Err(error @ StoreError::TooLong { .. }) => return Err(StateError::damaged(what(), error.to_string())),
            bytes => bytes?,
        };
        let manifest = Manifest::from_bytes(&bytes).map_err(|error| match error {
            StateError::Damaged { why, .. } => StateError::Damaged { what: what(), why },
            StateError::Newer { format, known, .. } => StateError::Newer { what: what(), format, known },
            other => other,
        })?;
        if manifest.checkpoint == checkpoint {
            return Ok(manifest);
        }
        Err(StateError::damaged(what(), format!("it is that of checkpoint {}", manifest.checkpoint)))
    }

    /// The numbers of all complete checkpoints, ascending.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn checkpoints(&self) -> Result<Vec<u64>, StateError> {
        let directory = format!("{}/{MANIFESTS}", self.directory);
        let list = self.store.list(&directory).await?;
        let number = |path: &str| {
            let number = path.strip_prefix(&directory)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()?;
            (self.manifest_path(number) == path).then_some(number)
        };
        Ok(list.iter().filter_map(|(path, _)| number(path)).collect())
    }

    /// The newest checkpoint that can be read. One that is damaged is skipped, with a warning.
    ///
    /// # Errors
    /// When the store fails, or the newest one is of a later version.
    pub async fn latest(&self) -> Result<Option<Manifest>, StateError> {
        for checkpoint in self.checkpoints().await?.into_iter().rev() {
            match self.manifest(checkpoint).await {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(error @ StateError::Damaged { .. }) => {
                    events::checkpoint_skipped(&self.workflow, checkpoint, &error);
                }
                // Somebody has deleted it meanwhile.
                Err(StateError::Store(StoreError::Missing(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Deletes all but the newest checkpoints, so many that can be read (one at least), and savepoints: manifests
    /// first, then the objects that none of those left names. What is newer than the newest checkpoint is under way and
    /// stays.
    ///
    /// # Errors
    /// When the store fails. What has not been deleted will be the next time.
    pub async fn retain(&self, keep: usize) -> Result<(), StateError> {
        self.delete(Keep::Newest(keep)).await
    }

    /// Deletes what there is of the run but savepoints: manifests first.
    ///
    /// # Errors
    /// When the store fails. What has not been deleted will be the next time.
    pub async fn remove(&self) -> Result<(), StateError> {
        self.delete(Keep::Savepoints).await
    }

    async fn delete(&self, keep: Keep) -> Result<(), StateError> {
        // Manifests first: an object of a checkpoint that is completed meanwhile is newer than all of these.
        let mut manifests = Vec::new();
        for checkpoint in self.checkpoints().await? {
            let says = match self.manifest(checkpoint).await {
                Ok(Manifest { savepoint, objects, .. }) => {
                    Says::Names { savepoint, objects: objects.into_iter().map(|object| object.path).collect() }
                }
                Err(StateError::Damaged { .. } | StateError::Newer { .. }) => Says::Nothing,
                Err(StateError::Store(StoreError::Missing(_))) => continue,
                Err(error) => return Err(error),
            };
            manifests.push(Listed { checkpoint, says });
        }
        let Deletions { manifests, objects } = deletions(&manifests, &self.objects().await?, keep);
        for checkpoint in manifests {
            self.store.delete(&self.manifest_path(checkpoint)).await?;
        }
        let delete = |path: String| {
            let store = self.store.clone();
            async move { store.delete(&path).await }
        };
        // Made before they are run, so that the compiler sees that whoever waits for them can do so anywhere.
        let deletes: Vec<_> = objects.into_iter().map(delete).collect();
        Ok(stream::iter(deletes).buffer_unordered(AT_ONCE).try_collect::<()>().await?)
    }

    /// All objects of the run. What does not look like one of them is nobody's to delete.
    async fn objects(&self) -> Result<Vec<Stored>, StateError> {
        let directory = format!("{}/{DATA}", self.directory);
        let list = self.store.list(&directory).await?;
        let stored = |(path, _): (String, u64)| {
            let mut parts = path.strip_prefix(&directory)?.strip_prefix('/')?.split('/');
            let (attempt, checkpoint) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let mut numbers = parts.next()?.split('-').map(str::parse);
            let worker = WorkerId { vertex: VertexId(numbers.next()?.ok()?), index: numbers.next()?.ok()? };
            let number = numbers.next().unwrap_or(Ok(0)).ok()?;
            (self.object_path(attempt, checkpoint, worker, number) == path).then_some(Stored { path, checkpoint })
        };
        Ok(list.into_iter().filter_map(stored).collect())
    }
}

/// The name of a new run: the time (UTC), and eight digits that no other run has. Names are in the order of time.
///
/// # Errors
/// When the system has no random numbers.
pub fn new_run() -> Result<String, StateError> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(StateError::Random)?;
    Ok(run_name(Timestamp::now(), u32::from_be_bytes(random)))
}

fn run_name(now: Timestamp, random: u32) -> String {
    format!("{}-{random:08x}", now.strftime("%Y%m%dT%H%M%S.%3fZ"))
}

/// All runs in a store, of one workflow or of all: their workflows and names, in order. A run is there as soon as
/// something was saved, complete or not.
///
/// # Errors
/// When the store fails.
pub async fn runs(store: &Store, workflow: Option<&str>) -> Result<Vec<(String, String)>, StateError> {
    let prefix = workflow.map(path_name).unwrap_or_default();
    let list = store.list(&prefix).await?;
    let run = |path: &str| {
        let mut parts = path.split('/');
        let (workflow, run) = (text_of(parts.next()?)?, text_of(parts.next()?)?);
        matches!(parts.next()?, MANIFESTS | DATA).then_some((workflow, run))
    };
    let runs: BTreeSet<_> = list.iter().filter_map(|(path, _)| run(path)).collect();
    Ok(runs.into_iter().collect())
}

/// What was found by [`verify`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many objects were read.
    pub objects: usize,
    /// How many sections of them count.
    pub sections: usize,
    /// How many bytes were read.
    pub bytes: u64,
    /// What is damaged, a line each. Nothing if the checkpoint can be gone back to.
    pub damage: Vec<String>,
}

/// Reads all objects of a checkpoint, and compares each byte with what was written.
///
/// # Errors
/// When the store fails. An object that is missing or wrong is damage.
pub async fn verify(run: &Run, manifest: &Manifest) -> Result<Verified, StateError> {
    let mut verified = Verified::default();
    for object in &manifest.objects {
        let mut damaged = |why: String| verified.damage.push(format!("`{}`: {why}", object.path.escape_debug()));
        let bytes = match run.store.get_at_most(&object.path, object.length).await {
            Ok(bytes) if bytes.len() as u64 == object.length => bytes,
            Ok(bytes) => {
                damaged(format!("it has {} bytes of {}", bytes.len(), object.length));
                continue;
            }
            Err(StoreError::Missing(_)) => {
                damaged("it is missing".to_owned());
                continue;
            }
            Err(error @ (StoreError::TooLong { .. } | StoreError::Path(_))) => {
                damaged(error.to_string());
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match contents(&bytes) {
            Err(error) => damaged(error.to_string()),
            Ok((worker, _)) if worker != object.worker => damaged("it is another worker's".to_owned()),
            Ok((_, sections)) => {
                let key =
                    |section: &Section| (section.vertex, section.part, section.at, section.length, section.checksum);
                let there: BTreeSet<_> = sections.iter().map(key).collect();
                if let Some(missing) = object.sections.iter().find(|section| !there.contains(&key(section))) {
                    damaged(format!("there is no {} of vertex {} in it", missing.part, missing.vertex.0));
                }
            }
        }
        verified.objects += 1;
        verified.sections += object.sections.len();
        verified.bytes += bytes.len() as u64;
    }
    Ok(verified)
}

#[cfg(test)]
mod tests;
