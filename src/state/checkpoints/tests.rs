//! Tests of checkpoints in a store, and of what earlier versions have written.

use bytes::Bytes;

use super::*;
use crate::id::Part;
use crate::state::{SavedObject, SavedVertex, SavedWorker, SnapshotWriter, StoreError, verify_object};

fn worker(vertex: u32, index: u32) -> WorkerId {
    WorkerId { vertex: VertexId(vertex), index }
}

/// A run of a test of its own.
fn run(test: &str) -> Run {
    Run::new(Store::open(&format!("memory://{test}")).expect("a store"), "word count", "run-1")
}

fn empty(run: &Run, checkpoint: u64) -> Manifest {
    Manifest {
        checkpoint,
        run: run.name().to_owned(),
        workflow: "word count".to_owned(),
        arguments: Vec::new(),
        fingerprint: 0xfeed_f00d,
        version: "0.1.0".to_owned(),
        build: None,
        at_ms: 1_767_323_045_678 + checkpoint * 10_000,
        took_ms: 12,
        savepoint: false,
        vertices: vec![SavedVertex {
            id: VertexId(2),
            name: "count".to_owned(),
            operation: "Count".to_owned(),
            strategy: "KeyedState".to_owned(),
            types: ["Word".to_owned(), "(Word, u64)".to_owned()],
            workers: 2,
        }],
        workers: vec![SavedWorker { worker: worker(2, 0), finished: false, drained: false }],
        objects: Vec::new(),
    }
}

/// Saves what a worker has, in two parts.
async fn save(run: &Run, attempt: u32, checkpoint: u64, worker: WorkerId) -> SavedObject {
    let mut writer = SnapshotWriter::new(worker);
    writer.section(worker.vertex, Part::Group(worker.index), [format!("state at {checkpoint}").into()]);
    writer.section(worker.vertex, Part::Whole(0), ["more".into()]);
    let (pieces, sections) = writer.finish();
    let bytes = pieces.concat();
    let path = run.object_path(attempt, checkpoint, worker, 0);
    let length = bytes.len() as u64;
    run.store().put(&path, bytes.into()).await.expect("written");
    SavedObject { path, length, worker, sections }
}

async fn complete(run: &Run, manifest: Manifest) -> Manifest {
    run.put_manifest(&manifest).await.expect("complete");
    manifest
}

async fn paths(run: &Run) -> Vec<String> {
    let short = |(path, _): (String, u64)| {
        path.replace("word%20count/run-1/", "").replace("manifests/00000000000000", "manifests/")
    };
    run.store().list("").await.expect("a list").into_iter().map(short).collect()
}

#[tokio::test]
async fn a_checkpoint_is_complete_with_its_manifest() {
    let run = run("complete");
    assert!(run.checkpoints().await.expect("none").is_empty());
    assert_eq!(run.latest().await.expect("none"), None);
    let object = save(&run, 1, 5, worker(2, 0)).await;
    assert_eq!(object.path, "word%20count/run-1/data/1/5/2-0");
    assert_eq!(run.latest().await.expect("none"), None);
    let five = complete(&run, Manifest { objects: vec![object], ..empty(&run, 5) }).await;
    let twelve = complete(&run, empty(&run, 12)).await;
    assert_eq!(run.checkpoints().await.expect("two"), [5, 12]);
    assert_eq!(run.latest().await.expect("one"), Some(twelve));
    assert_eq!(run.manifest(5).await.expect("one"), five);
    assert!(matches!(run.manifest(6).await, Err(StateError::Store(StoreError::Missing(_)))));
}

#[tokio::test]
async fn a_second_master_is_told_so() {
    let run = run("second");
    complete(&run, empty(&run, 1)).await;
    let other = Manifest { took_ms: 99, ..empty(&run, 1) };
    assert!(matches!(run.put_manifest(&other).await, Err(StateError::Exists(1))));
    assert_eq!(run.manifest(1).await.expect("the first one").took_ms, 12);
}

#[tokio::test]
async fn what_is_damaged_is_skipped() {
    let run = run("damaged");
    for checkpoint in 1..=4 {
        complete(&run, empty(&run, checkpoint)).await;
    }
    run.store().put(&run.manifest_path(4), Bytes::from_static(b"{}")).await.expect("written");
    // It is whole, and another's.
    let wrong = empty(&run, 1).to_bytes();
    run.store().put(&run.manifest_path(3), wrong.into()).await.expect("written");
    run.store().put("word%20count/run-1/manifests/5", "x".into()).await.expect("written");
    assert_eq!(run.latest().await.expect("one").map(|manifest| manifest.checkpoint), Some(2));
    let said = run.manifest(3).await.expect_err("another's").to_string();
    assert_eq!(said, "the manifest of checkpoint 3 is damaged: it is that of checkpoint 1");
    let newer = String::from_utf8(empty(&run, 4).to_bytes()).expect("UTF-8").replace("\"format\": 1", "\"format\": 2");
    run.store().put(&run.manifest_path(4), newer.into()).await.expect("written");
    let said = run.latest().await.expect_err("nothing goes back behind it").to_string();
    assert!(said.starts_with("the manifest of checkpoint 4 has format 2, and this program knows 1"), "{said}");
}

#[tokio::test]
async fn old_checkpoints_are_deleted() {
    let run = run("retained");
    let mut kept = Vec::new();
    for checkpoint in 1..=5 {
        let mut objects = vec![save(&run, 1, checkpoint, worker(2, 0)).await];
        // What the other worker has saved at first still counts, but for a part.
        match checkpoint {
            1 => kept.push(save(&run, 1, checkpoint, worker(2, 1)).await),
            _ => kept[0].sections.truncate(1),
        }
        objects.extend(kept.clone());
        complete(&run, Manifest { objects, savepoint: checkpoint == 2, ..empty(&run, checkpoint) }).await;
    }
    save(&run, 1, 6, worker(2, 0)).await;
    save(&run, 0, 4, worker(2, 0)).await;
    run.store().put("word%20count/run-1/data/notes", "x".into()).await.expect("written");
    run.store().put("word%20count/run-2/data/1/1/2-0", "x".into()).await.expect("written");
    run.retain(2).await.expect("deleted");
    let left = [
        "data/1/1/2-1",
        "data/1/2/2-0",
        "data/1/4/2-0",
        "data/1/5/2-0",
        "data/1/6/2-0",
        "data/notes",
        "manifests/000002.json",
        "manifests/000004.json",
        "manifests/000005.json",
        "word%20count/run-2/data/1/1/2-0",
    ];
    assert_eq!(paths(&run).await, left);
    for checkpoint in run.checkpoints().await.expect("three") {
        let manifest = run.manifest(checkpoint).await.expect("there");
        assert_eq!(verify(&run, &manifest).await.expect("read").damage, [""; 0]);
    }
    run.remove().await.expect("deleted");
    let left =
        ["data/1/1/2-1", "data/1/2/2-0", "data/notes", "manifests/000002.json", "word%20count/run-2/data/1/1/2-0"];
    assert_eq!(paths(&run).await, left);
}

#[tokio::test]
async fn damage_is_found() {
    let run = run("verified");
    let mut objects = Vec::new();
    for index in 0..5 {
        objects.push(save(&run, 1, 1, worker(2, index)).await);
    }
    let manifest = Manifest { objects: objects.clone(), ..empty(&run, 1) };
    let whole = verify(&run, &manifest).await.expect("read");
    let bytes = objects.iter().map(|object| object.length).sum();
    assert_eq!(whole, Verified { objects: 5, sections: 10, bytes, damage: Vec::new() });

    let mut flipped = run.store().get(&objects[0].path).await.expect("bytes").to_vec();
    flipped[20] ^= 1;
    run.store().put(&objects[0].path, flipped.into()).await.expect("written");
    run.store().delete(&objects[1].path).await.expect("deleted");
    run.store().put(&objects[2].path, "short".into()).await.expect("written");
    let other = run.store().get(&objects[4].path).await.expect("bytes");
    run.store().put(&objects[3].path, other).await.expect("written");
    let long = vec![0; objects[4].length as usize + 1];
    run.store().put(&objects[4].path, long.into()).await.expect("written");
    let mut manifest = manifest;
    manifest.objects.push(SavedObject { path: "../etc/passwd".to_owned(), ..objects[0].clone() });
    let mut other = save(&run, 1, 1, worker(2, 9)).await;
    other.sections[0].part = Part::Group(99);
    manifest.objects.push(other);
    let damage = verify(&run, &manifest).await.expect("read").damage;
    let whys = [
        "key group 0 of vertex 2 is damaged: its sum is another",
        "it is missing",
        "it has 5 bytes of ",
        "it is another worker's",
        "can have ",
        "`../etc/passwd` is no path of an object",
        "there is no key group 99 of vertex 2 in it",
    ];
    assert_eq!(damage.len(), whys.len(), "{damage:#?}");
    for (line, why) in damage.iter().zip(whys) {
        assert!(line.contains(why), "{line}: {why}");
    }
}

#[tokio::test]
async fn runs_are_found() {
    let store = Store::open("memory://runs").expect("a store");
    assert_eq!(runs(&store, None).await.expect("none"), []);
    for (workflow, name) in [("b", "2"), ("b", "1"), ("a/..", "1"), ("", "1")] {
        save(&Run::new(store.clone(), workflow, name), 1, 1, worker(0, 0)).await;
    }
    for path in ["x", "b/3/other/x", "b/4", "%zz/1/data/x"] {
        store.put(path, "x".into()).await.expect("written");
    }
    let named =
        |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    assert_eq!(runs(&store, None).await.expect("all"), named(&[("", "1"), ("a/..", "1"), ("b", "1"), ("b", "2")]));
    assert_eq!(runs(&store, Some("b")).await.expect("two"), named(&[("b", "1"), ("b", "2")]));
    assert_eq!(runs(&store, Some("")).await.expect("one"), named(&[("", "1")]));
    assert_eq!(runs(&store, Some("c")).await.expect("none"), []);
}

#[test]
fn names_of_runs_are_in_the_order_of_time() {
    let at = |millis| run_name(Timestamp::from_millisecond(millis).expect("a time"), 0xab);
    assert_eq!(at(1_767_323_045_007), "20260102T030405.007Z-000000ab");
    assert!(at(1_767_323_045_999) < at(1_767_323_046_000));
    let (one, other) = (new_run().expect("a name"), new_run().expect("a name"));
    assert!(one != other && path_name(&one) == one, "{one}");
    assert!(text_of(&one).is_some());
}

/// What is in `tests/golden/state/v1`: a checkpoint, and another one for which one of two workers has saved nothing
/// new.
async fn golden(store: Store) -> Run {
    let run = Run::new(store, "word count", "20260102T030405.678Z-0a0b0c0d");
    let mut writer = SnapshotWriter::new(worker(2, 1));
    let flight = Part::Flight { from: worker(0, 3), link: 1, number: 0x0102_0304 };
    writer.section(VertexId(2), Part::Group(1023), ["the counts of a key group".into()]);
    writer.section(VertexId(2), Part::Whole(1), [Bytes::new()]);
    let left = b"\x00\xff what is left of a file".as_slice().into();
    writer.section(VertexId(3), Part::Unit(0x0102_0304_0506_0708), [left]);
    writer.section(VertexId(2), flight, ["a batch".into()]);
    let (pieces, sections) = writer.finish();
    let bytes = pieces.concat();
    let (path, length) = (run.object_path(1, 6, worker(2, 1), 0), bytes.len() as u64);
    run.store().put(&path, bytes.into()).await.expect("written");
    let old = SavedObject { path, length, worker: worker(2, 1), sections };
    let first = save(&run, 1, 6, worker(2, 0)).await;
    let workers = vec![
        SavedWorker { worker: worker(0, 3), finished: true, drained: false },
        SavedWorker { worker: worker(2, 0), finished: false, drained: false },
        SavedWorker { worker: worker(2, 1), finished: false, drained: true },
    ];
    let arguments = vec!["--input".to_owned(), "a \"b\"\n/*ä".to_owned()];
    let six = Manifest { workers, arguments, savepoint: true, ..empty(&run, 6) };
    complete(&run, Manifest { objects: vec![first, old.clone()], ..six.clone() }).await;
    let object = save(&run, 2, 7, worker(2, 0)).await;
    let old = SavedObject { sections: old.sections[..1].to_vec(), ..old };
    let build = Some("00ff".repeat(16));
    let seven = Manifest { checkpoint: 7, savepoint: false, build, at_ms: six.at_ms + 10_000, ..six };
    complete(&run, Manifest { objects: vec![object, old], ..seven }).await;
    run
}

/// Every version that there has been, and who wrote it.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state");

#[tokio::test]
async fn what_the_first_version_has_written_is_read_and_written() {
    let there = Store::open(&format!("{GOLDEN}/v1")).expect("a store");
    let today = golden(Store::open("memory://golden").expect("a store")).await;
    let list = there.list("").await.expect("a list");
    assert_eq!(list.len(), 5);
    assert_eq!(today.store().list("").await.expect("a list"), list);
    for (path, _) in &list {
        let bytes = there.get(path).await.expect("bytes");
        assert_eq!(today.store().get(path).await.expect("bytes"), bytes, "{path} is written as it was");
        if path.contains("/data/") {
            assert!(!verify_object(&bytes).expect("right").is_empty());
        }
    }
    let run = Run::new(there, "word count", today.name());
    assert_eq!(run.checkpoints().await.expect("two"), [6, 7]);
    for checkpoint in [6, 7] {
        let manifest = run.manifest(checkpoint).await.expect("right");
        assert_eq!(manifest, today.manifest(checkpoint).await.expect("right"));
        assert_eq!(verify(&run, &manifest).await.expect("read").damage, [""; 0]);
    }
}

#[tokio::test]
#[ignore = "it writes what the first version has written, which there is; the next version gets a directory of its own"]
async fn write_golden_files() {
    golden(Store::open(&format!("{GOLDEN}/v1")).expect("a store")).await;
}
