//! The runtime of one process.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::crew::Crew;
use super::deployment::{DeploymentHandle, Shared};
use super::keeper::{Checkpoints, Keeping, Resume, Title, unusable};
use super::plan::{Outline, Plan};
use super::recovery::{Again, Recovery};
use super::site::{Others, SiteHandle, SiteStart, Tell};
use super::status::{DeploymentStatus, Phase};
use super::supervisor::{Alive, Parts, Start, Supervisor, Way};
use super::wiring::Meters;
use crate::actor::{self, Census, Executor};
use crate::id::{DeploymentId, NodeId, Tag, VertexId, WorkerId};
use crate::state::new_run;
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
    /// How checkpoints are taken, and so what a failure of a deployment leads to: with them it is started anew from the
    /// last one, without them it is the end. Default: none are taken.
    pub checkpoints: Option<Checkpoints>,
}

/// The default of [`Settings::patience`]: as long as somebody would wait who has just given up.
const PATIENCE: Duration = Duration::from_secs(5);

impl Default for Settings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let name = "local".to_owned();
        Settings {
            cores: processors,
            threads: processors,
            name,
            tags: Vec::new(),
            patience: PATIENCE,
            checkpoints: None,
        }
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
        #[cfg(test)]
        if actor::is_one_thread() {
            return Ok(Runtime::of(settings, cluster, tokio::runtime::Handle::current(), None));
        }
        let control = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let handle = control.handle().clone();
        let (leave, left) = tokio::sync::oneshot::channel::<()>();
        let work = move || {
            // Ends when the sender is dropped, which is an error that says so.
            let _ = control.block_on(left);
        };
        actor::thread("skitter-control".to_owned(), &Census::new(), work, drop).map_err(refused)?;
        Ok(Runtime::of(settings, cluster, handle, Some(leave)))
    }

    fn of(
        settings: Settings,
        cluster: Cluster,
        control: tokio::runtime::Handle,
        leave: Option<tokio::sync::oneshot::Sender<()>>,
    ) -> Runtime {
        let (deployments, next, census) = (Mutex::default(), AtomicU32::new(1), Census::new());
        Runtime { settings, cluster, control, leave, deployments, next, census }
    }

    /// Who lives in it, which can be asked when it is gone.
    #[cfg(test)]
    pub(crate) fn census(&self) -> Census {
        self.census.clone()
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
        self.deploy_from(name, workflow, None)
    }

    /// As [`deploy`](Runtime::deploy), going on at a checkpoint.
    ///
    /// # Errors
    /// As there; when no checkpoints are taken, and there is one to go on at. What does not fit the workflow is found
    /// when its workers are prepared.
    pub(crate) fn deploy_from(
        &self,
        name: &str,
        workflow: Workflow,
        resume: Option<Resume>,
    ) -> Result<DeploymentHandle> {
        let plan = Plan::new(&workflow, &self.cluster)?;
        let title = Title { workflow: name.to_owned(), arguments: Vec::new(), fingerprint: workflow.fingerprint() };
        let keeping = self.keeping(name, resume)?;
        let shared = self.shared(name, plan.outline.clone(), &self.cluster, keeping.as_ref());
        let here = Here { threads: self.settings.threads, census: self.census.clone(), meters: shared.meters.clone() };
        let parts = here.parts(plan, shared.crew().as_ref(), keeping.clone())?;
        let recovery = match (keeping, &self.settings.checkpoints) {
            (Some(keeping), Some(settings)) => {
                let (workflow, cluster) = (Mutex::new(workflow), self.cluster.clone());
                let relaunch = move |again: Again| {
                    let workflow = workflow.lock().unwrap_or_else(PoisonError::into_inner);
                    let planned = Plan::new(&workflow, &cluster);
                    drop(workflow);
                    let keeping = Some(again.keeping.clone());
                    again.begin(planned.and_then(|plan| {
                        let crew = Crew::new(plan.outline.clone(), &cluster);
                        let parts = here.parts(plan, &crew, keeping)?;
                        Ok((crew, parts))
                    }));
                };
                Some(Recovery::new(keeping, settings.clone(), title, Arc::new(relaunch))?)
            }
            // Its recipes are with the workers from now on, and go with them.
            _ => None,
        };
        self.supervise(shared, parts, recovery)
    }

    /// A new run of a workflow in the checkpoint store, if checkpoints are taken.
    fn keeping(&self, name: &str, resume: Option<Resume>) -> Result<Option<Keeping>> {
        let Some(settings) = &self.settings.checkpoints else {
            let refused = "to go on from a checkpoint, checkpoints have to be taken: say --checkpoint-interval";
            return if resume.is_some() { Err(Error::Deploy(refused.to_owned())) } else { Ok(None) };
        };
        let run = new_run().map_err(|error| unusable(&settings.store, &error))?;
        let (store, workflow) = (settings.store.clone(), name.to_owned());
        let (resume, drop_unfit) = resume.map_or((None, false), |(origin, drop_unfit)| (Some(origin), drop_unfit));
        Ok(Some(Keeping { store, workflow, run, attempt: 1, resume, drop_unfit }))
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
        (arguments, resume): (&[String], Option<Resume>),
        parts: impl FnOnce(DeploymentId, &Outline, Option<Keeping>, Tell) -> Result<Made> + Send + 'static,
        relaunch: impl Fn(Again) + Send + Sync + 'static,
    ) -> Result<DeploymentHandle> {
        let outline = Plan::new(workflow, cluster)?.outline;
        let keeping = self.keeping(name, resume)?;
        let shared = self.shared(name, outline, cluster, keeping.as_ref());
        let recovery = match (keeping.clone(), &self.settings.checkpoints) {
            (Some(keeping), Some(settings)) => {
                let (workflow, fingerprint) = (name.to_owned(), workflow.fingerprint());
                let title = Title { workflow, arguments: arguments.to_vec(), fingerprint };
                Some(Recovery::new(keeping, settings.clone(), title, Arc::new(relaunch))?)
            }
            _ => None,
        };
        let part = Arc::clone(&shared);
        let parts = Box::new(move |tell: Tell| parts(part.id, &part.crew().outline, keeping, tell));
        self.supervise(shared, parts, recovery)
    }

    /// Plans a deployment on other nodes anew. `parts` is as for [`deploy_on`](Runtime::deploy_on); each attempt has a
    /// number of its own by which its parts know each other.
    pub(crate) fn deploy_again(
        &self,
        cluster: &Cluster,
        workflow: &Workflow,
        again: Again,
        parts: impl FnOnce(DeploymentId, &Outline, Option<Keeping>, Tell) -> Result<Made> + Send + 'static,
    ) {
        let id = self.number();
        let keeping = Some(again.keeping.clone());
        again.begin(Plan::new(workflow, cluster).map(|plan| {
            let crew = Crew::new(plan.outline, cluster);
            let outline = Arc::clone(&crew.outline);
            let parts: Parts = Box::new(move |tell: Tell| parts(id, &outline, keeping, tell));
            (crew, parts)
        }));
    }

    fn number(&self) -> DeploymentId {
        DeploymentId(self.next.fetch_add(1, Ordering::Relaxed))
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
        keeping: Option<Keeping>,
        tell: Tell,
    ) -> Result<SiteHandle> {
        let Plan { outline, stages } = Plan::adopt(workflow, workers)?;
        let executor = executor(self.settings.threads, &outline, node, Executor::with_connections)?;
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
            keeping,
        })
    }

    fn shared(&self, name: &str, outline: Outline, cluster: &Cluster, keeping: Option<&Keeping>) -> Arc<Shared> {
        Arc::new(Shared {
            id: self.number(),
            name: name.to_owned(),
            warnings: outline.warnings.clone(),
            run: keeping.map(|keeping| keeping.run.clone()),
            crew: Mutex::new(Arc::new(Crew::new(outline, cluster))),
            meters: Meters::default(),
            phase: watch::Sender::new(Phase::Starting),
            began: tokio::time::Instant::now(),
            ended: OnceLock::new(),
            patience: self.settings.patience,
        })
    }

    fn supervise(&self, shared: Arc<Shared>, parts: Parts, recovery: Option<Recovery>) -> Result<DeploymentHandle> {
        let start = Start { alive: Alive::new(Arc::clone(&shared), self.census.enter()), parts, recovery };
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

/// The parts of an attempt: each with its node.
type Made = Vec<(NodeId, Way)>;

/// What a deployment in this process needs for each attempt.
struct Here {
    threads: usize,
    census: Census,
    meters: Meters,
}

impl Here {
    fn parts(&self, plan: Plan, crew: &Crew, keeping: Option<Keeping>) -> Result<Parts> {
        let Plan { stages, .. } = plan;
        let outline = Arc::clone(&crew.outline);
        let executor = executor(self.threads, &outline, NodeId::LOCAL, Executor::new)?;
        let (census, meters, progress) = (self.census.clone(), self.meters.clone(), crew.progress.clone());
        Ok(Box::new(move |tell| {
            let (node, others) = (NodeId::LOCAL, None);
            let site = SiteStart { node, stages, outline, meters, progress, executor, census, tell, others, keeping };
            let site = SiteHandle::start(site)?;
            let way: Way = Box::new(move |order| site.order(order));
            Ok(vec![(NodeId::LOCAL, way)])
        }))
    }
}

/// The threads for the workers of a deployment on a node: no more than there are workers.
fn executor(
    threads: usize,
    outline: &Outline,
    node: NodeId,
    start: impl Fn(&str, usize) -> std::io::Result<Executor>,
) -> Result<Executor> {
    let here = outline.workers.values().flat_map(|workers| workers.iter()).filter(|info| info.node == node).count();
    start("skitter-worker", threads.clamp(1, here.max(1))).map_err(|error| Error::Runtime(error.to_string()))
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
