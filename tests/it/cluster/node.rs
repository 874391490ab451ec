//! Nodes as processes, each test with a port mapper, a cookie and a directory of its own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::{TempDir, tempdir};

use crate::cli::process::{Ended, exact, faulty, log_line, peers, ring, skitter};

/// How long a test waits for what must come: many times what it takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A host of the test's own: a directory, a home with a cookie, and a port for the mapper.
pub struct Host {
    directory: TempDir,
    mapper: u16,
    program: fn(&Path) -> Command,
}

/// A port that was free a moment ago. Not one of those that the system gives to connections, which could take it before
/// who is to listen there does; and not near those of other tests, which run at the same time.
pub fn free_port() -> u16 {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let (first, last) = (10_000, 30_000);
    let dice = skitter::codec::stable_hash(&(std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed)));
    let start = first + u16::try_from(dice % u64::from(last - first)).unwrap_or(0);
    let mut ports = (start..last).chain(first..start);
    ports.find(|port| TcpListener::bind(("::", *port)).is_ok()).expect("a free port")
}

impl Host {
    /// With the bundled workflows.
    pub fn new() -> Host {
        Host { directory: tempdir().expect("a directory"), mapper: free_port(), program: skitter }
    }

    /// With workflows that go wrong, or have no end.
    pub fn faulty() -> Host {
        Host { program: faulty, ..Host::new() }
    }

    /// With the strategy of a user's.
    pub fn ring() -> Host {
        Host { program: ring, ..Host::new() }
    }

    /// With a workflow that shows whether something was lost.
    pub fn exact() -> Host {
        Host { program: exact, ..Host::new() }
    }

    /// With workflows that show what a bad peer does.
    pub fn peers() -> Host {
        Host { program: peers, ..Host::new() }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn mapper(&self) -> u16 {
        self.mapper
    }

    /// A program that is to run on this host.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = (self.program)(self.directory());
        command.env("HOME", self.directory()).env("SKITTER_HOST", "localhost");
        command.env("SKITTER_MAPPER_PORT", self.mapper.to_string()).env("SKITTER_CORES", "2").args(arguments);
        command
    }

    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Node {
        Node::start(self.command(arguments))
    }

    /// A worker that can be connected to.
    pub fn worker(&self, name: &str, options: &[&str]) -> Node {
        let node = self.start(["worker", "start", "--name", name].iter().chain(options));
        node.says(&format!("Reachable at `{name}@localhost`"));
        node
    }

    /// Runs a master to its end.
    pub fn master(&self, arguments: &[&str]) -> Ended {
        self.start(["master", "start"].iter().chain(arguments)).ended()
    }
}

#[derive(Default)]
struct Said {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

/// A process. It is killed when a test is done with it.
pub struct Node {
    child: Child,
    said: Arc<Said>,
    printed: Option<JoinHandle<String>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    #[expect(clippy::disallowed_methods, reason = "both streams have to be read at once, and end with the process")]
    pub fn start(mut command: Command) -> Node {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (mut stdout, stderr) = (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
        let said = Arc::new(Said::default());
        let lines = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lines.lock().unwrap_or_else(PoisonError::into_inner).0.push(line);
                lines.more.notify_all();
            }
            lines.lines.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            lines.more.notify_all();
        });
        let printed = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).expect("UTF-8");
            text
        });
        Node { child, said, printed: Some(printed) }
    }

    /// Waits for a line of the log that contains this text; gives it.
    pub fn says(&self, text: &str) -> String {
        self.says_times(text, 1)
    }

    /// Waits until so many lines contain this text; gives the last of them.
    pub fn says_times(&self, text: &str, times: usize) -> String {
        let limit = Instant::now() + PATIENCE;
        let mut said = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = said.0.iter().filter(|line| line.contains(text)).nth(times - 1) {
                return line.clone();
            }
            let left = limit.saturating_duration_since(Instant::now());
            assert!(!said.1 && !left.is_zero(), "`{text}` was not said {times} times, but:\n{}", said.0.join("\n"));
            said = self.said.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many lines of the log contain this text so far.
    pub fn said_times(&self, text: &str) -> usize {
        let said = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        said.0.iter().filter(|line| line.contains(text)).count()
    }

    /// That no line contains this text for a while.
    pub fn does_not_say(&self, text: &str, time: Duration) {
        let limit = Instant::now() + time;
        let mut said = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while !said.1 && Instant::now() < limit {
            assert!(!said.0.iter().any(|line| line.contains(text)), "{}", said.0.join("\n"));
            let left = limit.saturating_duration_since(Instant::now());
            said = self.said.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its resident memory, in kilobytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().as_raw_nonzero()));
        let status = status.expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it still runs");
    }

    /// Waits for its end.
    pub fn ended(self) -> Ended {
        self.ended_within(PATIENCE)
    }

    /// Waits for its end, for so long.
    pub fn ended_within(mut self, limit: Duration) -> Ended {
        let limit = Instant::now() + limit;
        let mut said = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while !said.1 {
            let left = limit.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it does not end, but says:\n{}", said.0.join("\n"));
            said = self.said.more.wait_timeout(said, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let stderr = said.0.iter().map(|line| format!("{line}\n")).collect();
        drop(said);
        let status = self.child.wait().expect("it ends").code();
        let stdout = self.printed.take().and_then(|printed| printed.join().ok()).expect("what it printed");
        Ended { status, stdout, stderr }
    }
}

/// The messages of a log.
pub fn messages(log: &str) -> Vec<&str> {
    log.lines().map(|line| log_line(line).unwrap_or_else(|| panic!("no line of a log: {line}")).1).collect()
}

/// The lines of a text, in order.
pub fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}
