//! How daemons begin and end.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getsid, kill_process};

use super::home::Home;
use crate::cli::process::run;
use crate::support::eventually;

#[test]
fn a_daemon_is_up_when_its_command_returns_and_gone_when_it_is_stopped() {
    let home = Home::new();
    let ended = home.say(["worker", "daemon", "-n", "w1", "-t", "gpu"]).expect(0);
    let pid = home.pid("worker", "w1");
    let log = home.place("worker-w1").join("log");
    let said = format!("worker node `w1` is up: process {}, log {}\n", pid.as_raw_nonzero(), log.display());
    assert_eq!((ended.stdout, ended.stderr.as_str()), (said, ""));
    // It is in a session of its own, so that the end of a terminal is not its end.
    assert_eq!(getsid(Some(pid)), Ok(pid));
    let status = home.json(&["worker", "status", "-n", "w1"]);
    assert_eq!(
        (&status["running"], &status["mode"], &status["name"]),
        (&true.into(), &"worker".into(), &"w1@localhost".into())
    );
    assert_eq!((&status["tags"][0], &status["pid"]), (&"gpu".into(), &pid.as_raw_nonzero().get().into()));
    assert_eq!((&status["peers"], &status["log"]), (&serde_json::json!([]), &log.to_string_lossy().as_ref().into()));
    assert_eq!(status["build"].as_str().map(str::len), Some(64));
    let shown = home.say(["worker", "status", "-n", "w1"]).expect(0).stdout;
    assert!(shown.starts_with("name     w1@localhost\n") && shown.contains("\ntags     gpu\n"), "{shown}");

    let second = home.say(["worker", "daemon", "-n", "w1"]).expect(3);
    let said = format!("error: worker node `w1` runs already, process {}\n", pid.as_raw_nonzero());
    assert_eq!((second.stdout.as_str(), second.stderr), ("", said));

    let ended = home.say(["worker", "stop", "-n", "w1"]).expect(0);
    assert_eq!(ended.stdout, format!("worker node `w1`, process {}, has stopped\n", pid.as_raw_nonzero()));
    assert!(home.processes().is_empty());
    let mut left: Vec<_> = std::fs::read_dir(home.place("worker-w1"))
        .expect("a directory")
        .map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"))
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["end", "log", "options"]);
    for command in ["stop", "pid", "status", "attach", "nodes"] {
        let ended = home.say(["worker", command, "-n", "w1"]).expect(1);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", "error: worker node `w1` does not run\n"));
    }
    let status = home.say(["worker", "status", "-n", "w1", "--json"]).expect(1).stdout;
    assert!(status.contains("\"running\": false"), "{status}");
}

#[test]
fn a_daemon_that_was_killed_is_in_nobodys_way() {
    let home = Home::new();
    home.say(["worker", "daemon"]).expect(0);
    kill_process(home.pid("worker", "skitter_worker"), Signal::KILL).expect("it runs");
    home.nobody_is_left();
    // Its files are there.
    assert!(home.place("worker-skitter_worker").join("pid").exists());
    assert!(home.place("worker-skitter_worker").join("control").exists());
    home.say(["worker", "status"]).expect(1);
    home.say(["worker", "daemon"]).expect(0);
    home.say(["worker", "status"]).expect(0);
    home.say(["worker", "stop"]).expect(0);
}

#[test]
fn of_daemons_that_start_at_the_same_time_one_is_there() {
    let home = Home::new();
    for _ in 0..3 {
        let all: Vec<_> = (0..4)
            .map(|_| {
                let mut command = home.command();
                command.args(["local", "daemon", "--no-deploy"]).stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().expect("it starts")
            })
            .collect();
        let all: Vec<_> = all.into_iter().map(|child| child.wait_with_output().expect("it ends")).collect();
        let codes = |code| all.iter().filter(|output| output.status.code() == Some(code)).count();
        assert_eq!((codes(0), codes(3)), (1, 3), "{all:?}");
        for output in all.iter().filter(|output| output.status.code() == Some(3)) {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("local node `skitter_local` runs already, process "), "{said}");
        }
        assert_eq!(home.processes().len(), 1);
        home.say(["local", "stop"]).expect(0);
    }
}

#[test]
fn a_daemon_that_fails_says_why_with_its_exit_status() {
    let home = Home::new();
    let ended = home.say(["worker", "daemon", "--cookie-file", "none"]).expect(5);
    assert!(ended.stderr.contains("error: cookie file `none` cannot be read"), "{ended:?}");
    assert!(ended.stderr.ends_with("error: worker node `skitter_worker` has ended before it was up\n"), "{ended:?}");
    let ended = home.say(["master", "daemon", "w1@localhost"]).expect(3);
    assert!(ended.stderr.contains("Could not connect to `w1@localhost`: not_connected: "), "{ended:?}");
    let ended = home.say(["local", "daemon", "-d", "wordcount", "--", "--input", "none"]).expect(1);
    assert!(ended.stderr.contains("Workflow `wordcount` failed: "), "{ended:?}");
    assert!(ended.stderr.contains("none"), "{ended:?}");
    // What is wrong with the command itself is found before.
    let ended = home.say(["worker", "daemon", "--listen", "x"]).expect(2);
    assert!(ended.stderr.contains("--listen"), "{ended:?}");
    home.nobody_is_left();
    // One that has done all that it was to do has not failed.
    let ended = home.say(["local", "daemon"]).expect(0);
    assert!(ended.stdout.contains("local node `skitter_local` "), "{ended:?}");
    home.logs("local-skitter_local", "Completed `hello`: ");
    assert!(home.log("local-skitter_local").contains("(\"Hello\", 2)\n"));
    home.nobody_is_left();
}

#[test]
fn a_node_that_does_not_drain_is_ended() {
    let home = Home::faulty();
    home.say(["local", "daemon", "-d", "hangs"]).expect(0);
    home.logs("local-skitter_local", "hanging");
    let began = Instant::now();
    let ended = home.say(["local", "stop", "--timeout", "300ms"]).expect(0);
    assert!(ended.stdout.ends_with(", was ended: it had not drained within 0.3 s\n"), "{ended:?}");
    assert!(began.elapsed() > Duration::from_millis(300));
    home.nobody_is_left();
}

#[test]
fn a_node_that_is_frozen_is_ended_too() {
    let home = Home::new();
    home.say(["worker", "daemon"]).expect(0);
    kill_process(home.pid("worker", "skitter_worker"), Signal::STOP).expect("it runs");
    let ended = home.say(["worker", "stop", "--timeout", "300ms"]).expect(0);
    assert!(ended.stdout.ends_with(", was killed: it had not ended within 0.3 s\n"), "{ended:?}");
    home.nobody_is_left();
}

#[test]
fn a_daemon_is_started_anew_with_all_that_it_was_started_with() {
    const SECRET: &str = "a very secret monster";
    let home = Home::new();
    let mut command = home.command();
    command.env("SKITTER_COOKIE", SECRET).env("SKITTER_TAG", "big");
    run(command, ["worker", "daemon", "-n", "w1", "--no-shutdown-with-master"]).expect(0);
    let before = home.json(&["worker", "status", "-n", "w1"]);
    let ended = home.say(["worker", "restart", "-n", "w1"]).expect(0);
    assert!(ended.stdout.contains(", has stopped\n") && ended.stdout.contains(" is up: process "), "{ended:?}");
    let after = home.json(&["worker", "status", "-n", "w1"]);
    assert_ne!(before["pid"], after["pid"]);
    assert_eq!(after["tags"], serde_json::json!(["big"]));
    // It knows the same secret, which stands nowhere.
    let mut master = home.command();
    master.env("SKITTER_COOKIE", SECRET);
    run(master, ["master", "start", "w1@localhost"]).expect(0);
    home.say(["master", "start", "-c", "another", "w1@localhost"]).expect(3);
    for file in ["log", "options"] {
        let text = std::fs::read_to_string(home.place("worker-w1").join(file)).expect("a file");
        assert!(!text.contains(SECRET), "{file}: {text}");
    }
    for pid in home.processes() {
        let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).expect("arguments");
        assert!(!String::from_utf8_lossy(&line).contains("secret"));
    }
    // One that is dead has taken the secret with it.
    kill_process(home.pid("worker", "w1"), Signal::KILL).expect("it runs");
    home.nobody_is_left();
    let ended = home.say(["worker", "restart", "-n", "w1"]).expect(5);
    assert!(ended.stderr.contains("set SKITTER_COOKIE to that"), "{ended:?}");
    let ended = home.say(["worker", "restart", "-n", "w2"]).expect(5);
    assert!(ended.stderr.contains("no daemon of this mode and name was ever started"), "{ended:?}");
}

#[test]
fn a_cookie_among_the_arguments_is_seen_by_nobody_for_long() {
    let home = Home::new();
    let ended = home.say(["worker", "daemon", "-c", "monster"]).expect(0);
    assert!(ended.stderr.starts_with("warning: every user of this host could read the cookie"), "{ended:?}");
    for pid in home.processes() {
        let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).expect("arguments");
        assert!(!String::from_utf8_lossy(&line).contains("monster"));
    }
    home.say(["worker", "restart"]).expect(0);
    home.say(["master", "start", "-c", "monster", "localhost"]).expect(0);
    home.nobody_is_left();
}

#[test]
fn a_directory_that_others_can_get_at_is_refused() {
    let home = Home::new();
    home.say(["worker", "daemon"]).expect(0);
    home.say(["worker", "stop"]).expect(0);
    let place = home.place("worker-skitter_worker");
    std::fs::set_permissions(&place, PermissionsExt::from_mode(0o755)).expect("permissions");
    let ended = home.say(["worker", "daemon"]).expect(5);
    let said = format!("(mode 0755); do `chmod 700 {}`\n", place.display());
    assert!(ended.stderr.ends_with(&said), "{ended:?}");
}

#[test]
fn a_home_may_be_deep() {
    let home = Home::deep(&["a_directory_with_a_long_name"; 6].join("/"));
    home.say(["worker", "daemon"]).expect(0);
    assert_eq!(home.json(&["worker", "status"])["name"], "skitter_worker@localhost");
    home.say(["worker", "stop"]).expect(0);
}

#[test]
fn a_runtime_directory_is_used_where_there_is_one() {
    let home = Home::new();
    let runtime = home.path().join("runtime");
    std::fs::create_dir(&runtime).expect("a directory");
    std::fs::set_permissions(&runtime, PermissionsExt::from_mode(0o700)).expect("permissions");
    let mut command = home.command();
    command.env("XDG_RUNTIME_DIR", &runtime);
    run(command, ["local", "daemon", "--no-deploy"]).expect(0);
    assert!(runtime.join("skitter/local-skitter_local/control").exists());
    let stop = |home: &Home| {
        let mut command = home.command();
        command.env("XDG_RUNTIME_DIR", &runtime);
        run(command, ["local", "stop"])
    };
    stop(&home).expect(0);
    // One that was started without it is found with it, and is not started twice.
    home.say(["local", "daemon", "--no-deploy"]).expect(0);
    let mut command = home.command();
    command.env("XDG_RUNTIME_DIR", &runtime);
    run(command, ["local", "daemon", "--no-deploy"]).expect(3);
    stop(&home).expect(0);
    home.nobody_is_left();
}

#[test]
fn a_node_in_a_terminal_can_be_managed_too() {
    let home = Home::new();
    let mut command = home.command();
    command.args(["worker", "start", "-n", "w1"]);
    let node = crate::cluster::node::Node::start(command);
    node.says("Reachable at `w1@localhost`");
    let status = home.json(&["worker", "status", "-n", "w1"]);
    assert_eq!((&status["name"], &status["log"]), (&"w1@localhost".into(), &serde_json::Value::Null));
    home.say(["worker", "log", "debug", "-n", "w1"]).expect(0);
    node.says("The level of the log is now debug");
    home.say(["worker", "stop", "-n", "w1"]).expect(0);
    let ended = node.ended().expect(0);
    assert!(ended.stderr.contains("Stopping on command"), "{ended:?}");
    // Nothing is left of it.
    let left = std::fs::read_dir(home.path().join(".local/state/skitter")).expect("a directory").count();
    assert_eq!(left, 0);
}

#[test]
fn a_long_log_is_put_aside_and_no_line_is_lost() {
    let home = Home::faulty();
    home.say(["local", "daemon", "-d", "ticks"]).expect(0);
    let place = home.place("local-skitter_local");
    eventually("the log is not put aside", || place.join("log.1").exists());
    home.say(["local", "stop"]).expect(0);
    let aside = (1..=5).rev().map(|number| place.join(format!("log.{number}")));
    let files = aside.chain([place.join("log")]).filter_map(|path| std::fs::read_to_string(path).ok());
    let text: String = files.collect();
    let numbers = text.lines().filter_map(|line| line.parse::<u64>().ok());
    // Where there were more than five, the oldest are gone.
    let mut next = None;
    for number in numbers {
        assert!(next.is_none_or(|next| next == number), "{next:?} is missing before {number}");
        next = Some(number + 1);
    }
    assert!(text.contains("][info] Stopped `ticks`: "), "the end is not there");
}
