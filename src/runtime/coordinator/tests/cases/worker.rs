//! A worker as far as checkpoints go: what `runtime::worker` does, without records' contents, credit and threads.

use crate::workflow::Commit;

/// Workers are known by these numbers: two sources, and two that the sources send to and that may send to each other.
pub type Place = usize;

pub const SOURCES: [Place; 2] = [0, 1];
pub const KEYED: [Place; 2] = [2, 3];
pub const PLACES: usize = 4;

/// What becomes of a record where it comes to from its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// It is counted.
    Stay,
    /// The peer counts it.
    Pass,
    /// It is kept until all sources have ended; then the peer gets it, and counts it.
    Wait,
}

/// A record: a bit of its own, where its source sends it to, and what becomes of it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    pub bit: u8,
    pub to: Place,
    pub way: Way,
}

/// What comes over a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parcel {
    /// The bit of a record.
    Record(u8),
    Barrier(u64),
    End,
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    Start,
    Stop,
    Trigger {
        checkpoint: u64,
        halt: bool,
    },
    GoOn,
    Suspend(u64),
    /// The number of a checkpoint; none is the end.
    Commit(Option<u64>),
    Probe(u32),
    Finish,
}

impl Word {
    pub fn commit(commit: Commit) -> Word {
        Word::Commit(match commit {
            Commit::Checkpoint(checkpoint) => Some(checkpoint),
            Commit::End => None,
        })
    }
}

/// What a worker tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tell {
    Done,
    Drained { sent: u64, received: u64 },
    Probed { round: u32, sent: u64, received: u64 },
    Gone,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    Running,
    Draining,
    Finished,
    Ended,
}

/// Effects that were prepared with a checkpoint of an attempt. To bring them about twice does nothing the second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transaction {
    pub checkpoint: u64,
    pub attempt: u8,
    pub bits: u8,
}

/// What a worker keeps, and what is saved of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Records that a source has read.
    pub position: usize,
    /// Records that were counted, and those that wait for the end.
    pub counted: u8,
    pub waiting: u8,
    /// What was under way from the peer when it was saved.
    pub flights: Vec<u8>,
    pub prepared: Vec<Transaction>,
    pub finished: bool,
    pub drained: bool,
}

/// What it does to others.
#[derive(Debug)]
pub enum Deed {
    Send(Place, Parcel),
    Tell(Tell),
    Save { checkpoint: u64, kept: Kept, base: Option<u64> },
    Apply(Transaction),
    Wrong(&'static str),
}

#[derive(Clone, Debug, Hash)]
struct Saving {
    checkpoint: u64,
    kept: Kept,
    base: Option<u64>,
    barred: bool,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub struct Worker {
    pub place: Place,
    attempt: u8,
    peers: bool,
    pub phase: Phase,
    pub started: bool,
    stopping: bool,
    halts_at: u64,
    pub halted: bool,
    pub kept: Kept,
    /// Counted, and in no transaction.
    open: u8,
    /// Channels that have not ended.
    left: usize,
    /// The checkpoint whose barriers it awaits, and the senders whose barrier has come.
    aligning: Option<(u64, Vec<Place>)>,
    saving: Option<Saving>,
    /// A barrier of the peer that comes too early, and what comes behind them.
    early: Option<u64>,
    held: Vec<Parcel>,
    last: u64,
    /// What it has kept of may be named again, if this one is complete.
    unsealed: Vec<u64>,
    base: Option<u64>,
    sent: u64,
    received: u64,
    unreported: bool,
    pub words: Vec<Word>,
    pub tells: Vec<Tell>,
}

impl Worker {
    /// At its beginning, or with what was saved at a checkpoint.
    pub fn new(place: Place, attempt: u8, peers: bool, from: Option<(u64, &Kept)>) -> Worker {
        let is_source = SOURCES.contains(&place);
        Worker {
            place,
            attempt,
            peers: peers && !is_source,
            phase: Phase::Running,
            started: false,
            stopping: false,
            halts_at: 0,
            halted: false,
            kept: from.map(|(_, kept)| kept.clone()).unwrap_or_default(),
            open: 0,
            left: if is_source { 0 } else { SOURCES.len() },
            aligning: None,
            saving: None,
            early: None,
            held: Vec::new(),
            last: from.map_or(0, |(checkpoint, _)| checkpoint),
            unsealed: Vec::new(),
            base: None,
            sent: 0,
            received: 0,
            unreported: false,
            words: Vec::new(),
            tells: Vec::new(),
        }
    }

    fn is_source(&self) -> bool {
        SOURCES.contains(&self.place)
    }

    fn peer(&self) -> Place {
        KEYED[0] + KEYED[1] - self.place
    }

    /// Whether what a sender has sent waits until the barriers of others have come.
    pub fn holds(&self, from: Place) -> bool {
        self.aligning.as_ref().is_some_and(|(_, barred)| barred.contains(&from))
    }

    /// Whether it saves when this barrier comes over one channel more.
    pub fn would_save(&self, checkpoint: u64) -> bool {
        let barred = self.aligning.as_ref().filter(|(awaited, _)| *awaited == checkpoint);
        self.last < checkpoint && barred.map_or(0, |(_, barred)| barred.len()) + 1 >= self.left
    }

    /// Whether a source has a turn.
    pub fn has_turn(&self) -> bool {
        self.is_source() && self.started && self.phase == Phase::Running && !self.halted
    }

    /// A source's turn.
    pub fn produce(&mut self, items: &[Item], deeds: &mut Vec<Deed>) {
        match items.get(self.kept.position).filter(|_| !self.stopping) {
            Some(item) => {
                self.kept.position += 1;
                deeds.push(Deed::Send(item.to, Parcel::Record(item.bit)));
            }
            None => self.all_ended(deeds),
        }
    }

    pub fn hear(&mut self, word: Word, deeds: &mut Vec<Deed>) {
        match word {
            Word::Start => {
                self.started = true;
                if self.kept.finished {
                    self.leave(deeds);
                } else {
                    self.take_up_flights(deeds);
                }
            }
            Word::Stop => {
                self.stopping = true;
                if self.phase == Phase::Running {
                    self.all_ended(deeds);
                }
            }
            Word::Trigger { checkpoint, halt } => {
                if halt && self.is_source() {
                    self.halts_at = checkpoint;
                }
                self.align(checkpoint);
                self.save_if_aligned(deeds);
            }
            Word::GoOn => self.halted = false,
            Word::Suspend(checkpoint) => {
                self.commit(Some(checkpoint), deeds);
                self.part(deeds);
            }
            Word::Commit(checkpoint) => {
                self.commit(checkpoint, deeds);
                if checkpoint.is_none() && self.phase == Phase::Finished {
                    self.part(deeds);
                }
            }
            Word::Probe(round) => {
                deeds.push(Deed::Tell(Tell::Probed { round, sent: self.sent, received: self.received }));
            }
            Word::Finish if self.phase == Phase::Draining => self.leave(deeds),
            Word::Finish => {}
        }
        self.rest(deeds);
    }

    pub fn receive(&mut self, from: Place, parcel: Parcel, items: &[Vec<Item>; 2], deeds: &mut Vec<Deed>) {
        self.take_up_flights(deeds);
        if from == self.peer() && !self.is_source() {
            self.receive_of_peer(parcel, deeds);
        } else {
            match parcel {
                Parcel::Record(bit) => {
                    if self.phase != Phase::Running {
                        deeds.push(Deed::Wrong("a record comes behind the end"));
                    }
                    self.unreported = true;
                    match items.iter().flatten().find(|item| item.bit == bit).map(|item| item.way) {
                        Some(Way::Pass) => self.pass(bit, deeds),
                        Some(Way::Wait) => self.kept.waiting |= bit,
                        _ => self.count(bit, deeds),
                    }
                }
                Parcel::Barrier(checkpoint) => {
                    self.align(checkpoint);
                    if let Some((_, barred)) = self.aligning.as_mut().filter(|(awaited, _)| *awaited == checkpoint) {
                        barred.push(from);
                    }
                    self.save_if_aligned(deeds);
                }
                Parcel::End => {
                    self.left -= 1;
                    self.save_if_aligned(deeds);
                    if self.left == 0 && self.phase == Phase::Running {
                        self.all_ended(deeds);
                    }
                }
            }
        }
        self.rest(deeds);
    }

    fn receive_of_peer(&mut self, parcel: Parcel, deeds: &mut Vec<Deed>) {
        match parcel {
            Parcel::Record(bit) => {
                if self.early.is_some() {
                    return self.held.push(parcel);
                }
                if let Some(saving) = self.saving.as_mut().filter(|saving| !saving.barred) {
                    saving.kept.flights.push(bit);
                }
                if !matches!(self.phase, Phase::Running | Phase::Draining) {
                    deeds.push(Deed::Wrong("a record of a peer comes behind the end"));
                }
                self.received += 1;
                self.unreported = true;
                self.count(bit, deeds);
            }
            Parcel::Barrier(checkpoint) => self.barrier_of_peer(checkpoint, deeds),
            Parcel::End => deeds.push(Deed::Wrong("peers are not told of an end")),
        }
    }

    fn barrier_of_peer(&mut self, checkpoint: u64, deeds: &mut Vec<Deed>) {
        match &mut self.saving {
            Some(saving) if saving.checkpoint == checkpoint => {
                saving.barred = true;
                self.hand_over_if_done(deeds);
            }
            _ if self.early.is_some() => self.held.push(Parcel::Barrier(checkpoint)),
            _ if checkpoint > self.last => self.early = Some(checkpoint),
            _ => {}
        }
    }

    fn count(&mut self, bit: u8, deeds: &mut Vec<Deed>) {
        if self.kept.counted & bit != 0 {
            deeds.push(Deed::Wrong("a record is counted twice"));
        }
        self.kept.counted |= bit;
        self.open |= bit;
    }

    fn pass(&mut self, bit: u8, deeds: &mut Vec<Deed>) {
        self.sent += 1;
        deeds.push(Deed::Send(self.peer(), Parcel::Record(bit)));
    }

    fn take_up_flights(&mut self, deeds: &mut Vec<Deed>) {
        for bit in std::mem::take(&mut self.kept.flights) {
            self.count(bit, deeds);
        }
    }

    fn align(&mut self, checkpoint: u64) {
        let is_new = self.aligning.as_ref().is_none_or(|(awaited, _)| *awaited < checkpoint);
        if is_new && self.last < checkpoint {
            self.aligning = Some((checkpoint, Vec::new()));
        }
    }

    fn save_if_aligned(&mut self, deeds: &mut Vec<Deed>) {
        let Some((checkpoint, _)) = self.aligning.take_if(|(_, barred)| barred.len() >= self.left) else { return };
        if self.open != 0 {
            let bits = std::mem::take(&mut self.open);
            self.kept.prepared.push(Transaction { checkpoint, attempt: self.attempt, bits });
        }
        let (finished, drained) = (self.phase == Phase::Finished, self.phase == Phase::Draining);
        if !finished {
            let receivers: &[Place] = if self.is_source() { &KEYED } else { &[] };
            let all = receivers.iter().copied().chain(self.peers.then(|| self.peer()));
            deeds.extend(all.map(|to| Deed::Send(to, Parcel::Barrier(checkpoint))));
        }
        self.last = checkpoint;
        self.halted = self.halts_at == checkpoint;
        let kept = Kept { finished, drained, ..self.kept.clone() };
        self.saving = Some(Saving { checkpoint, kept, base: self.base, barred: false });
        if let Some(early) = self.early.take() {
            self.barrier_of_peer(early, deeds);
        }
        for parcel in std::mem::take(&mut self.held) {
            self.receive_of_peer(parcel, deeds);
        }
        self.hand_over_if_done(deeds);
    }

    fn hand_over_if_done(&mut self, deeds: &mut Vec<Deed>) {
        let at_rest = !matches!(self.phase, Phase::Running | Phase::Draining);
        let is_done = |saving: &mut Saving| at_rest || !self.peers || saving.barred;
        if let Some(Saving { checkpoint, kept, base, .. }) = self.saving.take_if(is_done) {
            self.unsealed.push(checkpoint);
            deeds.push(Deed::Save { checkpoint, kept, base });
        }
    }

    fn all_ended(&mut self, deeds: &mut Vec<Deed>) {
        if !self.peers {
            return self.leave(deeds);
        }
        self.phase = Phase::Draining;
        self.unreported = true;
        let waiting = std::mem::take(&mut self.kept.waiting);
        (0..u8::BITS).map(|bit| 1 << bit).filter(|bit| waiting & bit != 0).for_each(|bit| self.pass(bit, deeds));
    }

    /// All that it had to send has left.
    fn leave(&mut self, deeds: &mut Vec<Deed>) {
        self.phase = Phase::Finished;
        self.hand_over_if_done(deeds);
        if self.is_source() {
            deeds.extend(KEYED.map(|to| Deed::Send(to, Parcel::End)));
        }
        deeds.push(Deed::Tell(Tell::Done));
        self.save_if_aligned(deeds);
    }

    fn rest(&mut self, deeds: &mut Vec<Deed>) {
        if self.phase == Phase::Draining && self.started && std::mem::take(&mut self.unreported) {
            deeds.push(Deed::Tell(Tell::Drained { sent: self.sent, received: self.received }));
        }
    }

    fn commit(&mut self, checkpoint: Option<u64>, deeds: &mut Vec<Deed>) {
        if let Some(checkpoint) = checkpoint {
            self.base = self.unsealed.contains(&checkpoint).then_some(checkpoint).filter(|_| !self.is_source());
            self.unsealed.retain(|later| *later > checkpoint);
        } else if self.open != 0 {
            let bits = std::mem::take(&mut self.open);
            self.kept.prepared.push(Transaction { checkpoint: u64::MAX, attempt: self.attempt, bits });
        }
        let counts = |of: &Transaction| checkpoint.is_none_or(|checkpoint| of.checkpoint <= checkpoint);
        deeds.extend(self.kept.prepared.iter().copied().filter(counts).map(Deed::Apply));
        self.kept.prepared.retain(|of| !counts(of));
    }

    fn part(&mut self, deeds: &mut Vec<Deed>) {
        self.phase = Phase::Ended;
        deeds.push(Deed::Tell(Tell::Gone));
    }
}
