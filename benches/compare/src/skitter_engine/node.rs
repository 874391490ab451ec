//! Skitter over two worker nodes and a master, each a process.

use std::sync::Arc;

use skitter::id::{NodeAddress, NodeName};
use skitter::net::{Cookie, Fingerprint, Tcp};
use skitter::node::{Catalog, Console, NodeSettings, Signals, master, worker};
use skitter::prelude::{Result, Workflow, WorkflowBuilder};
use skitter::runtime::Settings;
use skitter::telemetry::{self, Format, Level};

use crate::cluster::gate;
use crate::engines::Engine;
use crate::jobs::{Place, Run};

/// The workers, by name.
const WORKERS: [&str; 2] = ["first", "second"];
/// What the nodes are reached by.
const HOST: &str = "localhost";

/// The workflows of the jobs: each process builds the one that it is told by itself, with sums of its own.
struct Jobs {
    engine: Engine,
    run: Run,
}

impl Catalog for Jobs {
    fn build(&self, _name: &str, _arguments: &[String]) -> Result<Workflow> {
        let workflow = WorkflowBuilder::new();
        super::describe(self.engine, &workflow, &self.run);
        workflow.build()
    }
}

/// Runs a node to its end.
///
/// # Errors
/// When it fails.
pub fn run(engine: Engine, run: &Run, is_master: bool) -> std::result::Result<(), String> {
    let Place::Part { index, ports } = run.place else { return Err("a node is no process alone".to_owned()) };
    telemetry::install(Level::Info, Format::Text, tell);
    let mut signals = Signals::listen(|_| {}).map_err(|error| error.to_string())?;
    let name = if is_master { "master" } else { WORKERS[index] };
    let text = |error: &dyn std::error::Error| error.to_string();
    let settings = NodeSettings {
        name: NodeName::new(name, HOST).map_err(|error| text(&error))?,
        tags: Vec::new(),
        listen: ([127, 0, 0, 1], 0).into(),
        mapper_port: ports[0],
        cookie: Cookie::new("of a benchmark on loopback").map_err(|error| text(&error))?,
        // One program, which has started itself.
        build: Fingerprint([0; 32]),
        runtime: Settings { cores: 1, threads: 1, ..Settings::default() },
        transport: Arc::new(Tcp),
        credentials: None,
    };
    let jobs = Arc::new(Jobs { engine, run: run.clone() });
    let ended = if is_master {
        gate::pass();
        let workers = WORKERS.map(|name| NodeAddress { name: name.to_owned(), host: HOST.to_owned(), port: None });
        let deploy = Some((run.job.name().to_owned(), Vec::new()));
        let options = master::MasterOptions { workers: workers.into(), deploy, ..Default::default() };
        master::run(settings, jobs, options, &mut signals, &mut Console::none(), None)
    } else {
        worker::run(settings, jobs, worker::WorkerOptions::default(), &mut signals, &mut Console::none())
    };
    ended.map_err(|failure| failure.to_string())
}

/// Makes lines of the log what whoever measures has to know.
fn tell(line: String) {
    let says = |message: &str| line.contains(&format!("][info] {message}"));
    if says("Reachable at") {
        gate::ready();
    } else if says("Deploying") {
        gate::say(gate::BEGIN);
    } else if says("Completed") {
        gate::say(gate::END);
    } else if !line.contains("][info]") {
        eprint!("{line}");
    }
}
