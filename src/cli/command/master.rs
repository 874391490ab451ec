//! `skitter master`: the node that deploys a workflow over workers.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;

use super::General;
use super::choice::{self, Deploy};
use super::cores::Cores;
use super::manage::{self, Deploying, Manage};
use super::node::{self, Node};
use super::saving::Saving;
use super::start;
use super::worker::WORKER;
use crate::cli::app::App;
use crate::cli::config::{ConfigError, Interval, Name, Settings};
use crate::cli::daemon;
use crate::cli::failure::Failure;
use crate::cli::worker_file;
use crate::id::{InvalidAddress, NodeAddress};
use crate::node::NodeFailure;
use crate::node::local::Watch;
use crate::node::master::{self, MasterOptions};
use crate::telemetry::events;

/// The mode.
pub const MODE: &str = "master";

/// The name of a master that is given none, and of one whose address has none.
pub const MASTER: &str = "skitter_master";

/// Manage a master node, which deploys a workflow over workers
#[derive(Debug, clap::Args)]
#[command(visible_alias = "m", arg_required_else_help = true)]
pub struct Master {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start a master: connect to every worker, then deploy the workflow
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

/// What a master is started with
#[derive(Debug, clap::Args)]
pub struct Start {
    /// The workers, as [NAME@]HOST[:PORT], NAME being `skitter_worker` unless it is said
    #[arg(value_parser = worker_address, value_hint = clap::ValueHint::Hostname)]
    workers: Vec<NodeAddress>,

    #[command(flatten)]
    deploy: Deploy,

    /// The name of the node, unique on its host [env: SKITTER_NAME] [default: skitter_master]
    #[arg(short, long, value_name = "NAME")]
    name: Option<Name>,

    /// A file of more workers, one a line: [NAME@]HOST[:TAG,TAG]; tags are heeded by deploy only. Blank lines and
    /// comments, from a `#`, are skipped [env: SKITTER_WORKER_FILE] [default: none]
    #[arg(short = 'f', long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    worker_file: Option<PathBuf>,

    /// Stop, with exit status 4, when a worker goes away [env: SKITTER_SHUTDOWN_WITH_WORKERS] [default: false]
    #[arg(long)]
    shutdown_with_workers: bool,

    /// Go on with what a master of this name had not ended when it died; `restart` does that [default: false]
    #[arg(long, env = daemon::GO_ON, hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    go_on: bool,

    #[command(flatten)]
    node: Node,

    #[command(flatten)]
    cores: Cores,

    #[command(flatten)]
    saving: Saving,
}

fn worker_address(text: &str) -> Result<NodeAddress, InvalidAddress> {
    NodeAddress::parse(text, WORKER)
}

impl Start {
    fn options(&self) -> Result<Settings, Failure> {
        let options = Settings {
            deploy: self.deploy.choice(),
            name: self.name.clone(),
            worker_file: self.worker_file.clone(),
            shutdown_with_workers: self.shutdown_with_workers.then_some(true),
            ..Settings::default()
        };
        Ok(self.node.options(self.saving.options(self.cores.options(options)))?)
    }
}

/// Does it.
///
/// # Errors
/// When the configuration, the cookie or the worker file is unusable, the node cannot start, a worker cannot be
/// reached, or the workflow cannot be built or fails.
pub fn run(app: &App, master: Master, general: &General) -> Result<(), Failure> {
    let (start, apart) = match master.action {
        Action::Start(start) => (start, false),
        Action::Daemon(start) => (start, general.child().is_none()),
        Action::Manage(manage) => return manage.run(MODE, MASTER, general),
        Action::Deploying(deploying) => return deploying.run(app, MODE, MASTER, general),
    };
    let settings = general.settings(start.options()?)?;
    let entry = start.deploy.entry(app, settings.deploy.as_ref())?;
    let workers = Workers::find(&start.workers, settings.worker_file.as_deref())?;
    let name = node::name(&settings, MASTER)?;
    if apart {
        return manage::launch(&start.node, general, MODE, name.name());
    }
    let file = node::log_file(&settings, &name)?;
    start::with_log(&settings, file, |log| {
        start.node.warn();
        workers.warn();
        let deploy = match entry {
            Some(entry) => {
                // So that what is wrong with it is told here, and not by a worker.
                start.deploy.build(app, "master start", entry)?;
                Some((entry.name.to_owned(), texts(&start.deploy.arguments)?))
            }
            None => None,
        };
        let mut managed = start::manage(app, general, &settings, MODE, name.name(), log)?;
        let stop_with_workers = settings.shutdown_with_workers.unwrap_or(false);
        let (workers, recovery_wait) = (workers.addresses, settings.recovery_wait());
        let (from, go_on) = (start.deploy.from(), start.go_on);
        let options = MasterOptions { workers, deploy, stop_with_workers, from, go_on, recovery_wait };
        let mut show = start::progress(&settings, log);
        let watch = show.as_mut().map(|show| show as Watch<'_>);
        let checkpoints = settings.checkpoints(Interval::CLUSTER)?;
        let mut settings = node::settings(&settings, name)?;
        settings.runtime.checkpoints = checkpoints;
        let ended =
            master::run(settings, Arc::new(app.clone()), options, &mut managed.signals, &mut managed.console, watch);
        ended.map_err(|failure| match failure {
            NodeFailure::Deployment { name, source } => choice::failed(&name, *source),
            failure => failure.into(),
        })
    })
}

/// Arguments as they travel to workers.
///
/// # Errors
/// When they are no text.
pub fn texts(arguments: &[OsString]) -> Result<Vec<String>, Failure> {
    let text = |argument: &OsString| {
        let wrong = || format!("argument {argument:?} of the workflow is not UTF-8, so workers could not be told");
        argument.to_str().map(str::to_owned).ok_or_else(|| Failure::Usage(wrong()))
    };
    arguments.iter().map(text).collect()
}

/// The workers to connect to.
struct Workers {
    addresses: Vec<NodeAddress>,
    /// Tags that may have been meant as ports, and where they stand.
    doubtful: Vec<(String, String)>,
}

impl Workers {
    /// Those that are named, then those in the file.
    fn find(named: &[NodeAddress], file: Option<&Path>) -> Result<Workers, Failure> {
        let mut workers = Workers { addresses: Vec::new(), doubtful: Vec::new() };
        for address in named {
            worker_file::add(&mut workers.addresses, address.clone()).map_err(Failure::Usage)?;
        }
        for entry in file.map(|path| worker_file::read(path, WORKER)).transpose()?.unwrap_or_default() {
            let at = entry.at;
            let is_number = |tag: &str| tag.parse::<u16>().is_ok();
            let numbers = entry.tags.iter().filter(|tag| is_number(tag.as_str()));
            workers.doubtful.extend(numbers.map(|tag| (at.clone(), tag.to_string())));
            worker_file::add(&mut workers.addresses, entry.address).map_err(|reason| ConfigError::At { at, reason })?;
        }
        Ok(workers)
    }

    fn warn(&self) {
        for (at, tag) in &self.doubtful {
            events::tag_or_port(at, tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn arguments_travel_as_texts() {
        assert_eq!(texts(&["--input".into(), "ü".into()]).ok(), Some(vec!["--input".to_owned(), "ü".to_owned()]));
        let said = texts(&[OsString::from_vec(b"a\xff".to_vec())]).expect_err("no text");
        assert_eq!(said.status(), 2);
        assert!(said.to_string().contains("\"a\\xFF\" of the workflow is not UTF-8"), "{said}");
    }

    #[test]
    fn workers_are_those_named_and_those_in_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("workers");
        let address = |text| worker_address(text).expect("an address");
        std::fs::write(&path, "w1@b:gpu,4000\nc\n").expect("written");
        let workers =
            Workers::find(&[address("w1@a:4000"), address("b")], Some(&path)).map_err(|error| error.to_string());
        let workers = workers.expect("workers");
        let shown: Vec<_> = workers.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["w1@a:4000", "skitter_worker@b", "w1@b", "skitter_worker@c"]);
        assert_eq!(workers.doubtful, [(format!("{}:1", path.display()), "4000".to_owned())]);

        let status = |named: &[NodeAddress]| match Workers::find(named, Some(&path)) {
            Ok(_) => 0,
            Err(failure) => failure.status(),
        };
        assert_eq!(status(&[address("c")]), 5);
        assert_eq!(status(&[address("a"), address("a")]), 2);
    }
}
