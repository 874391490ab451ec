//! Servers that live as long as a test.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a test waits for what must come: far longer than it takes on a machine with much else to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a directory of its own. Dropped, it is killed.
pub struct Server {
    pub port: u16,
    pub directory: TempDir,
    command: Box<dyn Fn(u16, &TempDir) -> Command + Send + Sync>,
    child: Option<Child>,
    /// By what it is killed.
    signal: Signal,
}

impl Server {
    /// A server that this starts, given its port and directory.
    pub fn start(command: impl Fn(u16, &TempDir) -> Command + Send + Sync + 'static) -> Server {
        Server::start_in(tempfile::tempdir().expect("a directory"), Signal::KILL, command)
    }

    /// One that runs in this directory, and is killed by this signal.
    pub fn start_in(
        directory: TempDir,
        signal: Signal,
        command: impl Fn(u16, &TempDir) -> Command + Send + Sync + 'static,
    ) -> Server {
        let mut server = Server { port: free_port(), directory, command: Box::new(command), child: None, signal };
        server.up();
        server
    }

    /// Starts it, again, and waits until it accepts connections.
    pub fn up(&mut self) {
        let mut command = (self.command)(self.port, &self.directory);
        let log = std::fs::File::create(self.directory.path().join("log")).expect("a file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let name = command.get_program().to_string_lossy().into_owned();
        let child =
            command.spawn().unwrap_or_else(|error| panic!("`{name}` cannot be started ({error}): scripts/setup"));
        self.child = Some(child);
        eventually("the server does not come up", || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(ended.is_none(), "`{name}` has ended: {}", self.log());
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Kills it, as a loss of power does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(Pid::from_child(&child), self.signal);
            let _ = child.wait();
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
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

/// Waits until something is so.
pub fn eventually(otherwise: &str, mut so: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < limit, "{otherwise}");
        std::thread::yield_now();
    }
}
