//! User code that does not return.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skitter::operations::MessageSource;
use skitter::prelude::*;
use skitter::runtime::{Runtime, Settings};
use skitter::workflow::Error;

use crate::support::{PATIENCE, deploy, ended, eventually, nobody_lives};

/// An operation that tells when it is called, and does not return before it is let go.
#[derive(Clone)]
struct Stuck {
    called: SyncSender<()>,
    go: Arc<Mutex<Receiver<()>>>,
}

/// What tells that it was called, and what lets it go when it is dropped.
fn stuck() -> (Stuck, Receiver<()>, SyncSender<()>) {
    let ((called, was_called), (let_go, go)) = (sync_channel(100), sync_channel(1));
    (Stuck { called, go: Arc::new(Mutex::new(go)) }, was_called, let_go)
}

impl Operation for Stuck {
    type In = u64;
    type Out = u64;
    const NAME: &'static str = "stuck";
}

impl React for Stuck {
    type State = ();

    fn init(&self) {}

    fn react<E: Emit<u64>>(&self, _state: &mut (), record: u64, emit: &mut E) -> Result<()> {
        self.called.send(()).expect("somebody listens");
        let _ = self.go.lock().unwrap_or_else(PoisonError::into_inner).recv();
        emit.emit(record);
        Ok(())
    }
}

/// All threads of a deployment are in an operation that does not return. Another deployment does not notice, new ones
/// can be made, and the one with the operation is given up.
#[test]
fn operations_that_do_not_return_keep_nobody_from_work() {
    let settings = Settings { cores: 4, threads: 2, patience: Duration::from_millis(50), ..Settings::default() };
    let runtime = Runtime::with(settings).expect("a runtime");
    let (sender, source) = MessageSource::new(1);
    let (out, echo) = sync_channel(1);
    let workflow = WorkflowBuilder::new();
    workflow.listen(source).map(|n: u64| n + 1).with(RoundRobin).send(out);
    let other = deploy(&runtime, workflow);
    let endless = WorkflowBuilder::new();
    endless.source(StreamSource::split(|_| 0u64..)).map(|n| n).with(RoundRobin).discard();
    let endless = deploy(&runtime, endless);
    eventually("it does not start", || endless.status().vertices[1].received() > 0);

    let (stuck, was_called, let_go) = stuck();
    let workflow = WorkflowBuilder::new();
    let numbers = workflow.source(StreamSource::split(|share| std::iter::once(share.index as u64)));
    numbers.vertex(stuck, RoundRobin).named("stuck").discard();
    let deployment = deploy(&runtime, workflow);
    was_called.recv().expect("it is called");
    was_called.recv().expect("it is called on the other thread");
    eventually("a worker is in a call", || deployment.activity().iter().any(|worker| worker.is_in_a_call()));

    for n in 0..100 {
        sender.send(n).expect("it is open");
        assert_eq!(echo.recv(), Ok(n + 1));
    }
    let received = endless.status().vertices[1].received();
    eventually("the endless one stands still", || endless.status().vertices[1].received() > received + 100_000);
    still_works_beside(&runtime);

    deployment.stop();
    assert_eq!(deployment.status().phase.to_string(), "running", "it is heard in time");
    deployment.abort();
    assert_eq!(ended(&deployment).expect_err("given up"), Error::Aborted);
    still_works_beside(&runtime);
    assert!(!runtime.stop(Duration::ZERO));
    drop(let_go);
    drop(sender);
    assert!(runtime.stop(PATIENCE));
    assert!(ended(&other).is_ok() && ended(&endless).is_ok());
    nobody_lives(&runtime);
}

fn still_works_beside(runtime: &Runtime) {
    let workflow = WorkflowBuilder::new();
    workflow.source(StreamSource::new(|| 0..100u64)).map(|n| n).with(RoundRobin).discard();
    ended(&deploy(runtime, workflow)).expect("it completes");
}
