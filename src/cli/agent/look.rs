//! What there is on this host.

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::releases::Releases;
use crate::cli::command::WORKER_MODE;
use crate::cli::daemon::{DaemonError, Place, ask};
use crate::hosts::{Answer, Found, Running};
use crate::node::console::wire::{NodeStatus, Reply, Request};

/// Where it is noted what a worker was started with, in the directory of its state: its process and the sum.
const SETUP: &str = "setup";

/// How long a worker may take to say how it stands.
const STATUS: Duration = Duration::from_secs(5);

/// The program by which ssh has come leaves its addresses here: of the client with its port, then of this host.
const CONNECTION: &str = "SSH_CONNECTION";

/// Looks around.
///
/// # Errors
/// When a worker of the name runs and does not answer.
pub fn look(name: &str) -> Result<Answer, DaemonError> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Answer::Found(Found {
        clock: u64::try_from(clock.as_millis()).unwrap_or(u64::MAX),
        unwritable: unwritable(),
        running: running(name)?,
        address: std::env::var(CONNECTION).ok().and_then(|connection| address(&connection)),
        previous: Releases::here().previous(),
    }))
}

/// The worker of a name, if it runs.
///
/// # Errors
/// When it does not answer.
pub fn running(name: &str) -> Result<Option<Running>, DaemonError> {
    match ask(&Place::of(WORKER_MODE, name)?, &Request::Status, STATUS) {
        Ok(Reply::Status(status)) => Ok(Some(running_of(&status, setup(name, status.pid)))),
        Ok(_) | Err(DaemonError::NotRunning(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Notes what a worker was started with.
pub fn note_setup(name: &str, pid: u32, setup: &str) {
    if let Ok(place) = Place::of(WORKER_MODE, name) {
        // Without it, the worker counts as one that a user has started.
        let _ = fs::write(place.directory().join(SETUP), format!("{pid} {setup}"));
    }
}

fn setup(name: &str, pid: u32) -> Option<String> {
    let noted = fs::read_to_string(Place::of(WORKER_MODE, name).ok()?.directory().join(SETUP)).ok()?;
    let (of, setup) = noted.split_once(' ')?;
    (of == pid.to_string()).then(|| setup.to_owned())
}

fn running_of(status: &NodeStatus, setup: Option<String>) -> Running {
    let port = status.address.as_ref().and_then(|address| address.rsplit_once(':')?.1.parse().ok());
    Running {
        pid: status.pid,
        port: port.unwrap_or_default(),
        build: status.build.clone().unwrap_or_default(),
        tags: status.tags.clone(),
        setup,
        master: status.peers.iter().find(|peer| peer.mode == "master").map(|peer| peer.name.clone()),
    }
}

/// Why nothing can be written to the working directory, which is where logs and results go.
fn unwritable() -> Option<String> {
    let probe = format!(".skitter-probe.{}", std::process::id());
    let written = fs::write(&probe, "x").and_then(|()| fs::remove_file(&probe));
    written.err().map(|error| error.to_string())
}

fn address(connection: &str) -> Option<String> {
    let address: IpAddr = connection.split(' ').nth(2)?.parse().ok()?;
    Some(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_this_side() {
        assert_eq!(address("10.0.0.1 4000 10.0.0.2 22").as_deref(), Some("10.0.0.2"));
        assert_eq!(address("fe80::1 4000 ::1 22").as_deref(), Some("::1"));
        assert_eq!(address("UNKNOWN 65535 UNKNOWN 65535"), None);
    }
}
