//! What leaves a worker: its links to other workers, with their credit and what waits for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::window::{WINDOW, Window};
use super::worker::Message;
use crate::actor::ActorRef;
use crate::workflow::{Batch, Post};

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

/// One link to one worker.
struct Link {
    to: Mailbox,
    window: Arc<Window>,
    waiting: VecDeque<Box<dyn Batch>>,
    /// To a worker of the same vertex.
    peer: bool,
}

impl Link {
    /// Sends what waits, as far as there is credit; returns how many batches left.
    fn pump(&mut self) -> usize {
        let mut left = 0;
        while !self.waiting.is_empty() && self.window.try_take() {
            if let Some(batch) = self.waiting.pop_front() {
                let window = Arc::clone(&self.window);
                self.to.send(Message::Batch { batch, window, peer: self.peer });
                left += 1;
            }
        }
        left
    }
}

#[derive(Default)]
struct Links {
    links: Vec<Link>,
    /// Batches that wait for credit, over all links.
    waiting: usize,
    /// Batches for workers of the same vertex, ever.
    to_peers: u64,
}

/// The links of a worker, shared by those who send in it.
#[derive(Clone)]
pub struct Flow {
    links: Arc<Mutex<Links>>,
    given_up: Arc<AtomicBool>,
}

impl Flow {
    /// A worker without links. `given_up` is set when the deployment is, so that nobody waits any more.
    pub fn new(given_up: Arc<AtomicBool>) -> Self {
        Flow { links: Arc::default(), given_up }
    }

    fn lock(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Links the worker to all workers of a vertex. `own` is its own way in, to be told when credit comes back.
    pub fn link(&self, own: &Mailbox, receivers: &[Mailbox], peer: bool) -> Box<dyn Post> {
        let mut links = self.lock();
        let first = links.links.len();
        for to in receivers {
            let own = own.clone();
            let window = Arc::new(Window::new(WINDOW, move || own.send(Message::Wake)));
            links.links.push(Link { to: to.clone(), window, waiting: VecDeque::new(), peer });
        }
        Box::new(Route { flow: self.clone(), first })
    }

    /// Sends what waits, as far as there is credit; returns whether nothing is left.
    pub fn pump(&self) -> bool {
        let mut links = self.lock();
        let left: usize = links.links.iter_mut().map(Link::pump).sum();
        links.waiting -= left;
        links.waiting == 0
    }

    /// Whether something waits for credit.
    pub fn is_blocked(&self) -> bool {
        self.lock().waiting > 0
    }

    /// Whether the deployment has been given up, so that there is no point in going on.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Batches for workers of the same vertex, ever.
    pub fn to_peers(&self) -> u64 {
        self.lock().to_peers
    }

    /// Tells the receivers that no more will come. Only when nothing waits.
    pub fn end(&self) {
        for link in self.lock().links.iter().filter(|link| !link.peer) {
            link.to.send(Message::End);
        }
    }
}

/// The links of a worker to the workers of one vertex.
struct Route {
    flow: Flow,
    first: usize,
}

impl Post for Route {
    fn post(&mut self, worker: usize, batch: Box<dyn Batch>) {
        let mut links = self.flow.lock();
        let links = &mut *links;
        let link = &mut links.links[self.first + worker];
        link.waiting.push_back(batch);
        links.to_peers += u64::from(link.peer);
        links.waiting += 1;
        links.waiting -= link.pump();
        // Peers may be waiting for each other, so between them nobody may wait; others stand in a line.
        if links.waiting > MOST_WAITING && !link.peer && !link.waiting.is_empty() {
            links.waiting -= wait_for_credit(link, &self.flow.given_up);
        }
    }

    fn spare(&mut self, worker: usize) -> Option<Box<dyn Batch>> {
        self.flow.lock().links[self.first + worker].window.spare()
    }

    fn load(&self, worker: usize) -> usize {
        let links = self.flow.lock();
        let link = &links.links[self.first + worker];
        link.waiting.len() + WINDOW - link.window.free().min(WINDOW)
    }
}

/// Waits until some of what waits on the link has left; returns how many batches did. The thread may sleep, so the
/// executor is told to use another one for other workers.
#[cold]
fn wait_for_credit(link: &mut Link, given_up: &AtomicBool) -> usize {
    tokio::task::block_in_place(|| {
        loop {
            let left = link.pump();
            if left > 0 {
                return left;
            }
            if given_up.load(Ordering::Acquire) {
                // Nobody will ask for them.
                let dropped = link.waiting.len();
                link.waiting.clear();
                return dropped;
            }
            link.window.wait(LOOK_UP);
        }
    })
}

/// How far a source has come, and whether a worker is inside a call of user code: written by the worker, read by
/// whoever asks.
#[derive(Debug)]
pub struct ProgressCell {
    done: AtomicU64,
    /// Or [`UNKNOWN`].
    total: AtomicU64,
    /// Counts the beginning and the end of each call, so that it is odd inside of one.
    calls: AtomicU64,
}

/// In place of a total, of a source that does not know its end.
const UNKNOWN: u64 = u64::MAX;

/// In place of a count, of a worker that has ended.
pub const ENDED: u64 = u64::MAX;

impl Default for ProgressCell {
    fn default() -> Self {
        ProgressCell { done: AtomicU64::new(0), total: AtomicU64::new(UNKNOWN), calls: AtomicU64::new(0) }
    }
}

impl ProgressCell {
    pub fn set(&self, progress: crate::workflow::Progress) {
        self.done.store(progress.done, Ordering::Relaxed);
        self.total.store(progress.total, Ordering::Relaxed);
    }

    /// How far it has come, if it knows its end. A worker that has nothing to read is at its end.
    pub fn get(&self) -> Option<crate::workflow::Progress> {
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        (total != UNKNOWN).then_some(crate::workflow::Progress { done, total })
    }

    /// A call begins.
    pub fn enter(&self) {
        // The worker is the only writer, so it need not add atomically.
        self.calls.store(self.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// A call has ended.
    pub fn leave(&self) {
        self.enter();
    }

    /// The worker has ended.
    pub fn end(&self) {
        self.calls.store(ENDED, Ordering::Relaxed);
    }

    /// Calls begun and ended, or [`ENDED`].
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}
