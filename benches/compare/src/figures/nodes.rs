//! Nodes of a cluster, each a process of the program `skitter`: how long they take to be there, what they cost while
//! there is nothing to do, and how soon one is missed.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::cluster::ports;
use crate::cluster::processes::{Processes, Said};
use crate::process::rss_mb_of;
use crate::stats::median;

/// Worker nodes of the cluster of many.
pub const MANY: usize = 64;
/// Workers that are killed.
const KILLED: usize = 5;
/// Workers that are frozen; each takes some seconds.
const FROZEN: usize = 3;
/// How long the nodes of a cluster have for all that is done with them.
const LIMIT: Duration = Duration::from_secs(120);
/// How long nodes are left alone before it is measured what they cost.
const SETTLE: Duration = Duration::from_secs(2);
/// How long it is measured.
const IDLE: Duration = Duration::from_secs(10);
/// What nodes are reached by.
const HOST: &str = "localhost";
/// Lines of the log that are shown when something fails.
const SHOWN: usize = 20;

/// What was measured of nodes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Nodes {
    /// From the start of a master of two workers to `Deploying`, in seconds.
    pub deploying: Vec<f64>,
    /// From the start of the first of many workers until all can be reached, in seconds.
    pub many_started: f64,
    /// From the start of their master until `hello` is completed, in seconds.
    pub many_deployed: f64,
    /// Processor time of all of many workers that idle, a second of time.
    pub idle_workers: f64,
    /// That of their master.
    pub idle_master: f64,
    /// Memory that is resident in one of them, in MB.
    pub worker_mb: f64,
    /// From when a worker is killed to when its master says so, in seconds.
    pub killed: Vec<f64>,
    /// From when a worker is frozen to when its master says so, in seconds.
    pub frozen: Vec<f64>,
}

impl Nodes {
    /// Measures `program`, which is `skitter`; a master so many times.
    ///
    /// # Errors
    /// When a node does not do what it should.
    pub fn measure(program: &Path, starts: usize) -> Result<Nodes, String> {
        let deploying = deploying(program, starts)?;
        let mut nodes = many(program)?;
        nodes.deploying = deploying;
        (nodes.killed, nodes.frozen) = lost(program)?;
        Ok(nodes)
    }

    /// From the start of the first of many workers until `hello` is completed over them, in seconds.
    pub fn many_seconds(&self) -> f64 {
        self.many_started + self.many_deployed
    }

    /// Processor time of all of many nodes that idle, a second of time.
    pub fn idle_cores(&self) -> f64 {
        self.idle_workers + self.idle_master
    }
}

fn deploying(program: &Path, starts: usize) -> Result<Vec<f64>, String> {
    let mut cluster = Cluster::new(program)?;
    cluster.start_workers(2)?;
    let mut seconds = Vec::with_capacity(starts);
    for start in 0..=starts {
        let begin = Instant::now();
        let master = cluster.start_master(&["-d", "hello"])?;
        let deploying = cluster.wait(master, "Deploying")?;
        cluster.end(master)?;
        if start > 0 {
            seconds.push((deploying - begin).as_secs_f64());
        }
    }
    Ok(seconds)
}

fn many(program: &Path) -> Result<Nodes, String> {
    let mut cluster = Cluster::new(program)?;
    let begin = Instant::now();
    cluster.start_workers(MANY)?;
    let started = Instant::now();
    let master = cluster.start_master(&["-d", "hello"])?;
    let deployed = cluster.wait(master, "Completed")?;
    cluster.end(master)?;
    let master = cluster.start_master(&["--no-deploy"])?;
    for _ in 0..MANY {
        cluster.wait(master, "Connected to")?;
    }
    sleep(SETTLE);
    let used = |nodes: &[usize]| nodes.iter().map(|node| cluster.cpu_seconds(*node)).sum::<f64>();
    let (clock, workers, masters) = (Instant::now(), used(&cluster.workers), used(&[master]));
    sleep(IDLE);
    let seconds = clock.elapsed().as_secs_f64();
    Ok(Nodes {
        deploying: Vec::new(),
        many_started: (started - begin).as_secs_f64(),
        many_deployed: (deployed - started).as_secs_f64(),
        idle_workers: (used(&cluster.workers) - workers) / seconds,
        idle_master: (used(&[master]) - masters) / seconds,
        worker_mb: median(cluster.workers.iter().map(|worker| rss_mb_of(cluster.processes.id(*worker)))).unwrap_or(0.0),
        killed: Vec::new(),
        frozen: Vec::new(),
    })
}

/// How long it takes a master to miss workers that are killed, and ones that are frozen.
fn lost(program: &Path) -> Result<(Vec<f64>, Vec<f64>), String> {
    let mut cluster = Cluster::new(program)?;
    cluster.start_workers(KILLED + FROZEN)?;
    let master = cluster.start_master(&["--no-deploy"])?;
    for _ in 0..KILLED + FROZEN {
        cluster.wait(master, "Connected to")?;
    }
    let mut seconds = Vec::new();
    for (number, worker) in cluster.workers.clone().into_iter().enumerate() {
        let begin = Instant::now();
        cluster.processes.signal(worker, if number < KILLED { Signal::SIGKILL } else { Signal::SIGSTOP })?;
        let said = cluster.wait(master, &format!("Worker `{}@{HOST}` disconnected", name(number)))?;
        seconds.push((said - begin).as_secs_f64());
    }
    let frozen = seconds.split_off(KILLED);
    Ok((seconds, frozen))
}

/// Nodes that know of each other by a port mapper of their own.
struct Cluster<'a> {
    program: &'a Path,
    port: u16,
    deadline: Instant,
    processes: Processes,
    workers: Vec<usize>,
    masters: usize,
    log: Vec<String>,
}

fn name(worker: usize) -> String {
    format!("worker{worker}")
}

impl<'a> Cluster<'a> {
    fn new(program: &'a Path) -> Result<Cluster<'a>, String> {
        let [port] = ports::free()?;
        let (processes, deadline) = (Processes::new(), Instant::now() + LIMIT);
        Ok(Cluster { program, port, deadline, processes, workers: Vec::new(), masters: 0, log: Vec::new() })
    }

    fn start(&mut self, mode: &str, name: &str, options: &[&str]) -> Result<usize, String> {
        let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
        command.args(["leash", &std::process::id().to_string(), "--"]).arg(self.program);
        command.args([mode, "start", "--name", name, "--host", HOST, "--listen", "127.0.0.1"]);
        command.args(["--mapper-port", &self.port.to_string(), "--no-log"]).args(options);
        command.env("SKITTER_COOKIE", "of a benchmark on loopback");
        self.processes.start(command, true)
    }

    /// Starts workers, and waits until all can be reached.
    fn start_workers(&mut self, count: usize) -> Result<(), String> {
        for number in 0..count {
            let worker = self.start("worker", &name(number), &["--no-shutdown-with-master"])?;
            self.workers.push(worker);
        }
        let mut left = count;
        while left > 0 {
            let (_, _, line) = self.hear()?;
            left -= usize::from(line.contains("Reachable at"));
        }
        Ok(())
    }

    /// Starts a master of all workers.
    fn start_master(&mut self, options: &[&str]) -> Result<usize, String> {
        self.masters += 1;
        let workers: Vec<String> = (0..self.workers.len()).map(|number| format!("{}@{HOST}", name(number))).collect();
        let options: Vec<&str> = options.iter().copied().chain(workers.iter().map(String::as_str)).collect();
        self.start("master", &format!("master{}", self.masters), &options)
    }

    /// What is said next, and by whom.
    fn hear(&mut self) -> Result<(usize, Instant, String), String> {
        loop {
            let Said { process, at, line } = self.processes.hear(self.deadline).map_err(|error| self.failed(&error))?;
            if let Some(line) = line {
                self.log.push(format!("{process}: {line}"));
                return Ok((process, at, line));
            }
        }
    }

    /// Waits until a node says something.
    fn wait(&mut self, node: usize, what: &str) -> Result<Instant, String> {
        loop {
            let (process, at, line) = self.hear()?;
            if process == node && line.contains(what) {
                return Ok(at);
            }
        }
    }

    /// Waits for the end of a node.
    fn end(&mut self, node: usize) -> Result<(), String> {
        match self.processes.ended(node, self.deadline)? {
            status if status.success() => Ok(()),
            status => Err(self.failed(&format!("node {node}: {status}"))),
        }
    }

    fn failed(&self, error: &str) -> String {
        let last = self.log.len().saturating_sub(SHOWN);
        format!("{error}; the last that nodes have said:\n{}", self.log[last..].join("\n"))
    }

    /// Processor time of all threads of a node, in seconds.
    fn cpu_seconds(&self, node: usize) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.processes.id(node)));
        let files = tasks.into_iter().flatten().flatten().map(|task| task.path().join("schedstat"));
        let texts = files.filter_map(|path| std::fs::read_to_string(path).ok());
        // In nanoseconds, where `stat` has hundredths of a second.
        texts.filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok()).sum::<f64>() / 1e9
    }
}
