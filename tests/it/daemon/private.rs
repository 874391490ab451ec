//! What a node leaves on the disk is its user's alone, whatever the mask of the process is; and no name leads out of
//! the place that it is for.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::home::Home;
use crate::cli::process::run;
use crate::support::eventually;

/// A command of this home, started with a mask that takes nothing away.
fn unmasked(home: &Home, arguments: &[&str]) -> Command {
    let command = home.command();
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$0\" \"$@\""]).arg(command.get_program()).args(arguments);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap_or(home.path()));
    shell
}

fn all_below(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(path).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            all_below(&path, found);
        }
        found.push(path);
    }
}

#[test]
fn all_that_a_node_leaves_is_private_under_any_mask() {
    let home = Home::new();
    let arguments = ["worker", "daemon", "--name", "w1", "--log-dir", "logs"];
    run(unmasked(&home, &arguments), [""; 0]).expect(0);
    // Who writes it is not heard at a certain time.
    eventually("there is no log", || home.path().join("logs/w1@localhost.log").exists());
    let mut found = Vec::new();
    all_below(home.path(), &mut found);
    let is_there = |name: &str| found.iter().any(|path| path.file_name().is_some_and(|file| file == name));
    for name in ["control", "pid", "log", "options", ".skitter.cookie", "w1@localhost.log"] {
        assert!(is_there(name), "{name} is not there: {found:?}");
    }
    for path in &found {
        let mode = std::fs::symlink_metadata(path).expect("it is there").mode() & 0o7777;
        assert!(mode & 0o077 == 0, "{}: {mode:o}", path.display());
    }
    home.say(["worker", "stop", "--name", "w1"]).expect(0);
}

#[test]
fn no_name_leads_out_of_its_place() {
    let home = Home::new();
    for name in ["../x", "a/b", "/etc/x", "..\n"] {
        for action in ["daemon", "status", "log"] {
            let ended = home.say(["worker", action, "--name", name]);
            assert!(matches!(ended.status, Some(2 | 5)), "{name}: {ended:?}");
        }
        let mut command = home.command();
        command.env("SKITTER_NAME", name);
        run(command, ["worker", "start"]).expect(5);
    }
    // These are names as any other.
    for name in ["..", "."] {
        home.say(["worker", "daemon", "--name", name, "--log-dir", "logs"]).expect(0);
        let log = home.path().join(format!("logs/{name}@localhost.log"));
        eventually("there is no log", || log.exists());
        home.say(["worker", "stop", "--name", name]).expect(0);
    }
    let mut above = Vec::new();
    all_below(&home.path().join(".local"), &mut above);
    let inside = |path: &PathBuf| path.starts_with(home.path().join(".local/state"));
    assert!(above.iter().filter(|path| path.is_file()).all(inside), "{above:?}");
}
