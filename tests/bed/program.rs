//! A program that runs on a host: what it says, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::cargo::example;

/// How long anything may take that has no limit of its own: many times what it takes on a machine that has much to do.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The example whose result shows whether something was lost.
pub fn exact() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("exact"))
}

/// A program that runs on a host. It ends with the host.
pub struct Program {
    name: String,
    id: Pid,
    state: Arc<(Mutex<State>, Condvar)>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// What it has written.
    stderr: Vec<String>,
    /// What it has written to stdout.
    stdout: Vec<String>,
    /// Its exit status.
    ended: Option<i32>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    pub name: String,
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Starts it; it is called by this name when it does not what it should.
    pub fn start(name: String, mut command: Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let (stdout, stderr) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let print = reader(stdout, &state, |state, line| state.stdout.push(line));
        let say = reader(stderr, &state, |state, line| state.stderr.push(line));
        Program { name, id: Pid::from_child(&child), threads: vec![waiter(child, [print, say], &state)], state }
    }

    fn wait<R>(&self, limit: Duration, mut until: impl FnMut(&State) -> Option<R>) -> Result<R, String> {
        let (state, changed) = &*self.state;
        let end = Instant::now() + limit;
        let mut state = locked(state);
        loop {
            if let Some(result) = until(&state) {
                return Ok(result);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended.is_some() {
                let ended = state.ended.map_or("it runs".to_owned(), |status| format!("it ended with {status}"));
                return Err(format!("`{}`, of which {ended}, said:\n{}", self.name, state.stderr.join("\n")));
            }
            state = changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.id, signal).expect("it still runs");
    }

    /// Waits until it has said this; returns when that was seen.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> Instant {
        self.wait_for_times(text, 1)
    }

    /// Waits until it has said this so many times; returns when that was seen.
    #[track_caller]
    pub fn wait_for_times(&self, text: &str, times: usize) -> Instant {
        let said = |state: &State| state.stderr.iter().filter(|line| line.contains(text)).count() >= times;
        let said = self.wait(PATIENCE, |state| said(state).then(Instant::now));
        said.unwrap_or_else(|said| panic!("{text:?} was not said {times} times; {said}"))
    }

    /// How often it has said this so far.
    pub fn said_times(&self, text: &str) -> usize {
        locked(&self.state.0).stderr.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until it has said this, or has ended; returns whether it has said it.
    pub fn says(&self, text: &str) -> bool {
        let said = |state: &State| state.stderr.iter().any(|line| line.contains(text)).then_some(());
        self.wait(PATIENCE, said).is_ok()
    }

    /// Waits until it has printed this many lines with this in them; returns when that was seen.
    #[track_caller]
    pub fn wait_for_output(&self, text: &str, lines: usize) -> Instant {
        let printed = |state: &State| state.stdout.iter().filter(|line| line.contains(text)).count() >= lines;
        let printed = self.wait(PATIENCE, |state| printed(state).then(Instant::now));
        printed.unwrap_or_else(|said| panic!("{text:?} was not printed {lines} times; {said}"))
    }

    /// Waits until it has printed this many lines.
    #[track_caller]
    pub fn wait_for_lines(&self, lines: usize) {
        let printed = |state: &State| (state.stdout.len() >= lines).then_some(());
        self.wait(PATIENCE, printed).unwrap_or_else(|said| panic!("{lines} lines were not printed; {said}"));
    }

    /// Waits this long, in which the program must not end.
    #[track_caller]
    pub fn goes_on_for(&self, time: Duration) {
        if let Ok(status) = self.wait(time, |state| state.ended) {
            panic!("it ended with {status}; {:?}", self.wait(Duration::ZERO, |_| None::<()>));
        }
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        let status = self.wait(PATIENCE, |state| state.ended).unwrap_or_else(|said| panic!("it does not end; {said}"));
        for thread in self.threads.drain(..) {
            thread.join().expect("it reads");
        }
        let state = locked(&self.state.0);
        let (stdout, stderr) = (state.stdout.join("\n"), state.stderr.join("\n"));
        Ended { name: self.name.clone(), status, stdout, stderr }
    }
}

impl Ended {
    /// The same, if the exit status is this one.
    #[track_caller]
    pub fn with(self, status: i32) -> Ended {
        assert_eq!(self.status, status, "`{}` printed:\n{}\nand said:\n{}", self.name, self.stdout, self.stderr);
        self
    }

    /// The same, if it has said all of this.
    #[track_caller]
    pub fn said(self, texts: &[&str]) -> Ended {
        for text in texts {
            assert!(self.stderr.contains(text), "`{}` did not say {text:?}, but:\n{}", self.name, self.stderr);
        }
        self
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes in the lines that come.
#[expect(clippy::disallowed_methods, reason = "it is joined when the program has ended")]
fn reader(
    pipe: impl Read + Send + 'static,
    state: &Arc<(Mutex<State>, Condvar)>,
    take: impl Fn(&mut State, String) + Send + 'static,
) -> JoinHandle<()> {
    let state = Arc::clone(state);
    spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            take(&mut locked(&state.0), line);
            state.1.notify_all();
        }
    })
}

/// Waits until the program has ended and all that it wrote has been read.
#[expect(clippy::disallowed_methods, reason = "it is joined when the program has ended")]
fn waiter(mut child: Child, readers: [JoinHandle<()>; 2], state: &Arc<(Mutex<State>, Condvar)>) -> JoinHandle<()> {
    let state = Arc::clone(state);
    spawn(move || {
        let status = child.wait().expect("it ends");
        for reader in readers {
            let _ = reader.join();
        }
        locked(&state.0).ended = Some(status.code().unwrap_or(-1));
        state.1.notify_all();
    })
}
