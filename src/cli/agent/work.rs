//! Starts and stops workers, by the commands that a user would use.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::look::{note_setup, running};
use crate::cli::command::WORKER_MODE;
use crate::cli::daemon::{COOKIE, Place, Process};
use crate::hosts::Answer;
use crate::release::Release;

/// How long a worker has to drain that should have ended long ago.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Options that say where logs are.
const LOG_OPTIONS: [&str; 2] = ["--log-dir", "--no-log"];

/// The configuration of a release.
const CONFIG: &str = "skitter.toml";

/// Where they are otherwise, below the directory of the release.
const LOGS: &str = "logs";

fn own(arguments: &[&str]) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

/// Starts a worker in a directory and waits until it is up.
pub fn start(name: &str, arguments: &[String], cookie: &str, directory: Option<&str>, setup: &str) -> Answer {
    let run = || {
        // Wherever it runs, its logs are where they are looked for.
        let here = std::env::current_dir()?;
        let mut command = own(&[WORKER_MODE, "daemon", &format!("--name={name}")])?;
        // Wherever it runs, what counts is what came with the program.
        let config = Release::here().ok().flatten().map(|release| release.directory.join(CONFIG));
        if let Some(config) = config.filter(|config| config.exists()) {
            command.arg("--config").arg(config);
        }
        if !arguments.iter().any(|argument| LOG_OPTIONS.contains(&argument.as_str())) {
            command.arg(LOG_OPTIONS[0]).arg(here.join(LOGS));
            show_output(name, &here.join(LOGS));
        }
        command
            .args(arguments)
            .env(COOKIE, cookie)
            .current_dir(directory.map_or(here.clone(), |inside| here.join(inside)));
        command.output()
    };
    match run() {
        Ok(output) if output.status.success() => match running(name) {
            Ok(Some(running)) => {
                note_setup(name, running.pid, setup);
                Answer::Started(running)
            }
            Ok(None) => Answer::Failed { why: "the worker has ended at once".to_owned() },
            Err(error) => super::failed(&error),
        },
        Ok(output) => Answer::Failed { why: String::from_utf8_lossy(&output.stderr).trim().to_owned() },
        Err(error) => super::failed(&error),
    }
}

/// Lets what a worker prints be found beside what it logs.
fn show_output(name: &str, logs: &Path) {
    let Ok(place) = Place::of(WORKER_MODE, name) else { return };
    let link = logs.join(format!("{name}.out"));
    // Whoever looks there can do without.
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(logs);
    let _ = fs::remove_file(&link);
    let _ = symlink(place.log(), link);
}

/// Stops a worker, which has this long to drain.
pub fn stop(name: &str, limit: Duration) -> Answer {
    let ran = match Place::of(WORKER_MODE, name).and_then(|place| place.holder()) {
        Ok(holder) => holder.is_some(),
        Err(error) => return super::failed(&error),
    };
    if !ran {
        return Answer::Stopped { ran };
    }
    let seconds = format!("{}s", limit.as_secs_f64());
    let run = own(&[WORKER_MODE, "stop", &format!("--name={name}"), "--timeout", &seconds]);
    match run.and_then(|mut command| command.output()) {
        // Status 1 is for one that has ended meanwhile.
        Ok(output) if matches!(output.status.code(), Some(0 | 1)) => Answer::Stopped { ran },
        Ok(output) => Answer::Failed { why: String::from_utf8_lossy(&output.stderr).trim().to_owned() },
        Err(error) => super::failed(&error),
    }
}

/// Waits until a worker has ended; stops it when that takes longer.
pub fn ended(name: &str, limit: Duration) -> Answer {
    match Place::of(WORKER_MODE, name).and_then(|place| Process::of(&place)) {
        Ok(None) => Answer::Stopped { ran: false },
        Ok(Some(process)) if process.ended(limit) => Answer::Stopped { ran: true },
        Ok(Some(_)) => stop(name, AT_ONCE),
        Err(error) => super::failed(&error),
    }
}
