//! A worker node: waits for a master, runs its part of what that deploys, and ends or waits again when it is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tracing::debug;

use super::console::wire::{DeploymentInfo, NodeStatus, Reply, Request};
use super::console::{Asked, answer, refused};
use super::control::{ToMaster, ToWorker};
use super::endpoint::{Admit, Endpoint, Presence};
use super::link::{Heard, Link};
use super::parts::{Outbox, Parts};
use super::settings::Catalog;
use super::vault::Client;
use super::{Console, NodeFailure, NodeSettings, Signals, console};
use crate::actor::{self, Task};
use crate::id::{DeploymentId, NodeAddress};
use crate::net::{
    Cause, Command, Event, HANDSHAKE_TIMEOUT, Identity, Membership, Mode, Purpose, Reason, Refusal, SILENCE, Session,
};
use crate::runtime::{Report, Runtime, SiteEvent};
use crate::telemetry::events;
use crate::workflow::Error;

/// The wait after a first attempt to join a master; it doubles with each one.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest wait between two attempts to join a master.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// How long a node that stops takes to tell so.
const FAREWELL: Duration = Duration::from_secs(1);

/// Sessions and messages that wait to be looked at; who sends more waits.
const QUEUE: usize = 64;

/// How long after its master was heard a worker looks whether that is silent: longer than from one heartbeat to the
/// next, so that it sleeps while all is well, and less than [`LONGEST_STEP`](crate::net::LONGEST_STEP).
const LOOK: Duration = Duration::from_millis(750);

/// What a worker node is to do.
#[derive(Clone, Debug, Default)]
pub struct WorkerOptions {
    /// The master to join. Others may connect as well, as long as it has none.
    pub master: Option<NodeAddress>,
    /// Stay up, and wait for another master, when this one is gone.
    pub stay: bool,
    /// End when no master has come within this time; and again, when one has let go of it before it deployed.
    pub adopt_timeout: Option<Duration>,
}

/// Runs a worker node until its master has ended, or there is a signal.
///
/// # Errors
/// When it cannot start, or its master goes away without a word and it is not to stay.
pub fn run(
    settings: NodeSettings,
    catalog: Arc<dyn Catalog>,
    options: WorkerOptions,
    signals: &mut Signals,
    console: &mut Console,
) -> Result<(), NodeFailure> {
    let runtime = Runtime::with(settings.runtime.clone()).map_err(|error| NodeFailure::Start(error.to_string()))?;
    super::executor()?.block_on(live(settings, runtime, catalog, options, signals, console))
}

/// As [`run`], on the runtime of the caller.
///
/// # Errors
/// As there.
pub(super) async fn live(
    settings: NodeSettings,
    runtime: Runtime,
    catalog: Arc<dyn Catalog>,
    options: WorkerOptions,
    signals: &mut Signals,
    console: &mut Console,
) -> Result<(), NodeFailure> {
    events::started("worker");
    let (endpoint, presence) = Endpoint::open(&settings, Mode::Worker).await?;
    events::reachable(&endpoint.identity().name);
    Worker::new(endpoint, runtime, catalog, options).run(presence, signals, console).await
}

/// Whether there is a master. Shared with whoever decides which connections are let in.
#[derive(Clone, Default)]
struct Seat(Arc<Mutex<Taken>>);

#[derive(Default)]
enum Taken {
    #[default]
    Free,
    /// A master has been let in and not been seen since; if it is not within the time of a handshake, it will not be.
    Promised(Instant, String),
    /// A master is there.
    By(String),
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn promise(&self, master: &Identity) -> Result<(), Refusal> {
        let mut taken = self.lock();
        let other = match &*taken {
            Taken::By(other) => Some(other),
            Taken::Promised(since, other) if since.elapsed() < HANDSHAKE_TIMEOUT => Some(other),
            _ => None,
        };
        if let Some(other) = other {
            return Err(Refusal::new(Reason::HasMaster, format!("its master is `{other}`")));
        }
        *taken = Taken::Promised(Instant::now(), master.name.to_string());
        Ok(())
    }
}

struct Master {
    link: Link<ToMaster>,
    number: u64,
    /// What it asks about checkpoints.
    vault: Client,
    /// Sends what the parts of deployments tell.
    _reports: Task,
}

struct Worker {
    endpoint: Arc<Endpoint>,
    runtime: Runtime,
    catalog: Arc<dyn Catalog>,
    options: WorkerOptions,
    seat: Seat,
    parts: Parts,
    master: Option<Master>,
    /// What its parts of deployments tell.
    outbox: Arc<Outbox>,
    /// Masters so far: what comes from one that is gone is dropped.
    masters: u64,
    membership: Membership,
    began: Instant,
    /// When it ends if no master has come.
    deadline: Option<Instant>,
    hear: mpsc::Sender<(u64, Heard<ToWorker>)>,
    heard: mpsc::Receiver<(u64, Heard<ToWorker>)>,
}

/// Whether a node goes on.
enum Next {
    Wait,
    End(Result<(), NodeFailure>),
}

impl Worker {
    fn new(endpoint: Arc<Endpoint>, runtime: Runtime, catalog: Arc<dyn Catalog>, options: WorkerOptions) -> Worker {
        let (hear, heard) = mpsc::channel(QUEUE);
        Worker {
            endpoint,
            runtime,
            catalog,
            options,
            seat: Seat::default(),
            parts: Parts::default(),
            master: None,
            outbox: Arc::default(),
            masters: 0,
            membership: Membership::new(SILENCE),
            began: Instant::now(),
            deadline: None,
            hear,
            heard,
        }
    }

    async fn run(
        mut self,
        presence: Presence,
        signals: &mut Signals,
        console: &mut Console,
    ) -> Result<(), NodeFailure> {
        let Presence { listener, lease } = presence;
        let (come, mut sessions) = mpsc::channel(QUEUE);
        let dialled = come.clone();
        let open = self.endpoint.serve(listener, self.admit(), come);
        let _known = actor::task(async move { events::name_lost(&lease.run().await.detail) });
        let mut joining = self.join(dialled.clone());
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        self.waits();
        console.up();
        loop {
            let (deadline, waits) = (self.deadline.unwrap_or(self.began), self.deadline.is_some());
            let next = tokio::select! {
                biased;
                signal = signals.first() => {
                    events::stopping(&signal.to_string());
                    let _ = timeout(FAREWELL, open.close()).await;
                    // A master that was let in a moment ago, and counts on this node already, is told goodbye too.
                    while let Ok(session) = sessions.try_recv() {
                        self.meet(session);
                    }
                    self.leave().await;
                    return Ok(());
                }
                Some((number, heard)) = self.heard.recv() => {
                    // A master that is heard needs no look.
                    tick.reset();
                    self.hear(number, heard)
                }
                Some(session) = sessions.recv() => self.meet(session),
                asked = console.asked() => self.answer(asked, console.uptime()),
                () = sleep_until(deadline), if waits => {
                    events::not_adopted(self.options.adopt_timeout.unwrap_or_default().as_secs_f64());
                    return Ok(());
                }
                _ = tick.tick() => self.look(),
            };
            match next {
                Next::Wait => {}
                Next::End(how) => return how,
            }
            if self.master.is_some() {
                joining = None;
            } else if joining.is_none() {
                joining = self.join(dialled.clone());
            }
        }
    }

    fn admit(&self) -> Admit {
        let (seat, parts) = (self.seat.clone(), self.parts.clone());
        Arc::new(move |peer, purpose| match *purpose {
            Purpose::Control if peer.mode == Mode::Master => seat.promise(peer),
            Purpose::Control => Err(Refusal::new(Reason::ModeMismatch, "a worker connects to masters only")),
            Purpose::Data { deployment, from } => parts.admit(peer, deployment, from),
            // It is closed at once if the deployment has just ended here, which is nothing to complain of.
            Purpose::Watch { .. } => Ok(()),
        })
    }

    /// Tries to join the master that it was told, again and again.
    fn join(&self, sessions: mpsc::Sender<Session>) -> Option<Task> {
        let master = self.options.master.clone()?;
        let endpoint = Arc::clone(&self.endpoint);
        Some(actor::task(async move {
            let (mut wait, mut last) = (FIRST_RETRY, None);
            loop {
                match endpoint.dial(&master, Purpose::Control, Mode::Master).await {
                    Ok(session) => {
                        let _ = sessions.send(session).await;
                        return;
                    }
                    Err(refusal) if last.as_ref() == Some(&refusal) => {}
                    Err(refusal) => {
                        events::cannot_join(&master, refusal.reason.as_str(), &refusal.detail);
                        last = Some(refusal);
                    }
                }
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_RETRY);
            }
        }))
    }

    fn meet(&mut self, session: Session) -> Next {
        if session.purpose != Purpose::Control {
            self.parts.attach(session);
            return Next::Wait;
        }
        if self.master.is_some() {
            // It has connected to one while it was let in by another.
            return Next::Wait;
        }
        let (node, incarnation) = (session.peer.name.clone(), session.peer.incarnation);
        let now = self.began.elapsed();
        for command in self.membership.handle(Event::Connected { node, incarnation, now }) {
            if let Command::Refuse { refusal, .. } = command {
                events::connection_refused(&session.peer.name, refusal.reason.as_str(), &refusal.detail);
                *self.seat.lock() = Taken::Free;
                return Next::Wait;
            }
        }
        self.masters += 1;
        self.deadline = None;
        events::connected_to_master(&session.peer.name);
        *self.seat.lock() = Taken::By(session.peer.name.to_string());
        let link = Link::new(session, self.masters, self.hear.clone());
        let (sender, outbox) = (link.sender.clone(), Arc::new(Outbox::default()));
        let reports = Arc::clone(&outbox);
        let reports =
            actor::task(async move { while sender.send(&ToMaster::Reports(reports.take().await)).await.is_ok() {} });
        self.outbox = outbox;
        let vault = Client::new(link.sender.clone());
        self.master = Some(Master { link, number: self.masters, vault, _reports: reports });
        Next::Wait
    }

    fn hear(&mut self, number: u64, heard: Heard<ToWorker>) -> Next {
        let Some(master) = self.master.as_ref().filter(|master| master.number == number) else { return Next::Wait };
        let (node, incarnation) = (master.link.name().clone(), master.link.peer.incarnation);
        let vault = master.vault.clone();
        let now = self.began.elapsed();
        let message = match heard {
            Heard::Lost(cause) => return self.lose(&cause),
            Heard::Heartbeat => None,
            Heard::Message(message) => Some(message),
        };
        self.membership.handle(Event::Heard { node, incarnation, now });
        match message {
            None => Next::Wait,
            Some(ToWorker::Prepare(blueprint)) => {
                let (deployment, node) = (blueprint.deployment, blueprint.node);
                let (catalog, told) = (self.catalog.as_ref(), (&self.outbox, &vault));
                let prepared = self.parts.prepare(*blueprint, catalog, &self.runtime, &self.endpoint, told);
                if let Err(error) = prepared {
                    let name = &self.endpoint.identity().name;
                    let error = Error::Node(format!("`{name}`: {error}"));
                    let event = SiteEvent::Lost { node, error };
                    self.outbox.put(deployment, Report::Event(event));
                }
                Next::Wait
            }
            Some(ToWorker::Meet(deployment, neighbour)) => {
                self.parts.meet(deployment, *neighbour);
                Next::Wait
            }
            Some(ToWorker::Vault { id, answer }) => {
                vault.answer(id, answer);
                Next::Wait
            }
            Some(ToWorker::Order(deployment, order)) => {
                self.parts.order(deployment, order);
                Next::Wait
            }
            Some(ToWorker::Release) => {
                self.waits();
                self.part(true)
            }
            Some(ToWorker::Shutdown) => self.part(self.options.stay),
        }
    }

    /// It waits for a master from now on, perhaps not for ever.
    fn waits(&mut self) {
        self.deadline = self.options.adopt_timeout.and_then(|time| Instant::now().checked_add(time));
    }

    fn answer(&self, asked: Asked, uptime: Duration) -> Next {
        let Asked { request, reply } = asked;
        let peers = || self.master.iter().map(|master| console::peer(&master.link.peer)).collect();
        let parts = || {
            let part = |(id, name, time): (DeploymentId, String, Duration)| DeploymentInfo {
                id: id.0,
                name,
                phase: "running".to_owned(),
                error: None,
                elapsed_ms: console::milliseconds(time),
                progress: None,
                vertices: Vec::new(),
            };
            self.parts.running().into_iter().map(part).collect()
        };
        let content = match request {
            Request::Status => Reply::Status(Box::new(NodeStatus {
                peers: peers(),
                deployments: parts(),
                ..console::status(&self.endpoint.identity(), uptime)
            })),
            Request::Nodes => Reply::Nodes { nodes: peers() },
            Request::Deployments => Reply::Deployments { deployments: parts() },
            _ => refused("a worker node deploys nothing itself: ask its master"),
        };
        answer(reply, content);
        Next::Wait
    }

    fn look(&mut self) -> Next {
        let now = self.began.elapsed();
        for command in self.membership.handle(Event::Tick { now }) {
            if let Command::Down { reason: cause @ Cause::Silent(_), .. } = command {
                return self.lose(&cause.to_string());
            }
        }
        Next::Wait
    }

    /// The master has ended in order.
    fn part(&mut self, stays: bool) -> Next {
        self.forget();
        if stays {
            events::waiting_for_master();
            return Next::Wait;
        }
        events::shutting_down();
        Next::End(Ok(()))
    }

    /// The master is gone without a word. What it deployed ends; what comes of it later finds another incarnation.
    fn lose(&mut self, cause: &str) -> Next {
        debug!(cause, "The connection to the master has ended");
        self.forget();
        if self.options.stay {
            events::waiting_for_master();
            return Next::Wait;
        }
        events::shutting_down();
        Next::End(Err(NodeFailure::MasterLost))
    }

    fn forget(&mut self) {
        self.parts.close_all();
        if let Some(master) = self.master.take() {
            let node = master.link.name().clone();
            events::master_disconnected(&node);
        }
        // It begins a new life, which nobody was in before: a master that was out of reach may have it again.
        self.membership = Membership::new(SILENCE);
        self.endpoint.renew();
        *self.seat.lock() = Taken::Free;
    }

    async fn leave(&mut self) {
        self.parts.close_all();
        if let Some(master) = self.master.take() {
            let _ = timeout(FAREWELL, master.link.part(&ToMaster::Leaving)).await;
        }
    }
}
