//! `skitter local`: one process that is master and worker at once.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process;

use super::General;
use crate::cli::app::App;
use crate::cli::config::{Choice, ConfigError, Count, Settings};
use crate::cli::entry::WorkflowEntry;
use crate::cli::failure::Failure;
use crate::cli::panics;
use crate::cli::terminal::Terminal;
use crate::node::{self, Signal, Signals};
use crate::runtime;
use crate::telemetry::{self, Format, events};
use crate::workflow::{Error, Workflow};

/// Run a workflow in this process, which listens on no socket
#[derive(Debug, clap::Args)]
#[command(visible_alias = "l")]
pub struct Local {
    /// What to do
    #[arg(value_name = "start", value_enum, default_value = "start", hide_possible_values = true)]
    action: Action,

    // Its help, with the default, and the names of the workflows are added where the application is known.
    #[arg(short, long, value_name = "WORKFLOW")]
    deploy: Option<String>,

    /// Start without a workflow and stay up [env: SKITTER_NO_DEPLOY] [default: false]
    #[arg(long, conflicts_with_all = ["deploy", "arguments"])]
    no_deploy: bool,

    /// Workers of a vertex that is distributed over all cores [env: SKITTER_CORES] [default: the processors of the
    /// machine]
    #[arg(long, value_name = "N")]
    cores: Option<Count>,

    /// Threads that run workers [env: SKITTER_THREADS] [default: the processors of the machine]
    #[arg(long, value_name = "N")]
    threads: Option<Count>,

    /// Arguments of the workflow; `-- --help` describes them
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// What can be done with a local node.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Action {
    /// Start it
    #[value(alias = "s")]
    Start,
}

impl Local {
    fn options(&self) -> Settings {
        let named = |name: &String| Choice::Workflow { name: name.clone(), at: "--deploy".to_owned() };
        let deploy = if self.no_deploy { Some(Choice::Nothing) } else { self.deploy.as_ref().map(named) };
        Settings { deploy, cores: self.cores, threads: self.threads, ..Settings::default() }
    }
}

/// Does it.
///
/// # Errors
/// When the configuration is unusable, the workflow cannot be built, or fails.
pub fn run(app: &App, local: Local, general: &General) -> Result<(), Failure> {
    let Action::Start = local.action;
    let settings = general.settings(local.options())?;
    let entry = chosen(app, settings.deploy.as_ref())?;
    let terminal = Terminal::open().map_err(Failure::Start)?;
    let format = settings.log_format.unwrap_or_default();
    let lines = terminal.clone();
    telemetry::install(settings.log_level.unwrap_or_default(), format, move |line| lines.line(line));
    panics::install(terminal.clone());
    let result = start(app, entry, local.arguments, &settings, &terminal);
    terminal.close();
    result
}

/// The workflow to deploy, if any.
fn chosen<'a>(app: &'a App, choice: Option<&Choice>) -> Result<Option<&'a WorkflowEntry>, Failure> {
    match choice {
        Some(Choice::Nothing) => Ok(None),
        Some(Choice::Workflow { name, at }) => match app.find(name) {
            Some(entry) => Ok(Some(entry)),
            None => Err(ConfigError::File { at: at.clone(), reason: app.no_such_workflow(name) }.into()),
        },
        None => match app.default_workflow() {
            Some(entry) => Ok(Some(entry)),
            None => Err(Failure::Usage("this program has no workflow to deploy; start it with --no-deploy".to_owned())),
        },
    }
}

fn start(
    app: &App,
    entry: Option<&WorkflowEntry>,
    arguments: Vec<OsString>,
    settings: &Settings,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let workflow = match entry {
        Some(entry) => Some((entry.name, build(app, entry, arguments)?)),
        None => None,
    };
    let last = terminal.clone();
    let mut signals = Signals::listen(move |signal| end(signal, &last)).map_err(Failure::Start)?;
    let mut node = runtime::Settings::default();
    node.cores = settings.cores.map_or(node.cores, |Count(cores)| cores);
    node.threads = settings.threads.map_or(node.threads, |Count(threads)| threads);
    let draws = std::io::stderr().is_terminal() && settings.log_format.unwrap_or_default() == Format::Text;
    let mut show = |status: &runtime::DeploymentStatus| terminal.progress(status);
    let watch: Option<node::local::Watch<'_>> = if draws { Some(&mut show) } else { None };
    let name = entry.map_or("", |entry| entry.name);
    node::local::run(node, workflow, &mut signals, watch).map_err(|source| failed(name, source))
}

fn build(app: &App, entry: &WorkflowEntry, arguments: Vec<OsString>) -> Result<Workflow, Failure> {
    let command = format!("{} local -d {} --", app.name, entry.name);
    match entry.build(&command, arguments) {
        Err(Failure::Workflow { name, source }) => Err(failed(&name, *source)),
        built => built,
    }
}

fn failed(name: &str, source: Error) -> Failure {
    if closed(&source) {
        return Failure::OutputClosed;
    }
    events::failed(name, &source);
    Failure::Logged { name: name.to_owned(), source: Box::new(source) }
}

/// Whether it failed because nobody reads stdout any more.
fn closed(error: &Error) -> bool {
    match error {
        Error::Failed { cause, .. } => closed(cause),
        error => *error == Error::OutputClosed,
    }
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
