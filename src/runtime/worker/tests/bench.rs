//! One worker, with a test in place of its senders, receivers, peers and coordinator.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::*;
use super::saved::inherited;
use super::told::{Emission, Told, told};
use crate::actor::{self, Executor};
use crate::codec::CodecError;
use crate::id::{Part, VertexId};
use crate::runtime::flow::Way;
use crate::runtime::plan::Outline;
use crate::runtime::window::Window;
use crate::runtime::wiring::Meters;
use crate::workflow::{
    Cluster, Deployment, Failure, Flush, Gate, Grown, Messages, NodeInfo, Post, Progress, Pull, Rescale, Result, Role,
    Saving, Snapshot, StageFactory, Survey, Timestamp, WorkerInfo, Workers,
};

/// The vertex that the worker sends to.
pub(super) const RECEIVERS: VertexId = VertexId(2);

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often a stage was called.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) drain: AtomicUsize,
    pub(super) finish: AtomicUsize,
    pub(super) flush: AtomicUsize,
    pub(super) tick: AtomicUsize,
    pub(super) commits: Mutex<Vec<Commit>>,
}

/// A stage that emits what its messages say, and at its end what it is made with.
struct Scripted {
    out: Box<dyn Post>,
    peers: Option<Box<dyn Post>>,
    /// The labels of what it has handled.
    seen: Vec<u64>,
    /// How often it has more to save.
    more: usize,
    pulls: VecDeque<(Emission, Pull)>,
    at_end: Emission,
    calls: Arc<Calls>,
}

impl Scripted {
    fn emit(&mut self, emission: Emission) {
        for _ in 0..emission.count {
            self.out.post(emission.to, Box::new(Messages(vec![emission.label])));
        }
    }
}

impl Stage for Scripted {
    fn process(&mut self, batch: &mut dyn Batch) -> Result<(), Failure> {
        let told = batch.as_any_mut().downcast_mut::<Told>().expect("what was told");
        for (to, count, label) in std::mem::take(&mut told.0) {
            self.seen.push(label);
            self.emit(Emission { to, count, label });
            if let Some(peers) = &mut self.peers {
                peers.post(1, Box::new(Messages(vec![label])));
            }
        }
        Ok(())
    }

    fn produce(&mut self, _budget: usize) -> Result<Pull, Failure> {
        let Some((emission, pull)) = self.pulls.pop_front() else { return Ok(Pull::End) };
        self.emit(emission);
        Ok(pull)
    }

    fn flush(&mut self, _due: Flush) -> Result<(), Failure> {
        self.calls.flush.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        let Watermark::At(time) = watermark else { return Ok(()) };
        self.seen.push(TIME + time as u64);
        self.out.advance(0, watermark);
        Ok(())
    }

    fn tick(&mut self, _now: Timestamp) -> Result<(), Failure> {
        self.calls.tick.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot, first: bool) -> Result<Saving, Failure> {
        if first {
            snapshot.of(VertexId(1));
            snapshot.put(&self.seen).expect("a list");
        } else {
            snapshot.put_part(Part::Unit(self.more as u64), Vec::new());
        }
        if self.more == 0 {
            return Ok(Saving::Done);
        }
        self.more -= 1;
        Ok(Saving::More)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        self.calls.commits.lock().unwrap_or_else(PoisonError::into_inner).push(commit);
        Ok(())
    }

    fn joined(&mut self, grown: &Grown) -> Result<(), Failure> {
        if let Some(workers) = grown.get(&RECEIVERS) {
            self.out.joined(workers.len());
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Failure> {
        self.calls.drain.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.calls.finish.fetch_add(1, Ordering::SeqCst);
        self.emit(self.at_end);
        Ok(())
    }

    fn progress(&self) -> Option<Progress> {
        None
    }
}

struct Recipe {
    origin: Origin,
    peers: bool,
    stage: Mutex<Option<Box<dyn Stage>>>,
}

impl StageFactory for Recipe {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn peers(&self) -> bool {
        self.peers
    }

    fn rescale(&self) -> Rescale {
        Rescale::Refused
    }

    fn deploy(&self, _cluster: &Cluster) -> Result<Deployment> {
        Ok(Deployment::default())
    }

    fn on_node_joined(&self, _joined: &NodeInfo, _cluster: &Cluster, _workers: &Workers) -> Result<Deployment> {
        Ok(Deployment::default())
    }

    fn survey(&self, _survey: &mut Survey) {}

    fn open(&self, _opening: &mut Opening<'_>) -> Result<Box<dyn Stage>, Failure> {
        Ok(self.stage.lock().unwrap_or_else(PoisonError::into_inner).take().expect("opened once"))
    }

    fn listen(&self, _workers: &Workers, _index: usize, _gate: Box<dyn Gate>) -> Result<()> {
        Ok(())
    }

    fn decode(&self, bytes: &[u8], spare: Option<Box<dyn Batch>>) -> Result<Box<dyn Batch>, CodecError> {
        Told::decode(bytes, spare)
    }
}

enum Heard {
    At(usize, Message),
    Event(Event),
    Saved(WorkerSnapshot),
}

/// A receiver that tells the test what it is sent.
struct Ear(usize, SyncSender<Heard>);

impl Actor for Ear {
    type Msg = Message;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _own: ActorRef<Message>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _own: ActorRef<Message>, message: Message, (): &mut ()) -> Result<(), ActorProcessingErr> {
        // A test that has failed does not listen any more.
        drop(self.1.try_send(Heard::At(self.0, message)));
        Ok(())
    }
}

/// What the worker under test is.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) origin: Origin,
    pub(super) follows_clock: bool,
    pub(super) peers: bool,
    pub(super) channels: usize,
    pub(super) receivers: usize,
    pub(super) pulls: Vec<(Emission, Pull)>,
    pub(super) at_end: Emission,
    /// Checkpoints are taken.
    pub(super) checkpoints: bool,
    /// How often it has more to save.
    pub(super) more: usize,
    /// It goes on at checkpoint 3, when this was under way to it from a peer.
    pub(super) flights: Vec<Emission>,
}

/// In place of a label, with the number of a checkpoint: a barrier.
pub(super) const BARRIER: u64 = 1 << 40;
pub(super) const TIME: u64 = 1 << 41;

/// The way in from a sender.
pub(super) fn channel(index: u32) -> Channel {
    Channel { from: WorkerId { vertex: VertexId(0), index }, link: 0 }
}

/// The way in from a peer; the first one is the worker itself.
pub(super) fn peer(index: u32) -> Channel {
    Channel { from: WorkerId { vertex: VertexId(1), index }, link: 0 }
}

/// The test's side of a worker.
pub(super) struct Bench {
    pub(super) worker: Mailbox,
    roster: Arc<Roster>,
    heard: Receiver<Heard>,
    census: Census,
    pub(super) calls: Arc<Calls>,
    /// What each receiver got, in order; behind them the peer, and a receiver that joins.
    pub(super) got: Vec<Vec<u64>>,
    pub(super) ends: Vec<usize>,
    /// Answers to [`Message::Expect`] and to [`Message::Joined`].
    pub(super) agreed: Vec<bool>,
    pub(super) knew: Vec<bool>,
    pub(super) probed: u32,
    /// Batches that were not given back.
    pub(super) held: Vec<(usize, Arc<Window>)>,
    /// What it has saved.
    pub(super) saved: Vec<WorkerSnapshot>,
    checkpoints: bool,
    hurry: Arc<AtomicU64>,
    pub(super) done: bool,
    /// The peer, which is the test, sends no more.
    peer_drained: bool,
    /// Batches that it sent to and received from its peer, as it said last.
    drained: Option<(u64, u64)>,
    /// Batches sent as a peer.
    sent_as_peer: u64,
    /// What it gives back to.
    pub(super) window: Arc<Window>,
    ears: Vec<Mailbox>,
    _executor: Executor,
}

impl Bench {
    pub(super) fn new(kind: Kind) -> Bench {
        let executor = Executor::new("test", 2).expect("threads");
        let (tell, heard) = sync_channel(1 << 16);
        let census = Census::new();
        let calls = Arc::new(Calls::default());
        let recipe = Arc::new(Recipe { origin: kind.origin, peers: kind.peers, stage: Mutex::new(None) });
        let (id, waiting) = (WorkerId { vertex: VertexId(1), index: 0 }, Arc::new(AtomicUsize::new(0)));
        let flow = Flow::new(id, 1, Arc::default());
        let (events, saves) = (tell.clone(), tell.clone());
        let info = WorkerInfo { node: NodeId::LOCAL, role: Role::WORKER };
        let workers = if kind.peers && kind.checkpoints { vec![info; 2] } else { Vec::new() };
        let hurry = Arc::default();
        let arguments = Arguments {
            id,
            stage: PlannedStage {
                vertex: id.vertex,
                offset: 0,
                factory: Arc::<Recipe>::clone(&recipe),
                workers: workers.into(),
                channels: kind.channels,
                blocks: false,
                timed: false,
                keeps_time: false,
                follows_clock: kind.follows_clock,
            },
            flow: flow.clone(),
            progress: Arc::default(),
            census: census.clone(),
            tell: Arc::new(move |event| drop(events.try_send(Heard::Event(event)))),
            waiting: Arc::clone(&waiting),
            save: Arc::new(move |saved| drop(saves.try_send(Heard::Saved(saved)))),
            checkpoints: kind.checkpoints,
            hurry: Arc::clone(&hurry),
        };
        let receivers = kind.receivers;
        let start = executor.run(async move {
            let mut ears = Vec::new();
            for number in 0..receivers + 2 {
                let ear = actor::spawn(Ear(number, tell.clone()), (), None).await.expect("an actor");
                ears.push(Mailbox::new(ear, Arc::default()));
            }
            (actor::spawn(Worker, arguments, None).await.expect("an actor"), ears)
        });
        let (worker, ears) = crate::runtime::block_on(start).expect("no panic");
        let worker = Mailbox::new(worker, waiting);
        let ways: Vec<Way> = ears.iter().cloned().map(Way::Here).collect();
        let out = flow.link(&worker, RECEIVERS, &ways[..receivers]);
        let peer = &ways[receivers];
        let peers = kind.peers.then(|| flow.link(&worker, id.vertex, &[peer.clone(), peer.clone()]));
        let (pulls, at_end, seen, more) = (kind.pulls.into(), kind.at_end, Vec::new(), kind.more);
        let stage = Scripted { out, peers, seen, more, pulls, at_end, calls: Arc::clone(&calls) };
        *recipe.stage.lock().expect("no panic") = Some(Box::new(stage));
        let roster = Arc::new(Roster {
            dead_letters: None,
            outline: Arc::new(Outline::default()),
            ways: BTreeMap::new(),
            meters: Meters::default(),
            paces: crate::runtime::pace::Paces::default(),
            inherited: inherited(id, &kind.flights),
        });
        let window = Arc::new(Window::new(0, || {}));
        Bench {
            worker,
            roster,
            heard,
            census,
            calls,
            got: vec![Vec::new(); receivers + 2],
            ends: vec![0; receivers + 2],
            agreed: Vec::new(),
            knew: Vec::new(),
            probed: 0,
            held: Vec::new(),
            saved: Vec::new(),
            checkpoints: kind.checkpoints,
            hurry,
            done: false,
            peer_drained: false,
            drained: None,
            sent_as_peer: 0,
            window,
            ears,
            _executor: executor,
        }
    }

    pub(super) fn open(&self) {
        self.worker.send(Message::Open(Arc::clone(&self.roster)));
    }

    pub(super) fn send(&mut self, emission: Emission, is_peer: bool) {
        self.send_over(if is_peer { peer(0) } else { channel(0) }, emission);
    }

    pub(super) fn send_over(&mut self, from: Channel, emission: Emission) {
        let credit = Credit::Local(Arc::clone(&self.window));
        let peer = from.from.vertex == VertexId(1);
        self.sent_as_peer += u64::from(peer);
        self.worker.send(Message::Batch { parcel: Parcel::Open(told(emission)), credit, from, peer });
    }

    pub(super) fn bar(&self, from: Channel, checkpoint: u64) {
        self.worker.send(Message::Barrier { checkpoint, from });
    }

    pub(super) fn tell(&self, from: Channel, watermark: Watermark) {
        self.worker.send(Message::Watermark { watermark, credit: Credit::Local(Arc::clone(&self.window)), from });
    }

    pub(super) fn hurry(&self, checkpoint: u64) {
        self.hurry.store(checkpoint, Ordering::Release);
        self.worker.send(Message::Hurry);
    }

    pub(super) fn end(&self, from: Channel) {
        self.worker.send(Message::End { from });
    }

    /// A receiver joins, behind the others.
    pub(super) fn join(&self) {
        let receivers = self.ears.len() - 2;
        let info = WorkerInfo { node: NodeId::LOCAL, role: Role::WORKER };
        let ways = vec![Way::Here(self.ears[receivers + 1].clone())];
        self.worker.send(Message::Joined(Arc::new(Joined {
            node: NodeId::LOCAL,
            grown: Grown::from([(RECEIVERS, vec![info; receivers + 1].into())]),
            ways: [(RECEIVERS, ways)].into(),
        })));
    }

    fn told_to_join(&self) -> usize {
        self.knew.iter().filter(|knew| **knew).count()
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::At(at, Message::Batch { parcel: Parcel::Open(mut batch), credit: Credit::Local(window), .. }) => {
                let labels = batch.as_any_mut().downcast_mut::<Messages<u64>>().expect("labels");
                self.got[at].append(&mut labels.0);
                self.held.push((at, window));
            }
            Heard::At(at, Message::Watermark { watermark: Watermark::At(time), credit: Credit::Local(window), .. }) => {
                self.got[at].push(TIME + time as u64);
                self.held.push((at, window));
            }
            Heard::At(at, Message::End { .. }) => self.ends[at] += 1,
            Heard::At(at, Message::Barrier { checkpoint, .. }) => self.got[at].push(BARRIER + checkpoint),
            Heard::Saved(saved) => self.saved.push(saved),
            Heard::At(..) => panic!("a receiver is told what is not for it"),
            Heard::Event(Event::Done(_)) => self.done = true,
            Heard::Event(Event::Drained { sent, received, .. }) => self.drained = Some((sent, received)),
            Heard::Event(Event::Expects { agreed, .. }) => self.agreed.push(agreed),
            Heard::Event(Event::Told { knows, .. }) => self.knew.push(knows),
            Heard::Event(Event::Probed { round, .. }) => self.probed = round,
            Heard::Event(Event::Failed(_, failure)) => panic!("{failure:?}"),
            Heard::Event(_) => {}
        }
        self.finish_if_at_rest();
    }

    /// As the coordinator does, where there is one other peer, which answers nothing.
    fn finish_if_at_rest(&mut self) {
        let arrived = self.got[self.ears.len() - 2].len() as u64;
        if self.peer_drained && self.drained == Some((arrived, self.sent_as_peer)) {
            self.drained = None;
            self.worker.send(Message::Finish);
        }
    }

    /// Takes in what has come so far.
    pub(super) fn listen(&mut self) {
        while let Ok(heard) = self.heard.try_recv() {
            self.hear(heard);
        }
    }

    /// Waits for what comes until this holds.
    pub(super) fn listen_until(&mut self, holds: impl Fn(&Bench) -> bool) {
        while !holds(self) {
            let heard = self.heard.recv_timeout(PATIENCE).expect("in time");
            self.hear(heard);
        }
    }

    /// Waits until it has flushed.
    pub(super) fn await_flush(&self) {
        wait(|| self.calls.flush.load(Ordering::SeqCst) > 0, "it does not flush");
    }

    /// Waits for what comes, and gives all credit back, until the worker is done and has told all receivers.
    pub(super) fn complete(&mut self) {
        let receivers = self.ears.len() - 2;
        self.peer_drained = true;
        self.finish_if_at_rest();
        while !self.done || self.ends[..receivers].contains(&0) || self.ends[receivers + 1] < self.told_to_join() {
            for (_, window) in self.held.drain(..) {
                window.give_back(None);
            }
            let heard = self.heard.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("it stands still: {:?} ended, {:?} got, {:?}", self.ends, self.got, self.calls)
            });
            self.hear(heard);
        }
        if self.checkpoints {
            self.worker.send(Message::Commit(Commit::End));
        }
        assert!(self.ends[..receivers].iter().all(|ends| *ends == 1), "{:?}", self.ends);
        assert_eq!(self.ends[receivers], 0, "peers are not told");
        assert_eq!(self.ends[receivers + 1], self.told_to_join(), "one that has joined is told, and no other");
        wait(|| self.census.living() == 0, "the actor is left");
    }
}

fn wait(holds: impl Fn() -> bool, otherwise: &str) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{otherwise}");
        std::thread::yield_now();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.worker.give_up();
        self.ears.iter().for_each(Mailbox::give_up);
    }
}
