//! Workflows that read and write files and sockets.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use skitter::operations::{Collected, Print, TcpSource, TextFiles};
use skitter::prelude::*;
use skitter::runtime::{Runtime, Settings};

fn runtime(cores: usize) -> Runtime {
    Runtime::with(Settings { cores, ..Settings::default() }).expect("a runtime")
}

/// Runs a workflow to its end; gives why it failed.
fn run(cores: usize, workflow: WorkflowBuilder) -> Result<(), String> {
    let runtime = runtime(cores);
    let deployment = runtime.deploy("outside", workflow.build().expect("valid")).map_err(|error| error.to_string())?;
    deployment.wait().map(|_| ()).map_err(|error| error.to_string())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Text with CR LF, white space that is not ASCII, and no line end at its end.
fn text() -> String {
    let lines = (0..100_000u64).map(|n| format!("w{} \u{3000}ä{}{}", n % 977, n % 13, ["\r\n", "\n"][n as usize % 2]));
    lines.chain(["w1 end".to_owned()]).collect()
}

#[test]
fn words_of_files_are_counted_into_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let (input, output) = (directory.path().join("*.txt"), directory.path().join("counts.tsv"));
    let text = text();
    fs::write(directory.path().join("a.txt"), &text).expect("a file");
    fs::write(directory.path().join("b.txt"), "w1\n\nw1").expect("a file");
    let mut expected = BTreeMap::from([("w1", 2u64)]);
    for word in text.split_whitespace() {
        *expected.entry(word).or_default() += 1;
    }
    let expected: Vec<_> = expected.iter().map(|(word, n)| format!("{word}\t{n}")).collect();
    for cores in [1, 2, 8] {
        for blocks in [false, true] {
            let files = TextFiles::new([&input]);
            let workflow = WorkflowBuilder::new();
            if blocks {
                let words = workflow.source(files.blocks()).words::<String>();
                words.count_by(String::clone).last_by(|(word, _)| word.clone()).write_tsv(&output);
            } else {
                let words = workflow.source(files).words::<String>();
                let counts = words.count_by(String::clone).with(KeyedState);
                counts.last_by(|(word, _)| word.clone()).write_tsv(&output);
            }
            assert_eq!(run(cores, workflow), Ok(()));
            let counted = fs::read_to_string(&output).expect("a file");
            let mut counted: Vec<_> = counted.lines().collect();
            counted.sort_unstable();
            assert!(counted == expected, "{cores} workers, blocks: {blocks}");
        }
    }
    assert_eq!(names(directory.path()), ["a.txt", "b.txt", "counts.tsv"]);
}

#[test]
fn a_failure_leaves_nothing_under_the_name_of_the_output() {
    let directory = tempfile::tempdir().expect("a directory");
    let (input, output) = (directory.path().join("late.txt"), directory.path().join("out.tsv"));
    fs::write(&input, [text().as_bytes(), b"\xff"].concat()).expect("a file");
    let workflow = WorkflowBuilder::new();
    workflow.source(TextFiles::new([&input])).write_tsv(&output);
    let error = run(2, workflow).expect_err("invalid");
    assert!(error.contains(&format!("late.txt` is not valid UTF-8 at byte {}", text().len())), "{error}");
    assert_eq!(names(directory.path()), ["late.txt"]);
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    for (input, output, expected) in [
        ("/nowhere/a.txt", "/dev/null", "vertex `text files`"),
        ("/nowhere/a.txt", "/dev/null", "cannot read `/nowhere/a.txt`: No such file or directory"),
        ("Cargo.toml", "/nowhere/a.tsv", "cannot write `/nowhere/a.tsv`: directory `/nowhere`: No such file"),
        ("Cargo.toml", "/dev/full", "cannot write `/dev/full`: No space left on device"),
    ] {
        let workflow = WorkflowBuilder::new();
        workflow.source(TextFiles::new([input])).write_tsv(output);
        let error = run(2, workflow).expect_err("refused");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_closed_output_ends_an_endless_workflow() {
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let workflow = WorkflowBuilder::new();
    workflow.source(StreamSource::new(|| 0u64..)).sink(Print::to(Closed), Chained);
    let error = run(1, workflow).expect_err("closed");
    assert!(error.contains("the output was closed by its reader"), "{error}");
}

#[test]
fn a_socket_is_listened_to_until_the_deployment_is_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    let lines = Collected::new();
    let workflow = WorkflowBuilder::new();
    workflow.listen(TcpSource::from_listener(listener)).collect(&lines);
    let runtime = runtime(2);
    let deployment = runtime.deploy("lines", workflow.build().expect("valid")).expect("deployable");
    client.write_all(b"a\nb\n").expect("sent");
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < 2 {
        seen.extend(lines.take());
        std::thread::yield_now();
    }
    assert_eq!(seen, ["a", "b"]);
    deployment.stop();
    deployment.wait().expect("it stops in order");
}
