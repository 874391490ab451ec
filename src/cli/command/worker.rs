//! `skitter worker`: a node that runs parts of workflows.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::Subcommand;

use super::General;
use super::cores::Cores;
use super::manage::{self, Manage};
use super::node::{self, Node};
use super::start::{self, Managed};
use crate::cli::app::App;
use crate::cli::config::{Name, Seconds, Settings};
use crate::cli::failure::Failure;
use crate::id::{InvalidAddress, NodeAddress, Tag};
use crate::node::worker::{self, WorkerOptions};

/// The mode.
pub const MODE: &str = "worker";

/// The name of a worker that is given none, and of one whose address has none.
pub const WORKER: &str = "skitter_worker";

/// Most bytes of all tags of a node: they travel in the handshake, which has room for some more.
const MOST_TAG_BYTES: usize = 2048;

/// Manage a worker node, which runs parts of a workflow for a master
#[derive(Debug, clap::Args)]
#[command(visible_alias = "w", arg_required_else_help = true)]
pub struct Worker {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start a worker, which serves a master until that goes away
    #[command(visible_alias = "s")]
    Start(Start),
    /// The same, apart from the terminal; returns when it can be reached, or with what went wrong
    #[command(visible_alias = "d")]
    Daemon(Start),
    #[command(flatten)]
    Manage(Manage),
}

/// What a worker is started with
#[derive(Debug, clap::Args)]
struct Start {
    /// The master to join, as [NAME@]HOST[:PORT], NAME being `skitter_master` unless it is said; the worker stays up if
    /// that fails, and keeps trying. Without one it waits for a master to connect
    #[arg(value_parser = master_address, value_hint = clap::ValueHint::Hostname)]
    master: Option<NodeAddress>,

    /// The name of the node, unique on its host [env: SKITTER_NAME] [default: skitter_worker]
    #[arg(short, long, value_name = "NAME")]
    name: Option<Name>,

    /// A property of the node that strategies can ask for, such as `gpu`; can be repeated [env: SKITTER_TAG, separated
    /// by commas] [default: none]
    #[arg(short, long, value_name = "TAG")]
    tag: Vec<Tag>,

    /// Stay up when the master goes away, and serve the next one [env: SKITTER_NO_SHUTDOWN_WITH_MASTER] [default:
    /// false]
    #[arg(long)]
    no_shutdown_with_master: bool,

    /// End when no master has come within this time [env: SKITTER_ADOPT_TIMEOUT] [default: never]
    #[arg(long, value_name = "SECONDS")]
    adopt_timeout: Option<Seconds>,

    #[command(flatten)]
    node: Node,

    #[command(flatten)]
    cores: Cores,
}

fn master_address(text: &str) -> Result<NodeAddress, InvalidAddress> {
    NodeAddress::parse(text, super::master::MASTER)
}

impl Start {
    fn options(&self) -> Result<Settings, Failure> {
        let options = Settings {
            name: self.name.clone(),
            tags: (!self.tag.is_empty()).then(|| self.tag.clone()),
            no_shutdown_with_master: self.no_shutdown_with_master.then_some(true),
            adopt_timeout: self.adopt_timeout,
            ..Settings::default()
        };
        Ok(self.node.options(self.cores.options(options))?)
    }
}

/// The same tags, each once.
fn different(mut tags: Vec<Tag>) -> Result<Vec<Tag>, Failure> {
    let mut seen = BTreeSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    let bytes: usize = tags.iter().map(|tag| tag.as_str().len()).sum();
    if bytes > MOST_TAG_BYTES {
        let what =
            format!("the tags have {bytes} bytes together, of at most {MOST_TAG_BYTES}; give shorter ones, or fewer");
        return Err(Failure::Usage(what));
    }
    Ok(tags)
}

/// Does it.
///
/// # Errors
/// When the configuration or the cookie is unusable, the node cannot start, or it has lost its master.
pub fn run(app: &App, worker: Worker, general: &General) -> Result<(), Failure> {
    let (start, apart) = match worker.action {
        Action::Start(start) => (start, false),
        Action::Daemon(start) => (start, general.child().is_none()),
        Action::Manage(manage) => return manage.run(MODE, WORKER, general),
    };
    let mut settings = general.settings(start.options()?)?;
    settings.tags = settings.tags.map(different).transpose()?;
    let name = node::name(&settings, WORKER)?;
    if apart {
        return manage::launch(&start.node, general, MODE, name.name());
    }
    let file = node::log_file(&settings, &name)?;
    start::with_log(&settings, file, |log| {
        start.node.warn();
        let mut managed = start::manage(app, general, &settings, MODE, name.name(), log)?;
        let stay = settings.no_shutdown_with_master.unwrap_or(false);
        let adopt_timeout = settings.adopt_timeout.map(|Seconds(time)| time);
        let options = WorkerOptions { master: start.master, stay, adopt_timeout };
        let settings = node::settings(&settings, name)?;
        let Managed { signals, console, .. } = &mut managed;
        worker::run(settings, Arc::new(app.clone()), options, signals, console)?;
        managed.done();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_each_tag_once_and_not_too_many() {
        let tags = |texts: &[&str]| texts.iter().map(|&text| Tag::new(text).expect("a tag")).collect::<Vec<_>>();
        assert_eq!(different(tags(&["gpu", "big", "gpu"])).ok(), Some(tags(&["gpu", "big"])));
        let half = "x".repeat(MOST_TAG_BYTES / 2);
        let other = "y".repeat(MOST_TAG_BYTES / 2);
        assert!(different(tags(&[&half, &other, &half])).is_ok());
        let said = different(tags(&[&half, &other, "z"])).expect_err("too many");
        assert_eq!(said.status(), 2);
        assert!(said.to_string().contains("2049 bytes together, of at most 2048"), "{said}");
    }
}
