//! What all modes start with: the log, panics, signals, progress.

use std::io::IsTerminal;
use std::process;

use crate::cli::config::Settings;
use crate::cli::failure::Failure;
use crate::cli::log_file::LogFile;
use crate::cli::panics;
use crate::cli::terminal::Terminal;
use crate::node::{Signal, Signals};
use crate::runtime::DeploymentStatus;
use crate::telemetry::{self, Format};

/// Does something while lines of the log and panics go to stderr, and to a file if there is one. Returns when all lines
/// are written.
///
/// # Errors
/// When the system refuses a thread, and whatever the work fails with.
pub fn with_log(
    settings: &Settings,
    file: Option<LogFile>,
    work: impl FnOnce(&Terminal) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let terminal = Terminal::open(file).map_err(Failure::Start)?;
    let lines = terminal.clone();
    let (level, format) = (settings.log_level.unwrap_or_default(), settings.log_format.unwrap_or_default());
    telemetry::install(level, format, move |line| lines.line(line));
    panics::install(terminal.clone());
    let result = work(&terminal);
    terminal.close();
    result
}

/// Takes signals over from now on; the second one ends the process.
///
/// # Errors
/// When the system refuses.
pub fn signals(terminal: &Terminal) -> Result<Signals, Failure> {
    let last = terminal.clone();
    Signals::listen(move |signal| end(signal, &last)).map_err(Failure::Start)
}

/// Shows how far a workflow has come, where somebody looks at it.
pub fn progress<'a>(settings: &Settings, terminal: &'a Terminal) -> Option<impl FnMut(&DeploymentStatus) + use<'a>> {
    let draws = std::io::stderr().is_terminal() && settings.log_format.unwrap_or_default() == Format::Text;
    draws.then_some(|status: &DeploymentStatus| terminal.progress(status))
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
