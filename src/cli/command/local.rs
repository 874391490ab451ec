//! `skitter local`: one process that is master and worker at once.

use std::sync::Arc;

use clap::Subcommand;

use super::General;
use super::choice::{self, Deploy};
use super::cores::{self, Cores};
use super::manage::{self, Deploying, Manage};
use super::saving::Saving;
use super::start::{self, Managed};
use crate::cli::app::App;
use crate::cli::config::{Interval, Name, Settings};
use crate::cli::failure::Failure;
use crate::node;
use crate::workflow::Error;

/// The mode.
pub const MODE: &str = "local";

/// The name of a local node that is given none.
pub const LOCAL: &str = "skitter_local";

/// Run a workflow in this process, which talks to no other node
#[derive(Debug, clap::Args)]
#[command(visible_alias = "l")]
pub struct Local {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    start: Start,
}

/// What can be done with a local node.
#[derive(Debug, Subcommand)]
enum Action {
    /// Start it; the same as `local` alone
    #[command(visible_alias = "s")]
    Start(Start),
    /// The same, apart from the terminal; returns when the workflow runs, or with what went wrong
    #[command(visible_alias = "d")]
    Daemon(Start),
    #[command(flatten)]
    Manage(Manage),
    #[command(flatten)]
    Deploying(Deploying),
}

/// What a local node is started with
#[derive(Debug, Default, PartialEq, clap::Args)]
struct Start {
    #[command(flatten)]
    deploy: Deploy,

    /// The name of the node, by which a daemon is known [env: SKITTER_NAME] [default: skitter_local]
    #[arg(short, long, value_name = "NAME")]
    name: Option<Name>,

    #[command(flatten)]
    cores: Cores,

    #[command(flatten)]
    saving: Saving,
}

impl Start {
    /// What stands behind the action, and what stands before it.
    fn and(self, before: Start) -> Result<Start, Failure> {
        let Start { deploy, name, cores, saving } = self;
        let (deploy, name) = (deploy.and(before.deploy)?, name.or(before.name));
        Ok(Start { deploy, name, cores: cores.and(before.cores), saving: saving.and(before.saving) })
    }
}

/// Does it.
///
/// # Errors
/// When the configuration is unusable, the workflow cannot be built, or fails.
pub fn run(app: &App, local: Local, general: &General) -> Result<(), Failure> {
    let Local { action, start: before } = local;
    if !matches!(action, None | Some(Action::Start(_) | Action::Daemon(_))) && before != Start::default() {
        let what = "options of start have no meaning for a node that runs already; its own stand behind the command";
        return Err(Failure::Usage(what.to_owned()));
    }
    let (start, apart) = match action {
        None => (before, false),
        Some(Action::Start(start)) => (start.and(before)?, false),
        Some(Action::Daemon(start)) => (start.and(before)?, general.child().is_none()),
        Some(Action::Manage(manage)) => return manage.run(MODE, LOCAL, general),
        Some(Action::Deploying(deploying)) => return deploying.run(app, MODE, LOCAL, general),
    };
    let Start { deploy, name, cores: size, saving } = &start;
    let options = Settings { deploy: deploy.choice(), name: name.clone(), ..Settings::default() };
    let settings = general.settings(saving.options(size.options(options)))?;
    let entry = deploy.entry(app, settings.deploy.as_ref())?;
    let known_as = settings.name.as_ref().map_or(LOCAL, |Name(name)| name);
    if apart {
        return manage::launch_local(general, MODE, known_as);
    }
    start::with_log(&settings, None, |log| {
        let workflow = match entry {
            Some(entry) => Some((entry.name, deploy.build(app, "local", entry)?, deploy.from())),
            None => None,
        };
        let mut managed = start::manage(app, general, &settings, MODE, known_as, log)?;
        let mut show = start::progress(&settings, log);
        let watch = show.as_mut().map(|show| show as node::local::Watch<'_>);
        let failing = entry.map_or("", |entry| entry.name);
        let Managed { signals, console, .. } = &mut managed;
        let mut runtime = cores::runtime(&settings);
        runtime.checkpoints = settings.checkpoints(Interval::LOCAL)?;
        let ended = node::local::run(runtime, Arc::new(app.clone()), workflow, signals, console, watch);
        ended.map_err(|source| if closed(&source) { Failure::OutputClosed } else { choice::failed(failing, source) })
    })
}

/// Whether it failed because nobody reads stdout any more.
fn closed(error: &Error) -> bool {
    match error {
        Error::Failed { cause, .. } => closed(cause),
        error => *error == Error::OutputClosed,
    }
}
