//! `skitter deploy`: workers on hosts over ssh, and a master here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use clap::ValueEnum;
use clap::builder::FalseyValueParser;

use super::choice::{self, Deploy};
use super::cores::Cores;
use super::master::{MASTER, MODE, texts};
use super::node::{self, Node};
use super::start;
use super::{General, manage};
use crate::actor::Executor;
use crate::cli::app::App;
use crate::cli::build;
use crate::cli::config::{ConfigError, LogFiles, Port, Seconds, Settings};
use crate::cli::failure::Failure;
use crate::cli::rollout::{Entry, Failed, Fleet, Plan, Screen};
use crate::cli::worker_file;
use crate::hosts::SshOptions;
use crate::id::NodeAddress;
use crate::node::local::Watch;
use crate::node::master::{self, MasterOptions};
use crate::node::{NodeFailure, Signals};
use crate::release::Release;

/// How long workers have to be up, unless it is said: the original's default.
const WAIT: &str = "10s";

/// How long a worker waits for its master, unless it is said: the master comes seconds after it.
const ADOPT: &str = "60s";

/// Where workers write their logs to on their hosts, below the directory of the release.
const LOGS: &str = "logs";

/// Start workers on hosts over ssh, then a master here, and stop them with it
#[derive(Debug, clap::Args)]
#[command(visible_alias = "d", arg_required_else_help = true)]
pub struct Rollout {
    /// The workers, as [NAME@]HOST[:TAG,TAG]: HOST as ssh knows it, NAME that of the node, `skitter_worker` unless it
    /// is said
    #[arg(value_parser = Entry::parse, value_hint = clap::ValueHint::Hostname)]
    workers: Vec<Entry>,

    #[command(flatten)]
    choice: Deploy,

    /// A file of more workers, one a line: [NAME@]HOST[:TAG,TAG]. Blank lines and comments, from a `#`, are skipped
    /// [env: SKITTER_WORKER_FILE] [default: none]
    #[arg(short = 'f', long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    worker_file: Option<PathBuf>,

    /// No status lines [default: false]
    #[arg(short, long, env = "SKITTER_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    quiet: bool,

    /// How the master is started
    #[arg(short, long, value_enum, value_name = "MODE", default_value = "start", env = "SKITTER_DEPLOY_MODE")]
    #[arg(hide_env_values = true)]
    mode: Mode,

    /// Stop every worker of the list, and start nothing [default: false]
    #[arg(short, long, env = "SKITTER_DEPLOY_STOP", hide_env_values = true, value_parser = FalseyValueParser::new())]
    stop: bool,

    /// Show what would run where, and start nothing [default: false]
    #[arg(long, env = "SKITTER_DRY_RUN", hide_env_values = true, value_parser = FalseyValueParser::new())]
    dry_run: bool,

    /// How long to wait at most until all workers are up, such as 10s
    #[arg(long, value_name = "SECONDS", default_value = WAIT, env = "SKITTER_WAIT_TIME", hide_env_values = true)]
    wait_time: Seconds,

    /// The directory of the release on the hosts [default: that of the release here]
    #[arg(long, value_name = "PATH", env = "SKITTER_WORKING_DIR", hide_env_values = true)]
    working_dir: Option<PathBuf>,

    /// Stop workers of another build that run, and start this one's [default: false]
    #[arg(long, env = "SKITTER_REPLACE", hide_env_values = true, value_parser = FalseyValueParser::new())]
    replace: bool,

    /// The address between nodes of a host that has another one for ssh; can be repeated [default: none]
    #[arg(long, value_name = "HOST=ADDR", value_parser = pair, env = "SKITTER_ADDRESS", value_delimiter = ',')]
    #[arg(hide_env_values = true)]
    address: Vec<(String, String)>,

    /// How long a worker waits for its master until it ends by itself
    #[arg(long, value_name = "SECONDS", default_value = ADOPT, env = "SKITTER_ADOPT_TIMEOUT", hide_env_values = true)]
    adopt_timeout: Seconds,

    /// Leave what workers write on their hosts [default: false]
    #[arg(long, env = "SKITTER_NO_STREAM", hide_env_values = true, value_parser = FalseyValueParser::new())]
    no_stream: bool,

    /// Trust hosts that ssh has not seen before [default: false]
    #[arg(long, env = "SKITTER_ACCEPT_NEW_HOST_KEYS", hide_env_values = true, value_parser = FalseyValueParser::new())]
    accept_new_host_keys: bool,

    /// A configuration file for ssh, in the place of the user's and the system's [default: those]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, env = "SKITTER_SSH_CONFIG")]
    #[arg(hide_env_values = true)]
    ssh_config: Option<PathBuf>,

    /// An option for ssh, as in its configuration file; can be repeated [default: none]
    #[arg(long, value_name = "KEY=VALUE", value_parser = option, env = "SKITTER_SSH_OPTION", value_delimiter = ';')]
    #[arg(hide_env_values = true)]
    ssh_option: Vec<String>,

    /// Stop, with exit status 4, when a worker goes away [env: SKITTER_SHUTDOWN_WITH_WORKERS] [default: false]
    #[arg(long)]
    shutdown_with_workers: bool,

    /// Workers stay up when the master goes away, and serve the next one [default: false]
    #[arg(long, env = "SKITTER_NO_SHUTDOWN_WITH_MASTER", hide_env_values = true)]
    #[arg(value_parser = FalseyValueParser::new())]
    no_shutdown_with_master: bool,

    #[command(flatten)]
    node: Node,

    #[command(flatten)]
    cores: Cores,
}

/// How a master is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// In this process
    Start,
    /// As a daemon, which stays when this process has ended
    Daemon,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (host, address) = text.split_once('=').ok_or("write HOST=ADDR")?;
    let is_one = |part: &str| !part.is_empty() && !part.chars().any(char::is_whitespace);
    if is_one(host) && is_one(address) {
        Ok((host.to_owned(), address.to_owned()))
    } else {
        Err("write HOST=ADDR".to_owned())
    }
}

fn option(text: &str) -> Result<String, String> {
    let key = text.split(['=', ' ']).next().unwrap_or_default();
    let is_key = !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric()) && key.len() < text.len();
    // It becomes a line of a file.
    if is_key && !text.contains(['\n', '\r']) { Ok(text.to_owned()) } else { Err("write KEY=VALUE".to_owned()) }
}

/// Does it.
///
/// # Errors
/// When what is configured is unusable, workers cannot be started, or as a master.
pub fn run(app: &App, deploy: Rollout, general: &General) -> Result<(), Failure> {
    let options = Settings {
        deploy: deploy.choice.choice(),
        worker_file: deploy.worker_file.clone(),
        shutdown_with_workers: deploy.shutdown_with_workers.then_some(true),
        ..Settings::default()
    };
    let settings = general.settings(deploy.node.options(deploy.cores.options(options))?)?;
    let entry = deploy.choice.entry(app, settings.deploy.as_ref())?;
    let entries = deploy.entries(&settings)?;
    if entries.is_empty() {
        return Err(Failure::Usage("there is no worker to deploy on; name hosts, or a file of them by -f".to_owned()));
    }
    let name = node::name(&settings, MASTER)?;
    let screen = Screen::new(deploy.quiet);
    let plan = deploy.plan(&settings, entries)?;
    if deploy.dry_run {
        deploy.show(&plan, &screen, entry.map(|entry| entry.name));
        return Ok(());
    }
    let arguments = texts(&deploy.choice.arguments)?;
    if let Some(entry) = entry {
        deploy.choice.build(app, "deploy", entry)?;
    }
    let executor = Executor::with_connections("skitter-deploy", 1).map_err(Failure::Start)?;
    if deploy.stop {
        return finish(wait(&executor, async move { plan.stop(&screen).await })?);
    }
    screen.begin(&plan.entries.iter().map(ToString::to_string).collect::<Vec<_>>(), &deploy.given(&plan));
    let file = node::log_file(&settings, &name)?;
    start::with_log(&settings, file, |log| {
        deploy.node.warn();
        if deploy.mode == Mode::Daemon {
            let last = log.terminal.clone();
            let signals = Signals::listen(move |_| last.close()).map_err(Failure::Start)?;
            let fleet = up(&executor, plan, screen, &signals)?;
            let arguments = deploy.master_arguments(&fleet.addresses(), name.name(), entry.map(|entry| entry.name));
            let started = manage::launch_master(name.name(), &arguments);
            return match started {
                Ok(()) => wait(&executor, fleet.leave()),
                Err(failure) => {
                    wait(&executor, async move { fleet.end(&screen).await })?;
                    Err(failure)
                }
            };
        }
        let mut managed = start::manage(app, general, &settings, MODE, name.name(), log)?;
        let fleet = up(&executor, plan, screen, &managed.signals)?;
        screen.finished();
        let workers = fleet.addresses();
        let (tell_end, ended) = tokio::sync::oneshot::channel();
        let shown = fleet.show(&executor, screen, ended);
        let stop_with_workers = settings.shutdown_with_workers.unwrap_or(false);
        let workflow = entry.map(|entry| (entry.name.to_owned(), arguments));
        let options = MasterOptions { workers, deploy: workflow, stop_with_workers };
        let mut show = start::progress(&settings, log);
        let watch = show.as_mut().map(|show| show as Watch<'_>);
        let settings = node::settings(&settings, name)?;
        let result =
            master::run(settings, Arc::new(app.clone()), options, &mut managed.signals, &mut managed.console, watch);
        let _ = tell_end.send(deploy.no_shutdown_with_master);
        shown.wait();
        result.map_err(|failure| match failure {
            NodeFailure::Deployment { name, source } => choice::failed(&name, *source),
            failure => failure.into(),
        })
    })
}

/// Starts workers, unless a signal comes first.
fn up(executor: &Executor, plan: Plan, screen: Screen, signals: &Signals) -> Result<Fleet, Failure> {
    let stopper = signals.stopper();
    let started = wait(executor, async move {
        // Dropped by a signal, it lets go of the agents, which stop what they have started.
        tokio::select! {
            biased;
            signal = stopper.stopped() => {
                screen.problem(&format!("{signal}: what was started is stopped"));
                Err(Failed)
            }
            fleet = plan.start(&screen) => fleet,
        }
    })?;
    started.map_err(|Failed| Failure::Rollout)
}

fn finish(result: Result<(), Failed>) -> Result<(), Failure> {
    result.map_err(|Failed| Failure::Rollout)
}

/// Does something on the threads of an executor, and waits for it.
fn wait<T: Send + 'static>(executor: &Executor, work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
    let (tell, told) = sync_channel(1);
    executor.start(async move { drop(tell.send(work.await)) });
    told.recv().map_err(|_| Failure::Start(std::io::Error::other("the deployer has failed")))
}

impl Rollout {
    /// The workers, those that are named and those in the file, each once.
    fn entries(&self, settings: &Settings) -> Result<Vec<Entry>, Failure> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: Vec<NodeAddress> = Vec::new();
        let mut add = |entry: Entry| {
            let address = NodeAddress { name: entry.name.clone(), host: entry.host.clone(), port: None };
            worker_file::add(&mut seen, address)?;
            entries.push(entry);
            Ok::<(), String>(())
        };
        for entry in &self.workers {
            add(entry.clone()).map_err(Failure::Usage)?;
        }
        let file = settings.worker_file.as_deref().map(|path| worker_file::read(path, super::worker::WORKER));
        for line in file.transpose()?.unwrap_or_default() {
            let at = line.at;
            let entry = Entry { name: line.address.name, host: line.address.host, tags: line.tags };
            add(entry).map_err(|reason| ConfigError::At { at, reason })?;
        }
        Ok(entries)
    }

    fn plan(&self, settings: &Settings, entries: Vec<Entry>) -> Result<Plan, Failure> {
        let release = Release::here()?;
        let directory = match (&self.working_dir, &release) {
            (Some(directory), _) => directory.clone(),
            (None, Some(release)) => release.directory.clone(),
            (None, None) => return Err(Failure::NoRelease),
        };
        let directory = directory.to_str().map(str::to_owned);
        let directory =
            directory.ok_or_else(|| Failure::Usage("the directory of the release is not UTF-8".to_owned()))?;
        let build = build::fingerprint().map_err(Failure::Start)?;
        let cookie = node::cookie(settings.cookie.as_ref(), std::env::home_dir().as_deref())?;
        let cookie = cookie.text().ok_or_else(|| ConfigError::At {
            at: "the cookie".to_owned(),
            reason: "it is not UTF-8, so it cannot be handed to hosts".to_owned(),
        })?;
        let user =
            std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
        let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Plan {
            entries,
            directory,
            build: build.hex(),
            cookie,
            ssh: SshOptions {
                config: self.ssh_config.clone(),
                options: self.ssh_option.clone(),
                accept_new: self.accept_new_host_keys,
            },
            arguments: self.worker_arguments(settings),
            addresses: self.address.iter().cloned().collect::<BTreeMap<_, _>>(),
            replace: self.replace,
            wait: self.wait_time.0,
            holder: format!("{user}@{here}, process {}", std::process::id()),
            follow: !self.no_stream && self.mode == Mode::Start,
        })
    }

    /// What all workers are told.
    fn worker_arguments(&self, settings: &Settings) -> Vec<String> {
        let mut arguments = vec!["--adopt-timeout".to_owned(), format!("{}", self.adopt_timeout.0.as_secs_f64())];
        if self.no_shutdown_with_master {
            arguments.push("--no-shutdown-with-master".to_owned());
        }
        if let Some(Port(port)) = settings.mapper_port {
            arguments.extend(["--mapper-port".to_owned(), port.to_string()]);
        }
        match &settings.log_files {
            Some(LogFiles::None) => arguments.push("--no-log".to_owned()),
            Some(LogFiles::In(directory)) => {
                arguments.extend(["--log-dir".to_owned(), directory.to_string_lossy().into_owned()]);
            }
            None => arguments.extend(["--log-dir".to_owned(), LOGS.to_owned()]),
        }
        arguments
    }

    /// What a master that is a daemon is told.
    fn master_arguments(&self, workers: &[NodeAddress], name: &str, workflow: Option<&str>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["master", "daemon", "--name", name].map(Into::into).to_vec();
        arguments.extend(workers.iter().map(|worker| worker.to_string().into()));
        match workflow {
            Some(workflow) => arguments.extend(["--deploy".into(), workflow.into()]),
            None => arguments.push("--no-deploy".into()),
        }
        if self.shutdown_with_workers {
            arguments.push("--shutdown-with-workers".into());
        }
        arguments.extend(self.node.arguments());
        if !self.choice.arguments.is_empty() {
            arguments.push("--".into());
            arguments.extend(self.choice.arguments.iter().cloned());
        }
        arguments
    }

    /// The options that were given and that matter to whoever looks on.
    fn given(&self, plan: &Plan) -> Vec<String> {
        let mut given = Vec::new();
        let mut say = |is_given: bool, what: String| {
            if is_given {
                given.push(what);
            }
        };
        say(self.working_dir.is_some(), format!("working-dir={}", plan.directory));
        say(self.mode == Mode::Daemon, "mode=daemon".to_owned());
        say(self.replace, "replace".to_owned());
        say(self.shutdown_with_workers, "shutdown-with-workers".to_owned());
        say(self.no_shutdown_with_master, "no-shutdown-with-master".to_owned());
        given
    }

    fn show(&self, plan: &Plan, screen: &Screen, workflow: Option<&str>) {
        for entry in &plan.entries {
            let tags: Vec<_> = entry.tags.iter().map(ToString::to_string).collect();
            let tags = if tags.is_empty() { String::new() } else { format!(", tags: {}", tags.join(" ")) };
            screen.would(&format!("start worker `{}` on {} in {}{tags}", entry.name, entry.host, plan.directory));
        }
        let here = workflow.map_or("without a workflow".to_owned(), |workflow| format!("and deploy `{workflow}`"));
        screen.would(&format!("start a master here {here}"));
    }
}
