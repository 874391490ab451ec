//! Deployments that grow: a model of sites and workers in which anything may come late.

use std::collections::BTreeSet;

use super::*;
use crate::workflow::{Role, WorkerInfo};

const SOURCE: VertexId = VertexId(0);
const SPREAD: VertexId = VertexId(1);
pub(super) const AGAIN: VertexId = VertexId(2);
pub(super) const SINK: VertexId = VertexId(3);

/// From each vertex to the next, and past one of them.
pub(super) fn links() -> Links {
    BTreeMap::from([(SOURCE, vec![SPREAD]), (SPREAD, vec![AGAIN, SINK]), (AGAIN, vec![SINK])])
}

/// How often a record reaches the sink.
const WAYS: usize = 2;

pub(super) fn growth(number: u32) -> Growth {
    let two = vec![WorkerInfo { node: node(number), role: Role::WORKER }; 2];
    Growth { node: node(number), workers: BTreeMap::from([(SPREAD, two.clone()), (AGAIN, two)]) }
}

/// What a worker hears from its site.
#[derive(Clone, Debug)]
enum Word {
    Open,
    Start,
    Stop,
    Expect(NodeId, u32),
    Joined(NodeId),
    End,
}

#[derive(Debug)]
struct Worker {
    words: VecDeque<Word>,
    /// Ends that it waits for.
    ends: usize,
    /// How many workers of each vertex it knows of.
    knows: BTreeMap<VertexId, u32>,
    open: bool,
    started: bool,
    stopping: bool,
    ended: bool,
    /// Records that a source is still to emit.
    left: u32,
    next: u32,
}

#[derive(Debug, Default)]
struct Site {
    inbox: VecDeque<Command>,
    outbox: VecDeque<Event>,
    workers: BTreeMap<WorkerId, Worker>,
}

#[derive(Clone, Copy, Debug)]
enum Parcel {
    Record(u32),
    End,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Report(NodeId),
    Obey(NodeId),
    Listen(NodeId, WorkerId),
    Receive(WorkerId, WorkerId),
    Emit(NodeId, WorkerId),
    Join,
}

/// A deployment on two nodes, and nodes that may join it.
struct Model {
    coordinator: Coordinator,
    links: Links,
    sites: BTreeMap<NodeId, Site>,
    channels: BTreeMap<(WorkerId, WorkerId), VecDeque<Parcel>>,
    /// How many workers each vertex has.
    counts: BTreeMap<VertexId, u32>,
    /// The node that joins, as the master knows; and how many are still to.
    joining: Option<u32>,
    joins: u32,
    joined: BTreeSet<u32>,
    dismissed: BTreeSet<u32>,
    /// Numbers of nodes whose workers cannot open.
    unfit: Option<u32>,
    emitted: u32,
    arrived: Vec<u32>,
    ending: Option<Ending>,
}

impl Model {
    fn new(records: u32, joins: u32, unfit: Option<u32>) -> Model {
        let counts: BTreeMap<VertexId, u32> = [SOURCE, SPREAD, AGAIN, SINK].map(|vertex| (vertex, 2)).into();
        let all: Vec<(WorkerId, NodeId)> =
            counts.keys().flat_map(|vertex| (0..2).map(|n| (worker(vertex.0, n), node(n + 1)))).collect();
        let mut model = Model {
            coordinator: Coordinator::new(all.iter().copied(), links()),
            links: links(),
            sites: BTreeMap::new(),
            channels: BTreeMap::new(),
            counts,
            joining: None,
            joins,
            joined: BTreeSet::new(),
            dismissed: BTreeSet::new(),
            unfit,
            emitted: 0,
            arrived: Vec::new(),
            ending: None,
        };
        for number in [1, 2] {
            model.make_site(node(number), all.iter().filter(|(_, at)| *at == node(number)).map(|(id, _)| *id), records);
        }
        model
    }

    fn make_site(&mut self, node: NodeId, ids: impl Iterator<Item = WorkerId>, records: u32) {
        let mut site = Site { outbox: VecDeque::from([Event::Prepared(node)]), ..Site::default() };
        for id in ids {
            let before = self.links.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
            let before = before.filter(|(_, to)| **to == id.vertex).map(|(from, _)| self.counts[from] as usize);
            let worker = Worker {
                words: VecDeque::new(),
                ends: before.sum(),
                knows: self.counts.clone(),
                open: false,
                started: false,
                stopping: false,
                ended: false,
                left: if id.vertex == SOURCE { records } else { 0 },
                next: 0,
            };
            site.workers.insert(id, worker);
        }
        self.sites.insert(node, site);
    }

    fn handle(&mut self, event: Event) {
        for command in self.coordinator.handle(event) {
            assert!(self.ending.is_none(), "{command:?} after the end");
            match &command {
                Command::Invite(joined) => {
                    let growth = growth(joined.number);
                    let ids = growth.ids(|vertex| self.counts[&vertex] as usize);
                    let before = self.counts.clone();
                    growth.workers.iter().for_each(|(vertex, of)| {
                        *self.counts.entry(*vertex).or_default() += of.len() as u32;
                    });
                    self.make_site(*joined, ids.into_iter(), 0);
                    self.counts = before;
                    continue;
                }
                Command::Welcome(joined) => {
                    for (vertex, of) in growth(joined.number).workers {
                        *self.counts.entry(vertex).or_default() += of.len() as u32;
                    }
                    assert_eq!(self.joining.take(), Some(joined.number));
                    self.joined.insert(joined.number);
                }
                Command::End(ending) => self.ending = Some(ending.clone()),
                _ => {}
            }
            self.sites.values_mut().for_each(|site| site.inbox.push_back(command.clone()));
            if let Command::Dismiss { joined, .. } = &command {
                assert!(!self.joined.contains(&joined.number), "it has joined");
                assert_eq!(self.joining.take(), Some(joined.number));
                self.dismissed.insert(joined.number);
                self.sites.remove(joined);
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
            for (id, worker) in &site.workers {
                if !worker.words.is_empty() {
                    steps.push(Step::Listen(*node, *id));
                }
                if id.vertex == SOURCE && worker.started && !worker.ended {
                    steps.push(Step::Emit(*node, *id));
                }
            }
        }
        let is_there = |id: &WorkerId| self.sites.values().any(|site| site.workers.get(id).is_some_and(|w| w.open));
        let waits = self.channels.iter().filter(|((_, to), parcels)| !parcels.is_empty() && is_there(to));
        steps.extend(waits.map(|((from, to), _)| Step::Receive(*from, *to)));
        if self.joining.is_none() && self.joins > 0 && self.ending.is_none() {
            steps.push(Step::Join);
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
            Step::Listen(node, id) => self.listen(node, id),
            Step::Receive(from, to) => self.receive(from, to),
            Step::Emit(node, id) => {
                let worker = self.worker(node, id);
                if worker.left == 0 || worker.stopping {
                    return self.finish(node, id);
                }
                worker.left -= 1;
                self.emitted += 1;
                let record = self.emitted;
                self.send(node, id, record);
            }
            Step::Join => {
                let number = 2 + self.joins;
                self.joins -= 1;
                self.joining = Some(number);
                self.handle(Event::Grow(growth(number)));
            }
        }
    }

    fn worker(&mut self, node: NodeId, id: WorkerId) -> &mut Worker {
        self.sites.get_mut(&node).and_then(|site| site.workers.get_mut(&id)).expect("a worker")
    }

    /// As a site does.
    fn obey(&mut self, node: NodeId) {
        let links = &self.links;
        let Some(site) = self.sites.get_mut(&node) else { return };
        let Some(command) = site.inbox.pop_front() else { return };
        let mut tell = |to: &dyn Fn(VertexId) -> bool, word: Word| {
            let living = site.workers.iter_mut().filter(|(id, worker)| to(id.vertex) && !worker.ended);
            living.for_each(|(_, worker)| worker.words.push_back(word.clone()));
        };
        match command {
            Command::Connect => site.outbox.push_back(Event::Connected(node)),
            Command::Open => tell(&|_| true, Word::Open),
            Command::Start => tell(&|_| true, Word::Start),
            Command::StopSources => tell(&|vertex| vertex == SOURCE, Word::Stop),
            Command::Meet(growth) => site.outbox.push_back(Event::Met { node, joined: growth.node }),
            Command::OpenOn(joined) if joined == node => tell(&|_| true, Word::Open),
            Command::Expect { joined, ends } if joined != node => {
                ends.iter().for_each(|(of, ends)| tell(&|vertex| vertex == *of, Word::Expect(joined, *ends)));
            }
            Command::Welcome(joined) if joined == node => tell(&|_| true, Word::Start),
            Command::Welcome(joined) => {
                tell(&|vertex| growth(joined.number).concerns(links, vertex), Word::Joined(joined));
            }
            Command::Release { worker, ends } => {
                if let Some(worker) = site.workers.get_mut(&worker).filter(|worker| !worker.ended) {
                    worker.words.extend(vec![Word::End; ends as usize]);
                }
            }
            Command::GiveUp => {
                for (id, worker) in site.workers.iter_mut().filter(|(_, worker)| !worker.ended) {
                    worker.ended = true;
                    worker.words.clear();
                    site.outbox.push_back(Event::Gone(*id));
                }
            }
            _ => {}
        }
    }

    /// As a worker does.
    fn listen(&mut self, node: NodeId, id: WorkerId) {
        let unfit = self.unfit == Some(node.number);
        let worker = self.worker(node, id);
        let Some(word) = worker.words.pop_front() else { return };
        if worker.ended {
            return;
        }
        let event = match word {
            Word::Open if unfit => Event::Failed(id, Failure { vertex: id.vertex, error: Error::from("unfit") }),
            Word::Open => {
                worker.open = true;
                Event::Opened(id)
            }
            Word::Start => return worker.started = true,
            Word::Stop => return worker.stopping = true,
            Word::End => return self.end_of_one(node, id),
            Word::Expect(joined, ends) => {
                worker.ends += ends as usize;
                Event::Expects { worker: id, joined, agreed: true }
            }
            Word::Joined(joined) => {
                for (vertex, of) in growth(joined.number).workers {
                    *worker.knows.entry(vertex).or_default() += of.len() as u32;
                }
                Event::Told { worker: id, joined, knows: true }
            }
        };
        self.sites.get_mut(&node).expect("a site").outbox.push_back(event);
    }

    fn receive(&mut self, from: WorkerId, to: WorkerId) {
        let Some(parcel) = self.channels.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return };
        let node = self.sites.iter().find(|(_, site)| site.workers.contains_key(&to)).map(|(node, _)| *node);
        let Some(node) = node else { return };
        let failed = self.coordinator.failed.is_some() || matches!(self.ending, Some(Ending::Failed { .. }));
        assert!(failed || !self.worker(node, to).ended, "{parcel:?} from {from:?} comes to {to:?}, which has ended");
        match parcel {
            Parcel::Record(record) if to.vertex == SINK => self.arrived.push(record),
            Parcel::Record(record) => self.send(node, to, record),
            Parcel::End => self.end_of_one(node, to),
        }
    }

    fn send(&mut self, node: NodeId, from: WorkerId, record: u32) {
        for vertex in self.links[&from.vertex].clone() {
            let worker = self.worker(node, from);
            worker.next += 1;
            let to = WorkerId { vertex, index: worker.next % worker.knows[&vertex] };
            self.channels.entry((from, to)).or_default().push_back(Parcel::Record(record));
        }
    }

    fn end_of_one(&mut self, node: NodeId, id: WorkerId) {
        let worker = self.worker(node, id);
        assert!(worker.ends > 0, "{id:?} hears of more ends than it waits for");
        worker.ends -= 1;
        if worker.ends == 0 {
            self.finish(node, id);
        }
    }

    fn finish(&mut self, node: NodeId, id: WorkerId) {
        let worker = self.worker(node, id);
        worker.ended = true;
        worker.words.clear();
        let knows = worker.knows.clone();
        for vertex in self.links.get(&id.vertex).into_iter().flatten() {
            for index in 0..knows[vertex] {
                let to = WorkerId { vertex: *vertex, index };
                self.channels.entry((id, to)).or_default().push_back(Parcel::End);
            }
        }
        let outbox = &mut self.sites.get_mut(&node).expect("a site").outbox;
        outbox.extend([Event::Done(id), Event::Gone(id)]);
    }

    /// A node is gone, with all that is on it.
    fn lose(&mut self, number: u32) {
        if self.sites.remove(&node(number)).is_some() {
            self.handle(Event::Lost { node: node(number), error: Error::from("gone") });
        }
    }
}

/// What happens at some time, beside all that follows from itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Nothing,
    Stop,
    Abort,
    Lose(u32),
    /// Workers on this node do not open.
    Unfit(u32),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Nothing),
        2 => Just(Fate::Stop),
        1 => Just(Fate::Abort),
        2 => (1..6u32).prop_map(Fate::Lose),
        1 => (3..6u32).prop_map(Fate::Unfit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whoever joins whenever, and whatever happens meanwhile: the deployment ends; if it has not failed, each record
    /// has arrived as often as it should have; and it fails only when a node is lost that had a part in it.
    #[test]
    fn whoever_joins_nothing_is_lost_and_all_ends(
        records in 0..30u32,
        joins in 0..4u32,
        fate in fate(),
        at in 0..300usize,
        schedule in any::<u64>(),
    ) {
        let unfit = if let Fate::Unfit(number) = fate { Some(number) } else { None };
        let mut model = Model::new(records, joins, unfit);
        let (mut random, mut fails) = (schedule, false);
        for step in 0.. {
            prop_assert!(step < 100_000, "it does not end");
            if step == at {
                match fate {
                    Fate::Stop => model.handle(Event::Stop),
                    Fate::Abort => {
                        fails = model.ending.is_none();
                        model.handle(Event::Abort);
                    }
                    Fate::Lose(number) => {
                        let takes_part = number <= 2 || model.joined.contains(&number);
                        fails = takes_part && model.ending.is_none();
                        model.lose(number);
                    }
                    _ => {}
                }
            }
            let steps = model.steps();
            if steps.is_empty() && step >= at {
                break;
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if !steps.is_empty() {
                model.take(steps[(random >> 33) as usize % steps.len()]);
            }
        }
        match model.ending {
            Some(Ending::Failed { failure, .. }) => prop_assert!(fails, "{failure:?}"),
            Some(_) => {
                prop_assert!(!fails);
                model.arrived.sort_unstable();
                let expected: Vec<u32> = (1..=model.emitted).flat_map(|record| [record; WAYS]).collect();
                prop_assert_eq!(model.arrived, expected);
                let all = fate != Fate::Stop;
                prop_assert!(!all || model.emitted == 2 * records);
            }
            None => prop_assert!(false, "it stands still: {:?}", model.coordinator),
        }
    }
}
