//! Tests of what is shown of checkpoints, with those that the first version has written.

use std::path::{Path, PathBuf};

use super::*;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/state/v1")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        match entry.file_type().expect("known").is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied")),
        }
    }
}

async fn ask(place: &Path, action: Action, json: bool) -> Result<(String, bool), Failure> {
    let store = Store::open(place.to_str().expect("UTF-8")).expect("a store");
    answer(&store, Some(action), &Wanted::default(), json).await
}

async fn said(place: &Path, action: Action) -> String {
    ask(place, action, false).await.expect("an answer").0
}

#[tokio::test]
async fn checkpoints_are_a_table() {
    let expected = "\
WORKFLOW    RUN                            CHECKPOINT  TIME (UTC)           SIZE  TOOK   KIND
word count  20260102T030405.678Z-0a0b0c0d  6           2026-01-02 03:05:05  71 B  12 ms  savepoint
word count  20260102T030405.678Z-0a0b0c0d  7           2026-01-02 03:05:15  39 B  12 ms  checkpoint
";
    assert_eq!(said(&golden(), Action::List).await, expected);
}

#[tokio::test]
async fn one_is_shown_with_its_vertices() {
    let expected = r#"workflow     word count
arguments    --input "a \"b\"\n/*ä"
run          20260102T030405.678Z-0a0b0c0d
checkpoint   7
kind         checkpoint
time         2026-01-02 03:05:15 UTC
took         12 ms
size         39 B in 2 objects
version      0.1.0, build 00ff00ff00ff00ff
fingerprint  00000000feedf00d
workers      3, of which 1 had ended

ID  VERTEX  OPERATION  STRATEGY    WORKERS  SIZE
2   count   Count      KeyedState  2        39 B
"#;
    assert_eq!(said(&golden(), Action::Show { checkpoint: None }).await, expected);
    assert!(said(&golden(), Action::Show { checkpoint: Some(6) }).await.contains("\nkind         savepoint\n"));
}

#[tokio::test]
async fn programs_get_all_of_it() {
    let value = async |action| {
        let (text, _) = ask(&golden(), action, true).await.expect("an answer");
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let list = value(Action::List).await;
    assert_eq!(
        (&list[0]["kind"], &list[1]["size"], &list[1]["error"]),
        (&"savepoint".into(), &39.into(), &Value::Null)
    );
    let shown = value(Action::Show { checkpoint: Some(7) }).await;
    assert_eq!((&shown["size"], &shown["vertices"][0]["bytes"]), (&39.into(), &39.into()));
    assert_eq!(shown["objects"][1]["sections"][0]["part"]["Group"], 1023);
    let verified = value(Action::Verify { checkpoint: None }).await;
    assert_eq!((&verified[0]["whole"], &verified[1]["objects"]), (&true.into(), &2.into()));
}

#[tokio::test]
async fn damage_is_told() {
    let (text, whole) = ask(&golden(), Action::Verify { checkpoint: None }, false).await.expect("an answer");
    assert!(whole && text.lines().all(|line| line.contains(": whole; 2 objects, ")), "{text}");

    let place = tempfile::tempdir().expect("a directory");
    copy(&golden(), place.path());
    let run = place.path().join("word%20count/20260102T030405.678Z-0a0b0c0d");
    std::fs::remove_file(run.join("data/2/7/2-0")).expect("removed");
    let (text, whole) = ask(place.path(), Action::Verify { checkpoint: None }, false).await.expect("an answer");
    assert!(!whole && text.contains(" 6: whole; ") && text.contains(" 7: DAMAGED; 1 objects, "), "{text}");
    assert!(text.ends_with("/data/2/7/2-0`: it is missing\n"), "{text}");
    let (_, whole) = ask(place.path(), Action::Verify { checkpoint: Some(6) }, false).await.expect("an answer");
    assert!(whole);

    let manifest = run.join("manifests").join(format!("{:020}.json", 7));
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(&manifest, text.replace("KeyedState", "Sedentary")).expect("written");
    let list = said(place.path(), Action::List).await;
    assert!(list.lines().nth(2).is_some_and(|line| line.ends_with("  damaged")), "{list}");
    let failure = ask(place.path(), Action::Show { checkpoint: None }, false).await.expect_err("damaged");
    assert_eq!(failure.status(), 1);
    assert!(failure.to_string().starts_with("the manifest of checkpoint 7 is damaged: its sum"), "{failure}");
    let (text, whole) = ask(place.path(), Action::Verify { checkpoint: Some(7) }, false).await.expect("an answer");
    assert!(!whole && text.contains("\n  the manifest of checkpoint 7 is damaged: "), "{text}");
}

#[tokio::test]
async fn where_there_is_nothing_it_is_said() {
    let place = tempfile::tempdir().expect("a directory");
    let missing = place.path().join("missing");
    assert_eq!(said(&missing, Action::List).await, format!("no checkpoints in `{}`\n", missing.display()));
    assert_eq!(ask(&missing, Action::List, true).await.expect("an answer").0, "[]\n");
    for action in [
        Action::Show { checkpoint: None },
        Action::Show { checkpoint: Some(8) },
        Action::Verify { checkpoint: None },
        Action::Verify { checkpoint: Some(8) },
    ] {
        let failure = ask(&missing, action, false).await.expect_err("nothing");
        assert_eq!(failure.status(), 2, "{failure}");
    }
    let failure = ask(&golden(), Action::Show { checkpoint: Some(8) }, false).await.expect_err("nothing");
    assert!(failure.to_string().starts_with("there is no checkpoint 8 of that in `"), "{failure}");
    let file = place.path().join("file");
    std::fs::write(&file, "x").expect("written");
    let failure = ask(&file, Action::List, false).await.expect_err("a file");
    assert_eq!(failure.status(), 5, "{failure}");
}

#[test]
fn sizes_are_short() {
    let shown = [0, 1023, 1024, 1536, 1024 * 1024 - 1, 3 << 30, u64::MAX].map(size);
    assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "3.0 GiB", "16.0 EiB"]);
    assert_eq!(time(1_767_323_045_678), "2026-01-02 03:04:05");
    assert_eq!(time(u64::MAX), "unknown");
}
