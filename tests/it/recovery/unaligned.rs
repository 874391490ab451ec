//! Where operations are slow, checkpoints save what is under way; and all of it counts once after a failure.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use skitter::operations::Collected;
use skitter::prelude::*;
use skitter::runtime::{Checkpoints, Intensity, Settings};

use crate::support::PATIENCE;

const COUNT: u64 = 60_000;

/// How many batches were under way at a complete checkpoint, of those that there are; none if there is no such one.
fn under_way(store: &Path) -> Option<usize> {
    let entries = |directory: &Path| {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let runs = entries(store).iter().flat_map(|workflow| entries(workflow)).collect::<Vec<_>>();
    let manifests = runs.iter().flat_map(|run| entries(&run.join("manifests")));
    let flights = manifests.filter_map(|path| {
        let manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let objects = manifest["objects"].as_array()?.iter();
        let sections = objects.filter_map(|object| object["sections"].as_array()).flatten();
        Some(sections.filter(|section| section["part"].get("Flight").is_some()).count())
    });
    flights.max()
}

#[test]
fn a_checkpoint_is_complete_although_operations_are_slow() {
    let directory = tempfile::tempdir().expect("a directory");
    let checkpoints = Checkpoints {
        interval: Duration::from_millis(50),
        store: directory.path().to_str().expect("UTF-8").to_owned(),
        kept: 3,
        intensity: Intensity { most: 3, period: Duration::from_secs(60) },
        unaligned_after: Some(Duration::from_millis(50)),
    };
    let runtime = Settings { cores: 2, threads: 2, checkpoints: Some(checkpoints), ..Settings::default() };
    let runtime = skitter::Runtime::with(runtime).expect("a runtime");
    let (counts, failed) = (Collected::new(), std::sync::Arc::new(Mutex::new(false)));
    let store = directory.path().to_owned();
    let limit = Instant::now() + PATIENCE;
    let slow = move |sums: &mut (u64, u64), number: u64| {
        // Much slower than the source, until a checkpoint has saved what waits; then it fails, once.
        let mut failed = failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !*failed {
            std::thread::park_timeout(Duration::from_micros(200));
            if number % 100 == 0 {
                *failed = under_way(&store).is_some_and(|flights| flights > 0);
                assert!(!*failed, "there is a checkpoint with what was under way");
                assert!(Instant::now() < limit, "there is none");
            }
        }
        drop(failed);
        *sums = (sums.0 + 1, sums.1 + number);
        (number % 1000, *sums)
    };
    let workflow = WorkflowBuilder::new();
    let numbers = workflow.source(StreamSource::new(|| 0..COUNT));
    numbers.map(|n| n).with(RoundRobin).keyed_reduce(|n| n % 1000, (0u64, 0u64), slow).named("slow").collect(&counts);
    let deployment = runtime.deploy("slow", workflow.build().expect("valid")).expect("deployable");
    deployment.wait().expect("it goes on and completes");
    let mut found: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (key, sums) in counts.take() {
        let most = found.entry(key).or_default();
        *most = sums.max(*most);
    }
    let mut expected: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for number in 0..COUNT {
        let sums = expected.entry(number % 1000).or_default();
        *sums = (sums.0 + 1, sums.1 + number);
    }
    assert!(found == expected, "each number counts once");
}
