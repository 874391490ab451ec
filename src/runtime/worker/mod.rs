//! The worker: an actor that runs one stage.
//!
//! It handles one message at a time and never waits for credit between two of them: what it cannot send is kept in its
//! [`Flow`], and until that has left it puts aside what its senders send, which holds their credit back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::coordinator::Event;
use super::flow::{Flow, Mailbox, ProgressCell};
use super::intake;
use super::plan::PlannedStage;
use super::window::Window;
use super::wiring::{Roster, Wires};
use crate::actor::{self, Actor, ActorProcessingErr, ActorRef, Census, Resident};
use crate::id::WorkerId;
use crate::workflow::{Batch, Error, Failure, Flush, Opening, Origin, Pull, Stage, take_blame};

/// How long a busy worker keeps what has not filled a batch: the latency that a record has at most on account of
/// batches, at a cost of a thousand flushes a second.
const FLUSH_INTERVAL: Duration = Duration::from_millis(1);

/// How long a source should produce at once: long enough that a change of task (1 µs) is little beside it, short enough
/// that others, and messages to the source, do not wait long.
const SLICE: Duration = Duration::from_micros(100);

/// Records that a source is asked for at first, at least and at most, in a slice.
const FIRST_BUDGET: usize = 4096;
const LEAST_BUDGET: usize = 64;
const MOST_BUDGET: usize = 1 << 16;

/// What a worker is told.
pub enum Message {
    /// Prepare the stage.
    Open(Arc<Roster>),
    /// Everybody is prepared: sources may begin.
    Start,
    /// Work.
    Batch { batch: Box<dyn Batch>, window: Arc<Window>, peer: bool },
    /// A sender will send no more.
    End,
    /// Credit has come back.
    Wake,
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
    /// It is done, or has failed.
    Ended,
}

/// Whether a source is about to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// No: it has no turn before it is started, or it waits for credit.
    Parked,
    /// A [`Message::Continue`] is on its way.
    Called,
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
}

/// What a worker keeps.
pub struct State {
    arguments: Arguments,
    own: Mailbox,
    stage: Option<Box<dyn Stage>>,
    phase: Phase,
    channels_left: usize,
    /// What senders sent while this worker was blocked.
    aside: VecDeque<Message>,
    turn: Turn,
    /// A source is to end.
    stopping: bool,
    from_peers: u64,
    /// Something has happened since the coordinator was told how much went to and came from peers.
    unreported: bool,
    started: Instant,
    flushed: Instant,
    /// When a source's slice began, and the records that it is to have.
    sliced: Instant,
    budget: usize,
    listener: Option<intake::Closer>,
    _resident: Resident,
}

impl Actor for Worker {
    type Msg = Message;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, own: ActorRef<Message>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let now = Instant::now();
        Ok(State {
            own: Mailbox::new(own, Arc::clone(&arguments.waiting)),
            stage: None,
            phase: Phase::Empty,
            channels_left: arguments.stage.channels,
            aside: VecDeque::new(),
            turn: Turn::Parked,
            stopping: false,
            from_peers: 0,
            unreported: false,
            started: now,
            flushed: now,
            sliced: now,
            budget: FIRST_BUDGET,
            listener: None,
            _resident: arguments.census.enter(),
            arguments,
        })
    }

    async fn handle(
        &self,
        own: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        state.arguments.waiting.fetch_sub(1, Ordering::AcqRel);
        if state.phase != Phase::Ended {
            match message {
                Message::Continue => state.produce().await,
                message => state.take(message),
            }
            state.rest();
        }
        if state.phase == Phase::Ended {
            state.arguments.progress.end();
            own.stop(None);
        }
        Ok(())
    }
}

impl State {
    fn take(&mut self, message: Message) {
        match message {
            Message::Open(roster) => self.open(&roster),
            Message::Start => self.start(),
            Message::Batch { peer: false, .. } | Message::End if self.is_blocked() => self.aside.push_back(message),
            Message::Batch { batch, window, peer } => self.process(batch, &window, peer),
            Message::End => self.channel_ended(),
            Message::Wake => self.woken(),
            Message::Stop => self.stop(),
            Message::ListenFailed(error) => self.fail(error),
            Message::Probe { round } => self.answer(round),
            Message::Finish if self.phase == Phase::Draining => self.finish(),
            Message::Finish | Message::Continue => {}
        }
    }

    fn is_blocked(&self) -> bool {
        !self.aside.is_empty() || self.arguments.flow.is_blocked()
    }

    fn open(&mut self, roster: &Arc<Roster>) {
        let mut wires =
            Wires::new(Arc::clone(roster), self.arguments.id, self.own.clone(), self.arguments.flow.clone());
        let stage = &self.arguments.stage;
        let (factory, offset) = (Arc::clone(&stage.factory), stage.offset);
        self.arguments.progress.enter();
        let opened = guarded(true, || factory.open(&mut Opening::new(&mut wires, offset)));
        self.arguments.progress.leave();
        match self.checked(opened) {
            Some(stage) => {
                if let Some(progress) = stage.progress() {
                    self.arguments.progress.set(progress);
                }
                self.stage = Some(stage);
                self.phase = Phase::Running;
                (self.arguments.tell)(Event::Opened(self.arguments.id));
            }
            None => self.phase = Phase::Ended,
        }
    }

    fn start(&mut self) {
        self.started = Instant::now();
        match self.arguments.stage.factory.origin() {
            // A vertex that nothing is linked to has no end to wait for.
            Origin::Links if self.channels_left == 0 => self.all_ended(),
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

    /// Asks for a turn behind what waits in the mailbox.
    fn call(&mut self) {
        self.turn = Turn::Called;
        self.own.send(Message::Continue);
    }

    /// Lets the source produce until something else wants attention.
    async fn produce(&mut self) {
        self.turn = Turn::Parked;
        self.sliced = Instant::now();
        loop {
            if self.phase != Phase::Running {
                return;
            }
            if self.stopping {
                self.all_ended();
                return;
            }
            let budget = self.budget;
            let Some(pull) = self.run(|stage| stage.produce(budget)) else { return };
            let now = self.measure();
            if let Some(progress) = self.stage.as_ref().and_then(|stage| stage.progress()) {
                self.arguments.progress.set(progress);
            }
            match pull {
                Pull::More => self.flush_if_due(now),
                Pull::Again | Pull::After(_) => self.flush_idle(),
                Pull::End => {
                    self.all_ended();
                    return;
                }
            }
            if self.arguments.flow.is_blocked() {
                self.budget = (budget / 2).max(FIRST_BUDGET.min(budget));
                return;
            }
            if let Pull::After(delay) = pull {
                self.call_after(delay);
                return;
            }
            // Receivers that this slice has woken run now, on this thread, while their batches are in its cache.
            tokio::task::yield_now().await;
            self.sliced = Instant::now();
            if self.arguments.waiting.load(Ordering::Acquire) > 0 {
                self.call();
                return;
            }
        }
    }

    /// Sets the budget of the next slice by the time that the last one took.
    fn measure(&mut self) -> Instant {
        let now = Instant::now();
        let took = now - self.sliced;
        if took < SLICE / 2 {
            self.budget = (self.budget * 2).min(MOST_BUDGET);
        } else if took > SLICE * 2 {
            self.budget = (self.budget / 2).max(LEAST_BUDGET);
        }
        self.sliced = now;
        now
    }

    fn call_after(&mut self, delay: Duration) {
        self.turn = Turn::Called;
        let own = self.own.clone();
        actor::later(delay, move || own.send(Message::Continue));
    }

    fn process(&mut self, mut batch: Box<dyn Batch>, window: &Window, peer: bool) {
        if self.run(|stage| stage.process(batch.as_mut())).is_none() {
            return;
        }
        self.from_peers += u64::from(peer);
        self.unreported = true;
        window.give_back(Some(batch));
    }

    fn channel_ended(&mut self) {
        self.channels_left = self.channels_left.saturating_sub(1);
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
        self.run(|stage| stage.drain());
    }

    fn answer(&mut self, round: u32) {
        let (worker, sent, received) = (self.arguments.id, self.arguments.flow.to_peers(), self.from_peers);
        (self.arguments.tell)(Event::Probed { worker, round, sent, received });
    }

    fn finish(&mut self) {
        if self.run(|stage| stage.finish()).is_some() {
            self.phase = Phase::Leaving;
            self.leave_if_empty();
        }
    }

    fn leave_if_empty(&mut self) {
        if self.phase == Phase::Leaving && self.arguments.flow.pump() {
            self.arguments.flow.end();
            self.stage = None;
            self.phase = Phase::Ended;
            (self.arguments.tell)(Event::Done(self.arguments.id));
        }
    }

    fn woken(&mut self) {
        if !self.arguments.flow.pump() {
            return;
        }
        while !self.arguments.flow.is_blocked() && self.phase != Phase::Ended {
            match self.aside.pop_front() {
                Some(Message::Batch { batch, window, peer }) => self.process(batch, &window, peer),
                Some(_) => self.channel_ended(),
                None => break,
            }
        }
        let source = self.arguments.stage.factory.origin() == Origin::Produce;
        if source && self.phase == Phase::Running && self.turn == Turn::Parked && !self.arguments.flow.is_blocked() {
            self.call();
        }
        self.leave_if_empty();
    }

    fn stop(&mut self) {
        self.stopping = true;
        if let Some(listener) = &self.listener {
            listener.close();
        } else if self.phase == Phase::Running && !self.arguments.flow.is_blocked() {
            self.all_ended();
        }
    }

    /// Between two messages: what is kept leaves if there is nothing else to do, or if it has waited long enough.
    fn rest(&mut self) {
        if !matches!(self.phase, Phase::Running | Phase::Draining) || self.turn == Turn::Called {
            return;
        }
        if self.arguments.waiting.load(Ordering::Acquire) == 0 && !self.is_blocked() {
            self.flush_idle();
            if self.phase == Phase::Draining && std::mem::take(&mut self.unreported) {
                let (worker, sent, received) = (self.arguments.id, self.arguments.flow.to_peers(), self.from_peers);
                (self.arguments.tell)(Event::Drained { worker, sent, received });
            }
        } else {
            self.flush_if_due(Instant::now());
        }
    }

    fn flush_idle(&mut self) {
        self.flushed = Instant::now();
        let now = self.flushed - self.started;
        self.run(|stage| stage.flush(Flush::Idle { now }));
    }

    fn flush_if_due(&mut self, now: Instant) {
        if now - self.flushed >= FLUSH_INTERVAL {
            self.flushed = now;
            let now = now - self.started;
            self.run(|stage| stage.flush(Flush::Busy { now }));
        }
    }

    /// Runs user code; what it fails or panics with fails the deployment.
    fn run<R>(&mut self, work: impl FnOnce(&mut dyn Stage) -> Result<R, Failure>) -> Option<R> {
        let stage = self.stage.as_deref_mut()?;
        self.arguments.progress.enter();
        let result = guarded(self.arguments.stage.blocks, || work(stage));
        self.arguments.progress.leave();
        self.checked(result)
    }

    fn checked<R>(&mut self, result: Result<R, Failure>) -> Option<R> {
        match result {
            Ok(result) => Some(result),
            Err(failure) => {
                self.end_with(failure);
                None
            }
        }
    }

    fn fail(&mut self, error: Error) {
        self.end_with(Failure { vertex: self.arguments.id.vertex, error });
    }

    fn end_with(&mut self, mut failure: Failure) {
        if failure.vertex == NOBODY {
            failure.vertex = self.arguments.id.vertex;
        }
        self.phase = Phase::Ended;
        if let Some(listener) = &self.listener {
            listener.close();
        }
        (self.arguments.tell)(Event::Failed(self.arguments.id, failure));
    }
}

/// Stands for the worker's own vertex where a panic passed through no user code.
const NOBODY: crate::id::VertexId = crate::id::VertexId(u32::MAX);

/// Runs user code and turns a panic into a failure. With `blocks` the executor is told that it may take long.
fn guarded<R>(blocks: bool, work: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    take_blame();
    let result = if blocks { tokio::task::block_in_place(|| actor::catch(work)) } else { actor::catch(work) };
    result
        .unwrap_or_else(|message| Err(Failure { vertex: take_blame().unwrap_or(NOBODY), error: Error::Panic(message) }))
}
