//! Checkpoints: a model of sites, workers and a store in which anything may come late, and saving may fail.

use super::*;
use crate::workflow::Commit;

const SOURCE: VertexId = VertexId(0);
const MIDDLE: VertexId = VertexId(1);
const SINK: VertexId = VertexId(2);

/// From each vertex to the next, and past one of them.
fn links() -> Links {
    BTreeMap::from([(SOURCE, vec![MIDDLE, SINK]), (MIDDLE, vec![SINK])])
}

/// How many workers each vertex has, one on each node.
const WORKERS: u32 = 2;

#[derive(Clone, Copy, Debug)]
enum Parcel {
    Record,
    Barrier(u64),
    End,
}

/// How many records went to and came from whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counted {
    sent: BTreeMap<WorkerId, u64>,
    received: BTreeMap<WorkerId, u64>,
}

#[derive(Debug, Default)]
struct Worker {
    /// What its site has told it.
    words: VecDeque<Command>,
    open: bool,
    started: bool,
    /// Those whose end has not come.
    senders: BTreeSet<WorkerId>,
    aligning: Option<(u64, BTreeSet<WorkerId>)>,
    last: u64,
    finished: bool,
    gone: bool,
    stopping: bool,
    left: u32,
    counted: Counted,
}

#[derive(Debug, Default)]
struct Site {
    inbox: VecDeque<Command>,
    outbox: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Report(NodeId),
    Obey(NodeId),
    Listen(WorkerId),
    Receive(WorkerId, WorkerId),
    Emit(WorkerId),
    /// The store has done what it was to, or not.
    Store(usize, bool),
    /// It is time for a checkpoint.
    Tick,
}

struct Model {
    coordinator: Coordinator,
    sites: BTreeMap<NodeId, Site>,
    workers: BTreeMap<WorkerId, Worker>,
    channels: BTreeMap<(WorkerId, WorkerId), VecDeque<Parcel>>,
    /// What the store is at: events for a site, or for the supervisor, if it succeeds and if it does not.
    store: Vec<(Option<NodeId>, Event, Event)>,
    /// What each worker had counted when it saved.
    cuts: BTreeMap<(u64, WorkerId), Counted>,
    sealed: BTreeSet<u64>,
    /// Those that have all workers at their ends.
    whole: BTreeSet<u64>,
    unsealed: u32,
    ticks: u32,
    failing: bool,
    ending: Option<Ending>,
}

fn at(id: WorkerId) -> NodeId {
    node(id.index + 1)
}

impl Model {
    fn new(records: u32, ticks: u32, failing: bool) -> Model {
        let ids = [SOURCE, MIDDLE, SINK].map(|vertex| (0..WORKERS).map(move |index| WorkerId { vertex, index }));
        let ids: Vec<WorkerId> = ids.into_iter().flatten().collect();
        let coordinator = Coordinator::new(ids.iter().map(|id| (*id, at(*id))), links()).with_checkpoints(None);
        let make = |id: &WorkerId| {
            let before = links().into_iter().filter(|(_, to)| to.contains(&id.vertex)).map(|(from, _)| from);
            let senders = before.flat_map(|vertex| (0..WORKERS).map(move |index| WorkerId { vertex, index })).collect();
            let left = if id.vertex == SOURCE { records } else { 0 };
            (*id, Worker { senders, left, ..Worker::default() })
        };
        let prepared = |number| Site { outbox: VecDeque::from([Event::Prepared(node(number))]), ..Site::default() };
        Model {
            coordinator,
            sites: [1, 2].map(|number| (node(number), prepared(number))).into(),
            workers: ids.iter().map(make).collect(),
            channels: BTreeMap::new(),
            store: Vec::new(),
            cuts: BTreeMap::new(),
            sealed: BTreeSet::new(),
            whole: BTreeSet::new(),
            unsealed: 0,
            ticks,
            failing,
            ending: None,
        }
    }

    fn handle(&mut self, event: Event) {
        for command in self.coordinator.handle(event) {
            assert!(self.ending.is_none(), "{command:?} after the end");
            match &command {
                Command::Seal { checkpoint, saved, .. } => {
                    let all: BTreeSet<WorkerId> = saved.iter().map(|saved| saved.worker).collect();
                    assert!(all.iter().eq(self.workers.keys()), "{checkpoint}: {all:?}");
                    self.check_cut(*checkpoint);
                    let (sealed, error) = (Event::Sealed { checkpoint: *checkpoint }, Error::from("full"));
                    if saved.iter().all(|saved| saved.finished) {
                        self.whole.insert(*checkpoint);
                    }
                    let unsealed = Event::NotSealed { checkpoint: *checkpoint, error };
                    self.store.push((None, sealed, unsealed));
                    continue;
                }
                Command::Commit(Commit::Checkpoint(checkpoint)) => {
                    assert!(self.sealed.contains(checkpoint), "{checkpoint} is not complete");
                }
                Command::Commit(Commit::End) => {
                    assert!(self.workers.values().all(|worker| worker.finished));
                    let is_saved = self.sealed.last().is_some_and(|last| self.whole.contains(last));
                    assert!(is_saved || self.unsealed >= 3, "the end is not saved, nor has that been tried");
                }
                Command::Abandon { checkpoint, .. } => {
                    assert!(!self.sealed.contains(checkpoint));
                    self.unsealed += 1;
                    continue;
                }
                Command::End(ending) => self.ending = Some(ending.clone()),
                _ => {}
            }
            self.sites.values_mut().for_each(|site| site.inbox.push_back(command.clone()));
        }
    }

    /// What each worker had sent to another one was all that the other had received.
    fn check_cut(&self, checkpoint: u64) {
        for ((_, from), cut) in self.cuts.iter().filter(|((of, _), _)| *of == checkpoint) {
            for (to, sent) in &cut.sent {
                let received = self.cuts[&(checkpoint, *to)].received.get(from).copied().unwrap_or_default();
                assert_eq!(*sent, received, "checkpoint {checkpoint}, from {from:?} to {to:?}");
            }
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (node, site) in &self.sites {
            if !site.outbox.is_empty() {
                steps.push(Step::Report(*node));
            }
            if !site.inbox.is_empty() {
                steps.push(Step::Obey(*node));
            }
        }
        for (id, worker) in &self.workers {
            if !worker.words.is_empty() && !worker.gone {
                steps.push(Step::Listen(*id));
            }
            if id.vertex == SOURCE && worker.started && !worker.finished && !worker.gone {
                steps.push(Step::Emit(*id));
            }
        }
        let may_come = |from: &WorkerId, to: &WorkerId| {
            let worker = &self.workers[to];
            let is_held = worker.aligning.as_ref().is_some_and(|(_, barred)| barred.contains(from));
            worker.open && !is_held && !worker.gone
        };
        let waits = self.channels.iter().filter(|((from, to), parcels)| !parcels.is_empty() && may_come(from, to));
        steps.extend(waits.map(|((from, to), _)| Step::Receive(*from, *to)));
        for number in 0..self.store.len() {
            steps.push(Step::Store(number, true));
            if self.failing {
                steps.push(Step::Store(number, false));
            }
        }
        if self.ending.is_none() && (self.ticks > 0 || steps.is_empty()) {
            steps.push(Step::Tick);
        }
        steps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Report(node) => {
                if let Some(event) = self.sites.get_mut(&node).and_then(|site| site.outbox.pop_front()) {
                    self.handle(event);
                }
            }
            Step::Obey(node) => self.obey(node),
            Step::Listen(id) => self.listen(id),
            Step::Receive(from, to) => self.receive(from, to),
            Step::Emit(id) => {
                let worker = self.worker(id);
                if worker.left == 0 || worker.stopping {
                    return self.finish(id);
                }
                worker.left -= 1;
                self.send(id);
            }
            Step::Store(number, succeeds) => {
                let (node, done, failed) = self.store.remove(number);
                let event = if succeeds { done } else { failed };
                match node {
                    Some(node) => self.tell(node, event),
                    None => {
                        if let Event::Sealed { checkpoint } = &event {
                            let all = |id: &&WorkerId| self.cuts.contains_key(&(*checkpoint, **id));
                            assert!(self.workers.keys().filter(all).count() == self.workers.len());
                            self.sealed.insert(*checkpoint);
                        }
                        self.handle(event);
                    }
                }
            }
            Step::Tick => {
                self.ticks = self.ticks.saturating_sub(1);
                self.handle(Event::Checkpoint);
            }
        }
    }

    fn worker(&mut self, id: WorkerId) -> &mut Worker {
        self.workers.get_mut(&id).expect("a worker")
    }

    fn tell(&mut self, node: NodeId, event: Event) {
        if let Some(site) = self.sites.get_mut(&node) {
            site.outbox.push_back(event);
        }
    }

    fn obey(&mut self, node: NodeId) {
        let Some(command) = self.sites.get_mut(&node).and_then(|site| site.inbox.pop_front()) else { return };
        match &command {
            Command::Connect => return self.tell(node, Event::Connected(node)),
            Command::GiveUp => {
                let here: Vec<WorkerId> = self.workers.keys().copied().filter(|id| at(*id) == node).collect();
                for id in here {
                    if !std::mem::replace(&mut self.worker(id).gone, true) {
                        self.worker(id).words.clear();
                        self.tell(node, Event::Gone(id));
                    }
                }
                return;
            }
            _ => {}
        }
        for (id, worker) in self.workers.iter_mut().filter(|(id, worker)| at(**id) == node && !worker.gone) {
            let is_meant = match &command {
                Command::Trigger { workers, .. } => workers.contains(id),
                Command::StopSources => id.vertex == SOURCE,
                _ => true,
            };
            if is_meant {
                worker.words.push_back(command.clone());
            }
        }
    }

    fn listen(&mut self, id: WorkerId) {
        let worker = self.worker(id);
        match worker.words.pop_front() {
            Some(Command::Open) => {
                worker.open = true;
                self.tell(at(id), Event::Opened(id));
            }
            Some(Command::Start) => worker.started = true,
            Some(Command::StopSources) => worker.stopping = true,
            Some(Command::Trigger { checkpoint, .. }) => {
                self.align(id, checkpoint);
                self.save_if_aligned(id);
            }
            Some(Command::Commit(Commit::End)) => {
                assert!(worker.finished);
                worker.gone = true;
                self.tell(at(id), Event::Gone(id));
            }
            _ => {}
        }
    }

    fn align(&mut self, id: WorkerId, checkpoint: u64) {
        let worker = self.worker(id);
        if worker.last < checkpoint && worker.aligning.as_ref().is_none_or(|(older, _)| *older < checkpoint) {
            worker.aligning = Some((checkpoint, BTreeSet::new()));
        }
    }

    fn save_if_aligned(&mut self, id: WorkerId) {
        let worker = self.worker(id);
        let Some((checkpoint, barred)) = &worker.aligning else { return };
        let (checkpoint, finished) = (*checkpoint, worker.finished);
        if !worker.senders.is_subset(barred) {
            return;
        }
        worker.aligning = None;
        worker.last = checkpoint;
        let cut = worker.counted.clone();
        self.cuts.insert((checkpoint, id), cut);
        if !finished {
            self.tell_all(id, Parcel::Barrier(checkpoint));
        }
        let saved = WorkerSaved { worker: id, checkpoint, finished, drained: false, objects: Vec::new(), base: None };
        let failed = Event::NotSaved { worker: id, checkpoint, error: Error::from("full") };
        self.store.push((Some(at(id)), Event::Saved(saved), failed));
    }

    fn tell_all(&mut self, from: WorkerId, parcel: Parcel) {
        for vertex in links().remove(&from.vertex).into_iter().flatten() {
            for index in 0..WORKERS {
                let to = WorkerId { vertex, index };
                self.channels.entry((from, to)).or_default().push_back(parcel);
            }
        }
    }

    /// A record, to one worker of each vertex behind.
    fn send(&mut self, from: WorkerId) {
        for vertex in links().remove(&from.vertex).into_iter().flatten() {
            let counted = &mut self.worker(from).counted;
            let index = (counted.sent.values().sum::<u64>() % u64::from(WORKERS)) as u32;
            let to = WorkerId { vertex, index };
            *counted.sent.entry(to).or_default() += 1;
            self.channels.entry((from, to)).or_default().push_back(Parcel::Record);
        }
    }

    fn receive(&mut self, from: WorkerId, to: WorkerId) {
        let Some(parcel) = self.channels.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return };
        match parcel {
            Parcel::Record => {
                assert!(!self.worker(to).finished);
                *self.worker(to).counted.received.entry(from).or_default() += 1;
                self.send(to);
            }
            Parcel::Barrier(checkpoint) => {
                self.align(to, checkpoint);
                if let Some((_, barred)) = self.worker(to).aligning.as_mut().filter(|(of, _)| *of == checkpoint) {
                    barred.insert(from);
                }
                self.save_if_aligned(to);
            }
            Parcel::End => {
                self.worker(to).senders.remove(&from);
                self.save_if_aligned(to);
                if self.worker(to).senders.is_empty() {
                    self.finish(to);
                }
            }
        }
    }

    fn finish(&mut self, id: WorkerId) {
        self.worker(id).finished = true;
        self.tell_all(id, Parcel::End);
        self.tell(at(id), Event::Done(id));
        self.save_if_aligned(id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whatever comes late and whatever cannot be stored: a checkpoint is completed only with all workers, at one point
    /// of their streams; effects are there to stay only when it is; and the deployment ends.
    #[test]
    fn checkpoints_are_whole_and_all_ends(
        records in 0..20u32,
        ticks in 0..6u32,
        failing in any::<bool>(),
        fate in 0..8u32,
        when in 0..300usize,
        schedule in any::<u64>(),
    ) {
        let mut model = Model::new(records, ticks, failing);
        let (mut random, mut fails) = (schedule, false);
        for step in 0.. {
            prop_assert!(step < 100_000, "it does not end: {:?}", model.coordinator);
            if step == when {
                match fate {
                    0 => model.handle(Event::Stop),
                    1 | 2 => {
                        fails = model.ending.is_none();
                        let lost = node(fate);
                        model.sites.remove(&lost);
                        model.workers.iter_mut().filter(|(id, _)| at(**id) == lost).for_each(|(_, of)| of.gone = true);
                        model.handle(Event::Lost { node: lost, error: Error::from("gone") });
                    }
                    _ => {}
                }
            }
            let steps = model.steps();
            if steps.is_empty() || (model.ending.is_some() && step > when) {
                break;
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            model.take(steps[(random >> 33) as usize % steps.len()]);
        }
        match model.ending {
            Some(Ending::Failed { failure, .. }) => prop_assert!(fails, "{failure:?}"),
            Some(_) => prop_assert!(!fails),
            None => prop_assert!(false, "it stands still: {:?}", model.coordinator),
        }
    }
}
