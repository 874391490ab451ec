//! Commands, help, and wrong use.

use std::process::{Command, Stdio};

use tempfile::tempdir;

use super::process::{Ended, faulty, log, run, skitter};

fn say(arguments: &[&str]) -> Ended {
    let directory = tempdir().expect("a directory");
    run(skitter(directory.path()), arguments)
}

#[test]
fn help_is_the_same_by_all_names() {
    let help = say(&["help"]).expect(0).stdout;
    for (command, what) in [
        ("local", "Run a workflow"),
        ("worker", "which runs parts of a workflow"),
        ("master", "which deploys a workflow"),
        ("workflows", "List"),
        ("graph", "Draw"),
        ("new", "package"),
        ("release", "tarball"),
        ("deploy", "over ssh"),
        ("completions", ""),
    ] {
        assert!(help.lines().any(|line| line.trim().starts_with(command) && line.contains(what)), "{help}");
    }
    for hidden in ["agent", "daemon"] {
        assert!(!help.lines().any(|line| line.trim().starts_with(hidden)), "{hidden}");
    }
    assert_eq!(say(&["--help"]).expect(0).stdout, help);
    assert_eq!(say(&["h"]).expect(0).stdout, help);
    let local = say(&["help", "local"]).expect(0).stdout;
    assert_eq!(say(&["local", "--help"]).expect(0).stdout, local);
    assert_eq!(say(&["h", "l"]).expect(0).stdout, local);
    for (mode, short) in [("worker", "w"), ("master", "m")] {
        let help = say(&["help", mode, "start"]).expect(0).stdout;
        assert!(help.contains(&format!("Usage: skitter {mode} start [OPTIONS] ")), "{help}");
        assert_eq!(say(&[mode, "start", "--help"]).expect(0).stdout, help);
        assert_eq!(say(&["h", short, "s"]).expect(0).stdout, help);
        assert!(say(&[short]).expect(2).stderr.contains("start "));
    }
}

#[test]
fn the_short_help_of_local() {
    assert_eq!(say(&["local", "-h"]).expect(0).stdout, include_str!("local_help.txt"));
}

#[test]
fn versions() {
    assert_eq!(say(&["-a"]).expect(0).stdout, "skitter 0.1.0\n");
    assert_eq!(say(&["--application-version"]).expect(0).stdout, "skitter 0.1.0\n");
    assert_eq!(say(&["-v"]).expect(0).stdout, "skitter 0.1.0\n");
    assert_eq!(say(&["--skitter-version"]).expect(0).stdout, "skitter 0.1.0\n");
    assert_eq!(say(&["-V"]).expect(0).stdout, "skitter 0.1.0 (Skitter 0.1.0)\n");
    let directory = tempdir().expect("a directory");
    let ended = run(faulty(directory.path()), ["-a"]).expect(0);
    assert_eq!(ended.stdout, "faulty, version not stated\n");
}

#[test]
fn workflows_are_listed() {
    let lines = say(&["workflows"]).expect(0).stdout;
    let names: Vec<_> = lines.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["hello", "wordcount", "socket-wordcount", "primes", "nested", "nexmark"]);
    assert!(lines.starts_with("hello             Counts the words of a greeting (default)\n"), "{lines}");
    let list = say(&["workflows", "--json"]).expect(0).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(6));
    assert_eq!((&list[0]["name"], &list[0]["default"]), (&"hello".into(), &true.into()));
    assert_eq!((&list[1]["name"], &list[1]["default"]), (&"wordcount".into(), &false.into()));
}

#[test]
fn wrong_use_names_what_is_near() {
    for (arguments, parts) in [
        (&["lokal"][..], &["'lokal'", "'local'"][..]),
        (&["local", "--deplo", "x"], &["'--deplo'", "'--deploy'"]),
        (&["local", "-d", "wordcuont"], &["'wordcuont'", "'wordcount'", "hello, wordcount, socket-wordcount"]),
        (&["graph", "nestd"], &["'nestd'", "'nested'"]),
        (&["local", "stpo"], &["'stpo'"]),
        (&["local", "-d", "hello", "stop"], &["options of start"]),
        (&["local", "-d", "hello", "start", "--no-deploy"], &["--deploy and --no-deploy exclude each other"]),
        (&["master", "stpo"], &["'stpo'", "'stop'"]),
        (&["worker", "deploy", "hello"], &["'deploy'"]),
        (&["worker", "stop", "--timeout", "soon"], &["--timeout", "`soon` is no time"]),
        (&["worker", "start", "--adopt-timeout", "0"], &["--adopt-timeout", "0 is no time"]),
        (&["master", "undeploy", "x"], &["'x'"]),
        (&["local", "--checkpoint-interval", "1ms"], &["--checkpoint-interval", "less than 10 ms apart"]),
        (&["master", "start", "--checkpoints-kept", "0"], &["--checkpoints-kept", "0 is not a number from 1 to 1000"]),
        (&["deploy", "h", "--max-restarts", "1001"], &["--max-restarts", "1001 is not a number from 0 to 1000"]),
        (&["worker", "start", "--recovery-wait", "1"], &["'--recovery-wait'"]),
        (&["checkpoints", "lsit"], &["'lsit'", "'list'"]),
        (&["checkpoints", "show", "x"], &["'x'"]),
        (&["local", "--cores", "0"], &["--cores", "1 to 1024"]),
        (&["local", "--log-level", "loud"], &["'loud'", "error, warn, info, debug, trace"]),
        (&["local", "--no-deploy", "-d", "hello"], &["--no-deploy", "--deploy"]),
        (&["local", "--no-deploy", "--", "x"], &["--no-deploy"]),
        (&["worker", "strat"], &["'strat'", "'start'"]),
        (&["worker", "start", "--cookiefile", "x"], &["'--cookiefile'", "'--cookie-file'"]),
        (&["worker", "start", "-t", "a b"], &["--tag", "`a b` is no tag"]),
        (&["worker", "start", "-n", "w1@h"], &["--name", "`w1@h` is no name of a node on its host"]),
        (&["worker", "start", "-n", ""], &["--name"]),
        (&["worker", "start", "m@"], &["MASTER", "`m@` is no address of a node: it has no host"]),
        (&["worker", "start", "a", "b"], &["'b'"]),
        (&["worker", "start", "--listen", "localhost"], &["--listen", "no IP address"]),
        (&["worker", "start", "--mapper-port", "0"], &["--mapper-port", "0 is not a port from 1 to 65535"]),
        (&["worker", "start", "--no-log", "--log-dir", "x"], &["--no-log", "--log-dir"]),
        (&["worker", "start", "-c", "x", "--cookie-file", "y"], &["--cookie", "--cookie-file"]),
        (&["worker", "start", "--deploy", "hello"], &["'--deploy'"]),
        (&["master", "start", "--shutdown-with-worker"], &["'--shutdown-with-workers'"]),
        (&["master", "start", "w@h:0"], &["WORKERS", "port 0"]),
        (&["master", "start", "w@h", "W", "w@H:1"], &["`w@H:1` is there twice, the first time as `w@h`"]),
        (&["master", "start", "-d", "wordcuont"], &["'wordcuont'", "'wordcount'"]),
        (&["master", "start", "-d", "wordcount"], &["Usage: skitter master start -d wordcount -- --input"]),
        (&["master", "start", "--", "--input", "x"], &["'--input'"]),
        (&["help", "grph"], &["'grph'", "'graph'"]),
        (&["help", "worker", "strat"], &["'strat'", "'start'"]),
        (&[], &["Usage: skitter"]),
    ] {
        let ended = say(arguments).expect(2);
        assert_eq!(ended.stdout, "");
        for part in parts {
            assert!(ended.stderr.contains(part), "{part:?} is not in {ended:?}");
        }
    }
}

#[test]
fn arguments_of_a_workflow_are_checked_and_described() {
    let ended = say(&["local", "-d", "wordcount"]).expect(2);
    assert!(ended.stderr.contains("--input <FILE>..."), "{ended:?}");
    assert!(ended.stderr.contains("Usage: skitter local -d wordcount -- --input"), "{ended:?}");
    let ended = say(&["local", "-d", "wordcount", "--", "--inptu", "x"]).expect(2);
    assert!(ended.stderr.contains("'--inptu'") && ended.stderr.contains("'--input'"), "{ended:?}");
    let ended = say(&["local", "-d", "wordcount", "--", "--input", "x", "--strategy", "keyd"]).expect(2);
    assert!(ended.stderr.contains("keyed, combining, partial-key"), "{ended:?}");
    let ended = say(&["local", "-d", "socket-wordcount", "--", "--address", "9999"]).expect(2);
    assert!(ended.stderr.contains("localhost:9999"), "{ended:?}");
    let ended = say(&["local", "--", "--input", "x"]).expect(2);
    assert!(ended.stderr.contains("'--input'"), "{ended:?}");

    let ended = say(&["local", "-d", "wordcount", "--", "--help"]).expect(0);
    assert!(ended.stdout.contains("Usage: skitter local -d wordcount -- [OPTIONS] --input <FILE>..."), "{ended:?}");
    assert!(ended.stdout.contains("Counts the words of text files"), "{ended:?}");
    assert_eq!(ended.stderr, "");
    assert_eq!(say(&["graph", "wordcount", "--", "--help"]).expect(0).stderr, "");
    let ended = say(&["master", "start", "-d", "wordcount", "--", "--help"]).expect(0);
    assert!(ended.stdout.contains("Usage: skitter master start -d wordcount -- [OPTIONS] --input"), "{ended:?}");
}

#[test]
fn graphs_are_drawn() {
    let dot = say(&["graph", "nested"]).expect(0).stdout;
    assert!(dot.starts_with("digraph") && dot.contains("subgraph cluster_0"), "{dot}");
    let json = say(&["graph", "wordcount", "--format", "json", "--", "--input", "x"]).expect(0).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(json.to_string().contains("text files"), "{json}");
    // It needs no input to be there, but does need the arguments.
    assert!(say(&["graph", "wordcount"]).expect(2).stderr.contains("Usage: skitter graph wordcount -- --input"));

    let directory = tempdir().expect("a directory");
    run(skitter(directory.path()), ["graph", "hello", "-o", "hello.dot"]).expect(0);
    let written = std::fs::read_to_string(directory.path().join("hello.dot")).expect("the file");
    assert_eq!(written, say(&["graph", "hello"]).expect(0).stdout);
    let ended = run(skitter(directory.path()), ["graph", "hello", "-o", "missing/hello.dot"]).expect(1);
    assert!(ended.stderr.contains("cannot write `missing/hello.dot`: No such file"), "{ended:?}");
}

#[test]
fn pictures_need_graphviz() {
    let directory = tempdir().expect("a directory");
    if Command::new("dot").arg("-V").stderr(Stdio::null()).status().is_ok() {
        let ended = run(skitter(directory.path()), ["graph", "hello", "--format", "svg"]).expect(0);
        assert!(ended.stdout.contains("<svg"));
        run(skitter(directory.path()), ["graph", "hello", "--format", "png", "-o", "hello.png"]).expect(0);
        assert!(std::fs::read(directory.path().join("hello.png")).expect("the file").starts_with(b"\x89PNG"));
    }
    let mut command = skitter(directory.path());
    command.env("PATH", "");
    let ended = run(command, ["graph", "hello", "--format", "svg"]).expect(1);
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("graphviz"), "{ended:?}");
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let directory = tempdir().expect("a directory");
    for (shell, check) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        let script = say(&["completions", shell]).expect(0).stdout;
        for word in ["local", "worker", "master", "deploy", "worker-file", "socket-wordcount"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
        let file = directory.path().join(shell);
        std::fs::write(&file, script).expect("written");
        let installed = Command::new(shell).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if installed.is_ok() {
            let mut command = Command::new(shell);
            command.args(check).arg(&file);
            assert_eq!(run(command, [""; 0]).expect(0).stderr, "", "{shell}");
        }
    }
    say(&["completions", "tcsh"]).expect(2);
}

#[test]
fn the_other_workflows_give_what_they_say() {
    let primes = say(&["local", "-d", "primes", "--", "--below", "20000", "--tag", "gpu"]).expect(0);
    assert_eq!(primes.stdout, "2262\n");
    let warning = ("warn", "Workflow `primes`: vertex `primes`: no worker node has the tag `gpu`; using any node");
    assert!(log(&primes.stderr).contains(&warning), "{primes:?}");

    let nested = say(&["local", "-d", "nested", "--", "--to", "5"]).expect(0);
    let mut lines: Vec<_> = nested.stdout.lines().collect();
    lines.sort_unstable();
    // 1 4 2, 2 1 4, 3 10 5, 4 2 1, 5 16 8.
    assert_eq!(lines, ["(1, 2)", "(2, 4)", "(3, 5)", "(4, 1)", "(5, 8)"]);
}
