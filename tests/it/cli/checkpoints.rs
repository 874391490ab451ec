//! `skitter checkpoints`, on a store of the first version, and where there is none.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::tempdir;

use super::process::{Ended, run, skitter};

/// What the first version has written.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/state/v1")
}

fn ask(directory: &Path, arguments: &[&str]) -> Ended {
    run(skitter(directory), ["checkpoints"].iter().chain(arguments))
}

#[test]
fn a_store_says_what_is_in_it() {
    let place = tempdir().expect("a directory");
    let store = format!("--checkpoint-store={}", golden().display());
    let list = ask(place.path(), &[&store]).expect(0).stdout;
    assert_eq!((list.lines().count(), list.starts_with("WORKFLOW ")), (3, true), "{list}");
    assert_eq!(ask(place.path(), &["list", &store]).expect(0).stdout, list);
    assert_eq!(ask(place.path(), &[&store, "list", "--workflow", "word count"]).expect(0).stdout, list);
    assert!(ask(place.path(), &[&store, "--workflow", "other"]).expect(0).stdout.starts_with("no checkpoints in `/"));
    assert!(ask(place.path(), &[&store, "--run", "other"]).expect(0).stdout.starts_with("no checkpoints in `/"));

    let shown = ask(place.path(), &["show", &store]).expect(0).stdout;
    assert!(shown.contains("\ncheckpoint   7\n") && shown.contains("  KeyedState  2 "), "{shown}");
    let shown = ask(place.path(), &["show", "6", "--json", &store]).expect(0).stdout;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["checkpoint"], &shown["savepoint"]), (&6.into(), &true.into()));
    let said = ask(place.path(), &["show", "8", &store]).expect(2).stderr;
    assert!(said.contains("there is no checkpoint 8 of that in `/"), "{said}");
    let verified = ask(place.path(), &["verify", &store]).expect(0).stdout;
    assert_eq!(verified.lines().filter(|line| line.contains(": whole; ")).count(), 2, "{verified}");
}

#[test]
fn a_store_is_found_by_every_layer_and_by_default() {
    let place = tempdir().expect("a directory");
    let said = ask(place.path(), &[]).expect(0).stdout;
    let default = place.path().join(".local/state/skitter/checkpoints");
    assert_eq!(said, format!("no checkpoints in `{}`\n", default.display()));
    assert!(!default.exists(), "who looks makes nothing");
    assert_eq!(ask(place.path(), &["list", "--json"]).expect(0).stdout, "[]\n");
    ask(place.path(), &["verify"]).expect(2);

    std::os::unix::fs::symlink(golden(), place.path().join("store")).expect("a link");
    fs::write(place.path().join("skitter.toml"), "checkpoint-store = 'store'\n").expect("written");
    let list = ask(place.path(), &[]).expect(0).stdout;
    assert_eq!(list.lines().count(), 3, "{list}");
    let mut command = skitter(place.path());
    command.env("SKITTER_CHECKPOINT_STORE", "file:///nowhere");
    assert_eq!(run(command, ["checkpoints"]).expect(0).stdout, "no checkpoints in `/nowhere`\n");
}

#[test]
fn a_store_that_is_unusable_is_named() {
    let place = tempdir().expect("a directory");
    fs::write(place.path().join("file"), "x").expect("written");
    let said = ask(place.path(), &["--checkpoint-store", "file"]).expect(5).stderr;
    assert!(said.contains("/file` of the store: "), "{said}");
    let said = ask(place.path(), &["--checkpoint-store", "s3://bucket/x"]).expect(5).stderr;
    assert!(said.contains("build it with the feature `s3`"), "{said}");
    let said = ask(place.path(), &["--checkpoint-store", "ftp://x"]).expect(2).stderr;
    assert!(said.contains("`ftp://x` is unusable as a store"), "{said}");
    let mut command = skitter(place.path());
    command.env("SKITTER_CHECKPOINT_STORE", "ftp://x");
    let said = run(command, ["checkpoints"]).expect(5).stderr;
    assert!(said.contains("environment variable SKITTER_CHECKPOINT_STORE=`ftp://x`: "), "{said}");
}

#[test]
fn damage_has_an_exit_status() {
    let place = tempdir().expect("a directory");
    let run = place.path().join("s/w/r");
    fs::create_dir_all(run.join("manifests")).expect("made");
    fs::write(run.join("manifests").join(format!("{:020}.json", 3)), "{}").expect("written");
    let list = ask(place.path(), &["--checkpoint-store", "s"]).expect(0).stdout;
    assert!(list.ends_with("damaged\n"), "{list}");
    let ended = ask(place.path(), &["verify", "--checkpoint-store", "s"]).expect(1);
    assert!(ended.stdout.starts_with("`w` r 3: DAMAGED; "), "{ended:?}");
    assert!(ended.stderr.contains("not all that was saved is as it was written"), "{ended:?}");
    ask(place.path(), &["show", "--checkpoint-store", "s"]).expect(1);
}
