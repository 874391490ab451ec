//! Hosts for one test, by `scripts/testbed`.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::program::Program;

const TESTBED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/testbed");

/// Hosts, which are there until this is dropped or the test's process is gone.
pub struct Bed {
    child: Child,
    /// The hosts stay as long as this is open.
    leash: Option<ChildStdin>,
    directory: PathBuf,
    hosts: Vec<String>,
}

impl Bed {
    /// Makes this many hosts.
    pub fn up(hosts: usize) -> Bed {
        let mut command = Command::new(TESTBED);
        command.args(["with", &hosts.to_string(), "sh", "-c", "echo \"$TESTBED\" && exec cat"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (leash, mut line) = (child.stdin.take(), String::new());
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("UTF-8");
        assert!(line.ends_with('\n'), "there are no hosts: `scripts/testbed check` says why");
        let mut bed = Bed { child, leash, directory: PathBuf::from(line.trim_end()), hosts: Vec::new() };
        let status = bed.order(&["status"]);
        bed.hosts = status.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
        bed
    }

    /// The names of the hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(String::as_str)
    }

    /// Gives an order, such as `cut host-a host-b`; returns the answer.
    #[track_caller]
    pub fn order(&self, order: &[&str]) -> String {
        let mut command = self.command();
        let output = command.args(order).output().expect("it runs");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(output.status.success(), "{order:?}: {}", said(&output.stderr));
        said(&output.stdout)
    }

    /// Starts a program on a host.
    pub fn start(&self, host: &str, arguments: &[&str]) -> Program {
        let mut command = self.command();
        command.args(["exec", host]).args(arguments);
        Program::start(format!("{host}: {}", arguments.join(" ")), command)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(TESTBED);
        command.env("TESTBED", &self.directory).stdin(Stdio::null());
        command
    }

    /// The disk of a host: what is in its `/tmp`.
    pub fn disk(&self, host: &str) -> PathBuf {
        self.directory.join(host)
    }

    /// Where the testbed keeps what it has.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The process that holds all of it.
    pub fn process(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.leash = None;
        let _ = self.child.wait();
    }
}
