//! Only what has changed is saved again, and all of it is there after a failure.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use skitter::operations::Collected;
use skitter::prelude::*;
use skitter::runtime::{Checkpoints, Intensity, Settings};
use skitter::workflow::{Pull, Saved, Share, Snapshot, Source};

/// Numbers that each make a key.
const KEYS: u64 = 20_000;
/// All numbers. Those after the keys change three of them.
const COUNT: u64 = 120_000;
/// The number at which it fails: long after the last key was made.
const FAILS_AT: u64 = 90_000;

/// The numbers, not faster than a reader would like them.
#[derive(Clone)]
struct Paced;

impl Operation for Paced {
    type In = std::convert::Infallible;
    type Out = u64;
    const NAME: &'static str = "paced";
    const IN_PORTS: &'static [&'static str] = &[];
}

impl Source for Paced {
    type Reader = u64;

    fn open(&self, _share: Share) -> Result<u64> {
        Ok(0)
    }

    fn read<E: Emit<u64>>(&self, next: &mut u64, _budget: usize, emit: &mut E) -> Result<Pull> {
        let end = COUNT.min(*next + 200);
        (*next..end).for_each(|number| emit.emit(number));
        *next = end;
        Ok(if end == COUNT { Pull::End } else { Pull::After(Duration::from_millis(1)) })
    }

    fn position(&self, next: &mut u64, snapshot: &mut Snapshot) -> Result<()> {
        snapshot.put(next)
    }

    fn resume(&self, _share: Share, saved: &Saved) -> Result<u64> {
        Ok(saved.whole()?.unwrap_or_default())
    }
}

fn key(number: u64) -> u64 {
    if number < KEYS { number } else { number % 3 }
}

/// Of the newest manifest, how many key groups are in objects of its checkpoint, and in older ones.
fn groups(store: &Path) -> Option<(usize, usize)> {
    let newest = |directory: &Path| {
        let entries = std::fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        entries.max()
    };
    let run = newest(&newest(store)?)?;
    let manifest = std::fs::read(newest(&run.join("manifests"))?).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).ok()?;
    let own = format!("/data/1/{}/", manifest["checkpoint"]);
    let (mut new, mut old) = (0, 0);
    for object in manifest["objects"].as_array()? {
        let sections = object["sections"].as_array()?.iter();
        let groups = sections.filter(|section| section["part"].get("Group").is_some()).count();
        let is_new = object["path"].as_str()?.contains(&own);
        (new, old) = if is_new { (new + groups, old) } else { (new, old + groups) };
    }
    Some((new, old))
}

#[test]
fn what_has_not_changed_is_kept_and_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("checkpoints");
    let checkpoints = Checkpoints {
        unaligned_after: None,
        interval: Duration::from_millis(20),
        store: store.display().to_string(),
        kept: 2,
        intensity: Intensity::default(),
    };
    let settings = Settings { cores: 2, threads: 2, checkpoints: Some(checkpoints), ..Settings::default() };
    let seen = std::sync::Arc::new(Mutex::new(None));
    let (counts, note) = (Collected::new(), std::sync::Arc::clone(&seen));
    let workflow = WorkflowBuilder::new();
    workflow
        .source(Paced)
        .map(move |number| {
            let mut seen = note.lock().expect("no panic under it");
            if number == FAILS_AT && seen.is_none() {
                *seen = Some(groups(&store));
                drop(seen);
                panic!("as asked for");
            }
            number
        })
        .keyed_reduce(
            |number| key(*number),
            0u64,
            |count, number| {
                *count += 1;
                (key(number), *count)
            },
        )
        .collect(&counts);
    let runtime = skitter::Runtime::with(settings).expect("a runtime");
    let deployment = runtime.deploy("incremental", workflow.build().expect("a workflow")).expect("a deployment");
    deployment.wait().expect("it goes on");
    let (new, old) = seen.lock().expect("no panic under it").flatten().expect("a manifest that can be read");
    assert!(new < 64 && old > 900, "{new} groups are saved again, {old} are kept");
    let mut expected: BTreeMap<u64, u64> = BTreeMap::new();
    (0..COUNT).for_each(|number| *expected.entry(key(number)).or_default() += 1);
    let mut found: BTreeMap<u64, u64> = BTreeMap::new();
    let counts = counts.take();
    assert!(counts.len() as u64 >= COUNT, "updates are given at least once");
    for (key, count) in counts {
        let most = found.entry(key).or_default();
        *most = count.max(*most);
    }
    assert!(found == expected);
}
