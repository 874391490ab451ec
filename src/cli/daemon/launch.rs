//! Starts a daemon and waits until it is up; starts it anew.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use super::child::{OPTION, UP};
use super::options::{COOKIE, COOKIE_FILE, GO_ON};
use super::{DaemonError, Options, Place, Process, ask, log};
use crate::node::console::wire::{Reply, Request};

/// How long a daemon may take until it is up: a master waits for its workers, and until records flow.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a daemon may take to end that has closed its end of the socket.
const END: Duration = Duration::from_secs(10);

/// How long a node may take to hand its cookie over.
const HANDOVER: Duration = Duration::from_secs(10);

/// What systemd tells its own child, and not the children of that.
const NOT_HANDED_ON: [&str; 4] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS"];

/// Starts a daemon with the arguments of this process, without the name of the program; returns its process when it is
/// up, or nothing when it has ended in order by then.
///
/// # Errors
/// When one of its mode and name runs, or it fails.
pub fn launch(mode: &str, name: &str, arguments: &[OsString]) -> Result<Option<u32>, DaemonError> {
    let place = Place::make(mode, name)?;
    let used = |source| DaemonError::File { path: place.directory().to_owned(), action: "used", source };
    let (options, cookie) = Options::of_this_process(arguments).map_err(used)?;
    start(&place, &options, cookie)
}

/// What it takes to start a daemon anew: to be asked for while the old one still runs.
#[derive(Debug)]
pub struct Successor {
    place: Place,
    options: Options,
    cookie: Option<OsString>,
}

/// Finds out with what the daemon of a place was started.
///
/// # Errors
/// When there never was one, or it had a cookie that only it knew, and it is gone.
pub fn relaunch(place: &Place) -> Result<Successor, DaemonError> {
    let none = |why: String| DaemonError::NoSuccessor { what: place.what().to_owned(), why };
    let options = Options::read(place)?;
    let options = options.ok_or_else(|| none("no daemon of this mode and name was ever started".to_owned()))?;
    let cookie = match ask(place, &Request::Handover, HANDOVER) {
        Ok(Reply::Handover { cookie }) => cookie.map(OsString::from),
        _ => None,
    };
    let own = || std::env::var_os(COOKIE).filter(|cookie| !cookie.is_empty());
    let cookie = if options.has_secret { cookie.or_else(own) } else { None };
    if options.has_secret && cookie.is_none() {
        let why = "its cookie was kept nowhere, and it is gone; set SKITTER_COOKIE to that, or use a cookie file";
        return Err(none(why.to_owned()));
    }
    Ok(Successor { place: place.clone(), options, cookie })
}

impl Successor {
    /// Starts it; as [`launch`].
    ///
    /// # Errors
    /// As there.
    pub fn start(self) -> Result<Option<u32>, DaemonError> {
        let mut options = self.options;
        options.environment.push((GO_ON.into(), "1".into()));
        start(&self.place, &options, self.cookie)
    }
}

fn start(place: &Place, options: &Options, cookie: Option<OsString>) -> Result<Option<u32>, DaemonError> {
    let what = || place.what().to_owned();
    let path = place.log();
    let failed = |action| {
        let path = path.clone();
        move |source: io::Error| DaemonError::File { path, action, source }
    };
    let log = log::open(&path).map_err(failed("written"))?;
    let written = log.metadata().map_or(0, |log| log.len());
    let (own, its) = UnixStream::pair().map_err(failed("watched"))?;
    let program = std::env::current_exe().map_err(failed("written by a daemon"))?;
    let mut command = Command::new(&program);
    command.arg(OPTION).arg(place.directory()).args(&options.arguments).current_dir(&options.directory);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"SKITTER_")) {
        command.env_remove(name);
    }
    for name in NOT_HANDED_ON {
        command.env_remove(name);
    }
    command.envs(options.environment.iter().cloned());
    if let Some(cookie) = cookie {
        command.env_remove(COOKIE_FILE).env(COOKIE, cookie);
    }
    let both = log.try_clone().map_err(failed("written"))?;
    command.stdin(OwnedFd::from(its)).stdout(both).stderr(log);
    let child = command.spawn().map_err(|source| DaemonError::File { path: program, action: "started", source })?;
    // It holds the other end of the socket, whose end would not be seen.
    drop(command);
    let pid = child.id();
    match wait(own, LIMIT) {
        Ok(true) => Ok(Some(pid)),
        Ok(false) => match ended(child, place) {
            Some(status) if status.success() => Ok(None),
            Some(status) => {
                let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
                let status = u8::try_from(code).unwrap_or(1);
                Err(DaemonError::Ended { what: what(), status, log: log::tail(&path, written) })
            }
            None => Err(DaemonError::Undead { what: what(), pid }),
        },
        Err(_) => {
            let mut child = child;
            let _ = child.kill();
            let _ = ended(child, place);
            Err(DaemonError::Late { what: what(), seconds: LIMIT.as_secs(), log: path })
        }
    }
}

/// Waits until the daemon says that it is up; or that it ends, which it says by closing the socket.
fn wait(mut socket: UnixStream, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    let mut said = Vec::new();
    let mut chunk = [0; 16];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(read) => said.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if said.starts_with(UP) {
            return Ok(true);
        }
    }
}

/// How a child has ended that is about to; it is ended if that takes long.
fn ended(mut child: Child, place: &Place) -> Option<ExitStatus> {
    let process = Process::of_child(&child, place);
    let is_over = || process.as_ref().is_none_or(|process| process.ended(END));
    if !is_over() {
        let _ = child.kill();
        if !is_over() {
            return None;
        }
    }
    child.wait().ok()
}
