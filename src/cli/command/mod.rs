//! The commands, one a file, and what they have in common.

mod checkpoints;
mod choice;
mod completions;
mod console;
mod cores;
mod deploy;
mod graph;
mod help;
mod local;
mod logs;
mod manage;
mod master;
mod new;
mod node;
mod reach;
mod release;
mod savepoint;
mod saving;
mod show;
mod start;
mod words;
mod worker;
mod workflows;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub use self::worker::{MODE as WORKER_MODE, WORKER};
use super::app::App;
use super::config::Settings;
use super::daemon::{self, Child};
use super::failure::Failure;
use super::output;
use crate::telemetry::{Format, Level, events};

/// Runs workflows of stream processing, distributed over the cores of this machine or over a cluster.
#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true, disable_version_flag = true, arg_required_else_help = true)]
#[command(max_term_width = 120)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    general: General,

    /// Print the version of the application
    #[arg(short = 'a', long)]
    application_version: bool,

    /// Print the version of Skitter
    #[arg(short = 'v', long)]
    skitter_version: bool,

    /// Print both versions
    #[arg(short = 'V', long)]
    version: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Local(Box<local::Local>),
    Worker(Box<worker::Worker>),
    Master(Box<master::Master>),
    Workflows(workflows::Workflows),
    Graph(graph::Graph),
    New(new::New),
    Release(Box<release::Release>),
    Deploy(Box<deploy::Rollout>),
    Logs(Box<logs::Logs>),
    Checkpoints(checkpoints::Checkpoints),
    Savepoint(savepoint::Savepoint),
    Stop(savepoint::Stop),
    /// What `deploy` starts on a host
    #[command(hide = true)]
    Agent,
    Completions(completions::Completions),
    Help(help::Help),
}

/// Options of all commands.
#[derive(Debug, clap::Args)]
struct General {
    /// What is logged: this and what is more important [env: SKITTER_LOG_LEVEL] [default: info]
    #[arg(long, value_name = "LEVEL", global = true, display_order = 100)]
    log_level: Option<Level>,

    /// The format of the log, on stderr [env: SKITTER_LOG_FORMAT] [default: text]
    #[arg(long, value_name = "FORMAT", global = true, display_order = 100)]
    log_format: Option<Format>,

    /// The configuration file; environment and options come before it [env: SKITTER_CONFIG] [default: skitter.toml, if
    /// there is one]
    #[arg(long, value_name = "FILE", global = true, display_order = 100, value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// This process is a daemon, whose state is in this directory
    #[arg(long, value_name = "DIR", hide = true)]
    as_daemon: Option<PathBuf>,

    /// The arguments of this process, without the program's name and that it is a daemon.
    #[arg(skip)]
    arguments: Vec<OsString>,

    /// Set when this process is a daemon.
    #[arg(skip)]
    child: Option<Child>,
}

impl General {
    /// What this process is as a daemon, if it is one.
    fn child(&self) -> Option<&Child> {
        self.child.as_ref()
    }

    /// These options, together with those of a command and all that is configured.
    fn settings(&self, options: Settings) -> Result<Settings, Failure> {
        let options = Settings { log_level: self.log_level, log_format: self.log_format, ..options };
        Ok(options.complete(self.config.as_deref())?)
    }
}

/// Does what the arguments say.
///
/// # Errors
/// Whatever can go wrong, to be reported.
pub fn run(app: &App, arguments: Vec<OsString>) -> Result<(), Failure> {
    let mut parser = parser(app);
    let matches = parser.try_get_matches_from_mut(&arguments)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut parser))?;
    let CommandLine { command, mut general, application_version, skitter_version, version } = line;
    general.arguments = daemon::own_arguments(arguments.get(1..).unwrap_or_default());
    if let Some(directory) = general.as_daemon.take() {
        let child = Child::begin(directory, general.arguments.clone()).map_err(Failure::Start)?;
        general.child = Some(child);
    }
    if application_version {
        return output::print(format!("{}\n", app.version()).as_bytes());
    }
    if skitter_version {
        return output::print(format!("skitter {}\n", events::VERSION).as_bytes());
    }
    if version {
        return output::print(format!("{} (Skitter {})\n", app.version(), events::VERSION).as_bytes());
    }
    match command {
        Some(Command::Local(local)) => local::run(app, *local, &general),
        Some(Command::Worker(worker)) => worker::run(app, *worker, &general),
        Some(Command::Master(master)) => master::run(app, *master, &general),
        Some(Command::Workflows(workflows)) => workflows::run(app, &workflows),
        Some(Command::Graph(graph)) => graph::run(app, graph, &general),
        Some(Command::New(new)) => new::run(&new),
        Some(Command::Release(release)) => release::run(app, *release),
        Some(Command::Logs(logs)) => logs::run(*logs, &general),
        Some(Command::Checkpoints(checkpoints)) => checkpoints::run(checkpoints, &general),
        Some(Command::Savepoint(savepoint)) => savepoint.run(&general),
        Some(Command::Stop(stop)) => stop.run(&general),
        Some(Command::Deploy(deploy)) => deploy::run(app, *deploy, &general),
        Some(Command::Agent) => crate::cli::agent::run(),
        Some(Command::Completions(completions)) => completions::run(parser, &completions),
        Some(Command::Help(help)) => help::run(app, &help),
        None => help::run(app, &help::Help::default()),
    }
}

/// The definitions of all commands, with the names of the application's workflows.
fn parser(app: &App) -> clap::Command {
    let names = || PossibleValuesParser::new(app.workflows.iter().map(|entry| entry.name));
    let default = app.default_workflow().map_or("none", |entry| entry.name);
    let help = format!("The workflow to deploy [env: SKITTER_DEPLOY] [default: {default}]");
    let deploys = |mode: clap::Command| mode.mut_arg("deploy", |arg| arg.value_parser(names()).help(help.clone()));
    let starts = |mode: clap::Command| mode.mut_subcommand("start", deploys).mut_subcommand("daemon", deploys);
    CommandLine::command()
        .name(app.name.clone())
        .bin_name(app.name.clone())
        .mut_subcommand("local", |local| starts(deploys(local)))
        .mut_subcommand("master", starts)
        .mut_subcommand("deploy", deploys)
        .mut_subcommand("graph", |graph| graph.mut_arg("workflow", |arg| arg.value_parser(names())))
}

/// Parses `[name, arguments…]` by the definitions of all commands.
fn parse_again(app: &App, arguments: &[&str]) -> Result<(), Failure> {
    let arguments = std::iter::once(app.name.as_str()).chain(arguments.iter().copied());
    parser(app).try_get_matches_from(arguments)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> App {
        App::new("test", "1.2.3")
    }

    #[test]
    fn the_definitions_are_sound() {
        parser(&app()).debug_assert();
    }

    #[test]
    fn every_option_says_its_default_and_its_variable() {
        let mut seen = 0;
        let mut commands: Vec<_> = parser(&app()).get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            let name = command.get_name();
            // Flags are no options to clap.
            let shown = |argument: &&clap::Arg| !argument.is_positional() && !argument.is_hide_set();
            for option in command.get_arguments().filter(shown) {
                let help = option.get_help().map(ToString::to_string).unwrap_or_default();
                let (variable, default) = (option.get_env().is_some(), !option.get_default_values().is_empty());
                assert!(variable || help.contains("[env: SKITTER_"), "{name} {}", option.get_id());
                assert!(default || help.contains("[default: "), "{name} {}", option.get_id());
                seen += 1;
            }
            commands.extend(command.get_subcommands().cloned());
        }
        assert!(seen > 20, "only {seen} options were looked at");
    }
}
