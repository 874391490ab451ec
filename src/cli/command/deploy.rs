//! `skitter deploy`: workers on hosts over ssh, and a master here.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use clap::ValueEnum;
use clap::builder::FalseyValueParser;

use super::General;
use super::choice::{self, Deploy};
use super::cores::Cores;
use super::manage::Background;
use super::master::{MASTER, MODE, texts};
use super::node::{self, Node};
use super::reach::Reach;
use super::saving::Saving;
use super::start;
use crate::actor::Executor;
use crate::cli::app::App;
use crate::cli::build;
use crate::cli::config::{ConfigError, Count, Interval, LogFiles, Port, Seconds, Settings};
use crate::cli::failure::Failure;
use crate::cli::rollout::{Entry, Failed, Fleet, Plan, Screen};
use crate::hosts::{Packing, Parcel, files_in, packing};
use crate::id::NodeAddress;
use crate::node::local::Watch;
use crate::node::master::{self, MasterOptions};
use crate::node::{NodeFailure, Signals};
use crate::release::{Fault, MANIFEST, Release, ReleaseError, verify};

/// How long workers have to be up, unless it is said: the original's default.
const WAIT: &str = "10s";

/// How long a worker waits for its master, unless it is said: the master comes seconds after it.
const ADOPT: &str = "60s";

/// Start workers on hosts over ssh, then a master here, and stop them with it
#[derive(Debug, clap::Args)]
#[command(visible_alias = "d", arg_required_else_help = true)]
pub struct Rollout {
    #[command(flatten)]
    reach: Reach,

    #[command(flatten)]
    choice: Deploy,

    /// No status lines [default: false]
    #[arg(short, long, env = "SKITTER_QUIET", hide_env_values = true, value_parser = FalseyValueParser::new())]
    quiet: bool,

    /// How the master is started
    #[arg(short, long, value_enum, value_name = "MODE", default_value = "start", env = "SKITTER_DEPLOY_MODE")]
    #[arg(hide_env_values = true)]
    mode: Mode,

    /// Stop every worker of the list, and start nothing [default: false]
    #[arg(conflicts_with_all = ["rollback", "dry_run"])]
    #[arg(short, long, env = "SKITTER_DEPLOY_STOP", hide_env_values = true, value_parser = FalseyValueParser::new())]
    stop: bool,

    /// Show what would run where, and start nothing [default: false]
    #[arg(long, env = "SKITTER_DRY_RUN", hide_env_values = true, value_parser = FalseyValueParser::new())]
    dry_run: bool,

    /// Copy the release to hosts that lack this build, and make it the one that counts there [default: false]
    #[arg(long, env = "SKITTER_PUSH", hide_env_values = true, value_parser = FalseyValueParser::new())]
    push: bool,

    /// Go back on all hosts to the release that counted before this one, and start nothing [default: false]
    #[arg(conflicts_with_all = ["push", "dry_run"])]
    #[arg(long, env = "SKITTER_ROLLBACK", hide_env_values = true, value_parser = FalseyValueParser::new())]
    rollback: bool,

    /// A directory of files that workers need: it is copied to the hosts, and they run in it [default: none]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, env = "SKITTER_DIRECTORY")]
    #[arg(hide_env_values = true)]
    directory: Option<PathBuf>,

    /// A line of JSON on stdout for all that happens [default: false]
    #[arg(long, env = "SKITTER_JSON", hide_env_values = true, value_parser = FalseyValueParser::new())]
    json: bool,

    /// How long to wait at most until all workers are up, such as 10s
    #[arg(long, value_name = "SECONDS", default_value = WAIT, env = "SKITTER_WAIT_TIME", hide_env_values = true)]
    wait_time: Seconds,

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

    #[command(flatten)]
    saving: Saving,
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

/// Does it.
///
/// # Errors
/// When what is configured is unusable, workers cannot be started, or as a master.
pub fn run(app: &App, deploy: Rollout, general: &General) -> Result<(), Failure> {
    let options = Settings {
        deploy: deploy.choice.choice(),
        worker_file: deploy.reach.worker_file.clone(),
        shutdown_with_workers: deploy.shutdown_with_workers.then_some(true),
        ..Settings::default()
    };
    let settings = general.settings(deploy.node.options(deploy.saving.options(deploy.cores.options(options)))?)?;
    let entry = deploy.choice.entry(app, settings.deploy.as_ref())?;
    let entries = deploy.reach.entries(&settings)?;
    let name = node::name(&settings, MASTER)?;
    let screen = if deploy.json { Screen::json() } else { Screen::text(deploy.quiet) };
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
    if deploy.stop || deploy.rollback {
        let signals = Signals::listen(drop).map_err(Failure::Start)?;
        let stopper = signals.stopper();
        let done = wait(&executor, async move {
            let work = async {
                match deploy.stop {
                    true => plan.access.stop(&plan.entries, &screen).await,
                    false => plan.roll_back(&screen).await,
                }
            };
            tokio::select! {
                biased;
                signal = stopper.stopped() => Err(screen.failed(&format!("{signal}: the rest is left as it is"))),
                done = work => done,
            }
        })?;
        return done.map_err(|Failed| Failure::Rollout);
    }
    let begin = {
        let (workers, options): (Vec<_>, _) =
            (plan.entries.iter().map(ToString::to_string).collect(), deploy.given(&plan));
        move || screen.begin(&workers, &options)
    };
    let file = node::log_file(&settings, &name)?;
    start::with_log(&settings, file, |log| {
        deploy.node.warn();
        if deploy.mode == Mode::Daemon {
            let last = log.terminal.clone();
            let signals = Signals::listen(move |_| last.close()).map_err(Failure::Start)?;
            let master = Background::new(name.name())?;
            begin();
            let fleet = up(&executor, plan, screen, &signals)?;
            let workflow = entry.map(|entry| entry.name);
            let arguments = deploy.master_arguments(general, &fleet.addresses(), name.name(), workflow)?;
            let started = master.launch(&arguments);
            let called_off = signals.stopper().is_stopping();
            if let (Ok(process), false) = (&started, called_off) {
                wait(&executor, fleet.leave())?;
                screen.background(name.name(), *process, &master.log());
                return Ok(());
            }
            let ended = if started.is_ok() { master.end() } else { Ok(()) };
            wait(&executor, async move { fleet.call_off(&screen).await })?;
            started?;
            ended?;
            return Err(Failure::Rollout);
        }
        let mut managed = start::manage(app, general, &settings, MODE, name.name(), log)?;
        begin();
        let fleet = up(&executor, plan, screen, &managed.signals)?;
        screen.finished();
        let workers = fleet.addresses();
        let (tell_end, ended) = tokio::sync::oneshot::channel();
        let shown = fleet.show(&executor, screen, deploy.no_shutdown_with_master, ended).map_err(Failure::Start)?;
        let stop_with_workers = settings.shutdown_with_workers.unwrap_or(false);
        let workflow = entry.map(|entry| (entry.name.to_owned(), arguments));
        let recovery_wait = settings.recovery_wait();
        let (from, go_on) = (deploy.choice.from(), false);
        let options = MasterOptions { workers, deploy: workflow, stop_with_workers, from, go_on, recovery_wait };
        let mut show = start::progress(&settings, log);
        let watch = show.as_mut().map(|show| show as Watch<'_>);
        let checkpoints = settings.checkpoints(Interval::CLUSTER)?;
        let mut settings = node::settings(&settings, name)?;
        settings.runtime.checkpoints = checkpoints;
        let result =
            master::run(settings, Arc::new(app.clone()), options, &mut managed.signals, &mut managed.console, watch);
        drop(tell_end);
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
        let mut fleet = Fleet::new();
        let signal = tokio::select! {
            biased;
            signal = stopper.stopped() => Some(signal),
            started = plan.start(&screen, &mut fleet) => match started {
                Ok(()) => return Ok(fleet),
                Err(Failed) => None,
            },
        };
        match signal {
            Some(signal) => {
                screen.problem(&format!("{signal}: what was started is stopped"));
                fleet.call_off(&screen).await;
            }
            None => fleet.tear_down(&screen).await,
        }
        Err(Failed)
    })?;
    started.map_err(|Failed| Failure::Rollout)
}

/// Does something on the threads of an executor, and waits for it.
pub fn wait<T: Send + 'static>(
    executor: &Executor,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    let (tell, told) = sync_channel(1);
    executor.start(async move { drop(tell.send(work.await)) });
    told.recv().map_err(|_| Failure::Start(std::io::Error::other("the deployer has failed")))
}

impl Rollout {
    fn plan(&self, settings: &Settings, entries: Vec<Entry>) -> Result<Plan, Failure> {
        let release = Release::here()?;
        let access = self.reach.access(release.as_ref())?;
        let push = match (&release, self.push && !self.dry_run) {
            (_, false) => None,
            (Some(release), true) => Some(packed(release)?),
            (None, true) => return Err(Failure::NoRelease),
        };
        let files = self.directory.as_deref().filter(|_| !self.dry_run).map(files).transpose()?;
        let build = build::fingerprint().map_err(Failure::Start)?;
        let cookie = node::cookie(settings.cookie.as_ref(), std::env::home_dir().as_deref())?;
        // What is wrong with files here is told before workers run.
        node::credentials(settings)?;
        let cookie = cookie.text().ok_or_else(|| ConfigError::At {
            at: "the cookie".to_owned(),
            reason: "it is not UTF-8, so it cannot be handed to hosts".to_owned(),
        })?;
        let user =
            std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
        let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Plan {
            entries,
            access,
            push,
            files,
            build: build.hex(),
            release: release.as_ref().and_then(|release| release.sum().ok()),
            cookie,
            arguments: self.worker_arguments(settings),
            addresses: self.address.iter().cloned().collect::<BTreeMap<_, _>>(),
            replace: self.replace,
            restarts: (settings.shutdown_with_workers != Some(true)).then(|| settings.intensity()),
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
            None => {}
        }
        let mut add =
            |option: &str, value: Option<String>| arguments.extend(value.map(|value| format!("{option}={value}")));
        // The files are those of each host, as the paths say there.
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        add("--tls-cert", path(&settings.tls_cert));
        add("--tls-key", path(&settings.tls_key));
        add("--tls-ca", path(&settings.tls_ca));
        add("--cores", settings.cores.map(|Count(cores)| cores.to_string()));
        add("--threads", settings.threads.map(|Count(threads)| threads.to_string()));
        add("--dead-letters", path(&settings.dead_letters));
        add("--log-level", settings.log_level.and_then(name_of));
        add("--log-format", settings.log_format.and_then(name_of));
        arguments
    }

    /// What a master that is a daemon is told.
    fn master_arguments(
        &self,
        general: &General,
        workers: &[NodeAddress],
        name: &str,
        workflow: Option<&str>,
    ) -> Result<Vec<OsString>, Failure> {
        let mut arguments: Vec<OsString> = ["master", "daemon", "--name", name].map(Into::into).to_vec();
        if let Some(config) = &general.config {
            arguments.extend(["--config".into(), absolute(config).map_err(Failure::Start)?.into()]);
        }
        let mut add = |option: &str, value: Option<String>| {
            arguments.extend(value.map(|value| format!("{option}={value}").into()));
        };
        add("--log-level", general.log_level.and_then(name_of));
        add("--log-format", general.log_format.and_then(name_of));
        arguments.extend(workers.iter().map(|worker| worker.to_string().into()));
        match workflow {
            Some(workflow) => arguments.extend(["--deploy".into(), workflow.into()]),
            None => arguments.push("--no-deploy".into()),
        }
        if self.shutdown_with_workers {
            arguments.push("--shutdown-with-workers".into());
        }
        arguments.extend(self.node.arguments());
        arguments.extend(self.saving.arguments());
        if !self.choice.arguments.is_empty() {
            arguments.push("--".into());
            arguments.extend(self.choice.arguments.iter().cloned());
        }
        Ok(arguments)
    }

    /// The options that were given and that matter to whoever looks on.
    fn given(&self, plan: &Plan) -> Vec<String> {
        let mut given = Vec::new();
        let mut say = |is_given: bool, what: String| {
            if is_given {
                given.push(what);
            }
        };
        say(self.reach.working_dir.is_some(), format!("working-dir={}", plan.access.directory));
        say(self.push, "push".to_owned());
        let directory = self.directory.as_ref().map(|directory| format!("directory={}", directory.display()));
        say(directory.is_some(), directory.unwrap_or_default());
        say(self.mode == Mode::Daemon, "mode=daemon".to_owned());
        say(self.replace, "replace".to_owned());
        say(self.shutdown_with_workers, "shutdown-with-workers".to_owned());
        say(self.no_shutdown_with_master, "no-shutdown-with-master".to_owned());
        given
    }

    fn show(&self, plan: &Plan, screen: &Screen, workflow: Option<&str>) {
        for entry in &plan.entries {
            screen.would_start(entry, &plan.access.directory);
        }
        screen.would_deploy(workflow);
    }
}

/// What a user writes for a value.
fn name_of(value: impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

/// The release here, to be sent: all that it lists. It has to be as it was made, because hosts have to get what was.
fn packed(release: &Release) -> Result<Packing, Failure> {
    match verify(&release.directory) {
        Ok(_) => {}
        // What else is there, such as results of workers that ran there, is not sent.
        Err(ReleaseError::Broken { faults, .. }) if faults.iter().all(|fault| matches!(fault, Fault::TooMuch(_))) => {}
        Err(error) => return Err(error.into()),
    }
    let manifest = release.manifest.clone();
    let files: Vec<String> = manifest.files.keys().cloned().chain([MANIFEST.to_owned()]).collect();
    let directory = release.directory.clone();
    // A build that was packed with other files is another release.
    let place = move |sum: &str| format!("releases/{}-{}-{}", manifest.version, &manifest.build[..8], &sum[..8]);
    packing(move || Parcel::pack(&directory, &files, place)).map_err(Failure::Start)
}

/// A directory of files, to be sent.
fn files(directory: &Path) -> Result<Packing, Failure> {
    let unreadable = |source| ConfigError::Read { what: "directory", path: directory.to_owned(), source };
    let files = files_in(directory).map_err(unreadable)?;
    let directory = directory.to_owned();
    packing(move || Parcel::pack(&directory, &files, |sum| format!("files/{sum}"))).map_err(Failure::Start)
}
