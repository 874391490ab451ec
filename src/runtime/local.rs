//! The runtime of one process.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::crew::Crew;
use super::deployment::{Alive, DeploymentHandle, Parts, Shared, Start, Supervisor, Way};
use super::plan::{Outline, Plan};
use super::site::{Others, SiteHandle, SiteStart, Tell};
use super::status::{DeploymentStatus, Phase};
use super::wiring::Meters;
use crate::actor::{self, Census, Executor};
use crate::id::{DeploymentId, NodeId, Tag, VertexId, WorkerId};
use crate::workflow::{Cluster, Error, NodeInfo, Result, WorkerInfo, Workflow};

/// How a runtime is set up; see [`Runtime::with`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Workers that a strategy places for each vertex when it uses all cores. Default: the processors of the machine.
    pub cores: usize,
    /// Threads that run the workers of a deployment, if it has so many. Each deployment has threads of its own, which
    /// the system lets share the processors. Default: the processors of the machine.
    pub threads: usize,
    /// The name of the node, for errors and status. Default: `local`.
    pub name: String,
    /// The tags of the node. Default: none.
    pub tags: Vec<Tag>,
    /// How long workers have to end when a deployment has failed or is aborted. An operation that has not returned by
    /// then is left behind. Default: 5 s.
    pub patience: Duration,
}

/// The default of [`Settings::patience`]: as long as somebody would wait who has just given up.
const PATIENCE: Duration = Duration::from_secs(5);

impl Default for Settings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let name = "local".to_owned();
        Settings { cores: processors, threads: processors, name, tags: Vec::new(), patience: PATIENCE }
    }
}

/// Runs workflows in this process.
///
/// Dropping it gives up what still runs, without waiting.
///
/// ```
/// use skitter::operations::Collected;
/// use skitter::prelude::*;
///
/// let runtime = skitter::Runtime::local()?;
/// let squares = Collected::new();
/// let workflow = WorkflowBuilder::new();
/// workflow.source(StreamSource::new(|| 0..4u64)).map(|n| n * n).collect(&squares);
///
/// let deployment = runtime.deploy("squares", workflow.build()?)?;
/// let summary = deployment.wait()?;
/// assert_eq!(squares.take(), [0, 1, 4, 9]);
/// assert_eq!(summary.vertex("map").map(|map| map.received()), Some(4));
/// # Ok::<(), skitter::Error>(())
/// ```
pub struct Runtime {
    settings: Settings,
    cluster: Cluster,
    /// Where supervisors run, on a thread of their own, until the sender is dropped.
    control: tokio::runtime::Handle,
    leave: Option<tokio::sync::oneshot::Sender<()>>,
    deployments: Mutex<Vec<DeploymentHandle>>,
    next: AtomicU32,
    census: Census,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Runtime {
    /// A runtime that uses all processors of the machine.
    ///
    /// # Errors
    /// [`Error::Runtime`] when the system refuses threads.
    pub fn local() -> Result<Runtime> {
        Runtime::with(Settings::default())
    }

    /// A runtime with settings of its own.
    ///
    /// # Errors
    /// [`Error::Runtime`] when the system refuses threads.
    pub fn with(settings: Settings) -> Result<Runtime> {
        let refused = |error: std::io::Error| Error::Runtime(error.to_string());
        let node = NodeInfo {
            id: NodeId::LOCAL,
            name: settings.name.clone(),
            cores: settings.cores.max(1),
            tags: settings.tags.clone(),
        };
        let cluster = Cluster::new(vec![node])?;
        let control = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let handle = control.handle().clone();
        let (leave, left) = tokio::sync::oneshot::channel::<()>();
        let work = move || {
            // Ends when the sender is dropped, which is an error that says so.
            let _ = control.block_on(left);
        };
        actor::thread("skitter-control".to_owned(), &Census::new(), work, drop).map_err(refused)?;
        Ok(Runtime {
            settings,
            cluster,
            control: handle,
            leave: Some(leave),
            deployments: Mutex::default(),
            next: AtomicU32::new(1),
            census: Census::new(),
        })
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Deploys a workflow, under a name that it has in logs and errors. Returns once its strategies have said which
    /// workers there are; these are prepared and started in the background.
    ///
    /// # Errors
    /// When a port of the workflow is open, a strategy refuses, or the system refuses threads.
    pub fn deploy(&self, name: &str, workflow: Workflow) -> Result<DeploymentHandle> {
        let Plan { outline, stages } = Plan::new(&workflow, &self.cluster)?;
        // Its recipes are with the workers from now on, and go with them.
        drop(workflow);
        let executor = self.executor(&outline, NodeId::LOCAL, Executor::new)?;
        let shared = self.shared(name, outline, &self.cluster);
        let (part, census) = (Arc::clone(&shared), self.census.clone());
        let parts = move |tell| -> Result<Vec<(NodeId, Way)>> {
            let crew = part.crew();
            let site = SiteStart {
                node: NodeId::LOCAL,
                stages,
                outline: Arc::clone(&crew.outline),
                meters: part.meters.clone(),
                progress: crew.progress.clone(),
                executor,
                census,
                tell,
                others: None,
            };
            let site = SiteHandle::start(site)?;
            let way: Way = Box::new(move |order| site.order(order));
            Ok(vec![(NodeId::LOCAL, way)])
        };
        self.supervise(shared, Box::new(parts))
    }

    /// Deploys a workflow on other nodes. `parts` is given the number of the deployment, its workers by vertex, and
    /// what takes what its parts tell; it gives the way to each of them.
    ///
    /// # Errors
    /// As [`deploy`](Runtime::deploy).
    pub(crate) fn deploy_on(
        &self,
        cluster: &Cluster,
        name: &str,
        workflow: &Workflow,
        parts: impl FnOnce(DeploymentId, &Outline, Tell) -> Result<Vec<(NodeId, Way)>> + Send + 'static,
    ) -> Result<DeploymentHandle> {
        let outline = Plan::new(workflow, cluster)?.outline;
        let shared = self.shared(name, outline, cluster);
        let part = Arc::clone(&shared);
        self.supervise(shared, Box::new(move |tell| parts(part.id, &part.crew().outline, tell)))
    }

    /// Starts the part of a deployment on this node that another node has planned: the workers of a workflow that stand
    /// on `node`.
    ///
    /// # Errors
    /// When the plan is not one of this workflow, or the system refuses threads.
    pub(crate) fn take_part(
        &self,
        node: NodeId,
        workflow: &Workflow,
        workers: &BTreeMap<VertexId, Vec<WorkerInfo>>,
        others: Others,
        tell: Tell,
    ) -> Result<SiteHandle> {
        let Plan { outline, stages } = Plan::adopt(workflow, workers)?;
        let executor = self.executor(&outline, node, Executor::with_connections)?;
        let here = |worker: &WorkerId| outline.worker(*worker).is_some_and(|info| info.node == node);
        let progress =
            outline.ids(outline.workers.keys()).filter(here).map(|worker| (worker, Arc::default())).collect();
        let _control = self.control.enter();
        SiteHandle::start(SiteStart {
            node,
            stages,
            outline: Arc::new(outline),
            meters: Meters::default(),
            progress,
            executor,
            census: self.census.clone(),
            tell,
            others: Some(others),
        })
    }

    /// The threads for the workers of a deployment on a node: no more than there are workers.
    fn executor(
        &self,
        outline: &Outline,
        node: NodeId,
        start: impl Fn(&str, usize) -> std::io::Result<Executor>,
    ) -> Result<Executor> {
        let here = outline.workers.values().flat_map(|workers| workers.iter()).filter(|info| info.node == node).count();
        let threads = self.settings.threads.clamp(1, here.max(1));
        start("skitter-worker", threads).map_err(|error| Error::Runtime(error.to_string()))
    }

    fn shared(&self, name: &str, outline: Outline, cluster: &Cluster) -> Arc<Shared> {
        Arc::new(Shared {
            id: DeploymentId(self.next.fetch_add(1, Ordering::Relaxed)),
            name: name.to_owned(),
            warnings: outline.warnings.clone(),
            crew: Mutex::new(Arc::new(Crew::new(outline, cluster))),
            meters: Meters::default(),
            phase: watch::Sender::new(Phase::Starting),
            began: Instant::now(),
            ended: OnceLock::new(),
            patience: self.settings.patience,
        })
    }

    fn supervise(&self, shared: Arc<Shared>, parts: Parts) -> Result<DeploymentHandle> {
        let start = Start { alive: Alive::new(Arc::clone(&shared), self.census.enter()), parts };
        let _control = self.control.enter();
        let supervisor = actor::spawn_at_once(Supervisor, start).map_err(|error| Error::Runtime(error.to_string()))?;
        let handle = DeploymentHandle { shared, supervisor };
        let mut deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
        deployments.retain(|other| !other.shared.phase.borrow().has_ended());
        deployments.push(handle.clone());
        Ok(handle)
    }

    /// How all deployments stand that have not ended.
    pub fn status(&self) -> Vec<DeploymentStatus> {
        let deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
        deployments.iter().map(DeploymentHandle::status).filter(|status| !status.phase.has_ended()).collect()
    }

    /// Stops all deployments in order and waits until they have ended, at most for `limit`; returns whether they have.
    pub fn stop(&self, limit: Duration) -> bool {
        let deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner).clone();
        deployments.iter().for_each(DeploymentHandle::stop);
        let all = async {
            for deployment in &deployments {
                // How it ended is for the holder of its handle to see.
                let _ = deployment.ended().await;
            }
        };
        match Instant::now().checked_add(limit) {
            Some(deadline) => super::block_until(all, deadline).is_some(),
            // Longer than there are clocks.
            None => {
                super::block_on(all);
                true
            }
        }
    }

    /// How many actors and threads of deployments live. None is left once all deployments have ended; tests check that.
    pub fn living(&self) -> usize {
        self.census.living()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for deployment in self.deployments.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if !deployment.shared.phase.borrow().has_ended() {
                deployment.abort();
            }
        }
        // The thread of the supervisors ends, and with it what they hold.
        self.leave.take();
    }
}
