//! Runs programs, with a limit on how long they may take.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines};
use std::net::{Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::cargo::{example, outside};

/// How long a process may take before a test gives it up: hundreds of times what it needs.
const LIMIT: Duration = Duration::from_secs(120);

/// The bundled program, in an empty directory, which is its user's home, too, and without anything set.
pub fn skitter(directory: &Path) -> Command {
    clean(Path::new(env!("CARGO_BIN_EXE_skitter")), directory)
}

/// The example whose workflows go wrong.
pub fn faulty(directory: &Path) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    clean(PROGRAM.get_or_init(|| example("faulty")), directory)
}

/// The example with a strategy of a user's.
pub fn ring(directory: &Path) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    clean(PROGRAM.get_or_init(|| example("ring")), directory)
}

/// The example whose result shows whether something was lost.
pub fn exact(directory: &Path) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    clean(PROGRAM.get_or_init(|| example("exact")), directory)
}

/// The example that can be a bad peer.
pub fn peers(directory: &Path) -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    clean(PROGRAM.get_or_init(|| example("peers")), directory)
}

fn clean(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SKITTER_") || name == "RUST_BACKTRACE" {
            command.env_remove(name);
        }
    }
    outside(&mut command);
    // The state of nodes is below the home then.
    for name in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "NOTIFY_SOCKET"] {
        command.env_remove(name);
    }
    command.env("COLUMNS", "100").env("HOME", directory);
    command
}

/// A port for the port mapper of the nodes of a test, which nobody else uses: below those that the system gives away.
pub fn mapper_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u16 = 10_000;
    // Tests that run at the same time are processes with other numbers, or threads.
    const EACH: u32 = 16;
    let is_free = |port: &u16| TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)).is_ok();
    let ports = std::iter::repeat_with(|| {
        let number = std::process::id().wrapping_mul(EACH).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        FIRST + (number % 20_000) as u16
    });
    ports.take(1000).find(is_free).expect("a free port")
}

/// What a program has written and how it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ended {
    /// The same, if the status is this one.
    pub fn expect(self, status: i32) -> Ended {
        assert_eq!(self.status, Some(status), "{self:?}");
        self
    }
}

/// Runs a program to its end.
pub fn run<A: AsRef<OsStr>>(mut command: Command, arguments: impl IntoIterator<Item = A>) -> Ended {
    let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let id = Pid::from_child(&child);
    limited(id, || child.wait_with_output().expect("it ends")).into()
}

/// Does something with a process, which is killed when that takes too long.
fn limited<R>(id: Pid, work: impl FnOnce() -> R) -> R {
    std::thread::scope(|scope| {
        let (done, wait) = sync_channel::<()>(0);
        scope.spawn(move || {
            if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(id, Signal::KILL);
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// A program that runs. It is killed when a test is done with it.
pub struct Running {
    child: Child,
    /// What it writes to stdout and stderr, if that is read by lines.
    pub stdout: Option<Lines<BufReader<ChildStdout>>>,
    pub stderr: Option<Lines<BufReader<ChildStderr>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it still runs");
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    /// Reads stderr up to a line that contains this text.
    pub fn wait_for(&mut self, text: &str) -> String {
        let lines = self.stderr.as_mut().expect("stderr is read");
        let mut seen = String::new();
        for line in lines {
            let line = line.expect("UTF-8");
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        panic!("`{text}` was not said, but:\n{seen}");
    }
}

/// Starts a program whose standard streams are set up, and does something with it while it runs.
pub fn with<R>(mut command: Command, work: impl FnOnce(&mut Running) -> R) -> R {
    let mut child = command.spawn().expect("it starts");
    // It holds the child's side of the streams, whose end would not be seen.
    drop(command);
    let stdout = child.stdout.take().map(|pipe| BufReader::new(pipe).lines());
    let stderr = child.stderr.take().map(|pipe| BufReader::new(pipe).lines());
    let mut running = Running { child, stdout, stderr };
    limited(Pid::from_child(&running.child), || work(&mut running))
}

/// The level and the message of a line of the log: `[HH:MM:SS.mmm][level] message`.
pub fn log_line(line: &str) -> Option<(&str, &str)> {
    let (time, rest) = line.strip_prefix('[')?.split_once("][")?;
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let (level, message) = rest.split_once("] ")?;
    (shape == "00:00:00.000" && ["error", "warn", "info", "debug", "trace"].contains(&level))
        .then_some((level, message))
}

/// The lines of a log, each in its right form.
pub fn log(text: &str) -> Vec<(&str, &str)> {
    text.lines().map(|line| log_line(line).unwrap_or_else(|| panic!("no line of a log: {line:?}"))).collect()
}
