//! The deployments of a node that plans them: the one that it was started with, and those that were asked for later.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep};

use super::Signals;
use super::console::wire::{DeploymentInfo, LONGEST_PATIENCE_MS, Reply, Request, VertexInfo, WorkerInfo};
use super::console::{answer, failed, milliseconds, refused};
use super::local::Watch;
use super::settings::Catalog;
use super::waiting::waits_for;
use crate::actor::{self, Census};
use crate::id::DeploymentId;
use crate::runtime::{DeploymentHandle, Phase, Summary, WorkerActivity};
use crate::telemetry::events;
use crate::workflow::{Error, Result, Workflow};

/// How often whoever watches is shown the status: often enough for a bar that moves, at no cost.
const LOOK: Duration = Duration::from_millis(150);

/// How often a node that stops says what it still waits for.
const REMIND: Duration = Duration::from_secs(3);

/// Deployments that run at a time: each has threads of its own.
const MOST: usize = 64;

/// Deployments that have ended and are still told of.
const KEPT: usize = 16;

/// What takes an answer.
type Answer = oneshot::Sender<Reply>;

/// What will happen.
type Coming = Pin<Box<dyn Future<Output = Happening> + Send>>;

/// What deployments come to by themselves.
enum Happening {
    Built(Box<Built>, Result<Workflow>),
    /// Records flow, or never will.
    Started(DeploymentId),
    Ended(DeploymentId, Result<Summary>),
    /// A savepoint is complete, or has failed.
    Saved(DeploymentId, Result<String>, Answer),
    /// Somebody has waited long enough for its end.
    Expired(DeploymentId, u64),
}

/// A workflow that was asked for, and is built.
pub struct Built {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Who asked for it.
    pub answer: Answer,
}

/// What a node has to do for its deployments.
pub enum Next {
    /// Deploy this, and [`add`](Deployments::add) it or answer why not.
    Deploy(Box<Built>, Workflow),
    /// What the node was started with runs, or has ended.
    Up,
    /// This one has ended.
    Ended(DeploymentId),
    /// End: it was told to, or what it was started with has ended; everything else has, too. The name of the workflow
    /// and what it failed with.
    End(std::result::Result<(), (String, Error)>),
}

struct Entry {
    handle: DeploymentHandle,
    at_start: bool,
    dot: String,
    stopping: bool,
    seen: Vec<WorkerActivity>,
    /// Those who asked for its end, by number.
    answers: BTreeMap<u64, Answer>,
    /// Who asked for its start.
    starter: Option<Answer>,
}

/// The deployments of a node.
pub struct Deployments<'a> {
    running: BTreeMap<DeploymentId, Entry>,
    ended: VecDeque<DeploymentInfo>,
    happenings: FuturesUnordered<Coming>,
    watch: Option<Watch<'a>>,
    look: Interval,
    remind: Interval,
    building: usize,
    /// Savepoints that somebody waits for.
    saving: usize,
    /// How many have asked for an end.
    asked: u64,
    /// Everything has been told to stop.
    closing: bool,
    outcome: std::result::Result<(), (String, Error)>,
}

impl<'a> Deployments<'a> {
    /// None so far. The one that the node is started with is shown to `watch`.
    pub fn new(watch: Option<Watch<'a>>) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Deployments {
            running: BTreeMap::new(),
            ended: VecDeque::new(),
            happenings: FuturesUnordered::new(),
            watch,
            look,
            remind: interval(REMIND),
            building: 0,
            saving: 0,
            asked: 0,
            closing: false,
            outcome: Ok(()),
        }
    }

    /// Takes in a deployment: the one that the node was started with, which it ends with, or one that somebody has
    /// asked for.
    pub fn add(&mut self, handle: DeploymentHandle, dot: String, answer: Option<Answer>) {
        for warning in handle.warnings() {
            events::placed_otherwise(handle.name(), warning);
        }
        let id = handle.id();
        let (starts, ends) = (handle.clone(), handle.clone());
        self.happenings.push(Box::pin(async move {
            starts.started().await;
            Happening::Started(id)
        }));
        self.happenings.push(Box::pin(async move { Happening::Ended(id, ends.ended().await) }));
        let at_start = answer.is_none();
        let (seen, answers) = (Vec::new(), BTreeMap::new());
        if self.closing {
            handle.stop();
        }
        let stopping = self.closing;
        self.running.insert(id, Entry { handle, at_start, dot, stopping, seen, answers, starter: answer });
    }

    /// Takes in a deployment that nobody has asked for now, beside the one that the node was started with.
    pub fn add_later(&mut self, handle: DeploymentHandle, dot: String) {
        let (answer, _nobody) = oneshot::channel();
        self.add(handle, dot, Some(answer));
    }

    /// Does what is asked for, if it is about deployments; else gives it back.
    pub fn serve(&mut self, request: Request, catalog: &Arc<dyn Catalog>, reply: Answer) -> Option<(Request, Answer)> {
        let content = match request {
            Request::Deploy { name, arguments } => {
                self.build(catalog, name, arguments, reply);
                return None;
            }
            Request::Undeploy { deployment, patience_ms } => {
                self.stop(DeploymentId(deployment), Duration::from_millis(patience_ms.min(LONGEST_PATIENCE_MS)), reply);
                return None;
            }
            Request::Savepoint { deployment, directory, stop } => {
                self.save(DeploymentId(deployment), directory, stop, reply);
                return None;
            }
            Request::Deployments => Reply::Deployments { deployments: self.all() },
            Request::Workers { deployment } => self.workers(deployment.map(DeploymentId)),
            Request::Graph { deployment } => self.graph(DeploymentId(deployment)),
            other => return Some((other, reply)),
        };
        answer(reply, content);
        None
    }

    /// Builds a workflow that somebody asks for, on a thread of its own: user code may take its time.
    fn build(&mut self, catalog: &Arc<dyn Catalog>, name: String, arguments: Vec<String>, reply: Answer) {
        if self.closing {
            return answer(reply, refused("this node is about to end"));
        }
        if self.running.len() + self.building >= MOST {
            return answer(reply, refused(format!("{MOST} workflows run here already, the most that can; stop one")));
        }
        let (built, wait) = oneshot::channel();
        let (catalog, known_as, given) = (Arc::clone(catalog), name.clone(), arguments.clone());
        let work = move || drop(built.send(catalog.build(&known_as, &given)));
        if let Err(error) = actor::thread("skitter-build".to_owned(), &Census::new(), work, drop) {
            return answer(reply, failed(format!("workflow `{name}` cannot be built: {error}")));
        }
        self.building += 1;
        let request = Box::new(Built { name, arguments, answer: reply });
        self.happenings.push(Box::pin(async move {
            let built = wait.await.unwrap_or_else(|_| Err(Error::Panic("its thread has ended".to_owned())));
            Happening::Built(request, built)
        }));
    }

    /// Stops a deployment in order; the answer comes when it has ended, or the time is over.
    fn stop(&mut self, id: DeploymentId, patience: Duration, reply: Answer) {
        let Some(entry) = self.running.get_mut(&id) else { return answer(reply, self.unknown(id)) };
        if !entry.stopping {
            entry.stopping = true;
            events::undeploying(entry.handle.name(), id.0);
            entry.handle.stop();
            entry.seen = entry.handle.activity();
            self.remind = interval_at(Instant::now() + REMIND, REMIND);
        }
        let number = self.asked;
        self.asked += 1;
        entry.answers.insert(number, reply);
        self.happenings.push(Box::pin(async move {
            sleep(patience).await;
            Happening::Expired(id, number)
        }));
    }

    /// Takes a savepoint; the answer comes when it is complete.
    fn save(&mut self, id: DeploymentId, directory: Option<String>, stop: bool, reply: Answer) {
        let Some(entry) = self.running.get(&id) else { return answer(reply, self.unknown(id)) };
        let handle = entry.handle.clone();
        self.saving += 1;
        self.happenings.push(Box::pin(async move {
            let saved = handle.savepoint(directory, stop).await;
            Happening::Saved(id, saved, reply)
        }));
    }

    /// Goes on until the node has something to do. Can be dropped and called again.
    pub async fn next(&mut self, signals: &mut Signals) -> Next {
        loop {
            if self.closing && self.running.is_empty() && self.saving == 0 {
                return Next::End(std::mem::replace(&mut self.outcome, Ok(())));
            }
            let next = tokio::select! {
                biased;
                Some(happening) = self.happenings.next() => self.handle(happening),
                signal = signals.first(), if !self.closing => {
                    events::stopping(&signal.to_string());
                    self.close();
                    None
                }
                _ = self.remind.tick(), if self.running.values().any(|entry| entry.stopping) => {
                    self.remind();
                    None
                }
                _ = self.look.tick(), if self.watch.is_some() => {
                    if let (Some(watch), Some(first)) = (&mut self.watch, self.running.values().find(|e| e.at_start)) {
                        watch(&first.handle.status());
                    }
                    None
                }
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    fn handle(&mut self, happening: Happening) -> Option<Next> {
        match happening {
            Happening::Built(request, built) => {
                self.building -= 1;
                match built {
                    Ok(_) if self.closing => answer(request.answer, refused("this node is about to end")),
                    Ok(workflow) => return Some(Next::Deploy(request, workflow)),
                    Err(error) => answer(request.answer, refused(format!("workflow `{}`: {error}", request.name))),
                }
                None
            }
            Happening::Started(id) => {
                let entry = self.running.get_mut(&id)?;
                if entry.handle.status().phase.has_ended() {
                    // What there is to say of it is said with its end.
                    return None;
                }
                let info = info(&entry.handle);
                if let Some(starter) = entry.starter.take() {
                    answer(starter, Reply::Deployed { deployment: info.clone() });
                }
                entry.at_start.then_some(Next::Up)
            }
            Happening::Ended(id, result) => {
                let entry = self.running.remove(&id)?;
                self.end(entry, result);
                Some(Next::Ended(id))
            }
            Happening::Saved(id, saved, reply) => {
                self.saving -= 1;
                let content = match saved {
                    Ok(savepoint) => {
                        let name = self.running.get(&id).map_or("", |entry| entry.handle.name());
                        events::saved(name, &savepoint);
                        Reply::Saved { savepoint }
                    }
                    Err(error) => failed(format!("there is no savepoint of deployment {id}: {error}")),
                };
                answer(reply, content);
                None
            }
            Happening::Expired(id, number) => {
                let entry = self.running.get_mut(&id)?;
                let reply = entry.answers.remove(&number)?;
                let waits = waits_for(&entry.seen, &entry.handle.activity());
                let message = format!("deployment {id} has been told to stop, and still waits for {waits}");
                answer(reply, failed(message));
                None
            }
        }
    }

    /// A deployment has ended.
    fn end(&mut self, entry: Entry, result: Result<Summary>) {
        let name = entry.handle.name().to_owned();
        let info = info(&entry.handle);
        let failure = info.error.clone();
        for reply in entry.answers.into_values() {
            answer(reply, Reply::Undeployed { deployment: info.clone() });
        }
        if let Some(starter) = entry.starter {
            let reply = match failure {
                Some(cause) => failed(format!("workflow `{name}` failed: {cause}")),
                None => Reply::Deployed { deployment: info.clone() },
            };
            answer(starter, reply);
        }
        self.ended.truncate(KEPT - 1);
        self.ended.push_front(info);
        match result {
            Ok(summary) => {
                let tell = if summary.stopped { events::stopped } else { events::completed };
                tell(&summary.name, &summary, summary.elapsed.as_secs_f64());
            }
            // The end of the node says so.
            Err(error) if entry.at_start => self.outcome = Err((name, error)),
            Err(error) => events::failed(&name, &error),
        }
        if entry.at_start {
            self.close();
        }
    }

    /// Stops everything, and takes nothing on any more.
    pub fn close(&mut self) {
        self.closing = true;
        for entry in self.running.values_mut().filter(|entry| !entry.stopping) {
            entry.stopping = true;
            entry.handle.stop();
            entry.seen = entry.handle.activity();
        }
        self.remind = interval_at(Instant::now() + REMIND, REMIND);
    }

    fn remind(&mut self) {
        for entry in self.running.values_mut().filter(|entry| entry.stopping) {
            let now = entry.handle.activity();
            events::waiting(entry.handle.name(), &waits_for(&entry.seen, &now));
            entry.seen = now;
        }
    }

    /// Whether everything has been told to stop.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// What runs.
    pub fn running(&self) -> Vec<DeploymentInfo> {
        self.running.values().map(|entry| info(&entry.handle)).collect()
    }

    /// What runs, and what has ended lately.
    fn all(&self) -> Vec<DeploymentInfo> {
        self.running().into_iter().chain(self.ended.iter().cloned()).collect()
    }

    /// What the workers of a deployment, or of all of them, are at.
    fn workers(&self, id: Option<DeploymentId>) -> Reply {
        let entries: Vec<&Entry> = match id {
            None => self.running.values().collect(),
            Some(id) => match self.running.get(&id) {
                Some(entry) => vec![entry],
                None => return self.unknown(id),
            },
        };
        Reply::Workers { workers: entries.into_iter().flat_map(|entry| workers(&entry.handle)).collect() }
    }

    /// A deployment, drawn.
    fn graph(&self, id: DeploymentId) -> Reply {
        match self.running.get(&id) {
            Some(entry) => Reply::Graph { dot: entry.dot.clone() },
            None => self.unknown(id),
        }
    }

    fn unknown(&self, id: DeploymentId) -> Reply {
        if let Some(ended) = self.ended.iter().find(|ended| ended.id == id.0) {
            return refused(format!("deployment {id}, `{}`, has ended: {}", ended.name, ended.phase));
        }
        let here: Vec<String> = self.running.keys().map(ToString::to_string).collect();
        let here = if here.is_empty() { "none".to_owned() } else { here.join(", ") };
        refused(format!("there is no deployment {id} here (there is {here})"))
    }
}

fn info(handle: &DeploymentHandle) -> DeploymentInfo {
    let status = handle.status();
    let error = match &status.phase {
        Phase::Failed(error) => Some(error.to_string()),
        _ => None,
    };
    let vertex = |vertex: &crate::runtime::VertexStatus| VertexInfo {
        name: vertex.name.clone(),
        workers: vertex.workers.len() as u32,
        received: vertex.received(),
        emitted: vertex.emitted(),
    };
    let share = status.progress.filter(|progress| progress.total > 0);
    DeploymentInfo {
        id: status.id.0,
        name: status.name.clone(),
        phase: status.phase.to_string(),
        error,
        elapsed_ms: milliseconds(status.elapsed),
        progress: share.map(|progress| progress.done.min(progress.total) as f64 / progress.total as f64),
        vertices: status.vertices.iter().map(vertex).collect(),
    }
}

fn workers(handle: &DeploymentHandle) -> Vec<WorkerInfo> {
    let deployment = handle.id().0;
    let status = handle.status();
    let of_vertex = |vertex: crate::runtime::VertexStatus| {
        let name = vertex.name.clone();
        vertex.workers.into_iter().zip(0..).map(move |(worker, index)| WorkerInfo {
            deployment,
            vertex: name.clone(),
            index,
            node: worker.node,
            received: worker.received,
            emitted: worker.emitted,
        })
    };
    status.vertices.into_iter().flat_map(of_vertex).collect()
}
