//! The machine that measures, and what was measured on it.

use std::fmt;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A description of machine and build, for the results.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Machine {
    /// The day, in UTC.
    pub date: String,
    /// The commit of Skitter; with `+` when files were changed.
    pub commit: String,
    pub processor: String,
    pub processors: usize,
    pub memory_gb: f64,
    pub kernel: String,
    pub rustc: String,
    /// How many threads wanted to run, on average over the minute before: near 0 on a quiet machine.
    pub load: f64,
}

impl Machine {
    /// This machine, now.
    pub fn here() -> Machine {
        let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map_or_else(unknown, |(_, value)| value.trim().to_owned())
        };
        let kib = field(&file("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse::<f64>();
        let load = file("/proc/loadavg").split_whitespace().next().and_then(|load| load.parse().ok());
        let changed =
            output("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|it| !it.is_empty());
        let commit = output("git", &["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(unknown);
        Machine {
            date: output("date", &["-u", "+%F"]).unwrap_or_else(unknown),
            commit: if changed { commit + "+" } else { commit },
            processor: field(&file("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gb: kib.map_or(0.0, |kib| kib * 1024.0 / 1e9),
            kernel: format!("Linux {}", file("/proc/sys/kernel/osrelease").trim()),
            rustc: output("rustc", &["--version"]).unwrap_or_else(unknown),
            load: load.unwrap_or_default(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { date, commit, processor, processors, memory_gb, kernel, rustc, load } = self;
        write!(
            f,
            "{date}, commit {commit}: {processor}, {processors} processors, {memory_gb:.0} GB of memory, {kernel}, "
        )?;
        write!(f, "{rustc}, load before the first run {load:.2}")
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// What a command prints, without the last line end.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
