//! A run: a master and workers, each on a host of its own, and what goes wrong there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::dice::Dice;
use super::disk::Disk;
use super::host::{Host, Life};
use super::jobs::Shared;
use super::ledger::{Book, Extent};
use super::log::Log;
use super::plan::{Fault, Plan};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::actor::OneThread;
use crate::id::{NodeAddress, NodeName};
use crate::net::mapper::MAPPER_PORT;
use crate::net::{Cookie, Fingerprint, Simulated};
use crate::node::console::wire::Reply;
use crate::node::master::MasterOptions;
use crate::node::worker::WorkerOptions;
use crate::node::{NodeFailure, NodeSettings};
use crate::runtime::{Checkpoints, From, Intensity, Settings};
use crate::state::replace_in_memory;

/// How long a run may take: many times what all that goes wrong takes.
const LIMIT: u64 = 1_200_000;

/// What is left of a deployment at its end is gone after this: all time-outs of a deployment are shorter.
const AFTERMATH: u64 = 12_000;

/// Milliseconds in which nothing is sent, after which time goes in longer steps.
const QUIET: u64 = 10;

/// The longest step, in milliseconds; and when all is over.
const LONGEST_STEP: u64 = 10;
const LAST_STEPS: u64 = 100;

/// After so many milliseconds a master that cannot begin is started again.
const RETRY: u64 = 300;

/// Numbers the stores.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What became of a run.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub plan: Plan,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    pub checkpoints: u64,
    pub recovered: u64,
    /// How long it took, in milliseconds of its own time.
    pub took: u64,
    /// Why it is not as it should be.
    pub failure: Option<String>,
    pub log: Vec<String>,
}

/// What happens later.
#[derive(Clone, Debug)]
enum Later {
    Back(usize),
    Wake(usize),
    Heal(String, String),
    Calm,
    Fast,
    Works,
    Master,
}

struct Scene {
    plan: Plan,
    dice: Dice,
    network: Simulated,
    disk: Disk,
    store: String,
    shared: Shared,
    log: Log,
    now: u64,
    /// The last one is the master.
    hosts: Vec<Option<Host>>,
    /// What was left of a worker that has nothing to do.
    later: Vec<(u64, Later)>,
    coming: VecDeque<(u64, Fault)>,
    /// When records began to flow, or the last fault happened.
    since: Option<u64>,
    faults: BTreeMap<&'static str, u64>,
    /// What the master was asked for, and has not answered; with whether it is to stop.
    asked: Vec<(oneshot::Receiver<Reply>, bool)>,
    /// The savepoint at which it has stopped, for all that anybody was told.
    stopped_at: Option<String>,
    /// What the workflow was begun with.
    from: Option<From>,
    /// The master is not the first one.
    restarted: bool,
    /// How often a master had deployed when the newest one began.
    deployed: u64,
    /// A master has come to its end without a store, and then died: the next one may have begun anew.
    unsaved: bool,
    quiet: u64,
    moves: u64,
    over: bool,
}

/// Runs a seed.
pub fn run(seed: u64, keeps_log: bool) -> Report {
    let _one = OneThread::begin();
    let log = Log::new(keeps_log);
    let _listening = tracing::subscriber::set_default(log.clone());
    let mut dice = Dice::new(seed);
    let plan = Plan::new(&mut dice);
    let mut scene = Scene::new(plan, dice, log);
    let failure = scene.play().err();
    let Scene { plan, faults, disk, log, now, store, .. } = scene;
    replace_in_memory(&store, None);
    let (checkpoints, recovered) = (disk.manifests(), log.recovered());
    Report { seed, plan, faults, checkpoints, recovered, took: now, failure, log: log.take() }
}

impl Scene {
    fn new(plan: Plan, mut dice: Dice, log: Log) -> Scene {
        let network = Simulated::stepped(dice.within(0..=u64::MAX - 1));
        network.latency(Duration::from_micros(100)..=Duration::from_millis(plan.latency));
        let disk = Disk::new(dice.apart());
        let store = format!("chaos-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        replace_in_memory(&store, Some(Arc::new(disk.clone())));
        let (job, book, second) = (plan.job, Book::default(), Book::default());
        let shared = Shared { job, book, second, trap: Arc::default(), read: Arc::default() };
        let coming = plan.faults.iter().copied().collect();
        Scene {
            plan,
            dice,
            network,
            disk,
            store,
            shared,
            log,
            now: 0,
            hosts: Vec::new(),
            later: Vec::new(),
            coming,
            since: None,
            faults: BTreeMap::new(),
            asked: Vec::new(),
            stopped_at: None,
            from: None,
            restarted: false,
            deployed: 0,
            unsaved: false,
            quiet: 0,
            moves: 0,
            over: false,
        }
    }

    fn settings(&self, name: &str) -> NodeSettings {
        let checkpoints = Checkpoints {
            // Soon, so that it comes to that where a link is slow.
            unaligned_after: Some(Duration::from_millis(self.plan.interval / 4)),
            interval: Duration::from_millis(self.plan.interval),
            store: format!("memory://{}", self.store),
            kept: self.plan.kept,
            intensity: Intensity { most: usize::MAX, period: Duration::from_secs(3600) },
        };
        NodeSettings {
            name: NodeName::new(name, name).expect("a name"),
            tags: Vec::new(),
            listen: "[::]:0".parse().expect("an address"),
            mapper_port: MAPPER_PORT,
            cookie: Cookie::new("secret").expect("a cookie"),
            build: Fingerprint([7; 32]),
            runtime: Settings {
                cores: self.plan.cores,
                threads: 1,
                name: format!("{name}@{name}"),
                checkpoints: Some(checkpoints),
                ..Settings::default()
            },
            transport: self.network.host(name),
            credentials: None,
        }
    }

    fn worker(&self, worker: usize, master: Option<&str>) -> Host {
        let name = name(Some(worker));
        let options = WorkerOptions { master: master.map(address), stay: true, adopt_timeout: None };
        Host::start(self.settings(&name), Arc::new(self.shared.clone()), Life::Worker(options))
    }

    /// A master; one that goes on calls those that are there or will be.
    fn master(&self, go_on: bool) -> Host {
        let comes = |worker: &usize| {
            let is_called = |(_, later): &(u64, Later)| matches!(later, Later::Back(other) if other == worker);
            self.hosts.get(*worker).is_some_and(Option::is_some) || self.later.iter().any(is_called)
        };
        let options = MasterOptions {
            workers: (0..self.plan.workers).filter(comes).map(|worker| address(&name(Some(worker)))).collect(),
            deploy: Some(("chaos".to_owned(), Vec::new())),
            stop_with_workers: false,
            from: self.from.clone(),
            go_on,
            recovery_wait: Duration::from_millis(self.plan.recovery_wait),
        };
        Host::start(self.settings("m"), Arc::new(self.shared.clone()), Life::Master(options))
    }

    fn play(&mut self) -> Result<(), String> {
        self.hosts = (0..self.plan.workers).map(|worker| Some(self.worker(worker, None))).collect();
        self.steps(50);
        self.hosts.iter_mut().flatten().for_each(Host::rests);
        self.hosts.push(Some(self.master(false)));
        let master = self.plan.workers;
        let outcome = loop {
            self.step();
            self.hear();
            let outcome = self.hosts[master].as_ref().and_then(|host| host.outcome.borrow_mut().take());
            match outcome {
                Some(Err(error)) if self.is_worth_another_try(&error) => self.restart_master(RETRY),
                // Or the one after it has gone on, because it had died before its end.
                Some(Ok(())) if self.stopped_at.is_some() && self.log.completed() == 0 => {
                    self.log.line("it goes on from the savepoint");
                    let what = self.stopped_at.take();
                    self.from = what.map(|what| From { what, drop_unfit: false });
                    self.restart_master(RETRY);
                }
                Some(outcome) => break outcome,
                None => {}
            }
            if self.now > LIMIT {
                return Err(format!("it is not over after {LIMIT} ms"));
            }
        };
        self.log.line("the master has ended");
        // Who comes to the end without a store, and fails then, says so.
        let unsaved = |error: &NodeFailure| error.to_string().contains("its last checkpoint could not be stored");
        let extent = match outcome {
            Err(error) if unsaved(&error) && self.has_happened(&["failing store", "full store"]) => {
                *self.faults.entry("unsaved end").or_default() += 1;
                Extent::Any
            }
            Err(error) => return Err(format!("it fails: {error}")),
            // A master that is stopped before it goes on drains nothing.
            Ok(()) if self.has_happened(&["stop"]) && self.deployed == self.log.deployed() => Extent::Any,
            Ok(()) if self.has_happened(&["stop"]) => Extent::Prefix,
            Ok(()) => Extent::All,
        };
        if !self.unsaved {
            self.shared.book.check(&self.shared.job, extent)?;
            if self.shared.job.twice {
                self.shared.second.check_numbers(self.shared.job.count, extent)?;
            }
        }
        self.end(master)
    }

    /// Whether somebody who has started a master again does it once more.
    fn is_worth_another_try(&self, error: &NodeFailure) -> bool {
        let text = error.to_string();
        let is_of_store = ["cannot be read", "cannot be used"].iter().any(|part| text.contains(part));
        match error {
            NodeFailure::Unreachable(_) | NodeFailure::NameTaken(_) => self.restarted,
            _ => self.restarted && is_of_store && self.has_happened(&["failing store"]),
        }
    }

    /// The master dies, or has ended; another one comes, which goes on with what that had not ended.
    fn restart_master(&mut self, back: u64) {
        self.hosts[self.plan.workers] = None;
        (self.restarted, self.deployed) = (true, self.log.deployed());
        self.asked.clear();
        // It had come to its end, perhaps without a store, and the next one has to begin anew.
        self.unsaved |= self.log.completed() > 0 && self.has_happened(&["failing store", "full store"]);
        self.in_a_while(back, Later::Master);
    }

    /// Takes what the master answers.
    fn hear(&mut self) {
        for (mut answer, stop) in std::mem::take(&mut self.asked) {
            match answer.try_recv() {
                Ok(reply) => {
                    self.log.line(&format!("it answers {reply:?}"));
                    if let (Reply::Saved { savepoint }, true) = (reply, stop) {
                        self.stopped_at = Some(savepoint);
                    }
                }
                Err(TryRecvError::Empty) => self.asked.push((answer, stop)),
                Err(TryRecvError::Closed) => {}
            }
        }
    }

    /// Everything is well again; nothing is left.
    fn end(&mut self, master: usize) -> Result<(), String> {
        // Who cannot write its journal deletes nothing that it names.
        let is_noted = self.disk.paths().iter().any(|path| path.starts_with("journal/"));
        let failed = self.disk.is_failing() || (is_noted && self.has_happened(&["failing store", "full store"]));
        self.coming.clear();
        self.over = true;
        self.network.heal_all();
        for (_, later) in std::mem::take(&mut self.later) {
            self.pass(later);
        }
        let left = self.hosts[master].as_ref().map_or(0, |host| host.census.living());
        if left > 0 {
            return Err(format!("{left} actors of the master are left"));
        }
        self.steps(AFTERMATH);
        if let Some(left) = self.hosts[..master].iter().flatten().find_map(Host::left) {
            return Err(left);
        }
        // A worker that does not know that it is over may save what it keeps for a while; and what could not be deleted
        // stays, as the master has said.
        let mut paths = self.disk.paths();
        let may_be_late = self.has_happened(&["freeze", "partition"]);
        paths.retain(|path| !failed && (!may_be_late || path.contains("/manifests/")));
        // A master that is stopped before it goes on leaves all to the next one.
        paths.retain(|_| !(self.restarted && self.has_happened(&["stop"])));
        // What has failed may be gone on with.
        paths.retain(|_| !self.has_happened(&["unsaved end"]));
        // A savepoint stays until somebody deletes it.
        paths.retain(|path| path.starts_with("journal/") || !self.has_happened(&["savepoint", "stop at savepoint"]));
        if paths.is_empty() { Ok(()) } else { Err(format!("in the store are left: {paths:?}")) }
    }

    fn has_happened(&self, kinds: &[&str]) -> bool {
        kinds.iter().any(|kind| self.faults.contains_key(kind))
    }

    fn steps(&mut self, time: u64) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Time goes on.
    fn step(&mut self) {
        self.happen();
        let mut by = match self.quiet < QUIET {
            true => 1,
            false if self.over => LAST_STEPS,
            false => LONGEST_STEP,
        };
        let next = self.later.iter().map(|(then, _)| *then).chain(self.next_fault()).min();
        by = by.min(next.map_or(by, |then| then.saturating_sub(self.now).max(1)));
        let time = Duration::from_millis(by);
        let mut order: Vec<usize> = (0..self.hosts.len()).collect();
        self.dice.shuffle(&mut order);
        for host in order {
            if let Some(host) = &mut self.hosts[host] {
                self.log.at(self.now, &host.name);
                host.step(time);
            }
        }
        self.network.step(time);
        self.now += by;
        let moves = self.network.moves();
        self.quiet = if moves == self.moves { self.quiet + by } else { 0 };
        self.moves = moves;
    }

    fn next_fault(&self) -> Option<u64> {
        Some(self.since? + self.coming.front()?.0)
    }

    /// What is to happen now.
    fn happen(&mut self) {
        self.log.at(self.now, "");
        if self.since.is_none() && *self.shared.read.lock().expect("no panic") > 0 {
            self.since = Some(self.now);
        }
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(then, _)| *then <= self.now);
        self.later = later;
        let due: Vec<(u64, Later)> = due;
        due.into_iter().for_each(|(_, later)| self.pass(later));
        while self.next_fault().is_some_and(|then| then <= self.now) {
            self.since = Some(self.now);
            if let Some((_, fault)) = self.coming.pop_front()
                && self.break_it(fault)
            {
                *self.faults.entry(fault.kind()).or_default() += 1;
                self.log.line(&format!("{fault:?}"));
            }
        }
    }

    fn in_a_while(&mut self, time: u64, later: Later) {
        self.later.push((self.now + time, later));
    }

    /// Has something go wrong, if that can be.
    fn break_it(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::Kill { worker, back } | Fault::PowerOff { worker, back } => {
                // Who is dead already comes back when it was to.
                let Some(host) = self.hosts[worker].take() else { return false };
                match fault {
                    Fault::Kill { .. } => self.network.kill(&host.name),
                    _ => self.network.power_off(&host.name),
                }
                drop(host);
                self.later.retain(|(_, later)| !matches!(later, Later::Wake(other) if *other == worker));
                if let Some(time) = back {
                    self.in_a_while(time, Later::Back(worker));
                }
            }
            Fault::Freeze { worker, time } => match &mut self.hosts[worker] {
                Some(host) if !host.is_frozen() => {
                    host.freeze();
                    self.in_a_while(time, Later::Wake(worker));
                }
                _ => return false,
            },
            Fault::Cut { a, b } => self.network.cut(&name(a), &name(Some(b))),
            Fault::Partition { a, b, silence, time } => {
                let (a, b) = (name(a), name(Some(b)));
                self.network.partition(&a, &b, silence);
                self.in_a_while(time, Later::Heal(a, b));
            }
            Fault::Delay { most, time } => {
                self.network.latency(Duration::from_micros(100)..=Duration::from_millis(most));
                self.in_a_while(time, Later::Calm);
            }
            Fault::Slow { most, time } => {
                self.disk.takes(Duration::from_millis(most));
                self.in_a_while(time, Later::Fast);
            }
            Fault::Store { failing, time } => {
                self.disk.fails(Some(failing));
                self.in_a_while(time, Later::Works);
            }
            Fault::Panic { records } => *self.shared.trap.lock().expect("no panic") = Some(records),
            Fault::Join => {
                if self.hosts.len() > self.plan.workers + 1 {
                    return false;
                }
                let joined = self.plan.workers;
                // The master is before it.
                let host = self.worker(joined, Some("m"));
                self.hosts.push(Some(host));
            }
            Fault::Master { back } => {
                if self.hosts[self.plan.workers].take().is_none() {
                    return false;
                }
                self.network.kill("m");
                self.restart_master(back);
            }
            Fault::Savepoint { stop } => {
                let Some(Some(master)) = self.hosts.get(self.plan.workers) else { return false };
                self.asked.push((master.savepoint(stop), stop));
            }
            Fault::Stop => {
                if let Some(Some(master)) = self.hosts.get(self.plan.workers) {
                    master.stopper.stop();
                }
            }
        }
        true
    }

    /// What was wrong is over.
    fn pass(&mut self, later: Later) {
        self.log.line(&format!("{later:?}"));
        match later {
            Later::Back(worker) => {
                self.network.power_on(&name(Some(worker)));
                self.hosts[worker] = Some(self.worker(worker, None));
            }
            Later::Wake(worker) => {
                if let Some(host) = &mut self.hosts[worker] {
                    host.wake();
                }
            }
            Later::Heal(a, b) => self.network.heal(&a, &b),
            Later::Calm => self.network.latency(Duration::from_micros(100)..=Duration::from_millis(self.plan.latency)),
            Later::Fast => self.disk.takes(Duration::from_millis(3)),
            Later::Works => self.disk.fails(None),
            Later::Master => {
                let master = self.plan.workers;
                self.hosts[master] = Some(self.master(true));
            }
        }
    }
}

/// The name of a worker, or of the master.
fn name(worker: Option<usize>) -> String {
    worker.map_or_else(|| "m".to_owned(), |worker| format!("w{}", worker + 1))
}

fn address(name: &str) -> NodeAddress {
    NodeAddress::parse(&format!("{name}@{name}"), "").expect("an address")
}
