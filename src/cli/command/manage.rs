//! What can be done with a node that runs: `skitter worker stop`, `skitter master deploy NAME`, and so on.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Subcommand;
use rustix::process::Signal;

use super::node::Node;
use super::{General, console, show};
use crate::cli::app::App;
use crate::cli::config::{Name, Seconds, Settings};
use crate::cli::daemon::{self, DaemonError, Place, Process, ask};
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::node::console::wire::{Reply, Request};
use crate::telemetry::Level;

/// How long a node may take to answer what it knows.
pub const ANSWER: Duration = Duration::from_secs(15);

/// How long a deployment may take until records flow: longer than the node waits itself, so that it says what it does.
pub const DEPLOY: Duration = Duration::from_secs(620);

/// How long a node may take to end at once, after a second signal.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How long the system may take to end a process that was killed.
const KILLED: Duration = Duration::from_secs(10);

/// Beyond the time that a node was given: for its answer.
pub const GRACE: Duration = Duration::from_secs(10);

/// What can be done with any node.
#[derive(Debug, Subcommand)]
pub enum Manage {
    /// Stop the node in order, and return when it is gone. Exit status 1 if it does not run
    Stop(Stop),
    /// Stop the daemon if it runs, and start one with the same options
    Restart(Stop),
    /// Print the number of its process. Exit status 1 if it does not run
    Pid(Named),
    /// Say how it stands. Exit status 0 if it runs, 1 if it does not, 3 if it does not answer
    Status(Listed),
    /// Open a console on it; `quit` leaves it running. Reads commands from stdin if that is no terminal
    Attach(Named),
    /// List the nodes that it is connected with
    Nodes(Listed),
    /// List what runs on it, and what has ended lately
    Deployments(Listed),
    /// Change the level of its log
    Log(LogLevel),
}

/// What can be done with a node that deploys.
#[derive(Debug, Subcommand)]
pub enum Deploying {
    /// List the workflows that it can deploy
    Workflows(Listed),
    /// Deploy a workflow beside those that run
    Deploy(Deploy),
    /// Stop a deployment in order, and return when it has ended
    Undeploy(Undeploy),
    /// Say what workers have done
    Workers(Workers),
    /// Print a deployment for Graphviz
    Graph(Graph),
}

/// Which node.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// The name of the node [env: SKITTER_NAME] [default: the name that a node of this mode has by itself]
    #[arg(short, long, value_name = "NAME")]
    name: Option<Name>,
}

/// Which node, and how it is shown.
#[derive(Debug, clap::Args)]
pub struct Listed {
    #[command(flatten)]
    node: Named,

    /// As JSON [default: false]
    #[arg(long, env = "SKITTER_JSON", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new())]
    json: bool,
}

/// How a node is stopped.
#[derive(Debug, clap::Args)]
pub struct Stop {
    #[command(flatten)]
    node: Named,

    /// How long it may take to drain before it is ended, such as 30s, 2m, 0.5
    #[arg(long, value_name = "TIME", env = "SKITTER_STOP_TIMEOUT", hide_env_values = true, default_value = "30s")]
    timeout: Seconds,
}

/// The level of a log.
#[derive(Debug, clap::Args)]
pub struct LogLevel {
    /// The new one
    level: Level,

    #[command(flatten)]
    node: Named,
}

/// What to deploy.
#[derive(Debug, clap::Args)]
pub struct Deploy {
    /// The workflow
    #[arg(index = 1)]
    workflow: String,

    #[command(flatten)]
    listed: Listed,

    /// Arguments of the workflow; `-- --help` describes them
    #[arg(index = 2, last = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// What to stop.
#[derive(Debug, clap::Args)]
pub struct Undeploy {
    /// The number of the deployment
    id: u32,

    #[command(flatten)]
    listed: Listed,

    /// How long to wait for its end, such as 30s, 2m, 0.5
    #[arg(long, value_name = "TIME", env = "SKITTER_STOP_TIMEOUT", hide_env_values = true, default_value = "30s")]
    timeout: Seconds,
}

/// Whose workers.
#[derive(Debug, clap::Args)]
pub struct Workers {
    /// The number of the deployment [default: all]
    id: Option<u32>,

    #[command(flatten)]
    listed: Listed,
}

/// What to draw.
#[derive(Debug, clap::Args)]
pub struct Graph {
    /// The number of the deployment
    id: u32,

    #[command(flatten)]
    node: Named,
}

impl Listed {
    /// The name of the node, if it is said.
    pub fn name(&self) -> Option<Name> {
        self.node.name.clone()
    }

    /// Whether it is shown as JSON.
    pub fn json(&self) -> bool {
        self.json
    }
}

impl Named {
    fn place(&self, mode: &str, default: &str, general: &General) -> Result<Place, Failure> {
        let settings = general.settings(Settings { name: self.name.clone(), ..Settings::default() })?;
        Ok(Place::of(mode, settings.name.as_ref().map_or(default, |Name(name)| name))?)
    }
}

impl Manage {
    /// Does it, with the node of a mode that has a name, or the default one.
    ///
    /// # Errors
    /// When it does not run, does not answer, or says no.
    pub fn run(self, mode: &str, default: &str, general: &General) -> Result<(), Failure> {
        let place = |named: &Named| named.place(mode, default, general);
        match self {
            Manage::Stop(stop) => {
                let place = place(&stop.node)?;
                let Seconds(limit) = stop.timeout;
                let none = || DaemonError::NotRunning(place.what().to_owned());
                print(&format!("{}\n", end(&place, limit)?.ok_or_else(none)?))
            }
            Manage::Restart(stop) => {
                let place = place(&stop.node)?;
                let Seconds(limit) = stop.timeout;
                let successor = daemon::relaunch(&place)?;
                if let Some(said) = end(&place, limit)? {
                    print(&format!("{said}\n"))?;
                }
                say_started(&place, successor.start()?)
            }
            Manage::Pid(named) => {
                let place = place(&named)?;
                let pid = place.holder()?.ok_or_else(|| DaemonError::NotRunning(place.what().to_owned()))?;
                print(&format!("{pid}\n"))
            }
            Manage::Status(listed) => status(&place(&listed.node)?, listed.json),
            Manage::Attach(named) => console::attach(&place(&named)?),
            Manage::Nodes(listed) => tell(&place(&listed.node)?, &Request::Nodes, ANSWER, listed.json),
            Manage::Deployments(listed) => tell(&place(&listed.node)?, &Request::Deployments, ANSWER, listed.json),
            Manage::Log(LogLevel { level, node }) => tell(&place(&node)?, &Request::Log { level }, ANSWER, false),
        }
    }
}

impl Deploying {
    /// As [`Manage::run`].
    ///
    /// # Errors
    /// As there.
    pub fn run(self, app: &App, mode: &str, default: &str, general: &General) -> Result<(), Failure> {
        let place = |named: &Named| named.place(mode, default, general);
        match self {
            Deploying::Workflows(listed) => tell(&place(&listed.node)?, &Request::Workflows, ANSWER, listed.json),
            Deploying::Deploy(Deploy { workflow, listed, arguments }) => {
                let place = place(&listed.node)?;
                // The node may be of another build, so it has the last word; but help is had here.
                if let Some(entry) = app.find(&workflow) {
                    entry.check(&format!("{} {mode} deploy {workflow} --", app.name), arguments.clone())?;
                }
                let arguments = super::master::texts(&arguments)?;
                tell(&place, &Request::Deploy { name: workflow, arguments }, DEPLOY, listed.json)
            }
            Deploying::Undeploy(Undeploy { id, listed, timeout: Seconds(limit) }) => {
                tell(&place(&listed.node)?, &undeploy(id, limit), limit + GRACE, listed.json)
            }
            Deploying::Workers(Workers { id, listed }) => {
                tell(&place(&listed.node)?, &Request::Workers { deployment: id }, ANSWER, listed.json)
            }
            Deploying::Graph(Graph { id, node }) => {
                tell(&place(&node)?, &Request::Graph { deployment: id }, ANSWER, false)
            }
        }
    }
}

/// That a deployment is to end within a time.
pub fn undeploy(deployment: u32, limit: Duration) -> Request {
    Request::Undeploy { deployment, patience_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
}

/// Starts a daemon with the arguments of this process.
///
/// # Errors
/// When one of its mode and name runs, or it fails.
pub fn launch(node: &Node, general: &General, mode: &str, name: &str) -> Result<(), Failure> {
    if node.shows_cookie() {
        output::pass_on(
            "warning: every user of this host could read the cookie in the list of processes until now; use \
             --cookie-file or SKITTER_COOKIE\n",
        );
    }
    launch_local(general, mode, name)
}

/// The same for a node that has no cookie.
///
/// # Errors
/// As [`launch`].
pub fn launch_local(general: &General, mode: &str, name: &str) -> Result<(), Failure> {
    let started = daemon::launch(mode, name, &general.arguments)?;
    say_started(&Place::of(mode, name)?, started)
}

fn say_started(place: &Place, started: Option<u32>) -> Result<(), Failure> {
    let (what, log) = (place.what(), place.log());
    print(&match started {
        Some(pid) => format!("{what} is up: process {pid}, log {}\n", log.display()),
        None => format!("{what} has done its work and ended: log {}\n", log.display()),
    })
}

/// A master that is to be a daemon beside workers on hosts.
#[derive(Debug)]
pub struct Background {
    /// The name of its node.
    name: String,
    place: Place,
}

impl Background {
    /// One of this name.
    ///
    /// # Errors
    /// When one runs, or there is no place for its state.
    pub fn new(name: &str) -> Result<Background, Failure> {
        let place = Place::make(super::master::MODE, name)?;
        Ok(Background { name: name.to_owned(), place })
    }

    /// Starts it with these arguments. Returns its process, unless it has done its work and ended.
    ///
    /// # Errors
    /// When it fails.
    pub fn launch(&self, arguments: &[OsString]) -> Result<Option<u32>, Failure> {
        Ok(daemon::launch(super::master::MODE, &self.name, arguments)?)
    }

    /// Where it writes to.
    pub fn log(&self) -> PathBuf {
        Place::of(super::master::MODE, &self.name).map_or_else(|_| self.place.log(), |place| place.log())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it does not.
    pub fn end(&self) -> Result<(), Failure> {
        end(&Place::of(super::master::MODE, &self.name)?, ANSWER)?;
        Ok(())
    }
}

/// Ends a node: in order if it does so in time. Says how, if there was one.
fn end(place: &Place, limit: Duration) -> Result<Option<String>, DaemonError> {
    let Some(process) = Process::of(place)? else { return Ok(None) };
    let (what, pid, began) = (place.what(), process.pid, Instant::now());
    if ask(place, &Request::Stop, limit.min(ANSWER)).is_err() {
        // It cannot be asked, but told.
        process.signal(Signal::TERM);
    }
    if process.ended(limit.saturating_sub(began.elapsed())) {
        return Ok(Some(format!("{what}, process {pid}, has stopped")));
    }
    process.signal(Signal::TERM);
    let waited = limit.as_secs_f64();
    if process.ended(AT_ONCE) {
        return Ok(Some(format!("{what}, process {pid}, was ended: it had not drained within {waited} s")));
    }
    process.signal(Signal::KILL);
    if process.ended(KILLED) {
        return Ok(Some(format!("{what}, process {pid}, was killed: it had not ended within {waited} s")));
    }
    Err(DaemonError::Undead { what: what.to_owned(), pid })
}

fn status(place: &Place, json: bool) -> Result<(), Failure> {
    let reply = match ask(place, &Request::Status, ANSWER) {
        Err(error @ DaemonError::NotRunning(_)) => {
            if json {
                print(&show::no_status(place))?;
            }
            return Err(error.into());
        }
        reply => reply?,
    };
    match reply {
        Reply::Status(status) if json => print(&show::status_json(&status, place)),
        Reply::Status(status) => print(&show::status(&status, place)),
        other => print(&show::reply(&other)),
    }
}

/// Asks a node and prints what it says.
///
/// # Errors
/// When it does not run, does not answer, or says no.
pub fn tell(place: &Place, request: &Request, patience: Duration, json: bool) -> Result<(), Failure> {
    let reply = ask(place, request, patience)?;
    print(&if json { show::json(&reply) } else { show::reply(&reply) })
}

fn print(text: &str) -> Result<(), Failure> {
    output::print(text.as_bytes())
}
