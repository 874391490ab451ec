//! The simulated runtime: all workers of a workflow in one thread, and who does what next.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::dice::Dice;
use super::network::{CREDITS, Channel, Network, Sent, SimulatedWiring};
use crate::id::VertexId;
use crate::workflow::{
    Clock, Cluster, Commit, Error, Failure, Flush, Meter, NodeInfo, Opening, Origin, Pull, Result, Stage, StageFactory,
    Survey, Watermark, Workers, Workflow,
};

/// How often a busy worker is flushed, in simulated time; as the runtime does.
const FLUSH_INTERVAL: Duration = Duration::from_millis(1);
/// Most records that a source is asked for at a time, where nothing is random; fewer when they take a flush interval.
const BUDGET: usize = 256;
/// Longest time that may pass between two steps at random: some flushes of a busy strategy are due after 100 ms, some
/// after a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// What the test can choose.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Records a second, over all sources.
    pub rate: u64,
    /// Whether messages between nodes are written to bytes and read again.
    pub encoded: bool,
    /// Vertex and numbers of workers that handle a message only when nobody else can do anything.
    pub slow: (VertexId, Vec<usize>),
    /// Seed of the order in which things happen; without one they happen in turn.
    pub seed: Option<u64>,
    /// Nodes that join when senders have sent so many records, in this order.
    pub joins: VecDeque<(u64, NodeInfo)>,
}

/// A vertex that has workers.
pub(super) struct Placed {
    pub id: VertexId,
    pub workers: Workers,
    pub warnings: Vec<String>,
    /// For each worker, how many messages it got from elsewhere, and from its peers.
    pub received: Vec<u64>,
    pub from_peers: Vec<u64>,
    pub factory: Arc<dyn StageFactory>,
    /// The offset of the vertex numbers that its recipe was built with.
    pub offset: u32,
    pub parallelism: Option<usize>,
    /// The place of each worker in the engine.
    pub places: Vec<usize>,
    meter: Arc<Meter>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// All senders have ended.
    Drained,
    Finished,
}

pub(super) struct Worker {
    vertex: usize,
    index: usize,
    pub stage: Box<dyn Stage>,
    pub phase: Phase,
    /// When a source is to be asked for records; never, if it has ended or is none.
    ask: Option<Duration>,
    /// The watermarks of the channels before it, by their numbers.
    clock: Clock<usize>,
}

#[derive(Clone, Copy)]
enum Action {
    Receive(usize),
    Produce(usize),
    Drain(usize),
    Finish(usize),
}

enum Step {
    Act(Action),
    Flush(usize, bool),
    FlushAll { idle: bool },
    WaitUntil(Duration),
    Done,
}

pub(super) struct Engine {
    pub vertices: Vec<Placed>,
    pub now: Duration,
    pub workers: Vec<Worker>,
    pub network: Network,
    pub cluster: Cluster,
    meters: BTreeMap<VertexId, Arc<Meter>>,
    settings: Settings,
    dice: Option<Dice>,
    flushed: Duration,
    /// Whether nothing has happened since all were told that they are idle.
    idle: bool,
    /// The source that is asked next, where nothing is random.
    turn: usize,
}

pub(super) fn reason(failure: Failure) -> Error {
    failure.error
}

impl Engine {
    /// Deploys a workflow and opens the stages of all its workers.
    pub fn open(workflow: &Workflow, cluster: &Cluster, settings: Settings) -> Result<Engine> {
        let (mut vertices, mut meters) = (Vec::new(), BTreeMap::new());
        let network = Network::default();
        let mut first = 0;
        for (id, offset, factory) in workflow.stages() {
            let info = workflow.vertices().get(id.0 as usize);
            let parallelism = info.and_then(|info| info.parallelism);
            let deployment = factory.deploy(&cluster.with_parallelism(parallelism))?;
            let strategy = info.map(|info| info.strategy.as_str()).unwrap_or_default();
            if deployment.workers.is_empty() {
                return Err(Error::Deploy(format!("strategy `{strategy}` made no worker; it needs at least one")));
            }
            let unknown = |node| cluster.nodes().iter().all(|known| known.id != node);
            if let Some(worker) = deployment.workers.iter().find(|worker| unknown(worker.node)) {
                let number = worker.node.number;
                let reason = format!("strategy `{strategy}` put a worker on node {number}, which is not there");
                return Err(Error::Deploy(reason));
            }
            let workers: Workers = deployment.workers.into();
            let count = workers.len();
            let places: Vec<usize> = (first..first + count).collect();
            network.plan().insert(id, (Arc::clone(&workers), places.clone()));
            vertices.push(Placed {
                id,
                workers,
                warnings: deployment.warnings,
                received: vec![0; count],
                from_peers: vec![0; count],
                factory: Arc::clone(factory),
                offset,
                parallelism,
                places,
                meter: Arc::clone(meters.entry(id).or_default()),
            });
            first += count;
        }
        let dice = settings.seed.map(Dice::new);
        let mut engine = Engine {
            vertices,
            now: Duration::ZERO,
            workers: Vec::new(),
            network,
            cluster: cluster.clone(),
            meters,
            settings,
            dice,
            flushed: Duration::ZERO,
            idle: false,
            turn: 0,
        };
        for vertex in 0..engine.vertices.len() {
            for index in 0..engine.vertices[vertex].workers.len() {
                engine.open_worker(vertex, index)?;
            }
        }
        engine.begin_time()?;
        Ok(engine)
    }

    /// Sources that say nothing of time are not waited for, where others say how far that has come.
    fn begin_time(&mut self) -> Result<()> {
        let keeps_time = |vertex: &Placed| {
            let mut survey = Survey::new(vertex.offset);
            vertex.factory.survey(&mut survey);
            survey.keeps_time
        };
        if !self.vertices.iter().any(keeps_time) {
            return Ok(());
        }
        let is_source = |worker: &&mut Worker| self.vertices[worker.vertex].factory.origin() != Origin::Links;
        let mut sources = self.workers.iter_mut().filter(is_source);
        sources.try_for_each(|worker| worker.stage.advance(Watermark::Idle).map_err(reason))
    }

    /// Opens the stage of a worker, whose place is behind all that there are.
    pub fn open_worker(&mut self, vertex: usize, index: usize) -> Result<()> {
        let placed = &self.vertices[vertex];
        let mut wiring = SimulatedWiring {
            network: &self.network,
            meters: &mut self.meters,
            vertex: placed.id,
            index,
            node: placed.workers[index].node,
            place: placed.places[index],
        };
        let stage = placed.factory.open(&mut Opening::new(&mut wiring, placed.offset)).map_err(reason)?;
        let ask = (placed.factory.origin() == Origin::Produce).then_some(self.now);
        self.workers.push(Worker { vertex, index, stage, phase: Phase::Running, ask, clock: Clock::default() });
        Ok(())
    }

    /// Runs until every worker has finished.
    pub fn run(&mut self) -> Result<()> {
        self.listen()?;
        loop {
            let sent = self.sent();
            if let Some((_, joined)) = self.settings.joins.pop_front_if(|(after, _)| *after <= sent) {
                self.join(&joined)?;
            }
            let actions = self.actions();
            let step = match self.dice.take() {
                Some(mut dice) => {
                    let step = self.at_random(&actions, &mut dice);
                    self.dice = Some(dice);
                    step
                }
                None => self.in_turn(&actions),
            };
            match step {
                Step::Act(action) => self.act(action)?,
                Step::Flush(worker, idle) => self.flush(worker, idle)?,
                Step::FlushAll { idle } => {
                    self.flushed = self.now;
                    self.idle = idle;
                    (0..self.workers.len()).try_for_each(|worker| self.flush(worker, idle))?;
                }
                Step::WaitUntil(time) => self.now = time,
                Step::Done => break,
            }
        }
        match self.workers.iter().all(|worker| worker.phase == Phase::Finished) {
            true => Ok(()),
            false => Err(Error::Operation("the simulation is stuck: workers wait for each other".to_owned())),
        }
    }

    /// How many records sources have emitted.
    fn sent(&self) -> u64 {
        let sources = self.vertices.iter().filter(|vertex| vertex.factory.origin() == Origin::Produce);
        sources.map(|vertex| vertex.meter.emitted()).sum()
    }

    /// Has sources that listen take in all that there is, before anything else happens.
    fn listen(&mut self) -> Result<()> {
        for vertex in self.vertices.iter().filter(|vertex| vertex.factory.origin() == Origin::Listen) {
            for index in 0..vertex.workers.len() {
                vertex.factory.listen(&vertex.workers, index, self.network.gate(vertex.places[index]))?;
            }
        }
        Ok(())
    }

    /// All that can be done next.
    fn actions(&self) -> Vec<Action> {
        let channels = self.network.lock();
        let vertex_of = |worker: usize| self.workers[worker].vertex;
        // By worker: whether a receiver has no room for more from it; whether something still comes, peers apart.
        let mut blocked = vec![false; self.workers.len()];
        let mut awaits = vec![false; self.workers.len()];
        // By vertex: whether workers may still send to each other.
        let mut talks = vec![false; self.vertices.len()];
        for channel in channels.iter() {
            let waits = !channel.sent.is_empty();
            if channel.peers {
                talks[vertex_of(channel.to)] |= waits;
                continue;
            }
            awaits[channel.to] |= waits || channel.from.is_some_and(|w| self.workers[w].phase != Phase::Finished);
            if let Some(from) = channel.from {
                blocked[from] |= channel.sent.len() > CREDITS;
            }
        }
        for worker in self.workers.iter().filter(|worker| worker.phase == Phase::Running) {
            talks[worker.vertex] |= self.vertices[worker.vertex].factory.peers();
        }
        let receive = channels.iter().enumerate().filter(|(_, channel)| !channel.sent.is_empty());
        let mut actions: Vec<Action> =
            receive.filter(|(_, channel)| !blocked[channel.to]).map(|(number, _)| Action::Receive(number)).collect();
        for (place, worker) in self.workers.iter().enumerate().filter(|(place, _)| !blocked[*place]) {
            match (worker.phase, worker.ask) {
                (Phase::Running, Some(time)) if time <= self.now => actions.push(Action::Produce(place)),
                (Phase::Running, None) if !awaits[place] => actions.push(Action::Drain(place)),
                (Phase::Drained, _) if !talks[worker.vertex] => actions.push(Action::Finish(place)),
                _ => {}
            }
        }
        actions
    }

    /// Whether this is for a worker that takes its time.
    fn is_slow(&self, action: &Action) -> bool {
        let Action::Receive(channel) = action else { return false };
        let worker = &self.workers[self.network.lock()[*channel].to];
        let (vertex, slow) = &self.settings.slow;
        self.vertices[worker.vertex].id == *vertex && slow.contains(&worker.index)
    }

    /// The next step where nothing is random: what is under way arrives before a source is asked for more.
    fn in_turn(&mut self, actions: &[Action]) -> Step {
        let mut receive = actions.iter().filter(|action| matches!(action, Action::Receive(_)));
        if let Some(action) = receive.clone().find(|action| !self.is_slow(action)) {
            return Step::Act(*action);
        }
        if self.now >= self.flushed + FLUSH_INTERVAL {
            return Step::FlushAll { idle: false };
        }
        let sources = actions.iter().filter_map(|action| match action {
            Action::Produce(worker) => Some(*worker),
            _ => None,
        });
        if let Some(worker) = sources.clone().find(|worker| *worker >= self.turn).or_else(|| sources.clone().next()) {
            self.turn = worker + 1;
            return Step::Act(Action::Produce(worker));
        }
        if let Some(action) = receive.next() {
            return Step::Act(*action);
        }
        if !self.idle {
            return Step::FlushAll { idle: true };
        }
        match actions.first() {
            Some(action) => Step::Act(*action),
            None => self.wait(),
        }
    }

    /// The next step where the dice choose.
    fn at_random(&mut self, actions: &[Action], dice: &mut Dice) -> Step {
        let pause = if dice.one_in(64) { LONGEST_PAUSE } else { FLUSH_INTERVAL / 10 };
        self.now += pause.mul_f64(dice.below(1000) as f64 / 1000.0);
        if dice.one_in(8) {
            let worker = dice.below(self.workers.len());
            let busy = self.network.lock().iter().any(|channel| channel.to == worker && !channel.sent.is_empty());
            return Step::Flush(worker, !busy && dice.one_in(2));
        }
        let quick: Vec<&Action> = actions.iter().filter(|action| !self.is_slow(action)).collect();
        if let Some(action) = quick.get(dice.below(quick.len())) {
            return Step::Act(**action);
        }
        match actions.get(dice.below(actions.len())) {
            Some(action) => Step::Act(*action),
            None => self.wait(),
        }
    }

    fn wait(&self) -> Step {
        let next = self.workers.iter().filter_map(|worker| worker.ask).filter(|time| *time > self.now).min();
        next.map_or(Step::Done, Step::WaitUntil)
    }

    fn act(&mut self, action: Action) -> Result<()> {
        self.idle = false;
        match action {
            Action::Receive(channel) => self.receive(channel),
            Action::Produce(worker) => self.produce(worker),
            Action::Drain(place) => {
                let worker = &mut self.workers[place];
                worker.phase = Phase::Drained;
                match self.vertices[worker.vertex].factory.peers() {
                    true => worker.stage.drain().map_err(reason),
                    false => Ok(()),
                }
            }
            Action::Finish(place) => {
                let worker = &mut self.workers[place];
                worker.phase = Phase::Finished;
                worker.stage.finish().and_then(|()| worker.stage.commit(Commit::End)).map_err(reason)?;
                self.go_on_without(place)
            }
        }
    }

    /// Those who waited for what a worker says of time do not any more, once they have had all that it sent.
    fn go_on_without(&mut self, place: usize) -> Result<()> {
        let sent = |(number, channel): (usize, &Channel)| (channel.from == Some(place)).then_some((number, channel.to));
        let channels: Vec<_> = self.network.lock().iter().enumerate().filter_map(sent).collect();
        for (number, to) in channels {
            let open = self.open_channels(to);
            let worker = &mut self.workers[to];
            if worker.phase == Phase::Running && self.network.lock()[number].sent.is_empty() {
                worker.clock.ended(number, open).try_for_each(|news| worker.stage.advance(news).map_err(reason))?;
            }
        }
        Ok(())
    }

    /// How many channels before a worker may still bring something; those that are empty and whose sender has finished
    /// are forgotten.
    fn open_channels(&mut self, to: usize) -> usize {
        let channels = self.network.lock();
        let mut open = 0;
        for (number, channel) in channels.iter().enumerate().filter(|(_, channel)| channel.to == to && !channel.peers) {
            if channel.sent.is_empty() && channel.from.is_none_or(|from| self.workers[from].phase == Phase::Finished) {
                drop(self.workers[to].clock.ended(number, usize::MAX));
            } else {
                open += 1;
            }
        }
        open
    }

    fn receive(&mut self, number: usize) -> Result<()> {
        let (sent, from, to, peers) = {
            let mut channels = self.network.lock();
            let channel = &mut channels[number];
            (channel.sent.pop_front(), channel.from, channel.to, channel.peers)
        };
        let mut batch = match sent {
            None => return Ok(()),
            Some(Sent::Watermark(watermark)) => {
                let open = self.open_channels(to);
                let worker = &mut self.workers[to];
                let news = worker.clock.set(number, watermark, open);
                return news.into_iter().try_for_each(|news| worker.stage.advance(news).map_err(reason));
            }
            Some(Sent::Batch(batch)) => batch,
        };
        let node = |place: usize| {
            let worker = &self.workers[place];
            self.vertices[worker.vertex].workers[worker.index].node
        };
        let travels = from.is_some_and(|from| node(from) != node(to));
        let worker = &mut self.workers[to];
        let vertex = &mut self.vertices[worker.vertex];
        if travels && self.settings.encoded {
            let mut bytes = Vec::new();
            let failed = |error| Error::Operation(format!("a message cannot travel between nodes: {error}"));
            batch.encode(&mut bytes).map_err(failed)?;
            batch = vertex.factory.decode(&bytes, None).map_err(failed)?;
        }
        let counter = if peers { &mut vertex.from_peers } else { &mut vertex.received };
        counter[worker.index] += batch.len() as u64;
        worker.stage.process(&mut *batch).map_err(reason)?;
        if worker.phase == Phase::Drained {
            // Answers to peers leave at once, so that what leaves later is known to be none. No time has passed since
            // the start, as far as the stage can tell, so that its strategy does not settle.
            worker.stage.flush(Flush::Busy { now: Duration::ZERO }).map_err(reason)?;
        }
        self.network.lock()[number].spares.push(batch);
        Ok(())
    }

    fn produce(&mut self, place: usize) -> Result<()> {
        let in_time = usize::try_from(self.settings.rate / 1000).unwrap_or(BUDGET).clamp(1, BUDGET);
        let budget = self.dice.as_mut().map_or(in_time, |dice| 1 << dice.below(10));
        let worker = &mut self.workers[place];
        let meter = &self.vertices[worker.vertex].meter;
        let before = meter.emitted();
        let pull = worker.stage.produce(budget).map_err(reason)?;
        let nanoseconds = (meter.emitted() - before).saturating_mul(1_000_000_000) / self.settings.rate;
        self.now += Duration::from_nanos(nanoseconds);
        worker.ask = match pull {
            Pull::More | Pull::Again => Some(self.now),
            Pull::After(pause) => Some(self.now + pause),
            Pull::End => None,
        };
        match pull {
            Pull::Again | Pull::After(_) => self.flush(place, true),
            Pull::More | Pull::End => Ok(()),
        }
    }

    fn flush(&mut self, place: usize, idle: bool) -> Result<()> {
        let now = self.now;
        let worker = &mut self.workers[place];
        if worker.phase == Phase::Finished {
            return Ok(());
        }
        let drained = worker.phase == Phase::Drained;
        let before = if drained { self.network.posted_to_peers(place) } else { 0 };
        worker.stage.flush(if idle { Flush::Idle { now } } else { Flush::Busy { now } }).map_err(reason)?;
        if drained && self.network.posted_to_peers(place) > before {
            let index = worker.index;
            let reason = format!("worker {index} began to send to its peers after `drain`, which is the last time");
            return Err(Error::Operation(reason));
        }
        Ok(())
    }
}
