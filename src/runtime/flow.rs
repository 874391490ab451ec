//! What leaves a worker: its links to other workers, with their credit and what waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connection::{Connection, remote_window};
use super::window::{WINDOW, Window};
use super::wire::{Header, Kind};
use super::worker::{Channel, Credit, Message, Parcel};
use crate::actor::{self, ActorRef};
use crate::id::{VertexId, WorkerId};
use crate::workflow::{Batch, Error, Post, Watermark};

/// Batches that may wait for credit in one worker before the operation that emits them is made to wait, too. A worker
/// that is short of credit is given nothing more to do, so this is only reached by an operation that emits very many
/// records for one; then it bounds memory at 2 MiB or so a worker.
const MOST_WAITING: usize = 64;

/// How long a thread that waits for credit sleeps before it looks whether the deployment has been given up.
const LOOK_UP: Duration = Duration::from_millis(100);

/// The way to a worker of this process.
#[derive(Clone, Debug)]
pub struct Mailbox {
    actor: ActorRef<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Mailbox {
    pub fn new(actor: ActorRef<Message>, waiting: Arc<AtomicUsize>) -> Self {
        Mailbox { actor, waiting }
    }

    /// Puts a message in. A worker that has ended takes none: it has ended because all its senders have, or because the
    /// deployment has been given up.
    pub fn send(&self, message: Message) {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if self.actor.cast(message).is_err() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Ends the worker when it has handled what it is at, whatever waits.
    pub fn give_up(&self) {
        self.actor.stop(None);
    }
}

/// The way to a worker, wherever it is.
#[derive(Clone, Debug)]
pub enum Way {
    /// In this process.
    Here(Mailbox),
    /// On another node.
    There(Arc<Connection>, WorkerId),
}

/// What waits to leave over a link.
enum Waiting {
    Batch(Box<dyn Batch>),
    /// Needs credit, as a batch does, so that no more of them are under way than the receiver handles; but it holds
    /// nobody up.
    Watermark(Watermark),
    /// Behind the batches before it; it needs no credit.
    Barrier(u64),
}

/// One link to one worker.
struct Link {
    to: Way,
    /// Its number among the links of its worker.
    number: u32,
    window: Arc<Window>,
    waiting: VecDeque<Waiting>,
    /// To a worker of the same vertex.
    peer: bool,
}

impl Link {
    /// Sends what waits, as far as there is credit; returns how many batches left.
    fn pump(&mut self, from: WorkerId, fault: &mut Option<Error>) -> usize {
        let mut left = 0;
        loop {
            let mut batch = match self.waiting.pop_front() {
                None => break,
                Some(Waiting::Barrier(checkpoint)) => {
                    self.send_barrier(from, checkpoint);
                    continue;
                }
                Some(waiting) if !self.window.try_take() => {
                    self.waiting.push_front(waiting);
                    break;
                }
                Some(Waiting::Watermark(watermark)) => {
                    self.send_watermark(from, watermark);
                    continue;
                }
                Some(Waiting::Batch(batch)) => batch,
            };
            left += 1;
            match &self.to {
                Way::Here(mailbox) => {
                    let credit = Credit::Local(Arc::clone(&self.window));
                    let (from, peer) = (self.channel(from), self.peer);
                    mailbox.send(Message::Batch { parcel: Parcel::Open(batch), credit, from, peer });
                }
                Way::There(connection, to) => {
                    let kind = if self.peer { Kind::PeerBatch } else { Kind::Batch };
                    let header = Header { kind, to: *to, from, link: self.number };
                    if let Err(unsendable) = connection.send_batch(header, batch.as_mut()) {
                        fault.get_or_insert_with(|| Error::Operation(unsendable.to_string()));
                    }
                    self.window.recycle(batch);
                }
            }
        }
        left
    }

    fn channel(&self, from: WorkerId) -> Channel {
        Channel { from, link: self.number }
    }

    /// Sends a barrier, behind what waits.
    fn barrier(&mut self, from: WorkerId, checkpoint: u64) {
        if self.waiting.is_empty() {
            self.send_barrier(from, checkpoint);
        } else {
            self.waiting.push_back(Waiting::Barrier(checkpoint));
        }
    }

    fn send_barrier(&self, from: WorkerId, checkpoint: u64) {
        match &self.to {
            Way::Here(mailbox) => mailbox.send(Message::Barrier { checkpoint, from: self.channel(from) }),
            Way::There(connection, to) => {
                connection.send_barrier(Header { kind: Kind::Barrier, to: *to, from, link: self.number }, checkpoint);
            }
        }
    }

    fn send_watermark(&self, from: WorkerId, watermark: Watermark) {
        match &self.to {
            Way::Here(mailbox) => {
                let (credit, from) = (Credit::Local(Arc::clone(&self.window)), self.channel(from));
                mailbox.send(Message::Watermark { watermark, credit, from });
            }
            Way::There(connection, to) => {
                let header = Header { kind: Kind::Watermark, to: *to, from, link: self.number };
                connection.send_watermark(header, watermark);
            }
        }
    }

    /// Tells the receiver that no more will come.
    fn end(&self, from: WorkerId) {
        match &self.to {
            Way::Here(mailbox) => mailbox.send(Message::End { from: self.channel(from) }),
            Way::There(connection, to) => {
                connection.send_end(Header { kind: Kind::End, to: *to, from, link: self.number });
            }
        }
    }
}

#[derive(Default)]
struct Links {
    links: Vec<Link>,
    /// Batches that wait for credit, over all links.
    waiting: usize,
    /// Batches for workers of the same vertex, ever.
    to_peers: u64,
    /// Why a batch could not be sent.
    fault: Option<Error>,
    /// The ways to workers that have joined, as long as the routes are extended by them.
    joined: BTreeMap<VertexId, Vec<Way>>,
}

/// The links of a worker, shared by those who send in it.
#[derive(Clone)]
pub struct Flow {
    from: WorkerId,
    /// Batches that may be under way to a worker of another node.
    remote: usize,
    links: Arc<Mutex<Links>>,
    given_up: Arc<AtomicBool>,
}

impl Flow {
    /// One of so many workers of its vertex, without links; those that join later change nothing. `given_up` is set
    /// when the deployment is, so that nobody waits any more.
    pub fn new(from: WorkerId, workers: usize, given_up: Arc<AtomicBool>) -> Self {
        Flow { from, remote: remote_window(workers), links: Arc::default(), given_up }
    }

    fn lock(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Links the worker to all workers of a vertex. `own` is its own way in, to be told when credit comes back.
    pub fn link(&self, own: &Mailbox, vertex: VertexId, receivers: &[Way]) -> Box<dyn Post> {
        let mut route = Route { flow: self.clone(), own: own.clone(), vertex, links: Vec::new() };
        route.extend(&mut self.lock(), receivers);
        Box::new(route)
    }

    /// Runs `extend`, in which routes that are told that workers have joined find these ways to them.
    pub fn with_joined<R>(&self, ways: &BTreeMap<VertexId, Vec<Way>>, extend: impl FnOnce() -> R) -> R {
        self.lock().joined.clone_from(ways);
        let result = extend();
        self.lock().joined.clear();
        result
    }

    /// Whether nothing waits, not even a watermark: these hold nobody up, for a later one may take their place.
    pub fn is_empty(&self) -> bool {
        self.lock().links.iter().all(|link| link.waiting.is_empty())
    }

    /// Sends what waits, as far as there is credit; returns whether no batch is left.
    pub fn pump(&self) -> bool {
        let mut links = self.lock();
        let Links { links: all, waiting, fault, .. } = &mut *links;
        let left: usize = all.iter_mut().map(|link| link.pump(self.from, fault)).sum();
        *waiting -= left;
        *waiting == 0
    }

    /// Whether something waits for credit.
    pub fn is_blocked(&self) -> bool {
        self.lock().waiting > 0
    }

    /// Why a batch could not be sent, if one could not.
    pub fn take_fault(&self) -> Option<Error> {
        self.lock().fault.take()
    }

    /// Whether the deployment has been given up, so that there is no point in going on.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Batches for workers of the same vertex, ever.
    pub fn to_peers(&self) -> u64 {
        self.lock().to_peers
    }

    /// Sends a barrier over all links, behind what waits there.
    pub fn barrier(&self, checkpoint: u64) {
        self.lock().links.iter_mut().for_each(|link| link.barrier(self.from, checkpoint));
    }

    /// Tells the receivers that no more will come. Only when nothing waits.
    pub fn end(&self) {
        self.lock().links.iter().filter(|link| !link.peer).for_each(|link| link.end(self.from));
    }
}

/// The links of a worker to the workers of one vertex.
struct Route {
    flow: Flow,
    own: Mailbox,
    vertex: VertexId,
    /// The link to each worker, by its place among the links of the sender.
    links: Vec<usize>,
}

impl Route {
    fn extend(&mut self, links: &mut Links, receivers: &[Way]) {
        let from = self.flow.from;
        for to in receivers {
            let (own, number) = (self.own.clone(), links.links.len() as u32);
            let permits = match to {
                Way::Here(_) => WINDOW,
                Way::There(..) => self.flow.remote,
            };
            let window = Arc::new(Window::new(permits, move || own.send(Message::Wake)));
            if let Way::There(connection, _) = to {
                connection.register(from, number, Arc::clone(&window));
            }
            self.links.push(links.links.len());
            let peer = self.vertex == from.vertex;
            links.links.push(Link { to: to.clone(), number, window, waiting: VecDeque::new(), peer });
        }
    }
}

impl Post for Route {
    fn post(&mut self, worker: usize, batch: Box<dyn Batch>) {
        let mut links = self.flow.lock();
        let Links { links: all, waiting, to_peers, fault, .. } = &mut *links;
        let link = &mut all[self.links[worker]];
        link.waiting.push_back(Waiting::Batch(batch));
        *to_peers += u64::from(link.peer);
        *waiting += 1;
        *waiting -= link.pump(self.flow.from, fault);
        // Peers may be waiting for each other, so between them nobody may wait; others stand in a line.
        if *waiting > MOST_WAITING && !link.peer && !link.waiting.is_empty() && actor::may_wait() {
            *waiting -= wait_for_credit(link, &self.flow, fault);
        }
    }

    fn advance(&mut self, worker: usize, watermark: Watermark) {
        let mut links = self.flow.lock();
        let Links { links: all, waiting, fault, .. } = &mut *links;
        let link = &mut all[self.links[worker]];
        match link.waiting.back_mut() {
            // A time is told before it is said that the stream is idle.
            Some(Waiting::Watermark(last)) if *last == Watermark::Idle || watermark != Watermark::Idle => {
                *last = watermark;
            }
            _ => link.waiting.push_back(Waiting::Watermark(watermark)),
        }
        *waiting -= link.pump(self.flow.from, fault);
    }

    fn spare(&mut self, worker: usize) -> Option<Box<dyn Batch>> {
        self.flow.lock().links[self.links[worker]].window.spare()
    }

    fn load(&self, worker: usize) -> usize {
        let links = self.flow.lock();
        let link = &links.links[self.links[worker]];
        let batches = link.waiting.iter().filter(|waiting| matches!(waiting, Waiting::Batch(_)));
        batches.count() + link.window.taken()
    }

    fn joined(&mut self, workers: usize) {
        let flow = self.flow.clone();
        let mut links = flow.lock();
        let further = workers.saturating_sub(self.links.len());
        let ways = links.joined.get(&self.vertex).filter(|ways| ways.len() == further).cloned();
        self.extend(&mut links, &ways.unwrap_or_default());
    }
}

/// Waits until some of what waits on the link has left; returns how many batches did. The thread may sleep, so the
/// executor is told to use another one for other workers.
#[cold]
fn wait_for_credit(link: &mut Link, flow: &Flow, fault: &mut Option<Error>) -> usize {
    actor::in_place(|| {
        loop {
            let left = link.pump(flow.from, fault);
            if left > 0 {
                return left;
            }
            if flow.is_given_up() {
                // Nobody will ask for them.
                let all = link.waiting.drain(..);
                return all.filter(|waiting| matches!(waiting, Waiting::Batch(_))).count();
            }
            link.window.wait(LOOK_UP);
        }
    })
}
