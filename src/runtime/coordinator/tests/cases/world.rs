//! A deployment: the coordinator as it is, workers, the channels between them, a store, and what sinks have done.

mod checks;

use std::rc::Rc;

use super::super::*;
use super::part::{Key, Part, key_of};
use super::worker::{Deed, Item, KEYED, Kept, PLACES, Parcel, Phase, Place, SOURCES, Tell, Word, Worker};
use crate::workflow::Commit;

/// What there is to happen in a case.
#[derive(Clone, Debug, Hash)]
pub struct Case {
    /// What each source reads.
    pub items: [Vec<Item>; 2],
    /// Keyed workers send to each other.
    pub peers: bool,
    /// How often it is time for a checkpoint, beside the last one; how often storing fails; how often a worker dies.
    pub ticks: u8,
    pub failures: u8,
    pub crashes: u8,
    /// Somebody stops it at a savepoint, and it goes on from that; or stops it.
    pub savepoints: u8,
    pub stops: u8,
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Emit(Place),
    Receive(Place, Place),
    Listen(Place),
    Report(Place),
    Stored(usize),
    NotStored(usize),
    Sealed,
    /// The manifest cannot be stored; it may be there all the same.
    NotSealed {
        there: bool,
    },
    Tick,
    Savepoint,
    Stop,
    /// A worker dies while a manifest may be on its way.
    Crash(Fate),
    /// What an attempt that is over has put into the store arrives.
    Late,
}

/// What becomes of a manifest that is on its way when the attempt is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Lost,
    There,
    Late,
}

type Manifest = (u64, Rc<[Kept; PLACES]>);

/// See the module.
#[derive(Clone, Debug)]
pub struct World {
    coordinator: Part<Coordinator>,
    attempt: u8,
    workers: Vec<Part<Worker>>,
    /// From each worker to each.
    channels: Part<Vec<Vec<Parcel>>>,
    /// What is on its way to the store, and what is there of the checkpoint under way.
    storing: Vec<(Place, u64, Rc<Kept>, Option<u64>)>,
    stored: [Option<(u64, Rc<Kept>)>; PLACES],
    /// The checkpoint that is under way, and whether the deployment is to stop at it.
    pending: Option<(u64, bool)>,
    sealing: bool,
    /// The newest one that this attempt has completed.
    sealed: Option<u64>,
    newest: Option<Manifest>,
    late: Option<Manifest>,
    /// By which transaction each record has had its effect.
    book: [Option<(u64, u8)>; 8],
    /// The savepoint at which it has stopped, for all that anybody knows.
    stopped: bool,
    stopping: bool,
    /// Sources may halt in this case.
    halts: bool,
    case: Part<Case>,
    pub ending: Option<Ending>,
    pub wrong: Option<String>,
}

fn id(place: Place) -> WorkerId {
    worker(u32::from(KEYED.contains(&place)), (place % 2) as u32)
}

fn place(id: WorkerId) -> Place {
    (id.vertex.0 * 2 + id.index) as Place
}

impl World {
    pub fn new(case: Case) -> World {
        let mut world = World {
            coordinator: Part::new(Coordinator::new([], Links::new())),
            attempt: 0,
            workers: Vec::new(),
            channels: Part::new(Vec::new()),
            storing: Vec::new(),
            stored: Default::default(),
            pending: None,
            sealing: false,
            sealed: None,
            newest: None,
            late: None,
            book: [None; 8],
            stopped: false,
            stopping: false,
            halts: case.savepoints > 0,
            case: Part::new(case),
            ending: None,
            wrong: None,
        };
        world.begin(false);
        world.settle();
        world
    }

    /// What tells it apart from others.
    pub fn key(&mut self) -> Key {
        let parts = (self.coordinator.key(), self.channels.key(), self.case.key());
        let workers: Vec<Key> = self.workers.iter_mut().map(Part::key).collect();
        let World { attempt, storing, stored, pending, sealing, sealed, newest, late, book, .. } = self;
        let World { stopped, stopping, halts: _, ending, wrong, .. } = self;
        assert!(ending.is_none() && wrong.is_none(), "nothing follows");
        let store = (storing, stored, pending, sealing, sealed, newest, late, book);
        key_of(&(parts, workers, attempt, store, stopped, stopping))
    }

    /// An attempt begins, with the newest checkpoint.
    fn begin(&mut self, suspended: bool) {
        self.attempt += 1;
        let from = self.newest.as_ref().map(|(checkpoint, _)| *checkpoint);
        let links = Links::from([(VertexId(0), vec![VertexId(1)])]);
        let mut coordinator = Coordinator::new((0..PLACES).map(|place| (id(place), NodeId::LOCAL)), links);
        if self.case.peers {
            coordinator = coordinator.with_peers([VertexId(1)].into());
        }
        coordinator = coordinator.with_checkpoints(from);
        self.coordinator = Part::new(if suspended { coordinator.suspended() } else { coordinator });
        let saved = |place: Place| self.newest.as_ref().map(|(checkpoint, all)| (*checkpoint, &all[place]));
        let worker = |place: Place| Worker::new(place, self.attempt, self.case.peers, saved(place));
        self.workers = (0..PLACES).map(|place| Part::new(worker(place))).collect();
        self.channels = Part::new(vec![Vec::new(); PLACES * PLACES]);
        self.storing.clear();
        self.stored = Default::default();
        (self.pending, self.sealing, self.sealed) = (None, false, None);
        self.stopped = suspended;
        self.coordinator.edit().handle(Event::Prepared(NodeId::LOCAL));
        self.coordinator.edit().handle(Event::Connected(NodeId::LOCAL));
        (0..PLACES).for_each(|place| self.handle(Event::Opened(id(place))));
        if self.stopping {
            self.handle(Event::Stop);
        }
    }

    fn handle(&mut self, event: Event) {
        for command in self.coordinator.edit().handle(event) {
            self.obey(command);
        }
    }

    fn tell(&mut self, to: &[Place], word: Word) {
        for place in to {
            let worker = self.workers[*place].edit();
            if worker.phase != Phase::Ended {
                worker.words.push(word);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        const ALL: [Place; PLACES] = [0, 1, 2, 3];
        let under_way = self.pending.map(|(checkpoint, _)| checkpoint);
        match command {
            Command::Start => self.tell(&ALL, Word::Start),
            Command::StopSources => self.tell(&SOURCES, Word::Stop),
            Command::Probe { round, .. } => self.tell(&KEYED, Word::Probe(round)),
            Command::Finish { .. } => self.tell(&KEYED, Word::Finish),
            Command::Trigger { checkpoint, workers, halt } => {
                self.check(under_way.is_none_or(|of| of == checkpoint), || "two are under way".to_owned());
                self.pending = Some((checkpoint, halt));
                let workers: Vec<Place> = workers.into_iter().map(place).collect();
                self.tell(&workers, Word::Trigger { checkpoint, halt });
            }
            Command::Seal { checkpoint, saved, savepoint } => {
                let halts = self.pending.is_some_and(|(_, halts)| halts);
                self.check(under_way == Some(checkpoint) && !self.sealing, || "another one is under way".to_owned());
                self.check(saved.len() == PLACES && savepoint == halts, || "something else is complete".to_owned());
                let bases = saved.iter().all(|saved| saved.base.is_none() || saved.base == self.sealed);
                self.check(bases, || "it needs what may be deleted".to_owned());
                self.sealing = true;
                self.check_cut(checkpoint);
            }
            Command::Commit(commit) => {
                if let Commit::Checkpoint(checkpoint) = commit {
                    let is_there = self.newest.as_ref().is_some_and(|(newest, _)| *newest == checkpoint);
                    self.check(is_there, || format!("{checkpoint} is not complete"));
                    self.pending = None;
                }
                // Sources have no effects.
                self.tell(if commit == Commit::End { &ALL } else { &KEYED }, Word::commit(commit));
            }
            Command::Suspend { checkpoint } => {
                let is_there = self.newest.as_ref().is_some_and(|(newest, _)| *newest == checkpoint);
                self.check(is_there, || format!("{checkpoint} is not complete"));
                self.pending = None;
                self.tell(&ALL, Word::Suspend(checkpoint));
            }
            Command::Abandon { checkpoint, .. } => {
                self.check(under_way == Some(checkpoint), || format!("{checkpoint} is not under way"));
                (self.pending, self.sealing) = (None, false);
                self.stored = Default::default();
                if self.halts {
                    self.tell(&SOURCES, Word::GoOn);
                }
            }
            Command::End(ending) => self.ending = Some(ending),
            other => self.check(false, || format!("nobody wants {other:?}")),
        }
    }

    /// A step that nothing else comes before in a way that would matter: whatever else may happen comes to the same
    /// before and behind it. So it is taken at once, and there are fewer orders to try.
    fn at_once(&self) -> Option<Step> {
        for (place, worker) in self.workers.iter().enumerate() {
            if worker.tells.first() == Some(&Tell::Gone) {
                return Some(Step::Report(place));
            }
            if worker.phase == Phase::Ended {
                continue;
            }
            // Whoever may begin may as well wait.
            if worker.words.first() == Some(&Word::Start) {
                return Some(Step::Listen(place));
            }
            for from in SOURCES.into_iter().filter(|from| !worker.holds(*from)) {
                match self.channels[from * PLACES + place].first() {
                    Some(Parcel::Record(_)) => return Some(Step::Receive(from, place)),
                    Some(Parcel::Barrier(checkpoint)) if !worker.would_save(*checkpoint) => {
                        return Some(Step::Receive(from, place));
                    }
                    // What it hears later is of a later checkpoint.
                    Some(Parcel::Barrier(_)) if worker.words.is_empty() && !self.case.peers => {
                        return Some(Step::Receive(from, place));
                    }
                    _ => {}
                }
            }
        }
        let counts = |(_, of, ..): &(Place, u64, Rc<Kept>, Option<u64>)| {
            self.pending.is_some_and(|(checkpoint, _)| checkpoint == *of) && !self.sealing
        };
        if let Some(number) = self.storing.iter().position(|saved| !counts(saved)) {
            return Some(Step::Stored(number));
        }
        let missing = self.stored.iter().filter(|stored| stored.is_none()).count();
        let is_plain = |(.., base): &(Place, u64, Rc<Kept>, Option<u64>)| base.is_none() || *base == self.sealed;
        if self.case.failures == 0 && missing > 1 {
            return self.storing.iter().position(is_plain).map(Step::Stored);
        }
        None
    }

    /// All that may happen now.
    pub fn steps(&self, steps: &mut Vec<Step>) {
        for (place, worker) in self.workers.iter().enumerate() {
            if !worker.tells.is_empty() {
                steps.push(Step::Report(place));
            }
            if worker.phase == Phase::Ended {
                continue;
            }
            if !worker.words.is_empty() {
                steps.push(Step::Listen(place));
            }
            if worker.has_turn() {
                steps.push(Step::Emit(place));
            }
            let waits = |from: &Place| !self.channels[from * PLACES + place].is_empty() && !worker.holds(*from);
            steps.extend((0..PLACES).filter(waits).map(|from| Step::Receive(from, place)));
        }
        for number in 0..self.storing.len() {
            steps.push(Step::Stored(number));
            if self.case.failures > 0 {
                steps.push(Step::NotStored(number));
            }
        }
        if let (Some((checkpoint, _)), true) = (self.pending, self.sealing) {
            // Another attempt may have been there before.
            let is_free = self.newest.as_ref().is_none_or(|(newest, _)| *newest < checkpoint);
            if is_free {
                steps.push(Step::Sealed);
            }
            if self.case.failures > 0 || !is_free {
                steps.push(Step::NotSealed { there: false });
            }
            if self.case.failures > 0 && is_free {
                steps.push(Step::NotSealed { there: true });
            }
        }
        let tries_again = self.coordinator.awaits_last_checkpoint() && self.pending.is_none();
        if tries_again || (self.case.ticks > 0 && self.pending.is_none()) {
            steps.push(Step::Tick);
        }
        if self.case.savepoints > 0 && !self.stopped && !self.stopping {
            steps.push(Step::Savepoint);
        }
        if self.case.stops > 0 && !self.stopped {
            steps.push(Step::Stop);
        }
        if self.case.crashes > 0 {
            steps.push(Step::Crash(Fate::Lost));
            if self.sealing {
                steps.extend([Step::Crash(Fate::There), Step::Crash(Fate::Late)]);
            }
        }
        if self.late.is_some() {
            steps.push(Step::Late);
        }
    }

    fn case(&mut self) -> &mut Case {
        self.case.edit()
    }

    /// Takes a step, and all that follow from it at once.
    pub fn take(&mut self, step: Step) {
        self.do_it(step);
        self.settle();
    }

    fn settle(&mut self) {
        while let (None, None, Some(step)) = (&self.wrong, &self.ending, self.at_once()) {
            self.do_it(step);
        }
    }

    fn do_it(&mut self, step: Step) {
        let (case, mut deeds) = (self.case.shared(), Vec::new());
        match step {
            Step::Emit(place) => {
                self.check(!self.stopped, || "it goes on behind the savepoint at which it has stopped".to_owned());
                self.workers[place].edit().produce(&case.items[place], &mut deeds);
                self.act(place, deeds);
            }
            Step::Receive(from, to) => {
                let parcel = self.channels.edit()[from * PLACES + to].remove(0);
                self.workers[to].edit().receive(from, parcel, &case.items, &mut deeds);
                self.act(to, deeds);
            }
            Step::Listen(place) => {
                let word = self.workers[place].edit().words.remove(0);
                self.workers[place].edit().hear(word, &mut deeds);
                self.act(place, deeds);
            }
            Step::Report(place) => {
                let (worker, tell) = (id(place), self.workers[place].edit().tells.remove(0));
                self.handle(match tell {
                    Tell::Done => Event::Done(worker),
                    Tell::Drained { sent, received } => Event::Drained { worker, sent, received },
                    Tell::Probed { round, sent, received } => Event::Probed { worker, round, sent, received },
                    Tell::Gone => Event::Gone(worker),
                });
            }
            Step::Stored(number) => {
                let (place, checkpoint, kept, base) = self.storing.remove(number);
                let (finished, drained) = (kept.finished, kept.drained);
                if self.pending.is_some_and(|(of, _)| of == checkpoint) {
                    self.stored[place] = Some((checkpoint, kept));
                }
                let worker = id(place);
                self.handle(Event::Saved(WorkerSaved { worker, checkpoint, finished, drained, objects: vec![], base }));
            }
            Step::NotStored(number) => {
                self.case().failures -= 1;
                let (place, checkpoint, ..) = self.storing.remove(number);
                self.handle(Event::NotSaved { worker: id(place), checkpoint, error: Error::from("full") });
            }
            Step::Sealed => {
                let Some((checkpoint, stops)) = self.pending else { return };
                self.newest = self.manifest();
                (self.sealed, self.sealing, self.stopped) = (Some(checkpoint), false, stops);
                self.stored = Default::default();
                self.handle(Event::Sealed { checkpoint });
            }
            Step::NotSealed { there } => {
                let Some((checkpoint, _)) = self.pending else { return };
                if there {
                    self.newest = self.manifest();
                }
                let left = self.case.failures.saturating_sub(1);
                self.case().failures = left;
                self.handle(Event::NotSealed { checkpoint, error: Error::from("full") });
            }
            Step::Tick => {
                let left = self.case.ticks.saturating_sub(1);
                self.case().ticks = left;
                self.handle(Event::Checkpoint);
            }
            Step::Savepoint => {
                self.case().savepoints -= 1;
                self.handle(Event::Savepoint { stop: true });
            }
            Step::Stop => {
                self.case().stops -= 1;
                self.stopping = true;
                self.handle(Event::Stop);
            }
            Step::Crash(fate) => self.crash(fate),
            Step::Late => {
                let late = self.late.take();
                if late.as_ref().map(|(of, _)| *of) > self.newest.as_ref().map(|(of, _)| *of) {
                    self.newest = late;
                }
            }
        }
        if let Some(ending) = self.ending.clone() {
            self.end(&ending);
        }
    }

    fn manifest(&self) -> Option<Manifest> {
        let (checkpoint, _) = self.pending?;
        let kept = |place: Place| self.stored[place].as_ref().map(|(_, kept)| kept.as_ref().clone());
        Some((checkpoint, Rc::new([kept(0)?, kept(1)?, kept(2)?, kept(3)?])))
    }

    fn act(&mut self, place: Place, deeds: Vec<Deed>) {
        for deed in deeds {
            match deed {
                Deed::Send(to, parcel) => self.channels.edit()[place * PLACES + to].push(parcel),
                Deed::Tell(tell) => self.workers[place].edit().tells.push(tell),
                Deed::Save { checkpoint, kept, base } => {
                    let at = self.storing.partition_point(|(other, of, ..)| (*other, *of) < (place, checkpoint));
                    self.storing.insert(at, (place, checkpoint, Rc::new(kept), base));
                }
                Deed::Apply(transaction) => self.apply(transaction),
                Deed::Wrong(what) => self.check(false, || what.to_owned()),
            }
        }
        if self.workers[place].phase == Phase::Ended {
            self.workers[place].edit().words.clear();
        }
    }

    /// A worker dies: the attempt is given up, and another one begins.
    fn crash(&mut self, fate: Fate) {
        self.case().crashes -= 1;
        if let Some(manifest) = self.manifest().filter(|_| self.sealing) {
            let is_free = self.newest.as_ref().is_none_or(|(newest, _)| *newest < manifest.0);
            match fate {
                Fate::Lost => {}
                Fate::There if is_free => self.newest = Some(manifest),
                Fate::There => {}
                Fate::Late => self.late = Some(manifest),
            }
        }
        let failure = Failure { vertex: VertexId(0), error: Error::from("killed") };
        let mut commands = self.coordinator.edit().handle(Event::Failed(id(0), failure));
        self.check(commands == [Command::GiveUp], || format!("it is not given up: {commands:?}"));
        let living: Vec<Place> = (0..PLACES).filter(|place| self.workers[*place].phase != Phase::Ended).collect();
        commands.clear();
        for place in 0..PLACES {
            if living.contains(&place) || self.workers[place].tells.contains(&Tell::Gone) {
                commands.extend(self.coordinator.edit().handle(Event::Gone(id(place))));
            }
        }
        let ends = matches!(&commands[..], [Command::End(Ending::Failed { .. })]);
        self.check(ends, || format!("what is given up does not end: {commands:?}"));
        self.begin(self.coordinator.is_suspended());
    }
}
