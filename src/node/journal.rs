//! What a master has deployed and has not ended, written down where its checkpoints are: for the master that goes on
//! when this one dies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::actor::{self, Task};
use crate::id::DeploymentId;
use crate::runtime::Origin;
use crate::state::{Run, Store, StoreError, path_name};
use crate::telemetry::events;
use crate::workflow::{Error, Result};

/// How long a master that ends waits until that is written, and what nobody needs any more is deleted: long beside
/// what a slow store takes for a few hundred objects.
const LAST: Duration = Duration::from_secs(30);

/// The directory of journals in a store. No workflow is kept there: what it holds is no run.
const DIRECTORY: &str = "journal";

/// The pause before a page that could not be written is tried again: long enough that what is wrong may pass.
const PAUSE: Duration = Duration::from_millis(500);

/// A deployment that has not ended, or has and its master has not.
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
    /// What the run has gone on at, as long as it has no checkpoint of its own; and whether what does not fit is left
    /// behind.
    #[serde(default)]
    pub from: Option<Origin>,
    #[serde(default)]
    pub drop_unfit: bool,
    /// It has come to its end: who goes on has nothing to do for it.
    #[serde(default)]
    pub ended: bool,
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

    /// Deletes what is left of its runs.
    async fn clear(self, store: &Store) {
        let name = self.name.clone();
        for run in self.runs() {
            if let Err(error) = Run::new(store.clone(), &name, &run).remove().await {
                events::checkpoints_stay(&name, &error);
            }
        }
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

/// What is to be done when a page has been written.
enum Then {
    /// A deployment is in it: its checkpoints may be complete from now on.
    Noted(watch::Sender<bool>),
    /// It says that a deployment has ended: its checkpoints are of no use any more.
    Clear(Box<Entry>),
}

/// What is to be written.
#[derive(Default)]
struct Desk {
    entries: BTreeMap<DeploymentId, Entry>,
    then: Vec<Then>,
}

impl Desk {
    /// The page as it is now. Without deployments that run there is none, once the master ends.
    fn page(&self, is_last: bool) -> Option<Page> {
        let deployments: Vec<Entry> = self.entries.values().cloned().collect();
        let is_over = deployments.iter().all(|entry| entry.ended);
        let is_needless = deployments.is_empty() || (is_last && is_over);
        (!is_needless).then_some(Page { deployments })
    }
}

/// The journal of a master that runs.
pub struct Journal {
    desk: Arc<Mutex<Desk>>,
    /// How often it has changed. The writer ends with it.
    changes: watch::Sender<u64>,
    writer: Task,
}

impl Journal {
    /// Begins, with nothing that runs. What is there stays until something is written.
    pub fn begin(store: Store, master: &str) -> Journal {
        let (changes, mut changed) = watch::channel(0);
        let path = path(master);
        let desk: Arc<Mutex<Desk>> = Arc::default();
        let pages = Arc::clone(&desk);
        let writer = actor::task(async move {
            loop {
                let is_last = changed.changed().await.is_err();
                let mut failed = false;
                loop {
                    let (page, then) = {
                        let mut desk = locked(&pages);
                        (desk.page(is_last), std::mem::take(&mut desk.then))
                    };
                    if let Err(error) = write(&store, &path, page).await {
                        if !std::mem::replace(&mut failed, true) {
                            events::journal_fails(&error);
                        }
                        // A master that ends does not wait for a store that fails.
                        if is_last || changed.has_changed().is_err() {
                            return;
                        }
                        locked(&pages).then.splice(0..0, then);
                        sleep(PAUSE).await;
                        continue;
                    }
                    for then in then {
                        match then {
                            Then::Noted(noted) => drop(noted.send_replace(true)),
                            Then::Clear(entry) => entry.clear(&store).await,
                        }
                    }
                    break;
                }
                if is_last {
                    return;
                }
            }
        });
        Journal { desk, changes, writer }
    }

    /// A deployment runs. `noted` hears when that is written.
    pub fn add(&mut self, id: DeploymentId, entry: Entry, noted: watch::Sender<bool>) {
        let mut desk = locked(&self.desk);
        desk.entries.insert(id, entry);
        desk.then.push(Then::Noted(noted));
        drop(desk);
        self.changed();
    }

    /// A deployment has ended. If it has failed, somebody may want to go on from its checkpoints.
    pub fn remove(&mut self, id: DeploymentId, failed: bool) {
        let mut desk = locked(&self.desk);
        if failed {
            desk.entries.remove(&id);
        } else if let Some(entry) = desk.entries.get_mut(&id) {
            entry.ended = true;
            let entry = Box::new(entry.clone());
            desk.then.push(Then::Clear(entry));
        }
        drop(desk);
        self.changed();
    }

    /// A deployment of a master before has ended, and that one has not deleted all that it had to.
    pub fn is_over(&mut self, entry: Entry) {
        locked(&self.desk).then.push(Then::Clear(Box::new(entry)));
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// The master ends in order: waits until the last page is written.
    pub async fn close(self) {
        let Journal { changes, writer, .. } = self;
        drop(changes);
        let _ = timeout(LAST, writer.ended()).await;
    }
}

async fn write(store: &Store, path: &str, page: Option<Page>) -> std::result::Result<(), String> {
    match page {
        None => store.delete(path).await.map_err(|error| error.to_string()),
        Some(page) => {
            let bytes = serde_json::to_vec(&page).map_err(|error| error.to_string())?;
            store.put(path, bytes.into()).await.map_err(|error| error.to_string())
        }
    }
}

fn locked(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
