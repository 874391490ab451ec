//! `attach`: a console on a node that runs.

mod input;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::input::{Input, Typed};
use super::manage::{ANSWER, DEPLOY, tell, undeploy};
use super::words;
use crate::cli::daemon::{DaemonError, Place, ask};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::node::console::wire::{Reply, Request};
use crate::telemetry::Level;

/// How long the console waits for the end of a deployment that it stops; it goes on stopping then.
const UNDEPLOY: Duration = Duration::from_secs(60);

/// Beyond that: for the answer.
const GRACE: Duration = Duration::from_secs(10);

/// What can be said in the console.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true, name = "", bin_name = "", max_term_width = 120)]
#[command(override_usage = "COMMAND [ARGUMENTS]")]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How the node stands
    Status,
    /// The nodes that it is connected with
    Nodes,
    /// The workflows that it can deploy
    Workflows,
    /// What runs, and what has ended lately
    Deployments,
    /// Deploy a workflow: deploy NAME [-- ARGUMENTS]
    Deploy {
        /// The workflow
        #[arg(index = 1)]
        name: String,
        /// Its arguments
        #[arg(index = 2, last = true)]
        arguments: Vec<OsString>,
    },
    /// Stop a deployment in order
    Stop {
        /// Its number
        id: u32,
    },
    /// What workers have done: of a deployment, or of all
    Workers {
        /// The number of the deployment
        id: Option<u32>,
    },
    /// A deployment for Graphviz
    Graph {
        /// Its number
        id: u32,
    },
    /// Change the level of the node's log
    Log {
        /// The new one
        level: Level,
    },
    /// Leave; the node goes on
    #[command(alias = "exit")]
    Quit,
}

/// Opens a console. Ends with the first failure of what was read from a file or a pipe; on a terminal they are told.
///
/// # Errors
/// When the node does not run; the first failure of what was not typed.
pub fn attach(place: &Place) -> Result<(), Failure> {
    let workflows = match ask(place, &Request::Workflows, ANSWER) {
        Ok(Reply::Workflows { workflows }) => workflows.into_iter().map(|workflow| workflow.name).collect(),
        Ok(_) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut input = if is_terminal { Input::terminal(place, words_of_commands(), workflows) } else { Input::plain() };
    if is_terminal {
        output::print(format!("{}: `help` says what can be said here, `quit` leaves\n", place.what()).as_bytes())?;
    }
    let mut first_failure = None;
    loop {
        let line = match input.read(place).map_err(Failure::Input)? {
            Typed::Line(line) => line,
            #[cfg(feature = "console")]
            Typed::Nothing => continue,
            Typed::End => break,
        };
        match obey(place, &line) {
            Ok(true) => {}
            Ok(false) => break,
            Err(failure @ (Failure::OutputClosed | Failure::Output { .. })) => return Err(failure),
            // There is nobody left to talk to.
            Err(failure @ Failure::Daemon(DaemonError::NotRunning(_))) => return Err(failure),
            Err(failure) => {
                failure.report();
                if !is_terminal {
                    first_failure = first_failure.or(Some(failure.status()));
                }
            }
        }
    }
    first_failure.map_or(Ok(()), |status| Err(Failure::Said { status }))
}

/// Does what a line says; returns whether there may be another one.
fn obey(place: &Place, line: &str) -> Result<bool, Failure> {
    let words = words::split(line).map_err(|why| Failure::Usage(why.to_owned()))?;
    if words.is_empty() || words[0].starts_with('#') {
        return Ok(true);
    }
    let mut parser = Line::command();
    let matches = parser.try_get_matches_from_mut(words);
    let matches = match matches {
        Ok(matches) => matches,
        Err(help) if !help.use_stderr() => {
            output::print(help.to_string().as_bytes())?;
            return Ok(true);
        }
        Err(error) => return Err(error.into()),
    };
    let Line { command } = Line::from_arg_matches(&matches)?;
    let (request, patience) = match command {
        Command::Quit => return Ok(false),
        Command::Status => (Request::Status, ANSWER),
        Command::Nodes => (Request::Nodes, ANSWER),
        Command::Workflows => (Request::Workflows, ANSWER),
        Command::Deployments => (Request::Deployments, ANSWER),
        Command::Deploy { name, arguments } => {
            (Request::Deploy { name, arguments: super::master::texts(&arguments)? }, DEPLOY)
        }
        Command::Stop { id } => (undeploy(id, UNDEPLOY), UNDEPLOY + GRACE),
        Command::Workers { id } => (Request::Workers { deployment: id }, ANSWER),
        Command::Graph { id } => (Request::Graph { deployment: id }, ANSWER),
        Command::Log { level } => (Request::Log { level }, ANSWER),
    };
    tell(place, &request, patience, false).map(|()| true)
}

/// What a line can begin with.
fn words_of_commands() -> Vec<String> {
    let mut words: Vec<String> =
        Line::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    words.push("help".to_owned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Line::command().debug_assert();
        let words = words_of_commands();
        for word in ["nodes", "workflows", "deployments", "deploy", "stop", "workers", "graph", "log", "help", "quit"] {
            assert!(words.iter().any(|known| known == word), "{word}");
        }
    }
}
