//! `skitter local`.

use std::process::{Command, Stdio};

use tempfile::tempdir;

use super::process::{log, run, skitter};

#[test]
fn hello_prints_four_tuples_and_logs_what_it_does() {
    for arguments in
        [&["local"][..], &["local", "start"], &["l", "s"], &["local", "-d", "hello"], &["local", "--deploy=hello"]]
    {
        let directory = tempdir().expect("a directory");
        let ended = run(skitter(directory.path()), arguments).expect(0);
        let mut lines: Vec<_> = ended.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["(\"Hello\", 1)", "(\"Hello\", 2)", "(\"Skitter\", 1)", "(\"World!\", 1)"]);
        assert!(ended.stdout.ends_with('\n'));
        let log = log(&ended.stderr);
        assert_eq!(log.len(), 3, "{log:?}");
        assert_eq!(log[0], ("info", "⬡⬢⬡⬢ Skitter v0.1.0 started in local mode"));
        assert_eq!(log[1], ("info", "Deploying `hello`"));
        let (level, summary) = log[2];
        assert_eq!(level, "info");
        assert!(summary.starts_with("Completed `hello`: stream source 0 -> 1, "), "{summary}");
        assert!(summary.contains("keyed reduce 4 -> 4, print 4 -> 0 in 0."), "{summary}");
    }
}

#[test]
fn the_log_can_be_json_and_can_be_quiet() {
    let directory = tempdir().expect("a directory");
    let ended = run(skitter(directory.path()), ["local", "--log-format", "json"]).expect(0);
    let lines: Vec<serde_json::Value> =
        ended.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["mode"], &lines[1]["workflow"]), (&"local".into(), &"hello".into()));
    assert_eq!(lines[1]["message"], "Deploying `hello`");
    assert!(lines[2]["seconds"].as_f64().is_some_and(|seconds| seconds < 60.0), "{}", lines[2]);
    let ended = run(skitter(directory.path()), ["--log-level", "error", "local"]).expect(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_closed_or_full_stderr_changes_nothing() {
    let directory = tempdir().expect("a directory");
    for redirection in ["2>&-", "2>/dev/full"] {
        let mut shell = Command::new("sh");
        let script = format!("exec \"$0\" local {redirection}");
        shell.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_skitter")).current_dir(directory.path());
        let ended = run(shell, [""; 0]).expect(0);
        assert_eq!(ended.stdout.lines().count(), 4, "{redirection}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let directory = tempdir().expect("a directory");
    let input = directory.path().join("many.txt");
    std::fs::write(&input, "word ".repeat(1_000_000)).expect("written");
    let mut command = skitter(directory.path());
    command.args(["local", "-d", "wordcount", "--", "--input", "many.txt"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    super::process::with(command, |running| {
        let first = running.stdout.take().and_then(|mut lines| lines.next()).expect("a line").expect("UTF-8");
        assert_eq!(first, "(\"word\", 1)");
        assert_eq!(running.wait().code(), Some(0));
        let said: Vec<_> = running.stderr.take().expect("read").map(|line| line.expect("UTF-8")).collect();
        assert_eq!(said.len(), 2, "neither an error nor a summary: {said:?}");
    });
}

#[test]
fn a_full_stdout_is_an_error() {
    let directory = tempdir().expect("a directory");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    for arguments in [&["local"][..], &["workflows"], &["graph", "hello"]] {
        let mut command = skitter(directory.path());
        command.args(arguments).stdout(full()).stderr(Stdio::piped());
        super::process::with(command, |running| {
            running.wait_for("No space left on device");
            assert_eq!(running.wait().code(), Some(1));
        });
    }
}
