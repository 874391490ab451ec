//! The agent: this program on a host that somebody deploys on, at the other end of an ssh session.
//!
//! It starts and stops workers by the commands that a user would use, in the release that it belongs to. What takes
//! long is done on threads, so that the end of its input is noticed meanwhile; see [`hosts`](crate::hosts) for what
//! follows then.

mod follow;
mod look;
mod releases;
mod watch;
mod work;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use self::follow::Follower;
use self::releases::Releases;
use super::build;
use super::command::WORKER_MODE;
use super::daemon::{DaemonError, Lock, Place};
use super::failure::Failure;
use crate::actor::{self, Census};
use crate::hosts::{Answer, LEASE, MARK, MAX_LINE, Request, line};
use crate::release::Release;

/// The lock of deployers is the place of a node of this mode.
const LOCK: &str = "deploy";

/// How long a worker may take to drain when its deployer is gone: nobody waits for its results.
const GONE: Duration = Duration::from_secs(1);

/// How long a worker may take to drain that is to stop.
const STOP: Duration = Duration::from_secs(30);

/// Events that wait; a deployer asks one thing at a time.
const QUEUE: usize = 16;

/// What happens to an agent.
enum Event {
    Asked(Request),
    /// Whoever asks is gone.
    Ended,
    /// What took long is done.
    Done(Answer),
}

struct Agent {
    events: Receiver<Event>,
    tell: SyncSender<Event>,
    /// Workers that this agent has started, or is about to.
    started: Vec<String>,
    followers: BTreeMap<String, Follower>,
    /// Something that takes long is under way.
    busy: bool,
    lock: Option<Lock>,
}

/// Does what is asked over stdin until that ends.
///
/// # Errors
/// When the system refuses what it takes.
pub fn run() -> Result<(), Failure> {
    let (tell, events) = sync_channel(QUEUE);
    let heard = tell.clone();
    let listen = move || listen(io::stdin(), &heard);
    actor::thread("skitter-agent".to_owned(), &Census::new(), listen, drop).map_err(Failure::Start)?;
    let build = build::fingerprint().map_err(Failure::Start)?.hex();
    let release = Release::here().ok().flatten().and_then(|release| release.sum().ok());
    say(&Answer::Hello { version: env!("CARGO_PKG_VERSION").to_owned(), build, release });
    Agent { events, tell, started: Vec::new(), followers: BTreeMap::new(), busy: false, lock: None }.run();
    Ok(())
}

/// Passes on what is asked.
fn listen(input: impl Read, tell: &SyncSender<Event>) {
    let mut input = BufReader::new(input);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut bytes);
        let event = match read {
            Ok(1..) => match serde_json::from_slice(&bytes) {
                Ok(request) => Event::Asked(request),
                Err(error) => Event::Done(Answer::Failed { why: format!("the agent does not understand: {error}") }),
            },
            _ => Event::Ended,
        };
        let last = matches!(event, Event::Ended);
        if tell.send(event).is_err() || last {
            return;
        }
    }
}

/// Says something on stdout. If nobody hears it, the end of the input says so, too.
fn say(answer: &Answer) {
    if let Ok(line) = line(answer, MARK) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

fn done(result: io::Result<()>) -> Answer {
    result.map_or_else(|error| failed(&error), |()| Answer::Done)
}

fn failed(error: &dyn std::error::Error) -> Answer {
    Answer::Failed { why: error.to_string() }
}

impl Agent {
    fn run(mut self) {
        let mut heard = Instant::now();
        // What this side has to say does not show that the other one is there.
        while let Ok(event) = self.events.recv_timeout((heard + LEASE).saturating_duration_since(Instant::now())) {
            match event {
                Event::Asked(request) => {
                    heard = Instant::now();
                    if let Some(answer) = self.asked(request) {
                        say(&answer);
                    }
                }
                Event::Done(answer) => self.done(&answer),
                Event::Ended => break,
            }
        }
        // What is about to start has to be up before it can be stopped.
        while self.busy
            && let Ok(event) = self.events.recv()
        {
            // Nobody would hear what came of it.
            self.busy = !matches!(event, Event::Done(_));
        }
        for name in std::mem::take(&mut self.started) {
            // One that has a master ends with it.
            if !matches!(look::running(&name), Ok(Some(running)) if running.master.is_some()) {
                work::stop(&name, GONE);
            }
        }
    }

    fn done(&mut self, answer: &Answer) {
        self.busy = false;
        if matches!(answer, Answer::Stopped { .. }) {
            // So that all it has written is told before.
            std::mem::take(&mut self.followers).into_values().for_each(Follower::finish);
        }
        say(answer);
    }

    /// The answer, if it is there at once.
    fn asked(&mut self, request: Request) -> Option<Answer> {
        if let Err(why) = request.check() {
            return Some(Answer::Failed { why });
        }
        match request {
            Request::Look { name } => Some(look::look(&name).unwrap_or_else(|error| failed(&error))),
            Request::Lock { name, holder } => Some(self.lock(&name, &holder)),
            Request::Start { name, arguments, cookie, directory, setup } => {
                self.started.push(name.clone());
                self.later(move || work::start(&name, &arguments, &cookie, directory.as_deref(), &setup))
            }
            Request::Stop { name } => self.later(move || work::stop(&name, STOP)),
            Request::Await { name, seconds } => {
                let limit = Duration::from_secs(seconds);
                self.later(move || work::ended(&name, limit))
            }
            Request::Follow { name } => Some(self.follow(name)),
            Request::Watch { name, pid } => Some(watch::watch(&name, pid).unwrap_or_else(|error| failed(&error))),
            Request::Log { name, lines, follow } => self.log(name, lines, follow),
            Request::Beat => None,
            Request::Switch { to } => Some(done(Releases::here().switch(&to))),
            Request::SwitchBack => Some(done(Releases::here().switch_back().map(drop))),
            Request::Leave => {
                self.started.clear();
                Some(Answer::Done)
            }
        }
    }

    fn later(&mut self, work: impl FnOnce() -> Answer + Send + 'static) -> Option<Answer> {
        let tell = self.tell.clone();
        let panicked = self.tell.clone();
        let work = move || drop(tell.send(Event::Done(work())));
        let lost = move |why| drop(panicked.send(Event::Done(Answer::Failed { why })));
        match actor::thread("skitter-agent".to_owned(), &Census::new(), work, lost) {
            Ok(()) => {
                self.busy = true;
                None
            }
            Err(error) => Some(failed(&error)),
        }
    }

    fn lock(&mut self, name: &str, holder: &str) -> Answer {
        let note = |place: &Place| place.directory().join("holder");
        let take = || {
            let place = Place::make(LOCK, name)?;
            let lock = place.lock()?;
            // Only for whoever wants to know; the lock counts.
            let _ = fs::write(note(&place), holder);
            Ok(lock)
        };
        match take() {
            Ok(lock) => {
                self.lock = Some(lock);
                Answer::Done
            }
            Err(DaemonError::Running { .. }) => {
                let holder = Place::of(LOCK, name).ok().and_then(|place| fs::read_to_string(note(&place)).ok());
                Answer::Busy { holder: holder.unwrap_or_else(|| "somebody".to_owned()) }
            }
            Err(error) => failed(&error),
        }
    }

    fn follow(&mut self, name: String) -> Answer {
        let follower = match Place::of(WORKER_MODE, &name) {
            Ok(place) => Follower::new(place.log(), None),
            Err(error) => return failed(&error),
        };
        self.keep(name, follower)
    }

    fn log(&mut self, name: String, lines: Option<u64>, follow: bool) -> Option<Answer> {
        let path = match Place::of(WORKER_MODE, &name) {
            Ok(place) => place.log(),
            Err(error) => return Some(failed(&error)),
        };
        let begin = match follow::last_lines(&path, lines) {
            Ok(begin) => begin,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let why = format!("there is no log of a worker `{name}`: none has run there as a daemon");
                return Some(Answer::Failed { why });
            }
            Err(error) => return Some(failed(&error)),
        };
        if follow {
            return Some(self.keep(name, Follower::new(path, Some(begin))));
        }
        self.later(move || {
            follow::pass_on(path, begin);
            Answer::Done
        })
    }

    fn keep(&mut self, name: String, follower: io::Result<Follower>) -> Answer {
        match follower {
            Ok(follower) => {
                self.followers.insert(name, follower);
                Answer::Done
            }
            Err(error) => failed(&error),
        }
    }
}
