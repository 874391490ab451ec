//! A workflow that runs: what its supervisor shares with the handle that users hold.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::coordinator::{Ending, Event, Failed};
use super::crew::Crew;
use super::growth::Growth;
use super::progress::ProgressCell;
use super::recovery::Wish;
use super::regions::Region;
use super::site::Counts;
use super::status::{DeploymentStatus, Phase, Summary, VertexStatus, WorkerActivity, WorkerStatus};
use super::supervisor::Note;
use super::wiring::Meters;
use crate::actor::ActorRef;
use crate::id::{DeploymentId, WorkerId};
use crate::workflow::{Error, Progress, Result, VertexKind};

/// What the supervisor and the handles of a deployment share.
pub struct Shared {
    pub id: DeploymentId,
    pub name: String,
    /// What strategies could not do as wished.
    pub warnings: Vec<String>,
    /// The run that its checkpoints are of, if any are taken.
    pub run: Option<String>,
    /// Who belongs to it now.
    pub crew: Mutex<Arc<Crew>>,
    pub meters: Meters,
    pub phase: watch::Sender<Phase>,
    pub began: Instant,
    pub ended: OnceLock<Instant>,
    /// How long workers have to end when it is given up.
    pub patience: Duration,
}

impl Shared {
    /// Who belongs to it now.
    pub fn crew(&self) -> Arc<Crew> {
        Arc::clone(&self.crew.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Others belong to it from now on, whose counts begin anew.
    pub fn replace(&self, crew: Crew) {
        *self.crew.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(crew);
        self.meters.clear();
    }

    /// The workers that a region has in another crew belong to it from now on; their counts begin anew.
    pub fn renew(&self, region: Region, by: &Crew) -> Arc<Crew> {
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        *crew = Arc::new(crew.with(region, by));
        let workers: BTreeSet<WorkerId> = crew.workers_in(region).map(|(worker, _)| worker).collect();
        self.meters.forget(|worker| workers.contains(worker));
        Arc::clone(&crew)
    }

    /// Further workers belong to it, on a node of this name.
    pub fn grow(&self, growth: &Growth, name: String) {
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        *crew = Arc::new(crew.grown(growth, name));
    }

    /// It has ended, if it had not before.
    pub fn end(&self, how: Phase) {
        self.phase.send_if_modified(|phase| {
            let ends = !phase.has_ended();
            if ends {
                // The first and only writer.
                let _ = self.ended.set(Instant::now());
                *phase = how;
            }
            ends
        });
    }

    /// It comes into a phase, if it is where that follows.
    pub fn pass(&self, from: impl FnOnce(&Phase) -> bool, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let passes = from(phase);
            if passes {
                *phase = to;
            }
            passes
        });
    }

    /// Takes in what a part on another node has counted.
    pub fn count(&self, counts: Counts) {
        let crew = self.crew();
        for (vertex, worker, received, emitted) in counts.vertices {
            // Those of a node that was to join, and did not, do not belong to it.
            if crew.progress.contains_key(&worker) {
                self.meters.set(vertex, worker, received, emitted);
            }
        }
        for (vertex, worker, failed) in counts.failed {
            if crew.progress.contains_key(&worker) {
                self.meters.set_failed(vertex, worker, failed);
            }
        }
        for (worker, progress, calls) in counts.workers {
            if let Some(cell) = crew.progress.get(&worker) {
                cell.report(progress, calls);
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.ended.get().copied().unwrap_or_else(Instant::now) - self.began
    }

    fn vertices(&self) -> Vec<VertexStatus> {
        let crew = self.crew();
        let shown = crew.outline.vertices.iter().filter(|info| info.kind == VertexKind::Operation);
        let status = |info: &crate::workflow::VertexInfo| {
            let read = self.meters.read(info.id);
            let workers = read.into_iter().map(|(worker, received, emitted)| WorkerStatus {
                node: crew.node_of(worker),
                received,
                emitted,
            });
            VertexStatus { name: info.name.clone(), workers: workers.collect(), failed: self.meters.failed(info.id) }
        };
        shown.map(status).collect()
    }

    /// The progress of all sources together, if each knows its own.
    fn progress(&self) -> Option<Progress> {
        let (mut sum, crew) = (Progress::default(), self.crew());
        for worker in crew.outline.ids(&crew.outline.sources) {
            let progress = crew.progress.get(&worker)?.get()?;
            sum.done += progress.done;
            sum.total += progress.total;
        }
        Some(sum)
    }

    pub fn failure(&self, ending: &Ending) -> Option<Error> {
        let Ending::Failed { worker, failure, .. } = ending else { return None };
        Some(self.cause(*worker, failure))
    }

    /// What went wrong, and where.
    pub fn cause(&self, worker: Option<WorkerId>, failure: &Failed) -> Error {
        let (Some(worker), Some(vertex)) = (worker, failure.vertex) else { return failure.error.clone() };
        let crew = self.crew();
        Error::Failed {
            vertex: crew.outline.name(vertex).to_owned(),
            worker: worker.index,
            node: crew.node_of(worker),
            cause: Box::new(failure.error.clone()),
        }
    }
}

/// A workflow that was deployed. Clones are handles of the same deployment; dropping them does not stop it.
#[derive(Clone)]
pub struct DeploymentHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) supervisor: ActorRef<Note>,
}

impl std::fmt::Debug for DeploymentHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeploymentHandle").field("id", &self.shared.id).field("name", &self.shared.name).finish()
    }
}

impl DeploymentHandle {
    /// Its number in the runtime.
    pub fn id(&self) -> DeploymentId {
        self.shared.id
    }

    /// The name that it was deployed under.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The name of the run that its checkpoints are of, if any are taken.
    pub(crate) fn run(&self) -> Option<&str> {
        self.shared.run.as_deref()
    }

    /// The names of the nodes of a region.
    pub(crate) fn nodes_of(&self, region: Region) -> BTreeSet<String> {
        self.shared.crew().nodes_of(region)
    }

    /// What strategies could not do as wished, such as finding a node with a tag.
    pub fn warnings(&self) -> &[String] {
        &self.shared.warnings
    }

    /// How it stands. Counts lag behind by a batch or so.
    pub fn status(&self) -> DeploymentStatus {
        DeploymentStatus {
            id: self.shared.id,
            name: self.shared.name.clone(),
            phase: self.shared.phase.borrow().clone(),
            elapsed: self.shared.elapsed(),
            progress: self.shared.progress(),
            vertices: self.shared.vertices(),
        }
    }

    /// What each of its workers is at.
    pub fn activity(&self) -> Vec<WorkerActivity> {
        let crew = self.shared.crew();
        let activity = |(id, cell): (&WorkerId, &Arc<ProgressCell>)| WorkerActivity {
            id: *id,
            vertex: crew.outline.name(id.vertex).to_owned(),
            node: crew.node_of(*id),
            calls: cell.calls(),
        };
        crew.progress.iter().map(activity).collect()
    }

    /// Stops it in order, without waiting: sources end, what is under way drains, operations finish.
    pub fn stop(&self) {
        // A supervisor that has ended has nothing left to stop.
        drop(self.supervisor.cast(Note::Asked(Event::Stop)));
    }

    /// Takes a savepoint: a checkpoint that stays until somebody deletes it. With `stop` sources read nothing behind
    /// it, and the deployment stops there. Gives how to go on from it: `STORE/WORKFLOW/RUN/CHECKPOINT`. `directory` is
    /// another store that it is to be copied to.
    ///
    /// # Errors
    /// When the deployment takes no checkpoints, does not run, or the savepoint cannot be stored.
    pub async fn savepoint(&self, directory: Option<String>, stop: bool) -> Result<String> {
        let (wish, answer) = Wish::new(directory, stop);
        drop(self.supervisor.cast(Note::Savepoint(wish)));
        answer.await.unwrap_or_else(|_| Err(Error::Deploy("it has ended".to_owned())))
    }

    /// Gives it up, without waiting: what is under way is lost.
    pub fn abort(&self) {
        drop(self.supervisor.cast(Note::Asked(Event::Abort)));
    }

    /// Waits until records flow, or it has ended without that.
    pub async fn started(&self) {
        // It fails when nobody is left who could tell, which is after its end.
        let _ = self.shared.phase.subscribe().wait_for(|phase| *phase != Phase::Starting).await;
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// [`Error::Failed`] with the vertex, worker and node when it failed; [`Error::Aborted`].
    pub async fn ended(&self) -> Result<Summary> {
        let mut phase = self.shared.phase.subscribe();
        let ended = phase.wait_for(Phase::has_ended).await.map(|phase| phase.clone());
        match ended {
            Ok(Phase::Failed(error)) => Err(error),
            Ok(phase) => Ok(Summary {
                name: self.shared.name.clone(),
                stopped: phase == Phase::Stopped,
                elapsed: self.shared.elapsed(),
                vertices: self.shared.vertices(),
            }),
            Err(_) => Err(Error::Aborted),
        }
    }

    /// As [`ended`](DeploymentHandle::ended), on a thread that may block.
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self) -> Result<Summary> {
        super::block_on(self.ended())
    }
}
