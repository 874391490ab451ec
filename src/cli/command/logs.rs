//! `skitter logs`: what workers on hosts have written.

use clap::builder::FalseyValueParser;

use super::General;
use super::deploy::wait;
use super::reach::Reach;
use crate::actor::Executor;
use crate::cli::config::Settings;
use crate::cli::failure::Failure;
use crate::cli::rollout::{Failed, Screen};
use crate::node::Signals;
use crate::release::Release;

/// Show what workers on hosts have printed and logged, over ssh
///
/// A line has its host in front of it.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Logs {
    #[command(flatten)]
    reach: Reach,

    /// Go on with what comes, until Ctrl-C [default: false]
    #[arg(long, env = "SKITTER_FOLLOW", hide_env_values = true, value_parser = FalseyValueParser::new())]
    follow: bool,

    /// Only the last so many lines of each [default: all]
    #[arg(short = 'n', long, value_name = "NUMBER", env = "SKITTER_LINES", hide_env_values = true)]
    lines: Option<u64>,

    /// A line of JSON for each line [default: false]
    #[arg(long, env = "SKITTER_JSON", hide_env_values = true, value_parser = FalseyValueParser::new())]
    json: bool,
}

/// Does it.
///
/// # Errors
/// When a host cannot be reached, or has no log of such a worker.
pub fn run(logs: Logs, general: &General) -> Result<(), Failure> {
    let settings = general.settings(Settings { worker_file: logs.reach.worker_file.clone(), ..Settings::default() })?;
    let entries = logs.reach.entries(&settings)?;
    let access = logs.reach.access(Release::here()?.as_ref())?;
    let screen = if logs.json { Screen::json() } else { Screen::text(false) };
    let signals = Signals::listen(drop).map_err(Failure::Start)?;
    let executor = Executor::with_connections("skitter-logs", 1).map_err(Failure::Start)?;
    let shown = wait(&executor, async move {
        let stopper = signals.stopper();
        tokio::select! {
            biased;
            _ = stopper.stopped() => Ok(()),
            shown = access.logs(&entries, logs.lines, logs.follow, &screen) => shown,
        }
    })?;
    shown.map_err(|Failed| Failure::Rollout)
}
