//! What a master has deployed and has not ended, written down where its checkpoints are: for the master that goes on
//! when this one dies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::actor::{self, Task};
use crate::id::DeploymentId;
use crate::state::{Run, Store, StoreError, path_name};
use crate::telemetry::events;
use crate::workflow::{Error, Result};

/// How long a master that ends waits until that is written.
const LAST: Duration = Duration::from_secs(5);

/// The directory of journals in a store. No workflow is kept there: what it holds is no run.
const DIRECTORY: &str = "journal";

/// A deployment that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The workflow.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The run that its checkpoints are of.
    pub run: String,
    /// The runs that it has gone on from, of masters that have died.
    #[serde(default)]
    pub before: Vec<String>,
}

impl Entry {
    /// All its runs, the newest last.
    pub fn runs(self) -> Vec<String> {
        let Entry { run, mut before, .. } = self;
        before.push(run);
        before
    }

    /// The run, in a store.
    pub fn run(&self, store: &Store) -> Run {
        Run::new(store.clone(), &self.name, &self.run)
    }
}

/// The file. Its form is known by the name of its field.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    deployments: Vec<Entry>,
}

fn path(master: &str) -> String {
    format!("{DIRECTORY}/{}", path_name(master))
}

/// What the master of this name had not ended when it died; nothing if it never ran, or ended in order.
///
/// # Errors
/// When the store cannot be read, or what is there is no journal.
pub async fn read(store: &Store, master: &str) -> Result<Vec<Entry>> {
    let bytes = match store.get(&path(master)).await {
        Ok(bytes) => bytes,
        Err(StoreError::Missing(_)) => return Ok(Vec::new()),
        Err(error) => return Err(Error::Runtime(format!("the journal of `{master}` cannot be read: {error}"))),
    };
    let page: std::result::Result<Page, _> = serde_json::from_slice(&bytes);
    let page = page.map_err(|error| Error::Runtime(format!("the journal of `{master}` is damaged: {error}")))?;
    Ok(page.deployments)
}

/// The journal of a master that runs.
pub struct Journal {
    entries: BTreeMap<DeploymentId, Entry>,
    /// What has ended, and has checkpoints of runs before that nobody needs any more.
    over: Arc<Mutex<Vec<Entry>>>,
    page: watch::Sender<Vec<Entry>>,
    writer: Task,
}

impl Journal {
    /// Begins, with nothing that runs. What is there stays until something is written.
    pub fn begin(store: Store, master: &str) -> Journal {
        let (page, mut pages) = watch::channel(Vec::new());
        let path = path(master);
        let over: Arc<Mutex<Vec<Entry>>> = Arc::default();
        let done = Arc::clone(&over);
        let writer = actor::task(async move {
            while pages.changed().await.is_ok() {
                let over = std::mem::take(&mut *done.lock().unwrap_or_else(PoisonError::into_inner));
                for entry in over {
                    for run in &entry.before {
                        if let Err(error) = Run::new(store.clone(), &entry.name, run).remove().await {
                            events::checkpoints_stay(&entry.name, &error);
                        }
                    }
                }
                let deployments = pages.borrow_and_update().clone();
                let written = match serde_json::to_vec(&Page { deployments: deployments.clone() }) {
                    Ok(_) if deployments.is_empty() => store.delete(&path).await.map_err(|error| error.to_string()),
                    Ok(bytes) => store.put(&path, bytes.into()).await.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(error) = written {
                    events::journal_fails(&error);
                }
            }
        });
        Journal { entries: BTreeMap::new(), over, page, writer }
    }

    /// A deployment runs.
    pub fn add(&mut self, id: DeploymentId, entry: Entry) {
        self.entries.insert(id, entry);
        self.write();
    }

    /// A deployment has ended. If it has failed, somebody may want to go on from its checkpoints.
    pub fn remove(&mut self, id: DeploymentId, failed: bool) {
        let Some(entry) = self.entries.remove(&id) else { return };
        if !failed {
            self.over.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        self.write();
    }

    fn write(&self) {
        self.page.send_replace(self.entries.values().cloned().collect());
    }

    /// The master ends in order: waits until the last page is written.
    pub async fn close(self) {
        let Journal { page, writer, .. } = self;
        drop(page);
        let _ = timeout(LAST, writer.ended()).await;
    }
}
