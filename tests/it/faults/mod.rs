//! User code that fails, panics or does not return: its deployment fails and says where, the process lives, and other
//! deployments go on.

mod stuck;
mod tolerated;
mod trap;

use std::collections::BTreeSet;
use std::sync::mpsc::sync_channel;

use skitter::operations::{Collected, MessageSource};
use skitter::prelude::*;
use skitter::runtime::{Phase, Runtime};
use skitter::workflow::{Cluster, Deployment, Error, Flush, LinkContext, Outbox, Share, WorkerContext};

use self::trap::*;
use super::support::{deploy, ended, eventually, nobody_lives, run, runtime};

/// That nothing of a failed deployment is in the way of the next one.
fn still_works(runtime: &Runtime) {
    let sum = Collected::new();
    let workflow = WorkflowBuilder::new();
    workflow
        .source(StreamSource::new(|| 0..100u64))
        .map(|n| n)
        .with(RoundRobin)
        .fold(0, |sum, n| *sum += n)
        .collect(&sum);
    run(runtime, workflow).expect("it completes");
    assert_eq!(sum.take(), [4950]);
}

fn failed(vertex: &str, cause: &Error, result: &Result<skitter::runtime::Summary>) -> bool {
    matches!(result, Err(Error::Failed { vertex: at, node, cause: why, .. })
        if at == vertex && node == "local" && **why == *cause)
}

/// Runs a workflow with a trap in its middle, in the worker before it or in workers of its own.
fn spring<S: Strategy<Trapped>>(runtime: &Runtime, trap: Trap, strategy: S, vertex: &str) {
    let workflow = WorkflowBuilder::new();
    // Nobody is sure to flush what ends at once.
    let end = if trap.0 == Place::Flush { u64::MAX } else { 1000 };
    let numbers = workflow.source(StreamSource::split(move |share| (share.index as u64..end).step_by(share.of)));
    let behind = numbers.map(|n| n).named("before").vertex(Trapped(trap), strategy).named("trap");
    behind.map(|n| n).named("after").map(|n| n).with(RoundRobin).discard();
    let result = run(runtime, workflow);
    match trap.0 {
        Place::Nowhere => assert!(result.is_ok(), "{result:?}"),
        _ => assert!(failed(vertex, &trap.error(), &result), "{trap:?} {vertex}: {result:?}"),
    }
}

const BOTH: [How; 2] = [How::Error, How::Panic];

#[test]
fn callbacks_are_blamed_on_their_vertex() {
    let runtime = runtime(3);
    for place in [Place::Nowhere, Place::Conf, Place::React, Place::Flush, Place::Finish] {
        for how in BOTH {
            spring(&runtime, Trap(place, how), Chained, "trap");
            spring(&runtime, Trap(place, how), RoundRobin, "trap");
            spring(&runtime, Trap(place, how), Handed(SET_NOWHERE), "trap");
        }
    }
    let trap = Trap(Place::Init, How::Panic);
    spring(&runtime, trap, Chained, "trap");
    spring(&runtime, trap, RoundRobin, "trap");
    spring(&runtime, trap, KeyedState, "trap");
    spring(&runtime, Trap(Place::Key, How::Panic), KeyedState, "trap");
    still_works(&runtime);
}

#[test]
fn hooks_are_blamed_on_their_vertex() {
    let runtime = runtime(3);
    for place in [Place::StrategyInit, Place::Process, Place::Settle, Place::Drain, Place::StrategyFinish] {
        for how in BOTH {
            spring(&runtime, SET_NOWHERE, Handed(SET_NOWHERE), "trap");
            let strategy = Handed(Trap(place, how));
            let workflow = WorkflowBuilder::new();
            let numbers = workflow.source(StreamSource::split(|share| (share.index as u64..1000).step_by(share.of)));
            numbers.vertex(Trapped(SET_NOWHERE), strategy).named("trap").discard();
            let result = run(&runtime, workflow);
            assert!(failed("trap", &Trap(place, how).error(), &result), "{place:?} {how:?}: {result:?}");
        }
    }
    for place in [Place::Sender, Place::Deliver, Place::DeliverFlush] {
        let workflow = WorkflowBuilder::new();
        let numbers = workflow.source(StreamSource::split(|share| (share.index as u64..1000).step_by(share.of)));
        numbers.vertex(Trapped(SET_NOWHERE), Handed(Trap(place, How::Panic))).named("trap").discard();
        let result = run(&runtime, workflow);
        assert!(failed("trap", &Error::Panic("sprung".to_owned()), &result), "{place:?}: {result:?}");
    }
    still_works(&runtime);
}

#[test]
fn sources_are_blamed() {
    let runtime = runtime(2);
    for place in [Place::Conf, Place::Open, Place::Read] {
        for how in BOTH {
            let workflow = WorkflowBuilder::new();
            workflow.source(TrappedSource(Trap(place, how))).named("trap").map(|n| n).with(RoundRobin).discard();
            let result = run(&runtime, workflow);
            assert!(failed("trap", &Trap(place, how).error(), &result), "{place:?} {how:?}: {result:?}");
        }
    }
    for place in [Place::ReadProgress, Place::DropState] {
        let workflow = WorkflowBuilder::new();
        workflow.source(TrappedSource(Trap(place, How::Panic))).named("trap").discard();
        let result = run(&runtime, workflow);
        assert!(failed("trap", &Error::Panic("sprung".to_owned()), &result), "{place:?}: {result:?}");
    }
    for how in BOTH {
        for place in [Place::Listen, Place::React] {
            let workflow = WorkflowBuilder::new();
            workflow.listen(TrappedPassive(Trap(place, how))).named("trap").discard();
            let result = run(&runtime, workflow);
            assert!(failed("trap", &Trap(place, how).error(), &result), "{place:?} {how:?}: {result:?}");
        }
    }
    still_works(&runtime);
}

#[test]
fn a_strategy_that_panics_when_it_deploys_is_named() {
    #[derive(Clone)]
    struct Undeployable;

    impl Strategy<Trapped> for Undeployable {
        type Message = u64;
        type Sender = ();
        type State = ();
        const NAME: &'static str = "undeployable";

        fn deploy(&self, _operation: &Trapped, _cluster: &Cluster) -> Result<Deployment> {
            panic!("sprung")
        }

        fn sender(&self, _link: &LinkContext<'_, Trapped>) {}

        fn deliver(&self, _: &LinkContext<'_, Trapped>, _sender: &mut (), _record: u64, _outbox: &mut Outbox<u64>) {}

        fn init(&self, _worker: &WorkerContext<'_, Trapped>) -> Result<()> {
            Ok(())
        }

        fn process<E: Emit<u64>>(
            &self,
            _worker: &WorkerContext<'_, Trapped>,
            _state: &mut (),
            _message: u64,
            _emit: &mut E,
            _peers: &mut Outbox<u64>,
        ) -> Result<()> {
            Ok(())
        }
    }

    let runtime = runtime(1);
    let workflow = WorkflowBuilder::new();
    let numbers = workflow.source(StreamSource::new(|| 0..3u64));
    numbers.vertex(Trapped(SET_NOWHERE), Undeployable).named("trap").discard();
    let error = runtime.deploy("test", workflow.build().expect("valid")).expect_err("it panics");
    assert_eq!(error.to_string(), "vertex `trap`: panicked: sprung");
    still_works(&runtime);
}

/// A destructor of user code that panics is not worse than another callback that does, and does not hide what failed
/// before it.
#[test]
fn destructors_may_panic() {
    let runtime = runtime(3);
    let numbers = || StreamSource::split(|share: Share| (share.index as u64..1000).step_by(share.of));
    for place in [Place::DropState, Place::DropOperation] {
        let trap = Trap(place, How::Panic);
        let workflow = WorkflowBuilder::new();
        workflow.source(numbers()).vertex(Trapped(trap), RoundRobin).named("trap").discard();
        let workflow = workflow.build();
        let result = ended(&runtime.deploy("test", workflow.expect("valid")).expect("deployable"));
        assert!(
            matches!(&result, Err(Error::Failed { cause, .. }) if **cause == trap.error()),
            "{place:?}: {result:?}"
        );
        nobody_lives(&runtime);

        // Behind a failure.
        let workflow = WorkflowBuilder::new();
        let before = workflow.source(StreamSource::split(|_| 0u64..)).vertex(Trapped(trap), RoundRobin).named("trap");
        before.vertex(Trapped(Trap(Place::React, How::Error)), Chained).named("first").discard();
        let result = run(&runtime, workflow);
        assert!(failed("first", &Error::from("sprung"), &result), "{place:?}: {result:?}");

        // In a deployment that is given up.
        let workflow = WorkflowBuilder::new();
        let endless = StreamSource::new(|| 0u64..);
        workflow.source(endless).vertex(Trapped(trap), RoundRobin).named("trap").discard();
        let deployment = deploy(&runtime, workflow);
        eventually("nothing flows", || deployment.status().vertices.iter().any(|vertex| vertex.emitted() > 0));
        deployment.abort();
        assert_eq!(ended(&deployment).expect_err("given up"), Error::Aborted);
        nobody_lives(&runtime);
    }
    still_works(&runtime);
}

/// What the payload of a panic does when it is dropped.
#[test]
fn a_panic_in_the_payload_of_a_panic_is_lived_through() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("boom");
        }
    }

    let runtime = runtime(1);
    let workflow = WorkflowBuilder::new();
    let numbers = workflow.source(StreamSource::new(|| 0..3u64));
    numbers.map(|_: u64| -> u64 { std::panic::panic_any(Bomb) }).named("bomb").discard();
    let result = run(&runtime, workflow);
    let cause = Error::Panic("panicked with something that is no text".to_owned());
    assert!(failed("bomb", &cause, &result), "{result:?}");
    still_works(&runtime);
}

/// The failure that happened first is the one that is told, though others follow from it.
#[test]
fn the_first_failure_is_told() {
    let runtime = runtime(8);
    let workflow = WorkflowBuilder::new();
    let numbers = workflow.source(StreamSource::split(|_| 0..1_000_000u64));
    let failing = numbers.map(|n| n).with(RoundRobin).vertex(Trapped(Trap(Place::React, How::Error)), KeyedState);
    failing.named("trap").map(|n| n).with(Rebalance).discard();
    let result = run(&runtime, workflow);
    assert!(failed("trap", &Error::from("sprung"), &result), "{result:?}");
}

/// What user code holds is dropped with the deployment, however it ends, and not kept by the runtime or by handles.
#[test]
fn operations_are_dropped_when_the_deployment_has_ended() {
    let runtime = runtime(2);
    for trap in [SET_NOWHERE, Trap(Place::React, How::Panic), Trap(Place::Open, How::Error)] {
        let (out, records) = sync_channel(1000);
        let workflow = WorkflowBuilder::new();
        workflow.source(TrappedSource(trap)).vertex(Trapped(trap), RoundRobin).send(out);
        let deployment = deploy(&runtime, workflow);
        let result = ended(&deployment);
        assert_eq!(result.is_ok(), trap.0 == Place::Nowhere, "{result:?}");
        // Ends when the last sender has been dropped.
        let records: BTreeSet<u64> = records.iter().collect();
        assert_eq!(records.len(), if result.is_ok() { 10 } else { 0 });
        assert!(matches!(deployment.status().phase, Phase::Completed | Phase::Failed(_)));
    }

    // A source that never came to listen.
    let (sender, source) = MessageSource::new(1);
    let workflow = WorkflowBuilder::new();
    workflow.listen(source).vertex(Trapped(Trap(Place::Conf, How::Error)), RoundRobin).discard();
    let deployment = deploy(&runtime, workflow);
    assert!(ended(&deployment).is_err());
    assert!(sender.send(1).is_err(), "nobody will take it");
}

/// A strategy whose worker speaks first, before any record.
#[derive(Clone)]
struct Greeting;

impl Strategy<Trapped> for Greeting {
    type Message = u64;
    type Sender = ();
    type State = (bool, u64);
    const NAME: &'static str = "greeting";
    const PEERS: bool = true;

    fn deploy(&self, _operation: &Trapped, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, _link: &LinkContext<'_, Trapped>) {}

    fn deliver(&self, _link: &LinkContext<'_, Trapped>, _sender: &mut (), record: u64, outbox: &mut Outbox<u64>) {
        outbox.send(record as usize % outbox.workers(), record);
    }

    fn init(&self, _worker: &WorkerContext<'_, Trapped>) -> Result<(bool, u64)> {
        Ok((false, 0))
    }

    fn process<E: Emit<u64>>(
        &self,
        _worker: &WorkerContext<'_, Trapped>,
        state: &mut (bool, u64),
        message: u64,
        _emit: &mut E,
        _peers: &mut Outbox<u64>,
    ) -> Result<()> {
        state.1 += u64::from(message == u64::MAX);
        Ok(())
    }

    fn settle<E: Emit<u64>>(
        &self,
        _worker: &WorkerContext<'_, Trapped>,
        state: &mut (bool, u64),
        emit: &mut E,
        peers: &mut Outbox<u64>,
        _due: Flush,
    ) -> Result<()> {
        if !std::mem::replace(&mut state.0, true) {
            peers.broadcast(u64::MAX);
            emit.emit(0);
        }
        Ok(())
    }

    fn finish<E: Emit<u64>>(
        &self,
        _worker: &WorkerContext<'_, Trapped>,
        state: &mut (bool, u64),
        emit: &mut E,
    ) -> Result<()> {
        emit.emit(state.1);
        Ok(())
    }
}

/// A worker may have something to say from the beginning; it reaches peers and those behind it, who all are prepared.
#[test]
fn what_is_sent_before_the_first_record_arrives() {
    const CORES: usize = 8;
    let runtime = runtime(CORES);
    for _ in 0..20 {
        let said = Collected::new();
        let workflow = WorkflowBuilder::new();
        let numbers = workflow.source(StreamSource::new(|| 0..1000u64));
        let greeted = numbers.vertex(Trapped(SET_NOWHERE), Greeting);
        greeted.map(|n| n).with(RoundRobin).collect(&said);
        run(&runtime, workflow).expect("it completes");
        let mut said = said.take();
        said.sort_unstable();
        assert_eq!(said, [[0; CORES], [CORES as u64; CORES]].concat());
    }
}
