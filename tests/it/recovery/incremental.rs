//! Only what has changed is saved again, and all of it is there after a failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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

/// The number before which the source waits for checkpoints, however slow the disk is.
const WAITS_AT: u64 = 40_000;
/// So many have to be complete: one may have been under way before the last key was made, and one that saves it.
const CHECKPOINTS: u64 = 3;

/// The numbers, not faster than a reader would like them, nor than checkpoints come into the store.
#[derive(Clone)]
struct Paced(PathBuf);

/// How far it is, and which checkpoint was the newest when it began to wait.
#[derive(Default)]
struct Place {
    next: u64,
    waits_since: Option<u64>,
}

impl Operation for Paced {
    type In = std::convert::Infallible;
    type Out = u64;
    const NAME: &'static str = "paced";
    const IN_PORTS: &'static [&'static str] = &[];
}

impl Source for Paced {
    type Reader = Place;

    fn open(&self, _share: Share) -> Result<Place> {
        Ok(Place::default())
    }

    fn read<E: Emit<u64>>(&self, place: &mut Place, _budget: usize, emit: &mut E) -> Result<Pull> {
        if place.next == WAITS_AT {
            let newest = newest(&self.0).map_or(0, |newest| newest.checkpoint);
            if newest < *place.waits_since.get_or_insert(newest) + CHECKPOINTS {
                return Ok(Pull::After(Duration::from_millis(1)));
            }
        }
        let end = COUNT.min(place.next + 200);
        (place.next..end).for_each(|number| emit.emit(number));
        place.next = end;
        Ok(if end == COUNT { Pull::End } else { Pull::After(Duration::from_millis(1)) })
    }

    fn position(&self, place: &mut Place, snapshot: &mut Snapshot) -> Result<()> {
        snapshot.put(&place.next)
    }

    fn resume(&self, _share: Share, saved: &Saved) -> Result<Place> {
        Ok(Place { next: saved.whole()?.unwrap_or_default(), waits_since: None })
    }
}

fn key(number: u64) -> u64 {
    if number < KEYS { number } else { number % 3 }
}

/// Of a checkpoint, how many key groups are in objects of its own, and in those of older ones.
#[derive(Clone, Copy)]
struct Groups {
    checkpoint: u64,
    new: usize,
    old: usize,
}

/// The newest checkpoint that is complete.
fn newest(store: &Path) -> Option<Groups> {
    let newest = |directory: &Path, ending: &str| {
        let entries = std::fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        // What is still being written has another ending.
        entries.filter(|path| path.to_string_lossy().ends_with(ending)).max()
    };
    let run = newest(&newest(store, "")?, "")?;
    let manifest = std::fs::read(newest(&run.join("manifests"), ".json")?).ok()?;
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).ok()?;
    let checkpoint = manifest["checkpoint"].as_u64()?;
    let own = format!("/data/1/{checkpoint}/");
    let (mut new, mut old) = (0, 0);
    for object in manifest["objects"].as_array()? {
        let sections = object["sections"].as_array()?.iter();
        let groups = sections.filter(|section| section["part"].get("Group").is_some()).count();
        let is_new = object["path"].as_str()?.contains(&own);
        (new, old) = if is_new { (new + groups, old) } else { (new, old + groups) };
    }
    Some(Groups { checkpoint, new, old })
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
        .source(Paced(store.clone()))
        .map(move |number| {
            let mut seen = note.lock().expect("no panic under it");
            if number == FAILS_AT && seen.is_none() {
                *seen = Some(newest(&store));
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
    let Groups { new, old, .. } =
        seen.lock().expect("no panic under it").flatten().expect("a manifest that can be read");
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
