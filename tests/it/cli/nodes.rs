//! Nodes of a cluster, as far as one of them alone shows it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::{TempDir, tempdir};

use super::process::{Ended, log, log_line, mapper_port, run, skitter, with};

/// A directory with a file of this mode.
fn with_file(name: &str, text: &str, mode: u32) -> (TempDir, PathBuf) {
    let directory = tempdir().expect("a directory");
    let path = directory.path().join(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("permissions");
    (directory, path)
}

fn say(directory: &Path, arguments: &[&str]) -> Ended {
    run(skitter(directory), arguments)
}

fn node(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = skitter(directory);
    command.args(arguments).args(["--host", "localhost", "--mapper-port", &mapper_port().to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_cookie_file_that_cannot_be_used_is_named() {
    let (directory, _) = with_file("open", "secret", 0o644);
    std::fs::write(directory.path().join("empty"), "\n").expect("written");
    std::fs::set_permissions(directory.path().join("empty"), PermissionsExt::from_mode(0o600)).expect("permissions");
    for mode in ["worker", "master"] {
        for (file, why) in
            [("open", "others can get at it"), ("empty", "the cookie is empty"), ("missing", "cannot be read: No such")]
        {
            let ended = say(directory.path(), &[mode, "start", "--cookie-file", file]).expect(5);
            assert!(ended.stderr.starts_with("error: cookie file `") && ended.stderr.contains(why), "{ended:?}");
            assert!(ended.stderr.contains(&format!("`{file}`")) && !ended.stderr.contains("secret"), "{ended:?}");
            assert_eq!(ended.stdout, "");
        }
    }
    let mut command = skitter(directory.path());
    command.env("SKITTER_COOKIE_FILE", "open");
    assert!(run(command, ["worker", "start"]).expect(5).stderr.contains("`open`"));
    // The usual one is in the user's home.
    std::fs::rename(directory.path().join("open"), directory.path().join(".skitter.cookie")).expect("renamed");
    let ended = say(directory.path(), &["worker", "start"]).expect(5);
    assert!(ended.stderr.contains(".skitter.cookie`: others can get at it (mode 0644); do `chmod 600 "), "{ended:?}");
}

#[test]
fn a_cookie_that_is_said_is_never_shown() {
    let directory = tempdir().expect("a directory");
    let ended = say(directory.path(), &["worker", "start", "-c", " "]).expect(5);
    assert_eq!(ended.stderr, "error: --cookie: the cookie is empty\n");
    let long = "secret".repeat(200);
    let mut command = skitter(directory.path());
    command.env("SKITTER_COOKIE", &long);
    let ended = run(command, ["master", "start"]).expect(5);
    assert_eq!(ended.stderr, "error: environment variable SKITTER_COOKIE: the cookie is longer than 1024 bytes\n");
    let mut command = skitter(directory.path());
    command.env("SKITTER_COOKIE", "secret").env("SKITTER_COOKIE_FILE", "x");
    let ended = run(command, ["master", "start"]).expect(5);
    assert!(ended.stderr.contains("SKITTER_COOKIE_FILE exclude each other"), "{ended:?}");
    assert!(!ended.stderr.contains("secret"), "{ended:?}");
}

#[test]
fn a_configuration_with_a_cookie_is_private() {
    let (directory, path) = with_file("skitter.toml", "log-level = 'info'\ncookie = 'secret'\n", 0o640);
    let ended = say(directory.path(), &["worker", "start"]).expect(5);
    assert!(ended.stderr.starts_with("error: skitter.toml:2:10: others can read the cookie here; "), "{ended:?}");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("permissions");
    say(directory.path(), &["local"]).expect(0);
}

#[test]
fn a_worker_file_that_cannot_be_used_is_named_with_its_line() {
    for (text, said) in [
        ("a\n\nw@\n", "error: workers:3: `w@` is no worker: it has no host; write [NAME@]HOST[:TAG,TAG]\n"),
        ("a\nb\na\n", "error: workers:3: worker `skitter_worker@a` is there twice"),
        ("# w2\nw1@c\n", "error: workers:2: worker `w1@c` is there twice"),
        ("a:gpu,\n", "error: workers:1: "),
    ] {
        let (directory, _) = with_file("workers", text, 0o644);
        let ended = say(directory.path(), &["master", "start", "w1@c:4000", "-f", "workers"]).expect(5);
        assert!(ended.stderr.starts_with(said), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
    let directory = tempdir().expect("a directory");
    std::fs::write(directory.path().join("skitter.toml"), "worker-file = 'gone'").expect("written");
    let ended = say(directory.path(), &["master", "start"]).expect(5);
    assert!(ended.stderr.starts_with("error: cannot read worker file `gone`: No such file"), "{ended:?}");
}

#[test]
fn what_is_configured_wrong_is_named() {
    let directory = tempdir().expect("a directory");
    for (variable, value) in [
        ("SKITTER_NAME", "w1@h"),
        ("SKITTER_HOST", "a b"),
        ("SKITTER_TAG", "gpu,a:b"),
        ("SKITTER_LISTEN", "eth0"),
        ("SKITTER_MAPPER_PORT", "0"),
        ("SKITTER_NO_SHUTDOWN_WITH_MASTER", "maybe"),
        ("SKITTER_NO_LOG", "maybe"),
    ] {
        let mut command = skitter(directory.path());
        command.env(variable, value);
        let ended = run(command, ["worker", "start"]).expect(5);
        assert!(ended.stderr.contains(&format!("{variable}=`{value}`: ")), "{ended:?}");
    }
    for text in ["name = 'a b'", "tag = ['a,b']", "listen = ':http'", "mapper-port = 70000", "tag = 'gpu'"] {
        std::fs::write(directory.path().join("skitter.toml"), text).expect("written");
        let ended = say(directory.path(), &["worker", "start"]).expect(5);
        assert!(ended.stderr.starts_with("error: skitter.toml:1:"), "{ended:?}");
    }
}

#[test]
fn a_worker_is_reachable_until_it_is_told_to_stop() {
    let directory = tempdir().expect("a directory");
    let command = node(directory.path(), &["w", "s", "-n", "w1", "-t", "gpu", "--log-dir", "logs"]);
    with(command, |running| {
        let started = running.wait_for("started in worker mode");
        let said = log_line(&started).expect("a line of the log");
        assert!(said.0 == "info" && said.1.starts_with("⬡⬢⬡⬢ Skitter v"), "{started}");
        let reachable = running.wait_for("Reachable at");
        assert_eq!(log_line(&reachable), Some(("info", "Reachable at `w1@localhost`")));
        running.signal(Signal::TERM);
        assert_eq!(running.wait().code(), Some(0));
    });
    let cookie = directory.path().join(".skitter.cookie");
    assert_eq!(std::fs::metadata(cookie).expect("it was made").permissions().mode() & 0o7777, 0o600);
    let written = std::fs::read_to_string(directory.path().join("logs/w1@localhost.log")).expect("a file of the log");
    let lines = log(&written);
    assert!(lines[0].1.ends_with("started in worker mode") && lines[1].1 == "Reachable at `w1@localhost`", "{lines:?}");
}

#[test]
fn a_file_of_the_log_that_cannot_be_written_stops_nobody() {
    let (directory, _) = with_file("logs", "in the way", 0o644);
    let mut command = node(directory.path(), &["master", "start", "--no-deploy", "-c", "secret"]);
    command.env("SKITTER_LOG_DIR", "logs");
    with(command, |running| {
        // Who writes the file is not heard at a certain time.
        let mut missing = vec![
            "[warn] Every user of this host can read the cookie in the list of processes; ",
            "[warn] Cannot write the log to `logs/skitter_master@localhost.log`, going on without: ",
            "[info] Reachable at `skitter_master@localhost`",
        ];
        let lines = running.stderr.as_mut().expect("stderr is read");
        while !missing.is_empty() {
            let line = lines.next().unwrap_or_else(|| panic!("not said: {missing:?}")).expect("UTF-8");
            missing.retain(|part| !line.contains(part));
            assert!(!line.contains("secret"), "{line}");
        }
        running.signal(Signal::TERM);
        assert_eq!(running.wait().code(), Some(0));
    });
    // And none is written by those that are not asked for one.
    let directory = tempdir().expect("a directory");
    for arguments in [&[][..], &["--no-log"]] {
        let mut command = node(directory.path(), &["worker", "start"]);
        command.args(arguments).env("SKITTER_COOKIE", "secret");
        with(command, |running| {
            running.wait_for("Reachable at");
            running.signal(Signal::INT);
            assert_eq!(running.wait().code(), Some(0));
        });
        let files = |path: &Path| -> Vec<PathBuf> {
            let all = std::fs::read_dir(path).expect("a directory");
            all.map(|entry| entry.expect("readable").path()).collect()
        };
        // Directories in which the state of nodes is while they run.
        assert_eq!(files(directory.path()), [directory.path().join(".local")]);
        assert_eq!(files(&directory.path().join(".local/state/skitter")), [""; 0].map(PathBuf::from));
    }
}

#[test]
fn a_master_names_each_worker_that_it_cannot_reach() {
    let (directory, _) = with_file("workers", "w3@localhost:gpu,4000\n", 0o644);
    let command = node(directory.path(), &["m", "s", "w1@localhost", "w2@localhost:1", "-f", "workers"]);
    let ended = run(command, [""; 0]).expect(3);
    let lines = log(&ended.stderr);
    for worker in ["w1@localhost", "w2@localhost:1", "w3@localhost"] {
        let said = format!("Could not connect to `{worker}`: not_connected");
        assert_eq!(lines.iter().filter(|line| line.1.starts_with(&said)).count(), 1, "{said}: {ended:?}");
    }
    assert!(lines.iter().any(|line| line.0 == "warn" && line.1.starts_with("workers:1: `4000` is taken for a tag")));
    assert!(!ended.stderr.contains("Deploying"), "{ended:?}");
    assert_eq!(ended.stdout, "");
}

#[test]
fn arguments_of_a_workflow_reach_the_workers() {
    let directory = tempdir().expect("a directory");
    let mapper = mapper_port().to_string();
    let network = ["--host", "localhost", "--mapper-port", &mapper];
    let mut worker = skitter(directory.path());
    worker.args(["worker", "start"]).args(network).stdout(Stdio::piped()).stderr(Stdio::piped());
    with(worker, |running| {
        running.wait_for("Reachable at");
        let mut master = skitter(directory.path());
        master.args(["master", "start", "localhost", "-d", "nested"]).args(network).args(["--", "--to", "5"]);
        let ended = run(master, [""; 0]).expect(0);
        let said = log(&ended.stderr);
        assert_eq!(said[2].1, "Connected to `skitter_worker@localhost`, tags: []");
        assert_eq!(said[3].1, "Deploying `nested`");
        let mut lines: Vec<_> =
            running.stdout.take().expect("stdout is read").map(|line| line.expect("UTF-8")).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["(1, 2)", "(2, 4)", "(3, 5)", "(4, 1)", "(5, 8)"]);
        assert_eq!(running.wait().code(), Some(0));
    });
}
