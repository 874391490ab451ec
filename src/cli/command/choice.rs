//! Which workflow a node deploys, how it is built, and how it fails.

use std::ffi::OsString;

use crate::cli::app::App;
use crate::cli::config::{Choice, ConfigError};
use crate::cli::entry::WorkflowEntry;
use crate::cli::failure::Failure;
use crate::runtime::From;
use crate::telemetry::events;
use crate::workflow::{Error, Workflow};

/// Options of modes that deploy.
#[derive(Debug, Default, PartialEq, clap::Args)]
pub struct Deploy {
    // Its help, with the default, and the names of the workflows are added where the application is known.
    #[arg(short, long, value_name = "WORKFLOW")]
    deploy: Option<String>,

    /// Start without a workflow and stay up [env: SKITTER_NO_DEPLOY] [default: false]
    #[arg(long, conflicts_with_all = ["deploy", "arguments"])]
    no_deploy: bool,

    /// Go on from a savepoint, as it was told: [STORE/]WORKFLOW/RUN/CHECKPOINT; or from `latest`, the newest checkpoint
    /// of the workflow in the checkpoint store [default: the beginning]
    #[arg(long, value_name = "SAVEPOINT", conflicts_with = "no_deploy", env = "SKITTER_FROM", hide_env_values = true)]
    from: Option<String>,

    /// With --from: leave state behind that does not fit the workflow any more [default: false]
    #[arg(long, env = "SKITTER_ALLOW_DROPPED_STATE", hide_env_values = true)]
    #[arg(value_parser = clap::builder::FalseyValueParser::new())]
    allow_dropped_state: bool,

    /// Arguments of the workflow; `-- --help` describes them
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

impl Deploy {
    /// These options, and those that were given at another place.
    ///
    /// # Errors
    /// When they exclude each other.
    pub fn and(self, other: Deploy) -> Result<Deploy, Failure> {
        let (deploy, no_deploy) = (self.deploy.or(other.deploy), self.no_deploy || other.no_deploy);
        if no_deploy && deploy.is_some() {
            return Err(Failure::Usage("--deploy and --no-deploy exclude each other".to_owned()));
        }
        let arguments = if self.arguments.is_empty() { other.arguments } else { self.arguments };
        let from = self.from.or(other.from);
        let allow_dropped_state = self.allow_dropped_state || other.allow_dropped_state;
        Ok(Deploy { deploy, no_deploy, from, allow_dropped_state, arguments })
    }

    /// What it goes on at, if not at its beginning.
    pub fn from(&self) -> Option<From> {
        let (what, drop_unfit) = (self.from.clone()?, self.allow_dropped_state);
        Some(From { what, drop_unfit })
    }

    /// What the options say.
    pub fn choice(&self) -> Option<Choice> {
        let named = |name: &String| Choice::Workflow { name: name.clone(), at: "--deploy".to_owned() };
        if self.no_deploy { Some(Choice::Nothing) } else { self.deploy.as_ref().map(named) }
    }

    /// The workflow to deploy, if any, by all that is configured.
    ///
    /// # Errors
    /// When there is no such workflow, or none to take the arguments.
    pub fn entry<'a>(&self, app: &'a App, choice: Option<&Choice>) -> Result<Option<&'a WorkflowEntry>, Failure> {
        match choice {
            Some(Choice::Nothing) if !self.arguments.is_empty() => {
                let what = "there are arguments for a workflow, but none is deployed; name one by --deploy";
                Err(Failure::Usage(what.to_owned()))
            }
            Some(Choice::Nothing) => Ok(None),
            Some(Choice::Workflow { name, at }) => match app.find(name) {
                Some(entry) => Ok(Some(entry)),
                None => Err(ConfigError::At { at: at.clone(), reason: app.no_such_workflow(name) }.into()),
            },
            None => match app.default_workflow() {
                Some(entry) => Ok(Some(entry)),
                None => {
                    let what = "this program has no workflow to deploy; start it with --no-deploy";
                    Err(Failure::Usage(what.to_owned()))
                }
            },
        }
    }

    /// Builds the workflow. `mode` is the command, for messages about the arguments.
    ///
    /// # Errors
    /// When the arguments are wrong, or ask for help; when it cannot be built, which is logged.
    pub fn build(&self, app: &App, mode: &str, entry: &WorkflowEntry) -> Result<Workflow, Failure> {
        let command = format!("{} {mode} -d {} --", app.name, entry.name);
        match entry.build(&command, self.arguments.clone()) {
            Err(Failure::Workflow { name, source }) => Err(failed(&name, *source)),
            built => built,
        }
    }
}

/// Logs that a workflow has failed.
pub fn failed(name: &str, source: Error) -> Failure {
    events::failed(name, &source);
    Failure::Logged { name: name.to_owned(), source: Box::new(source) }
}
