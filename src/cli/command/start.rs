//! What all modes start with: the log, panics, signals, progress, and the way in for whoever manages the node.

use std::io::IsTerminal;
use std::process;
use std::sync::{Arc, OnceLock};

use super::General;
use crate::cli::app::App;
use crate::cli::config::{CookieSource, Settings};
use crate::cli::daemon::{COOKIE, Child, Lock, Notifier, Place};
use crate::cli::failure::Failure;
use crate::cli::log_file::LogFile;
use crate::cli::panics;
use crate::cli::terminal::Terminal;
use crate::hosts::End;
use crate::node::console::wire::WorkflowInfo;
use crate::node::console::{Desk, Secret};
use crate::node::{Console, Signal, Signals};
use crate::runtime::DeploymentStatus;
use crate::telemetry::{self, Format, Verbosity, events};

/// The log of a node.
pub struct Log {
    /// Where its lines go.
    pub terminal: Terminal,
    /// Its level, unless the process has a log of its own.
    verbosity: Option<Verbosity>,
}

/// Does something while lines of the log and panics go to stderr, and to a file if there is one. Returns when all lines
/// are written.
///
/// # Errors
/// When the system refuses a thread, and whatever the work fails with.
pub fn with_log(
    settings: &Settings,
    file: Option<LogFile>,
    work: impl FnOnce(&Log) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let terminal = Terminal::open(file).map_err(Failure::Start)?;
    let lines = terminal.clone();
    let (level, format) = (settings.log_level.unwrap_or_default(), settings.log_format.unwrap_or_default());
    let verbosity = telemetry::install(level, format, move |line| lines.line(line));
    panics::install(terminal.clone());
    let log = Log { terminal, verbosity };
    let result = work(&log);
    log.terminal.close();
    result
}

/// The way in for whoever manages a node, as long as it runs.
pub struct Managed {
    /// Signals, and commands to stop.
    pub signals: Signals,
    /// Requests.
    pub console: Console,
    notifier: Option<Arc<Notifier>>,
    /// That of a daemon.
    place: Arc<OnceLock<Place>>,
    /// Goes last, when nobody can connect any more.
    _lock: Option<Lock>,
}

impl Managed {
    /// Notes that the node has done its work, and not failed.
    pub fn done(&self) {
        if let (Some(place), false) = (self.place.get(), self.signals.stopper().is_stopping()) {
            place.note_end(End::Done);
        }
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        if let Some(notifier) = &self.notifier {
            notifier.say(STOPPING);
        }
    }
}

/// Tells systemd that the node stops.
const STOPPING: &str = "STOPPING=1";

/// Takes signals over from now on, the second of which ends the process; takes the node's place, and opens its control
/// socket. A daemon cannot do without that, other nodes can; a local node has one if it is a daemon.
///
/// # Errors
/// When the system refuses; when another daemon of this mode and name runs.
pub fn manage(
    app: &App,
    general: &General,
    settings: &Settings,
    mode: &str,
    name: &str,
    log: &Log,
) -> Result<Managed, Failure> {
    let last = log.terminal.clone();
    let notifier = Notifier::from_environment().map(Arc::new);
    let stopping = notifier.clone();
    let place: Arc<OnceLock<Place>> = Arc::default();
    let noted = Arc::clone(&place);
    let first = move || {
        // Now, because whoever has told it to stop may lose patience, and kill it.
        noted.get().into_iter().for_each(|place| place.note_end(End::Stopped));
        stopping.iter().for_each(|notifier| notifier.say(STOPPING));
    };
    let signals = Signals::listen_with(first, move |signal| end(signal, &last)).map_err(Failure::Start)?;
    let cookie = match &settings.cookie {
        Some(CookieSource::Secret(_)) => std::env::var(COOKIE).ok(),
        _ => None,
    };
    let child = general.child();
    let lock = match child {
        Some(child) => Some(child.settle(mode, name, cookie.is_some())?),
        None if mode == super::local::MODE => None,
        None => {
            let lock = Place::make(mode, name).and_then(|place| place.lock());
            lock.inspect_err(|error| events::no_console(error)).ok()
        }
    };
    if let (Some(lock), true) = (&lock, child.is_some()) {
        let _ = place.set(lock.place().clone());
    }
    let desk = Desk {
        stopper: signals.stopper(),
        verbosity: log.verbosity.clone(),
        workflows: app.workflows.iter().map(workflow).collect(),
        cookie: Secret(cookie),
    };
    let console = match &lock {
        Some(lock) => Console::serve(lock.listen()?, desk).map_err(Failure::Start)?,
        None => Console::none(),
    };
    let (is_daemon, up) = (child.is_some(), notifier.clone());
    let console = console.on_up(Box::new(move || {
        up.iter().for_each(|notifier| notifier.say("READY=1"));
        if is_daemon {
            Child::up();
        }
    }));
    Ok(Managed { signals, console, notifier, place, _lock: lock })
}

fn workflow(entry: &crate::cli::WorkflowEntry) -> WorkflowInfo {
    WorkflowInfo { name: entry.name.to_owned(), description: entry.description.to_owned() }
}

/// Shows how far a workflow has come, where somebody looks at it.
pub fn progress<'a>(settings: &Settings, log: &'a Log) -> Option<impl FnMut(&DeploymentStatus) + use<'a>> {
    let draws = std::io::stderr().is_terminal() && settings.log_format.unwrap_or_default() == Format::Text;
    draws.then_some(|status: &DeploymentStatus| log.terminal.progress(status))
}

/// The second signal.
#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "somebody wants the process to end at once, whatever it does"
)]
fn end(signal: Signal, terminal: &Terminal) {
    terminal.close();
    process::exit(128 + i32::from(signal.number()));
}
