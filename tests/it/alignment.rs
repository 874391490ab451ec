//! Sources of one process that stay near each other in event time: who is too far ahead waits, and nobody waits for
//! ever.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use skitter::operations::{Collected, Watermarks};
use skitter::prelude::*;
use skitter::runtime::{Checkpoints, DeploymentHandle, Intensity, Runtime, Settings};
use skitter::workflow::{Emit, Operation, Pull, Saved, Share, Snapshot, Source};

use crate::support::{PATIENCE, ended, eventually};

const SECOND: Duration = Duration::from_secs(1);

/// Gives seconds as far as it may, and how far that is says the test.
#[derive(Clone, Default)]
struct Told {
    may: Arc<AtomicI64>,
    given: Arc<AtomicI64>,
    ends: Arc<AtomicBool>,
}

impl Operation for Told {
    type In = Infallible;
    type Out = i64;
    const NAME: &'static str = "told";
}

impl Source for Told {
    type Reader = i64;

    fn open(&self, _share: Share) -> Result<i64> {
        Ok(0)
    }

    fn read<E: Emit<i64>>(&self, next: &mut i64, _budget: usize, emit: &mut E) -> Result<Pull> {
        let ends = self.ends.load(Ordering::Acquire);
        // One at a time, so that it is seen where it is held back.
        if *next < self.may.load(Ordering::Acquire) {
            emit.emit(*next);
            *next += 1;
            self.given.store(*next, Ordering::Release);
            return Ok(Pull::More);
        }
        Ok(if ends { Pull::End } else { Pull::After(Duration::from_millis(1)) })
    }

    fn position(&self, next: &mut i64, snapshot: &mut Snapshot) -> Result<()> {
        snapshot.put(next)
    }

    fn resume(&self, _share: Share, saved: &Saved) -> Result<i64> {
        Ok(saved.whole()?.unwrap_or_default())
    }
}

impl Told {
    fn upto(&self, second: i64) {
        self.may.store(second, Ordering::Release);
    }

    fn end(&self) {
        self.ends.store(true, Ordering::Release);
    }

    fn given(&self) -> i64 {
        self.given.load(Ordering::Acquire)
    }

    /// Waits until it has given so many.
    #[track_caller]
    fn comes_to(&self, count: i64) {
        eventually("it does not come so far", || self.given() >= count);
    }
}

/// Two sources that may be ten seconds apart.
struct Two {
    slow: Told,
    fast: Told,
    seconds: Collected<i64>,
    deployment: DeploymentHandle,
    _runtime: Runtime,
}

impl Two {
    fn new(idle: Option<Duration>, checkpoints: Option<Checkpoints>) -> Two {
        let [slow, fast] = [Told::default(), Told::default()];
        let (workflow, seconds) = (WorkflowBuilder::new(), Collected::new());
        let aligned = |told: &Told| {
            let watermarks = Watermarks::ascending(|second: &i64| second * 1000).aligned("both", SECOND * 10);
            let watermarks = idle.map_or(watermarks.clone(), |pause| watermarks.idle_after(pause));
            workflow.source(told.clone()).vertex(watermarks, Chained)
        };
        aligned(&slow).union(aligned(&fast)).collect(&seconds);
        let settings = Settings { cores: 2, threads: 2, checkpoints, ..Settings::default() };
        let runtime = Runtime::with(settings).expect("a runtime");
        let deployment = runtime.deploy("two", workflow.build().expect("a workflow")).expect("deployed");
        Two { slow, fast, seconds, deployment, _runtime: runtime }
    }

    /// Ends both, and looks whether all is there.
    fn end(self) {
        self.slow.end();
        self.fast.end();
        ended(&self.deployment).expect("completed");
        assert_eq!(self.seconds.take().len() as i64, self.slow.given() + self.fast.given());
    }
}

#[test]
fn who_is_ahead_waits_until_the_other_one_has_come_so_far_or_has_ended() {
    let two = Two::new(None, None);
    two.fast.upto(1000);
    two.slow.upto(1);
    // That of a second after ten is the first that is farther than ten seconds ahead of zero.
    two.fast.comes_to(12);
    two.slow.upto(101);
    two.fast.comes_to(112);
    assert_eq!(two.fast.given(), 112);
    two.slow.end();
    two.fast.comes_to(1000);
    two.end();
}

#[test]
fn who_pauses_is_not_waited_for() {
    let two = Two::new(Some(SECOND / 5), None);
    two.slow.upto(1);
    two.fast.upto(1000);
    two.fast.comes_to(1000);
    assert_eq!(two.slow.given(), 1);
    two.end();
}

#[test]
fn who_is_held_back_takes_part_in_checkpoints_and_can_be_stopped() {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoints = Checkpoints {
        interval: SECOND / 20,
        store: directory.path().to_str().expect("UTF-8").to_owned(),
        kept: 3,
        intensity: Intensity { most: 0, period: PATIENCE },
        unaligned_after: None,
    };
    let two = Two::new(None, Some(checkpoints));
    two.slow.upto(1);
    two.fast.upto(1000);
    two.fast.comes_to(12);
    for _ in 0..2 {
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
        let asked = async { tokio::time::timeout(PATIENCE, two.deployment.savepoint(None, false)).await };
        let saved = executor.block_on(asked).expect("in time").expect("a savepoint");
        assert!(saved.contains("two/"), "{saved}");
    }
    assert_eq!(two.fast.given(), 12);
    two.deployment.stop();
    ended(&two.deployment).expect("stopped");
    assert_eq!(two.seconds.take().len(), 13);
}

#[test]
fn who_cannot_be_held_back_is_refused() {
    let workflow = WorkflowBuilder::new();
    let watermarks = Watermarks::ascending(|second: &u64| *second as i64).aligned("all", SECOND);
    let moved = workflow.source(StreamSource::new(|| 0..9u64)).map(|n| n).with(RoundRobin);
    moved.vertex(watermarks, Chained).discard();
    let runtime = Runtime::with(Settings { cores: 2, threads: 2, ..Settings::default() }).expect("a runtime");
    let error = runtime.deploy("refused", workflow.build().expect("a workflow")).map(drop);
    let error = error.expect_err("it cannot work").to_string();
    assert!(error.contains("`watermarks`") && error.contains("right behind a source"), "{error}");
}
