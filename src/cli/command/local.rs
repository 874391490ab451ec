//! `skitter local`: one process that is master and worker at once.

use super::General;
use super::cores::{self, Cores};
use super::deploy::{self, Deploy};
use super::start;
use crate::cli::app::App;
use crate::cli::config::Settings;
use crate::cli::failure::Failure;
use crate::node;
use crate::workflow::Error;

/// Run a workflow in this process, which listens on no socket
#[derive(Debug, clap::Args)]
#[command(visible_alias = "l")]
pub struct Local {
    /// What to do
    #[arg(value_name = "start", value_enum, default_value = "start", hide_possible_values = true)]
    action: Action,

    #[command(flatten)]
    deploy: Deploy,

    #[command(flatten)]
    cores: Cores,
}

/// What can be done with a local node.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Action {
    /// Start it
    #[value(alias = "s")]
    Start,
}

/// Does it.
///
/// # Errors
/// When the configuration is unusable, the workflow cannot be built, or fails.
pub fn run(app: &App, local: &Local, general: &General) -> Result<(), Failure> {
    let Local { action: Action::Start, deploy, cores: size } = local;
    let options = Settings { deploy: deploy.choice(), ..Settings::default() };
    let settings = general.settings(size.options(options))?;
    let entry = deploy.entry(app, settings.deploy.as_ref())?;
    start::with_log(&settings, None, |terminal| {
        let workflow = match entry {
            Some(entry) => Some((entry.name, deploy.build(app, "local", entry)?)),
            None => None,
        };
        let mut signals = start::signals(terminal)?;
        let mut show = start::progress(&settings, terminal);
        let watch = show.as_mut().map(|show| show as node::local::Watch<'_>);
        let name = entry.map_or("", |entry| entry.name);
        let ended = node::local::run(cores::runtime(&settings), workflow, &mut signals, watch);
        ended.map_err(|source| if closed(&source) { Failure::OutputClosed } else { deploy::failed(name, source) })
    })
}

/// Whether it failed because nobody reads stdout any more.
fn closed(error: &Error) -> bool {
    match error {
        Error::Failed { cause, .. } => closed(cause),
        error => *error == Error::OutputClosed,
    }
}
