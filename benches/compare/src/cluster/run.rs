//! Running a job over two processes, and what is measured of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::part::{Part, Role};
use super::processes::{Processes, Said};
use super::{gate, ports};
use crate::engines::Engine;
use crate::jobs::Job;
use crate::measure::{Report, Used, report};
use crate::tally::Totals;

/// How long a run may take, start and end included: several times as long as the slowest engine takes for 200 MB.
const LIMIT: Duration = Duration::from_secs(180);
/// How often it is looked whether connections of an engine that does not say so are there.
const LOOK: Duration = Duration::from_millis(1);

/// Runs `job` on `engine`, over two processes and those that the engine needs beside them.
///
/// # Errors
/// When a process cannot be started, fails, or takes too long.
pub fn run(engine: Engine, job: Job, input: Option<PathBuf>, rate: u64) -> Result<Report, String> {
    if !engine.runs(job, 2) {
        return Err(format!("{} has no {} over two processes", engine.name(), job.name()));
    }
    if input.is_none() && job.reads_text() {
        return Err(format!("{} needs --input", job.name()));
    }
    Session::start(engine, job, input, rate)?.measure()
}

struct Session {
    engine: Engine,
    job: Job,
    rate: u64,
    deadline: Instant,
    processes: Processes,
    roles: Vec<Role>,
}

impl Session {
    fn start(engine: Engine, job: Job, input: Option<PathBuf>, rate: u64) -> Result<Session, String> {
        let mut roles = vec![Role::First, Role::Second];
        roles.extend(engine.has_master().then_some(Role::Master));
        let [first, second] = ports::free()?;
        let mut processes = Processes::new();
        for role in &roles {
            let mut command = Command::new(std::env::current_exe().map_err(|error| error.to_string())?);
            command.args(["part", "--engine", engine.name(), "--job", job.name(), "--role", role.name()]);
            command.args(["--rate", &rate.to_string(), "--ports", &format!("{first},{second}")]);
            command.args(["--parent", &std::process::id().to_string()]);
            command.args(input.iter().flat_map(|path| ["--input".as_ref(), path.as_os_str()]));
            processes.start(command, false)?;
        }
        Ok(Session { engine, job, rate, deadline: Instant::now() + LIMIT, processes, roles })
    }

    fn measure(mut self) -> Result<Report, String> {
        self.all_ready()?;
        self.all_connected()?;
        let mut began = Instant::now();
        for process in 0..self.roles.len() {
            self.processes.tell(process, "go")?;
        }
        let (mut ended, mut parts) = (began, Vec::new());
        while parts.len() < self.roles.len() {
            let (at, line) = self.hear()?;
            match line.as_str() {
                gate::BEGIN => began = at,
                gate::END => ended = at,
                line => {
                    if let Some(json) = line.strip_prefix(gate::PART) {
                        let part: Part = serde_json::from_str(json).map_err(|error| format!("{json}: {error}"))?;
                        parts.push(part);
                    }
                }
            }
        }
        for process in 0..self.roles.len() {
            let status = self.processes.ended(process, self.deadline)?;
            if !status.success() {
                return Err(self.failed(process, &status.to_string()));
            }
        }
        Ok(self.report(&parts, (ended - began).as_secs_f64()))
    }

    /// What is said next.
    fn hear(&mut self) -> Result<(Instant, String), String> {
        loop {
            let heard = self.processes.hear(self.deadline);
            let name = self.engine.name();
            let Said { process, at, line } = heard.map_err(|error| format!("{name}, {}: {error}", self.job.name()))?;
            match line {
                Some(line) => return Ok((at, line)),
                None => {
                    let status = self.processes.ended(process, self.deadline)?;
                    if !status.success() {
                        return Err(self.failed(process, &status.to_string()));
                    }
                }
            }
        }
    }

    fn failed(&self, process: usize, how: &str) -> String {
        let (engine, job, role) = (self.engine.name(), self.job.name(), self.roles[process].name());
        format!("{engine}, {job}, {role} process: {how}")
    }

    /// Waits until each process has said that it is ready.
    fn all_ready(&mut self) -> Result<(), String> {
        let mut left: BTreeSet<usize> = (0..self.roles.len()).collect();
        while !left.is_empty() {
            let said = self.processes.hear(self.deadline).map_err(|error| {
                let (engine, job) = (self.engine.name(), self.job.name());
                format!("{engine}, {job}: {error}; not ready: {left:?}")
            })?;
            match said.line.as_deref() {
                Some(gate::READY) => drop(left.remove(&said.process)),
                Some(_) => {}
                None => return Err(self.failed(said.process, "ended before it was ready")),
            }
        }
        Ok(())
    }

    /// Waits for the connections of an engine that does not say when they are there.
    fn all_connected(&self) -> Result<(), String> {
        let Some((thread, count)) = self.engine.threads_of_connections(self.job) else { return Ok(()) };
        let threads = |process: usize| {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.processes.id(process)));
            let names = tasks.into_iter().flatten().flatten().map(|task| task.path().join("comm"));
            names.filter_map(|path| std::fs::read_to_string(path).ok()).filter(|name| name.starts_with(thread)).count()
        };
        while (0..self.roles.len()).map(threads).sum::<usize>() < count {
            if Instant::now() > self.deadline {
                return Err(format!("{}: {count} connections are not there", self.engine.name()));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn report(&self, parts: &[Part], seconds: f64) -> Report {
        let totals = Totals::default();
        parts.iter().for_each(|part| part.add_to(&totals));
        let used = Used {
            seconds,
            cpu_seconds: parts.iter().map(|part| part.cpu_seconds).sum(),
            peak_rss_mb: parts.iter().map(|part| part.peak_rss_mb).fold(0.0, f64::max),
        };
        // Of records that have come over the network.
        let latency = parts.iter().filter(|part| !part.emits).find_map(|part| part.latency.clone());
        report((self.engine, self.job, self.rate, 2), &totals, used, latency)
    }
}
