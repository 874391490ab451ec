//! The runtime of one process.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::crew::Crew;
use super::dead_letters::{DeadLetters, OnError};
use super::deployment::{DeploymentHandle, Shared};
use super::keeper::{Checkpoints, Keeping, Resume, Title, unusable};
use super::plan::{Outline, Plan};
use super::progress::ProgressCell;
use super::recovery::{Again, Recovery};
use super::regions::Scope;
use super::site::{Others, SiteHandle, SiteStart, Tell};
use super::status::{DeploymentStatus, Phase};
use super::supervisor::{Alive, Parts, Start, Supervisor, Way};
use super::wiring::Meters;
use crate::actor::{self, Census, Executor};
use crate::id::{DeploymentId, NodeId, Tag, VertexId, WorkerId};
use crate::state::new_run;
use crate::workflow::{Cluster, Error, NodeInfo, Result, WorkerInfo, Workers, Workflow};

/// How a runtime is set up; see [`Runtime::with`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// Workers that a strategy places for each vertex when it uses all cores. Default: the processors of the machine.
    pub cores: usize,
    /// Threads that the workers of a deployment share, if it has so many; those with an operation that may wait
    /// ([`Operation::BLOCKS`](crate::workflow::Operation::BLOCKS)) have others. Each deployment has its own threads,
    /// which the system lets share the processors. Default: the processors of the machine.
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
    /// What follows when user code fails on a record of a deployment that is started here. Default: it fails.
    pub on_error: OnError,
    /// The directory that this node writes dead letters to. Default: none.
    pub dead_letters: Option<PathBuf>,
}

impl Settings {
    /// What takes records that user code fails on, if they may, in an attempt of a workflow.
    fn dead_letters(
        &self,
        (on_error, workflow): (OnError, &str),
        keeping: Option<&Keeping>,
        outline: &Arc<Outline>,
        meters: &Meters,
    ) -> Result<Option<Arc<DeadLetters>>> {
        let run = match keeping {
            Some(keeping) => keeping.run.clone(),
            None => new_run().map_err(|error| Error::Runtime(error.to_string()))?,
        };
        DeadLetters::new(on_error, self.dead_letters.as_deref(), (workflow, &run, &self.name), outline, meters)
    }
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
            on_error: OnError::Fail,
            dead_letters: None,
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
    next: Arc<AtomicU32>,
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
        let (deployments, next, census) = (Mutex::default(), Arc::new(AtomicU32::new(1)), Census::new());
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
        let fixed = resume.as_ref().map(|(origin, _)| origin.fixed.clone()).unwrap_or_default();
        let plan = Plan::new(&workflow, &self.cluster, &fixed)?;
        let title = Title { workflow: name.to_owned(), arguments: Vec::new(), fingerprint: workflow.fingerprint() };
        let keeping = self.keeping(name, resume)?;
        let shared = self.shared(name, plan.outline.clone(), &self.cluster, keeping.as_ref());
        let here = self.here(name, &shared);
        let parts = here.parts(plan, shared.crew().as_ref(), keeping.clone())?;
        let recovery = match (keeping, &self.settings.checkpoints) {
            (Some(keeping), Some(settings)) => {
                let (workflow, cluster, now) = (Mutex::new(workflow), self.cluster.clone(), Arc::clone(&shared));
                let relaunch = move |again: Again| {
                    let workflow = workflow.lock().unwrap_or_else(PoisonError::into_inner);
                    let planned = match again.region {
                        None => Plan::new(&workflow, &cluster, &again.keeping.fixed()).map(|plan| {
                            let crew = Crew::new(plan.outline.clone(), &cluster, true);
                            (plan, crew)
                        }),
                        Some(region) => now.crew().renewed(region, &[NodeId::LOCAL]).and_then(|crew| {
                            let workers = |(id, workers): (&VertexId, &Workers)| (*id, workers.to_vec());
                            let workers = crew.outline.workers.iter().map(workers).collect();
                            Ok((Plan::adopt(&workflow, &workers)?, crew))
                        }),
                    };
                    drop(workflow);
                    let keeping = Some(again.keeping.clone());
                    again.begin(planned.and_then(|(plan, crew)| {
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

    /// What each attempt of a deployment in this process needs.
    fn here(&self, name: &str, shared: &Shared) -> Here {
        let settings = self.settings.clone();
        Here { settings, workflow: name.to_owned(), census: self.census.clone(), meters: shared.meters.clone() }
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

    /// Deploys a workflow on other nodes. `parts` is called for each region, with the number by which its parts know
    /// each other, all workers by vertex, and what takes what the parts tell; it gives the way to each of them. No
    /// checkpoint is complete before the caller has `noted` the run; at its end the caller deletes what is left of the
    /// run. One that `goes_on` has run before, elsewhere.
    ///
    /// # Errors
    /// As [`deploy`](Runtime::deploy).
    pub(crate) fn deploy_on(
        &self,
        cluster: &Cluster,
        name: &str,
        workflow: &Workflow,
        (arguments, resume): (&[String], Option<Resume>),
        mut parts: impl FnMut((DeploymentId, &Scope), &Outline, Option<Keeping>, Tell) -> Result<Made> + Send + 'static,
        (relaunch, noted, goes_on): (impl Fn(Again) + Send + Sync + 'static, watch::Receiver<bool>, bool),
    ) -> Result<DeploymentHandle> {
        let keeping = self.keeping(name, resume)?;
        let fixed = keeping.as_ref().map(Keeping::fixed).unwrap_or_default();
        let outline = Plan::new(workflow, cluster, &fixed)?.outline;
        let shared = self.shared(name, outline, cluster, keeping.as_ref());
        let recovery = match (keeping.clone(), &self.settings.checkpoints) {
            (Some(keeping), Some(settings)) => {
                let (workflow, fingerprint) = (name.to_owned(), workflow.fingerprint());
                let title = Title { workflow, arguments: arguments.to_vec(), fingerprint };
                let recovery = Recovery::new(keeping, settings.clone(), title, Arc::new(relaunch))?;
                Some(recovery.noted_elsewhere(noted, goes_on))
            }
            _ => None,
        };
        let (part, mut first, next) = (Arc::clone(&shared), Some(shared.id), self.numbers());
        let parts = Box::new(move |scope: &Scope, tell: Tell| {
            let id = first.take().unwrap_or_else(&next);
            parts((id, scope), &part.crew().outline, keeping.clone(), tell)
        });
        self.supervise(shared, parts, recovery)
    }

    /// Plans a deployment on other nodes anew; of a region, workers stand where they stood. `parts` is as for
    /// [`deploy_on`](Runtime::deploy_on); each attempt has a number of its own by which its parts know each other.
    pub(crate) fn deploy_again(
        &self,
        cluster: &Cluster,
        (deployment, workflow): (&DeploymentHandle, &Workflow),
        again: Again,
        mut parts: impl FnMut((DeploymentId, &Scope), &Outline, Option<Keeping>, Tell) -> Result<Made> + Send + 'static,
    ) {
        let next = self.numbers();
        let keeping = Some(again.keeping.clone());
        let planned = match again.region {
            None => {
                let plan = Plan::new(workflow, cluster, &again.keeping.fixed());
                plan.map(|plan| Crew::new(plan.outline, cluster, true))
            }
            Some(region) => {
                let nodes: Vec<NodeId> = cluster.nodes().iter().map(|node| node.id).collect();
                deployment.shared.crew().renewed(region, &nodes)
            }
        };
        again.begin(planned.map(|crew| {
            let outline = Arc::clone(&crew.outline);
            let parts: Parts =
                Box::new(move |scope: &Scope, tell: Tell| parts((next(), scope), &outline, keeping.clone(), tell));
            (crew, parts)
        }));
    }

    /// Gives numbers that nothing else has.
    fn numbers(&self) -> impl Fn() -> DeploymentId + Send + use<> {
        let next = Arc::clone(&self.next);
        move || DeploymentId(next.fetch_add(1, Ordering::Relaxed))
    }

    /// Starts the part of a deployment on this node that another node has planned: the workers of these vertices of a
    /// workflow that stand on `node`.
    ///
    /// # Errors
    /// When the plan is not one of this workflow, or the system refuses threads.
    pub(crate) fn take_part(
        &self,
        node: NodeId,
        workflow: &Workflow,
        (workers, vertices): (&BTreeMap<VertexId, Vec<WorkerInfo>>, &BTreeSet<VertexId>),
        others: Others,
        (on_error, name, keeping): (OnError, &str, Option<Keeping>),
        tell: Tell,
    ) -> Result<SiteHandle> {
        let Plan { outline, stages } = Plan::adopt(workflow, workers)?.within(vertices);
        let executor = executor(self.settings.threads, &outline, node, Executor::with_connections)?;
        let here = |worker: &WorkerId| outline.worker(*worker).is_some_and(|info| info.node == node);
        let progress =
            outline.ids(outline.workers.keys()).filter(here).map(|worker| (worker, Arc::default())).collect();
        let (outline, meters) = (Arc::new(outline), Meters::default());
        let dead_letters = self.settings.dead_letters((on_error, name), keeping.as_ref(), &outline, &meters)?;
        let _control = self.control.enter();
        SiteHandle::start(SiteStart {
            node,
            stages,
            outline,
            meters,
            progress,
            executor,
            census: self.census.clone(),
            tell,
            others: Some(others),
            keeping,
            dead_letters,
        })
    }

    fn shared(&self, name: &str, outline: Outline, cluster: &Cluster, keeping: Option<&Keeping>) -> Arc<Shared> {
        Arc::new(Shared {
            id: self.numbers()(),
            name: name.to_owned(),
            warnings: outline.warnings.clone(),
            run: keeping.map(|keeping| keeping.run.clone()),
            crew: Mutex::new(Arc::new(Crew::new(outline, cluster, keeping.is_some()))),
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
    settings: Settings,
    workflow: String,
    census: Census,
    meters: Meters,
}

impl Here {
    fn parts(&self, plan: Plan, crew: &Crew, keeping: Option<Keeping>) -> Result<Parts> {
        let by = (self.settings.on_error, self.workflow.as_str());
        let dead_letters = self.settings.dead_letters(by, keeping.as_ref(), &crew.outline, &self.meters)?;
        let (census, meters, progress) = (self.census.clone(), self.meters.clone(), crew.progress.clone());
        let threads = self.settings.threads;
        Ok(Box::new(move |scope, tell| {
            let (node, others) = (NodeId::LOCAL, None);
            let Plan { stages, outline } = plan.clone().within(&scope.vertices);
            let executor = executor(threads, &outline, node, Executor::new)?;
            let outline = Arc::new(outline);
            let (census, meters, keeping) = (census.clone(), meters.clone(), keeping.clone());
            let dead_letters = dead_letters.clone();
            let is_here = |(worker, _): &(&WorkerId, &Arc<ProgressCell>)| outline.worker(**worker).is_some();
            let progress = progress.iter().filter(is_here).map(|(id, cell)| (*id, Arc::clone(cell))).collect();
            let site = SiteHandle::start(SiteStart {
                node,
                stages,
                outline,
                meters,
                progress,
                executor,
                census,
                tell,
                others,
                keeping,
                dead_letters,
            })?;
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
