//! The worker: an actor that runs one stage.
//!
//! It handles one message at a time and never waits for credit between two of them: what it cannot send is kept in its
//! [`Flow`], and until that has left it puts aside what its senders send, which holds their credit back.

mod barriers;
mod call;
mod flush;
mod hurry;
mod joining;
mod line;
mod parcel;
mod time;
mod turn;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use self::barriers::Barriers;
pub use self::barriers::{Channel, Inheritance, WorkerSnapshot, own_channel};
use self::call::guarded;
pub use self::parcel::{Credit, Parcel};
use self::turn::Turn;
use super::coordinator::Event;
use super::flow::{Flow, Mailbox};
use super::intake;
use super::pace::Member;
use super::plan::PlannedStage;
use super::progress::ProgressCell;
use super::wiring::{Joined, Roster, Wires};
use crate::actor::{Actor, ActorProcessingErr, ActorRef, Census, Resident};
use crate::id::{NodeId, WorkerId};
use crate::workflow::{Batch, Clock, Commit, Error, Opening, Origin, Stage, Watermark};

/// What a worker is told.
pub enum Message {
    /// Prepare the stage.
    Open(Arc<Roster>),
    /// Everybody is prepared: sources may begin.
    Start,
    /// Work.
    Batch { parcel: Parcel, credit: Credit, from: Channel, peer: bool },
    /// Time has come so far in what this channel brings.
    Watermark { watermark: Watermark, credit: Credit, from: Channel },
    /// A sender will send no more.
    End { from: Channel },
    /// What comes over this channel from now on belongs to what follows the checkpoint.
    Barrier { checkpoint: u64, from: Channel },
    /// Save what it keeps when no more barrier is awaited.
    /// A source that is to halt reads nothing behind it.
    Trigger { checkpoint: u64, halt: bool },
    /// A checkpoint does not wait for alignment any more.
    Hurry,
    /// A checkpoint that it may have halted for is not completed.
    GoOn,
    /// End: what it has saved is complete.
    Suspend { checkpoint: u64 },
    /// Save more of it.
    Save,
    /// Effects are there to stay.
    Commit(Commit),
    /// Credit has come back.
    Wake,
    /// Time goes on, though nothing may come.
    Tick,
    /// A source's next slice.
    Continue,
    /// A source shall end.
    Stop,
    /// The thread of a passive source has failed.
    ListenFailed(Error),
    /// Say how many batches were sent to and received from peers.
    Probe { round: u32 },
    /// No message from peers is under way any more.
    Finish,
    /// Wait for so many further ends, of workers that are about to join.
    Expect { joined: NodeId, ends: u32 },
    /// Workers have joined.
    Joined(Arc<Joined>),
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has no stage yet.
    Empty,
    /// It has a stage and waits, or works.
    Running,
    /// All senders have ended; its peers may still send.
    Draining,
    /// Its operations have finished; the rest of what they emitted is on its way out.
    Leaving,
    /// All has left, and its receivers know; it waits until its effects are there to stay.
    Finished,
    /// It is done, or has failed.
    Ended,
}

/// The worker actor.
pub struct Worker;

/// What a worker is made of.
pub struct Arguments {
    pub id: WorkerId,
    pub stage: PlannedStage,
    pub flow: Flow,
    pub progress: Arc<ProgressCell>,
    pub census: Census,
    /// Takes what the coordinator has to know.
    pub tell: Arc<dyn Fn(Event) + Send + Sync>,
    /// Messages in the mailbox.
    pub waiting: Arc<AtomicUsize>,
    /// Takes what it has saved; none if no checkpoints are taken.
    pub save: Arc<dyn Fn(WorkerSnapshot) + Send + Sync>,
    /// Whether it waits at its end until it is told that all have come to theirs.
    pub checkpoints: bool,
    /// The newest checkpoint that does not wait for alignment.
    pub hurry: Arc<AtomicU64>,
}

/// What the actor keeps: a worker, until it has ended. What is left here then goes to the supervisor, which must not be
/// made to run destructors of user code.
pub struct Slot {
    worker: Option<State>,
    waiting: Arc<AtomicUsize>,
    _resident: Resident,
}

/// What a worker keeps.
struct State {
    arguments: Arguments,
    own: Mailbox,
    stage: Option<Box<dyn Stage>>,
    /// An emptied batch, to read the next one into that comes from another node.
    spare: Option<Box<dyn Batch>>,
    phase: Phase,
    channels_left: usize,
    clock: Clock<Channel>,
    /// The groups of sources that it is to stay near.
    paces: Vec<Arc<Member>>,
    /// What senders sent while this worker was blocked.
    aside: VecDeque<Message>,
    turn: Turn,
    /// A source is to end.
    stopping: bool,
    from_peers: u64,
    /// Something has happened since the coordinator was told how much went to and came from peers.
    unreported: bool,
    /// When it was started; before that somebody may not be prepared yet, so nothing leaves.
    started: Option<Instant>,
    flushed: Instant,
    listener: Option<intake::Closer>,
    barriers: Barriers,
    /// The newest checkpoint that it has saved.
    last_checkpoint: u64,
    /// A source that reads nothing behind this checkpoint, and whether it has come to that.
    halts_at: u64,
    halted: bool,
    /// Barriers of peers for a checkpoint that has not come here otherwise, and what they sent behind them.
    early_peers: Vec<(u64, Channel)>,
    held_of_peers: VecDeque<Message>,
    /// What was under way from peers when it was saved.
    flights: Vec<Bytes>,
    /// It goes on with what was saved after all of its senders had ended.
    drained: bool,
    /// It goes on with what was saved after its end.
    finished: bool,
}

impl Actor for Worker {
    type Msg = Message;
    type State = Slot;
    type Arguments = Arguments;

    async fn pre_start(&self, own: ActorRef<Message>, arguments: Arguments) -> Result<Slot, ActorProcessingErr> {
        let now = Instant::now();
        let (waiting, resident) = (Arc::clone(&arguments.waiting), arguments.census.enter());
        let worker = State {
            own: Mailbox::new(own, Arc::clone(&waiting)),
            stage: None,
            spare: None,
            phase: Phase::Empty,
            channels_left: arguments.stage.channels,
            clock: Clock::default(),
            paces: Vec::new(),
            aside: VecDeque::new(),
            turn: Turn::new(now),
            stopping: false,
            from_peers: 0,
            unreported: false,
            started: None,
            flushed: now,
            listener: None,
            barriers: Barriers::default(),
            last_checkpoint: 0,
            halts_at: 0,
            halted: false,
            early_peers: Vec::new(),
            held_of_peers: VecDeque::new(),
            flights: Vec::new(),
            drained: false,
            finished: false,
            arguments,
        };
        Ok(Slot { worker: Some(worker), waiting, _resident: resident })
    }

    async fn handle(
        &self,
        own: ActorRef<Message>,
        message: Message,
        slot: &mut Slot,
    ) -> Result<(), ActorProcessingErr> {
        slot.waiting.fetch_sub(1, Ordering::AcqRel);
        let Some(worker) = &mut slot.worker else { return Ok(()) };
        match message {
            Message::Continue => worker.produce().await,
            Message::Save => {
                worker.take(Message::Save);
                // Those that it gets its records from may run on the same thread: between two slices it is their turn,
                // however long this one might go on.
                tokio::task::yield_now().await;
            }
            message => {
                worker.hurry_if_told();
                worker.take(message);
            }
        }
        worker.proceed();
        worker.rest();
        if worker.phase == Phase::Ended {
            slot.clear();
            own.stop(None);
        }
        Ok(())
    }

    /// Also when it was given up.
    async fn post_stop(&self, _own: ActorRef<Message>, slot: &mut Slot) -> Result<(), ActorProcessingErr> {
        slot.clear();
        Ok(())
    }
}

impl Slot {
    fn clear(&mut self) {
        if let Some(worker) = self.worker.take() {
            let (blocks, progress) = (worker.arguments.stage.blocks, Arc::clone(&worker.arguments.progress));
            progress.enter();
            // The deployment has failed, or nothing of it is left: a destructor that panics has nobody to tell.
            drop(guarded(blocks, || {
                drop(worker);
                Ok(())
            }));
            progress.end();
        }
    }
}

impl State {
    fn take(&mut self, message: Message) {
        self.take_up_flights_before(&message);
        if self.phase == Phase::Ended {
            return;
        }
        match message {
            Message::Open(roster) => self.open(&roster),
            Message::Start => self.start(),
            Message::Batch { from, peer: true, .. } => {
                if let Some(Message::Batch { parcel, credit, .. }) = self.hold_of_peer(from, message) {
                    self.log_flight(from, &parcel);
                    self.process(parcel, &credit, true);
                }
            }
            Message::Batch { from, .. }
            | Message::Watermark { from, .. }
            | Message::End { from }
            | Message::Barrier { from, .. }
                if self.hurries() && !self.is_peer(from) =>
            {
                self.put_aside(message);
            }
            Message::Barrier { from, .. } if self.is_peer(from) => self.admit(message),
            Message::Tick if !self.arguments.stage.follows_clock => self.tick(),
            Message::Batch { .. }
            | Message::Watermark { .. }
            | Message::End { .. }
            | Message::Barrier { .. }
            | Message::Tick => {
                self.take_in_line(message);
            }
            Message::Trigger { checkpoint, halt } => self.trigger(checkpoint, halt),
            Message::GoOn => self.go_on(),
            Message::Suspend { checkpoint } => self.suspend(checkpoint),
            Message::Save => self.save_more(),
            Message::Commit(commit) => self.commit(commit),
            Message::Wake => self.woken(),
            Message::Stop => self.stop(),
            Message::ListenFailed(error) => self.fail(error),
            Message::Probe { round } => self.answer(round),
            Message::Finish if self.phase == Phase::Draining => self.finish(),
            Message::Expect { joined, ends } => self.expect(joined, ends),
            Message::Joined(joined) => self.joined(&joined),
            Message::Finish | Message::Continue | Message::Hurry => {}
        }
    }

    fn open(&mut self, roster: &Arc<Roster>) {
        let mut wires =
            Wires::new(Arc::clone(roster), self.arguments.id, self.own.clone(), self.arguments.flow.clone());
        if let Some(inherited) = roster.inherited(self.arguments.id) {
            self.flights = inherited.flights().cloned().collect();
            (self.drained, self.finished) = (inherited.drained, inherited.finished);
            self.last_checkpoint = roster.checkpoint();
        }
        let stage = &self.arguments.stage;
        let (factory, offset) = (Arc::clone(&stage.factory), stage.offset);
        self.arguments.progress.enter();
        let opened = guarded(true, || {
            let stage = factory.open(&mut Opening::new(&mut wires, offset))?;
            let progress = stage.progress();
            Ok((stage, progress))
        });
        self.arguments.progress.leave();
        self.paces = wires.into_members();
        if let Some((stage, progress)) = self.checked(opened) {
            if let Some(progress) = progress {
                self.arguments.progress.set(progress);
            }
            self.stage = Some(stage);
            self.phase = Phase::Running;
            (self.arguments.tell)(Event::Opened(self.arguments.id));
        }
    }

    /// Others may have been started before it, so it may have been sent all that it will ever be sent.
    fn start(&mut self) {
        self.started = Some(Instant::now());
        if self.finished {
            self.let_go_of_others();
            self.phase = Phase::Leaving;
            return self.leave_if_empty();
        }
        self.take_up_flights();
        self.begin_time();
        match self.arguments.stage.factory.origin() {
            // A vertex that nothing is linked to has no end to wait for.
            Origin::Links if self.arguments.stage.channels == 0 => self.all_ended(),
            Origin::Links => {}
            Origin::Produce => self.call(),
            Origin::Listen => {
                let ended = intake::listen(&self.arguments.stage, self.arguments.id, &self.own, &self.arguments.census);
                match ended {
                    Ok(closer) => self.listener = Some(closer),
                    Err(error) => self.fail(error),
                }
            }
        }
    }

    fn process(&mut self, parcel: Parcel, credit: &Credit, peer: bool) {
        let Some(mut batch) = self.unpack(parcel, credit) else { return };
        if self.run(|stage| stage.process(batch.as_mut())).is_none() {
            return;
        }
        self.from_peers += u64::from(peer);
        self.unreported = true;
        if let Some(empty) = credit.give_back(Some(batch)) {
            self.spare = Some(empty);
        }
    }

    fn unpack(&mut self, parcel: Parcel, credit: &Credit) -> Option<Box<dyn Batch>> {
        let bytes = match parcel {
            Parcel::Open(batch) => return Some(batch),
            Parcel::Sealed(bytes) => bytes,
        };
        match self.arguments.stage.factory.decode(&bytes, self.spare.take()) {
            Ok(batch) => Some(batch),
            Err(error) => {
                let node = match credit {
                    Credit::Remote(returns) => returns.node(),
                    Credit::Local(_) => "this node",
                    Credit::Given => "its sender",
                };
                self.fail(Error::Operation(format!("a batch from `{node}` cannot be read: {error}")));
                None
            }
        }
    }

    fn channel_ended(&mut self, from: Channel) {
        self.channels_left = self.channels_left.saturating_sub(1);
        let news = self.clock.ended(from, self.channels_left);
        self.advance(news);
        self.save_if_aligned();
        if self.channels_left == 0 && self.phase == Phase::Running {
            self.all_ended();
        }
    }

    fn all_ended(&mut self) {
        if !self.arguments.stage.factory.peers() {
            self.finish();
            return;
        }
        self.phase = Phase::Draining;
        self.unreported = true;
        if !self.drained {
            self.run(|stage| stage.drain());
        }
    }

    fn finish(&mut self) {
        if self.run(|stage| stage.finish()).is_some() {
            self.phase = Phase::Leaving;
            self.hand_over_if_done();
            self.leave_if_empty();
        }
    }

    fn leave_if_empty(&mut self) {
        if self.phase != Phase::Leaving || !self.arguments.flow.pump() || !self.arguments.flow.is_empty() {
            return;
        }
        if self.arguments.checkpoints {
            self.arguments.flow.end();
            self.phase = Phase::Finished;
            (self.arguments.tell)(Event::Done(self.arguments.id));
            return self.save_if_aligned();
        }
        // Before the receivers are told that all is well, because a destructor may panic.
        if self.run(|stage| stage.commit(Commit::End)).is_some() && self.drop_stage().is_some() {
            self.arguments.flow.end();
            self.phase = Phase::Ended;
            (self.arguments.tell)(Event::Done(self.arguments.id));
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        if let Some(listener) = &self.listener {
            listener.close();
        } else if self.phase == Phase::Running && !self.arguments.flow.is_blocked() {
            self.all_ended();
        }
    }
}

#[cfg(test)]
mod tests;
