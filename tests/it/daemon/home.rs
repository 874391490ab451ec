//! A home of a test's own, with the daemons in it, which are gone when the test is.

use std::ffi::OsStr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::cli::process::{Ended, faulty, run, skitter};
use crate::cluster::node::free_port;
use crate::support::eventually;

/// A user's home. Each daemon in it has the path of it among its arguments, by which it is found and killed.
pub struct Home {
    directory: TempDir,
    below: PathBuf,
    mapper: u16,
    program: fn(&Path) -> Command,
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Home {
    /// With the bundled workflows.
    pub fn new() -> Home {
        Home::with(skitter, "")
    }

    /// With workflows that go wrong, or have no end.
    pub fn faulty() -> Home {
        Home::with(faulty, "")
    }

    /// As deep below other directories as this path.
    pub fn deep(below: &str) -> Home {
        Home::with(skitter, below)
    }

    fn with(program: fn(&Path) -> Command, below: &str) -> Home {
        let directory = tempdir().expect("a directory");
        let below = directory.path().join(below);
        std::fs::create_dir_all(&below).expect("directories");
        Home { directory, below, mapper: free_port(), program }
    }

    pub fn path(&self) -> &Path {
        &self.below
    }

    /// The program, in this home.
    pub fn command(&self) -> Command {
        let mut command = (self.program)(self.path());
        command.env("SKITTER_HOST", "localhost").env("SKITTER_MAPPER_PORT", self.mapper.to_string());
        command.env("SKITTER_CORES", "2").stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn say<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ended {
        run(self.command(), arguments)
    }

    /// What a command says in JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.say(arguments.iter().chain(&["--json"])).expect(0);
        serde_json::from_str(&ended.stdout).expect("JSON")
    }

    /// The directory of a node's state.
    pub fn place(&self, mode_and_name: &str) -> PathBuf {
        let all = std::fs::read_dir(self.path().join(".local/state/skitter")).expect("there is state");
        let mut all = all.map(|entry| entry.expect("readable").path());
        let is_it = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{mode_and_name}@")))
        };
        all.find(is_it).expect("it has a place")
    }

    /// What a daemon has written.
    pub fn log(&self, mode_and_name: &str) -> String {
        std::fs::read_to_string(self.place(mode_and_name).join("log")).expect("a log")
    }

    /// Waits until a daemon has written this.
    pub fn logs(&self, mode_and_name: &str, text: &str) {
        eventually(&format!("`{text}` was not written"), || self.log(mode_and_name).contains(text));
    }

    /// The number of a daemon's process.
    pub fn pid(&self, mode: &str, name: &str) -> Pid {
        let ended = self.say([mode, "pid", "-n", name]).expect(0);
        Pid::from_raw(ended.stdout.trim().parse().expect("a number")).expect("a process")
    }

    /// All daemons of this home.
    pub fn processes(&self) -> Vec<Pid> {
        let own = self.directory.path().as_os_str().as_encoded_bytes();
        let mine = |line: &[u8]| line.windows(own.len()).any(|part| part == own);
        let all = std::fs::read_dir("/proc").expect("processes").map_while(Result::ok);
        let mine = all.filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| mine(&line)));
        mine.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)).collect()
    }

    /// Waits until no daemon of this home is left.
    pub fn nobody_is_left(&self) {
        eventually("daemons are left", || self.processes().is_empty());
    }

    /// A connection to the control socket of a daemon.
    pub fn connect(&self, mode_and_name: &str) -> UnixStream {
        let stream = UnixStream::connect(self.place(mode_and_name).join("control")).expect("somebody listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
        stream
    }
}
