//! That the simulation keeps to what the runtime promises, and finds what breaks promises.

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use super::*;
use crate::operations::Map;
use crate::strategies::{KeyedState, RoundRobin, Sedentary};
use crate::workflow::{Deployment, Emit, Flush, LinkContext, Outbox, React, WorkerContext};

fn node(number: u32) -> NodeId {
    NodeId { number, incarnation: 0 }
}

fn echo() -> impl React<In = u64, Out = u64> {
    Map::new(|n: u64| n)
}

#[test]
fn a_seed_is_an_order_of_things() {
    let simulation = Simulation::new(echo(), RoundRobin, Cluster::simulated(3, 2)).senders(3);
    let run = |seed| simulation.clone().seed(seed).run(0..5000).expect("no failure");
    let orders: Vec<Vec<u64>> = (0..10).map(|seed| run(seed).records()).collect();
    for (seed, order) in orders.iter().enumerate() {
        assert_eq!(*order, run(seed as u64).records());
        assert!(orders[..seed].iter().all(|other| other != order), "seed {seed} is like another one");
    }
}

#[test]
fn without_a_seed_what_was_sent_arrives_first() {
    let outcome = Simulation::new(echo(), Sedentary, Cluster::simulated(2, 1)).senders(1).run(0..5000);
    assert_eq!(outcome.expect("no failure").records(), (0..5000).collect::<Vec<_>>());
}

#[test]
fn time_passes_with_the_records() {
    let simulation = Simulation::new(echo(), RoundRobin, Cluster::simulated(1, 1)).rate(1000);
    assert_eq!(simulation.run(0..2500).expect("no failure").time.as_millis(), 2500);
}

#[test]
fn mistakes_are_named() {
    let simulation = Simulation::new(echo(), RoundRobin, Cluster::simulated(2, 1));
    let message = |outcome: Result<Outcome<u64>>| outcome.expect_err("a mistake").to_string();
    assert!(message(simulation.clone().senders(2).run_from([(2, 1)])).contains("no sender 2"));
    assert!(message(simulation.clone().sender_on(node(0), 1).run([1])).contains("no in port 1"));
    assert!(message(simulation.sender_on(node(5), 0).run([1])).contains("node 5"));
}

#[test]
fn a_callback_that_fails_fails_the_simulation() {
    #[derive(Clone)]
    struct Picky;
    impl Operation for Picky {
        type In = u64;
        type Out = u64;
        const NAME: &'static str = "picky";
    }
    impl React for Picky {
        type State = ();
        fn init(&self) {}
        fn react<E: Emit<u64>>(&self, _state: &mut (), n: u64, _emit: &mut E) -> Result<()> {
            if n == 3 { Err(Error::Operation("three!".to_owned())) } else { Ok(()) }
        }
    }
    let simulation = Simulation::new(Picky, RoundRobin, Cluster::simulated(2, 1));
    assert_eq!(simulation.run(0..3).map(Outcome::records), Ok(Vec::new()));
    assert_eq!(simulation.run(0..4).map(Outcome::records), Err(Error::Operation("three!".to_owned())));
}

/// A list that does not know its length beforehand, which postcard cannot write.
#[derive(Clone, Debug, Deserialize)]
struct Unmeasured(Vec<u8>);

impl Serialize for Unmeasured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        self.0.iter().try_for_each(|byte| list.serialize_element(byte))?;
        list.end()
    }
}

#[test]
fn a_message_that_cannot_travel_is_found() {
    let echo = Map::new(|record: Unmeasured| record.0.len());
    let two = Simulation::new(echo.clone(), RoundRobin, Cluster::simulated(2, 1));
    let records = || vec![Unmeasured(vec![1, 2]); 2];
    let error = two.run(records()).expect_err("it cannot travel").to_string();
    assert!(error.contains("cannot travel between nodes"), "{error}");
    assert_eq!(two.in_memory().run(records()).map(Outcome::records), Ok(vec![2, 2]));
    let one = Simulation::new(echo, RoundRobin, Cluster::simulated(1, 2));
    assert_eq!(one.run(records()).map(Outcome::records), Ok(vec![2, 2]));
}

/// Passes each number round the workers until it is 0, and emits it then; also a few of its own after the end.
#[derive(Clone, Copy)]
struct Relay {
    /// Whether workers send on their own when they must not any more.
    late: bool,
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Runner {
    drained: bool,
}

impl<O: Operation<In = u64, Out = u64>> Strategy<O> for Relay {
    type Message = u64;
    type Sender = ();
    type State = Runner;
    const NAME: &'static str = "relay";
    const PEERS: bool = true;

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_workers())
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    fn deliver(&self, link: &LinkContext<'_, O>, _sender: &mut (), number: u64, outbox: &mut Outbox<u64>) {
        // By in port: the second one begins at the last worker.
        outbox.send(if link.port == 0 { 0 } else { link.workers.len() - 1 }, number);
    }

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<Runner> {
        Ok(Runner::default())
    }

    fn process<E: Emit<u64>>(
        &self,
        worker: &WorkerContext<'_, O>,
        _runner: &mut Runner,
        number: u64,
        emit: &mut E,
        peers: &mut Outbox<u64>,
    ) -> Result<()> {
        match number {
            0 => emit.emit(worker.index as u64),
            _ => peers.send((worker.index + 1) % worker.workers.len(), number - 1),
        }
        Ok(())
    }

    fn settle<E: Emit<u64>>(
        &self,
        _worker: &WorkerContext<'_, O>,
        runner: &mut Runner,
        _emit: &mut E,
        peers: &mut Outbox<u64>,
        _due: Flush,
    ) -> Result<()> {
        if self.late && runner.drained {
            peers.send(0, 0);
        }
        Ok(())
    }

    fn drain(&self, worker: &WorkerContext<'_, O>, runner: &mut Runner, peers: &mut Outbox<u64>) -> Result<()> {
        runner.drained = true;
        peers.send(worker.index, 100);
        Ok(())
    }

    fn finish<E: Emit<u64>>(&self, worker: &WorkerContext<'_, O>, _runner: &mut Runner, emit: &mut E) -> Result<()> {
        emit.emit(1000 + worker.index as u64);
        Ok(())
    }
}

/// Has two in ports.
#[derive(Clone)]
struct Two;

impl Operation for Two {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "two";
    const IN_PORTS: &'static [&'static str] = &["left", "right"];
}

#[test]
fn workers_finish_when_nothing_is_under_way_between_them() {
    for seed in 0..50 {
        let relay = Relay { late: false };
        let simulation = Simulation::new(Two, relay, Cluster::simulated(3, 1)).seed(seed);
        let simulation = simulation.sender_on(node(0), 0).sender_on(node(1), 1).sender_on(node(2), 1);
        let outcome = simulation.run_from([(0, 3), (1, 0), (2, 1), (0, 50)]).expect("no failure");
        let mut emitted = outcome.clone().records();
        let finished = emitted.split_off(7);
        emitted.sort_unstable();
        // Where numbers end up: 3 and 50 from worker 0, 0 and 1 from worker 2; and 100 from each, after `drain`.
        assert_eq!(emitted, [0, 0, 0, 1, 2, 2, 2], "seed {seed}");
        assert!(finished.iter().all(|n| *n >= 1000) && finished.len() == 3, "{finished:?}");
        assert_eq!(outcome.received, [2, 0, 2]);
        assert_eq!(outcome.from_peers.iter().sum::<u64>(), 3 + 1 + 50 + 3 * 101);
    }
}

#[test]
fn a_worker_that_speaks_up_too_late_is_found() {
    let simulation = Simulation::new(Two, Relay { late: true }, Cluster::simulated(2, 1));
    let error = simulation.run([]).expect_err("too late").to_string();
    assert!(error.contains("after `drain`"), "{error}");
}

#[test]
fn a_strategy_that_places_nobody_is_refused() {
    let simulation = Simulation::new(Map::new(|n: u64| n), Nobody, Cluster::simulated(2, 1));
    let error = simulation.run([1]).expect_err("refused").to_string();
    assert!(error.contains("`nobody`"), "{error}");
}

#[derive(Clone)]
struct Nobody;

impl<O: Operation<In = u64>> Strategy<O> for Nobody {
    type Message = u64;
    type Sender = ();
    type State = ();
    const NAME: &'static str = "nobody";

    fn deploy(&self, _operation: &O, _cluster: &Cluster) -> Result<Deployment> {
        Ok(Deployment::default())
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    fn deliver(&self, _link: &LinkContext<'_, O>, _sender: &mut (), _number: u64, _outbox: &mut Outbox<u64>) {}

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<()> {
        Ok(())
    }

    fn process<E: Emit<O::Out>>(
        &self,
        _worker: &WorkerContext<'_, O>,
        _state: &mut (),
        _message: u64,
        _emit: &mut E,
        _peers: &mut Outbox<u64>,
    ) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_slow_worker_holds_its_senders_up_but_loses_nothing() {
    let key = |n: &u64| *n;
    let distinct = crate::operations::Distinct::by(key);
    let simulation = Simulation::new(distinct, KeyedState, Cluster::simulated(2, 2)).senders(3).slow(0).slow(2);
    for simulation in [simulation.clone(), simulation.seed(8)] {
        let mut records = simulation.run(0..50_000).expect("no failure").records();
        records.sort_unstable();
        assert_eq!(records, (0..50_000).collect::<Vec<_>>());
    }
}
