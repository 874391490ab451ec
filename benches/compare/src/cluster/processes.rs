//! Processes that end with this one, and what they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

/// Ends this process when the one that started it, which has this number, ends in whatever way; across `exec`, too.
///
/// # Errors
/// When it has ended already, or the system refuses.
pub fn end_with(parent: u32) -> Result<(), String> {
    set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("cannot be told when the parent ends: {error}"))?;
    if getppid().as_raw() as u32 == parent { Ok(()) } else { Err("the parent has ended".to_owned()) }
}

/// Becomes another program, which ends with the process that started this one.
///
/// # Errors
/// Always: when there is no such program.
pub fn become_leashed(parent: u32, program: &[String]) -> Result<(), String> {
    end_with(parent)?;
    let (name, arguments) = program.split_first().ok_or("there is no program to start")?;
    Err(format!("{name}: {}", Command::new(name).args(arguments).exec()))
}

/// What a process has said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Which process, in the order in which they were started.
    pub process: usize,
    /// When it was heard.
    pub at: Instant,
    /// A line; none when one of its outputs has ended.
    pub line: Option<String>,
}

/// Processes that are killed when this is dropped.
pub struct Processes {
    children: Vec<Child>,
    say: Sender<Said>,
    heard: Receiver<Said>,
}

impl Processes {
    pub fn new() -> Processes {
        let (say, heard) = channel();
        Processes { children: Vec::new(), say, heard }
    }

    /// Starts a process and listens to what it says on stdout; on stderr, too, if `log`, which otherwise is that of
    /// this process. Returns its place.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, mut command: Command, log: bool) -> Result<usize, String> {
        let process = self.children.len();
        let stderr = if log { Stdio::piped() } else { Stdio::inherit() };
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn();
        let mut child = started.map_err(|error| format!("{command:?}: {error}"))?;
        let outputs: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|out| Box::new(out) as _)];
        self.children.push(child);
        for output in outputs.into_iter().flatten() {
            let say = self.say.clone();
            thread::spawn(move || listen(process, output, &say));
        }
        Ok(process)
    }

    /// Its number in the system.
    pub fn id(&self, process: usize) -> u32 {
        self.children[process].id()
    }

    /// Writes a line to a process.
    ///
    /// # Errors
    /// When it does not take it.
    pub fn tell(&mut self, process: usize, line: &str) -> Result<(), String> {
        let stdin = self.children[process].stdin.as_mut().ok_or("its stdin is closed")?;
        writeln!(stdin, "{line}").map_err(|error| format!("process {process} takes no line: {error}"))
    }

    /// Waits for what is said next.
    ///
    /// # Errors
    /// When nothing is said before `deadline`.
    pub fn hear(&self, deadline: Instant) -> Result<Said, String> {
        match self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(said) => Ok(said),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err("the processes have said nothing for too long".to_owned())
            }
        }
    }

    /// Sends a signal to a process.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, process: usize, signal: Signal) -> Result<(), String> {
        let id = Pid::from_raw(self.id(process) as i32);
        kill(id, signal).map_err(|error| format!("{signal} to process {process}: {error}"))
    }

    /// Waits for the end of a process.
    ///
    /// # Errors
    /// When it has not ended before `deadline`.
    pub fn ended(&mut self, process: usize, deadline: Instant) -> Result<ExitStatus, String> {
        loop {
            let status = self.children[process].try_wait().map_err(|error| error.to_string())?;
            match status {
                Some(status) => return Ok(status),
                None if Instant::now() > deadline => return Err(format!("process {process} does not end")),
                // There is no wait with a time-out; this one costs nothing that is measured.
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

fn listen(process: usize, output: impl Read, say: &Sender<Said>) {
    let mut output = BufReader::new(output);
    loop {
        let mut bytes = Vec::new();
        let read = output.read_until(b'\n', &mut bytes);
        let at = Instant::now();
        let line = match read {
            Ok(1..) => Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
            Ok(0) | Err(_) => None,
        };
        let over = line.is_none();
        if say.send(Said { process, at, line }).is_err() || over {
            return;
        }
    }
}
