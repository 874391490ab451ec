//! What becomes of records that user code fails on.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::Outline;
use super::wiring::Meters;
use crate::actor;
use crate::id::{VertexId, WorkerId};
use crate::state::path_name;
use crate::telemetry::events;
use crate::workflow::{Error, FailedRecord, Result, Tolerance};

/// What follows when user code fails on a record, with an error or a panic.
///
/// With all but [`Fail`](OnError::Fail) the record has no further effect: what the code has emitted or changed before
/// it failed stays. Errors that are not of a record ([`Error::Outside`], and whatever does not happen while a record is
/// handled) are failures all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// The deployment fails; with checkpoints, it goes on from the last one.
    #[default]
    Fail,
    /// The record is counted, and that is all.
    Skip,
    /// The record is written to a file of the node, with its cause: once at least, as a deployment that goes on from a
    /// checkpoint comes to it again.
    DeadLetter,
}

/// A line of a file of dead letters.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When user code failed, in milliseconds since 1970.
    pub at_ms: u64,
    /// The vertex whose code it was.
    pub vertex: String,
    /// The worker that it ran in: the number of its vertex, and its own.
    pub worker: WorkerId,
    /// What happened.
    pub cause: String,
    /// The type of the record.
    pub r#type: String,
    /// The record; none if it is of a type that nobody knows how to write, as it may be where it does not travel.
    pub record: Option<Value>,
}

/// Takes the records that the workers of a node fail on.
pub struct DeadLetters {
    outline: Arc<Outline>,
    meters: Meters,
    /// None if they are skipped.
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
    /// How many there have been, by vertex.
    counts: Mutex<BTreeMap<VertexId, u64>>,
}

impl DeadLetters {
    /// Of a run of a workflow on a node, in a directory; none if records must not fail.
    ///
    /// # Errors
    /// When there has to be a directory, and none is named.
    pub fn new(
        on_error: OnError,
        directory: Option<&Path>,
        (workflow, run, node): (&str, &str, &str),
        outline: &Arc<Outline>,
        meters: &Meters,
    ) -> Result<Option<Arc<DeadLetters>>> {
        let path = match (on_error, directory) {
            (OnError::Fail, _) => return Ok(None),
            (OnError::Skip, _) => None,
            (OnError::DeadLetter, Some(directory)) => {
                let file = format!("{}-{}.jsonl", path_name(run), path_name(node));
                Some(directory.join(path_name(workflow)).join(file))
            }
            (OnError::DeadLetter, None) => {
                let why = "there is no directory for dead letters on this node: say --dead-letters";
                return Err(Error::Deploy(why.to_owned()));
            }
        };
        let (outline, meters) = (Arc::clone(outline), meters.clone());
        Ok(Some(Arc::new(DeadLetters { outline, meters, path, file: Mutex::default(), counts: Mutex::default() })))
    }

    /// For one worker.
    pub fn of(self: &Arc<Self>, worker: WorkerId) -> Arc<dyn Tolerance> {
        Arc::new(OfWorker { all: Arc::clone(self), worker })
    }

    fn write(&self, path: &Path, letter: &DeadLetter) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(letter)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            none => {
                if let Some(directory) = path.parent() {
                    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
                }
                none.insert(OpenOptions::new().create(true).append(true).mode(0o600).open(path)?)
            }
        };
        // At once, so that no letter is lost with the process.
        file.write_all(&line)
    }
}

struct OfWorker {
    all: Arc<DeadLetters>,
    worker: WorkerId,
}

impl Tolerance for OfWorker {
    fn keeps_records(&self) -> bool {
        self.all.path.is_some()
    }

    fn catch(&self, work: &mut dyn FnMut()) -> Result<(), String> {
        actor::catch(work)
    }

    fn failed(&self, failed: FailedRecord) -> Result<()> {
        let DeadLetters { outline, meters, path, counts, .. } = &*self.all;
        let FailedRecord { vertex, cause, type_name, record } = failed;
        let (name, cause) = (outline.name(vertex), cause.to_string());
        let count = {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(vertex).or_default();
            *count += 1;
            *count
        };
        // The first one, and then ever more seldom, so that a flood of them is none of lines.
        if count.is_power_of_two() {
            events::record_failed(name, &cause, count, path.as_deref());
        }
        meters.fail(vertex, self.worker);
        let Some(path) = path else { return Ok(()) };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let (vertex, r#type) = (name.to_owned(), type_name.to_owned());
        let letter = DeadLetter { at_ms, vertex, worker: self.worker, cause, r#type, record };
        self.all.write(path, &letter).map_err(|error| {
            Error::Outside(format!("a dead letter cannot be written to `{}`: {error}", path.display()))
        })
    }
}
