//! A host, with the agent that was started on it.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use openssh::{ChildStdin, ChildStdout, Session, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{interval, timeout};

use super::machine;
use super::protocol::{Answer, BEAT, Gone, MARK, MAX_LINE, Request, line};
use super::trouble::{Trouble, chain, one_line};
use crate::actor::{self, Task};

/// How long an agent may take to say its first words: a program is read from a disk.
const FIRST_WORDS: Duration = Duration::from_secs(20);

/// Processes that have ended and that nobody has heard of yet: a worker has one at a time.
const MOST_GONE: usize = 8;

/// Most bytes of what is said on stderr that are kept.
const MOST_SAID: u64 = 4096;

/// What finds the release and becomes the agent. Its arguments are the directory of the release, and where in it the
/// program is, if that is known.
const FIND: &str = r#"
say() { printf 'skitter-agent %s\n' "$1"; }
become() { [ -f "$1" ] && say "program $PWD/$1" && exec "$1" agent; }
say "machine $(uname -sm)"
if cd -- "$1" 2>/dev/null; then
    if [ -n "$2" ]; then become "$2"; else become current/bin/skitter || become bin/skitter; fi
fi
say "no release"
"#;

/// What was found where a release should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// What the system calls itself: kernel and machine.
    pub machine: String,
    /// The version of Skitter.
    pub version: String,
    /// The fingerprint of the build.
    pub build: String,
    /// What tells it from other releases, also of the same build.
    pub sum: Option<String>,
}

/// A host with an agent. Dropping it ends the agent, which then stops what it has started.
pub struct Host {
    name: String,
    release: Release,
    input: Arc<Mutex<Option<ChildStdin>>>,
    answers: Mutex<Answers>,
    gone: Mutex<mpsc::Receiver<Gone>>,
    /// Ends with the session.
    _reader: Task,
    _beats: Task,
    _session: Arc<Session>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("name", &self.name).field("release", &self.release).finish_non_exhaustive()
    }
}

/// What comes from a host.
type Answers = mpsc::Receiver<Result<Said, Trouble>>;

/// Takes lines of logs.
pub type Lines = mpsc::Sender<(String, String)>;

impl Host {
    /// Starts an agent over a session: the program that is known to be in the directory, or else that of the release
    /// that counts there. Lines of logs are given to `lines`, with the name.
    ///
    /// # Errors
    /// When there is no release, or it does not run.
    pub async fn start(
        session: Arc<Session>,
        name: &str,
        directory: &str,
        program: Option<&str>,
        lines: Lines,
    ) -> Result<Host, Trouble> {
        let mut command = Arc::clone(&session).arc_command("sh");
        command.args(["-c", FIND, "sh", directory, program.unwrap_or_default()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let lost = |error: openssh::Error| Trouble::Login(chain(&error));
        let mut child = command.spawn().await.map_err(lost)?;
        let input = child.stdin().take();
        let output = child.stdout().take().ok_or_else(|| Trouble::Lost("it has no output".to_owned()))?;
        let said: Arc<std::sync::Mutex<String>> = Arc::default();
        let (tell, mut answers) = mpsc::channel(8);
        let (tell_gone, gone) = mpsc::channel(MOST_GONE);
        let (heard, errors, own) = (Arc::clone(&said), child.stderr().take(), name.to_owned());
        let reader = actor::task(async move {
            let listen = async {
                let Some(errors) = errors else { return };
                let mut text = Vec::new();
                let _ = errors.take(MOST_SAID).read_to_end(&mut text).await;
                *heard.lock().unwrap_or_else(PoisonError::into_inner) = one_line(&String::from_utf8_lossy(&text));
            };
            tokio::join!(listen, read(output, own, (lines, tell_gone), &tell));
            let said = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = tell.send(Err(Trouble::Lost(said))).await;
            drop(child);
        });
        let release = timeout(FIRST_WORDS, first_words(&mut answers, directory)).await;
        let release = release.unwrap_or(Err(Trouble::Silent { what: "the program there", limit: FIRST_WORDS }))?;
        let input = Arc::new(Mutex::new(input));
        Ok(Host {
            name: name.to_owned(),
            release,
            _beats: actor::task(beats(Arc::clone(&input))),
            input,
            answers: Mutex::new(answers),
            gone: Mutex::new(gone),
            _reader: reader,
            _session: session,
        })
    }

    /// What was found there.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Asks the agent. One question at a time: others wait.
    ///
    /// # Errors
    /// When the connection is lost, the answer does not come in time, or the agent says no.
    pub async fn ask(&self, request: &Request, limit: Duration) -> Result<Answer, Trouble> {
        let asked = async {
            let mut answers = self.answers.lock().await;
            let line = line(request, "").map_err(|error| Trouble::Nonsense(error.to_string()))?;
            if let Some(input) = self.input.lock().await.as_mut() {
                // If it cannot be written, the reader says why.
                let _ = input.write_all(&line).await;
            }
            match answers.recv().await {
                Some(Ok(Said::Answer(Answer::Failed { why }))) => Err(Trouble::Refused(why)),
                Some(Ok(Said::Answer(answer))) => Ok(answer),
                Some(Ok(other)) => Err(Trouble::Nonsense(format!("{other:?}"))),
                Some(Err(trouble)) => Err(trouble),
                None => Err(Trouble::Lost(String::new())),
            }
        };
        timeout(limit, asked).await.unwrap_or(Err(Trouble::Silent { what: "the answer", limit }))
    }

    /// Waits until a process that is watched has ended; none will be heard of if the host is lost, or its agent has
    /// ended.
    pub async fn gone(&self) -> Option<Gone> {
        self.gone.lock().await.recv().await
    }

    /// Waits until the host is lost, or its agent has ended; says why.
    pub async fn lost(&self) -> Trouble {
        let mut answers = self.answers.lock().await;
        loop {
            match answers.recv().await {
                Some(Ok(_)) => {}
                Some(Err(trouble)) => return trouble,
                None => return Trouble::Lost(String::new()),
            }
        }
    }

    /// Lets the agent end, and waits for that: it stops what it has started, unless it was told to leave it.
    ///
    /// # Errors
    /// When it takes longer than this.
    pub async fn close(self, limit: Duration) -> Result<(), Trouble> {
        drop(self.input.lock().await.take());
        let mut answers = self.answers.into_inner();
        let ends = async { while answers.recv().await.is_some_and(|answer| answer.is_ok()) {} };
        timeout(limit, ends).await.map_err(|_| Trouble::Silent { what: "the end", limit })
    }
}

/// Says that this side is there, until it is not to be asked any more.
async fn beats(input: Arc<Mutex<Option<ChildStdin>>>) {
    let Ok(beat) = line(&Request::Beat, "") else { return };
    let mut due = interval(BEAT);
    loop {
        due.tick().await;
        let mut input = input.lock().await;
        let Some(input) = input.as_mut() else { return };
        if input.write_all(&beat).await.is_err() {
            return;
        }
    }
}

/// What comes from a host before and after its agent has begun.
#[derive(Debug)]
enum Said {
    /// What the system calls itself.
    Machine(String),
    /// Which program becomes the agent.
    Program(String),
    /// There is none where one was looked for.
    NoRelease,
    /// The agent.
    Answer(Answer),
}

impl Said {
    fn read(text: &str) -> Result<Said, Trouble> {
        match text.split_once(' ') {
            Some(("machine", machine)) => Ok(Said::Machine(machine.to_owned())),
            Some(("program", program)) => Ok(Said::Program(program.to_owned())),
            Some(("no", "release")) => Ok(Said::NoRelease),
            _ => {
                let answer = serde_json::from_str(text);
                answer.map(Said::Answer).map_err(|error| Trouble::Nonsense(format!("{error}: {text}")))
            }
        }
    }
}

/// Takes in what an agent says until it ends.
async fn read(
    output: ChildStdout,
    name: String,
    (lines, gone): (Lines, mpsc::Sender<Gone>),
    tell: &mpsc::Sender<Result<Said, Trouble>>,
) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = (&mut output).take(MAX_LINE as u64).read_until(b'\n', &mut bytes).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some(said) = text.trim_end().strip_prefix(MARK) else { continue };
        let sent = match Said::read(said) {
            Ok(Said::Answer(Answer::Line { text })) => lines.send((name.clone(), text)).await.is_ok(),
            Ok(Said::Answer(Answer::Gone(process))) => {
                // Nobody has to hear of it, and what else is said must not wait for that.
                let _ = gone.try_send(process);
                true
            }
            said => tell.send(said).await.is_ok(),
        };
        if !sent {
            return;
        }
    }
}

/// What a host says of itself, until its agent has begun.
async fn first_words(said: &mut Answers, directory: &str) -> Result<Release, Trouble> {
    let mut program = String::new();
    let mut release = Release { machine: String::new(), version: String::new(), build: String::new(), sum: None };
    loop {
        match said.recv().await {
            Some(Ok(Said::Machine(machine))) if !machine::runs_on(&machine) => {
                return Err(Trouble::OtherMachine { machine, own: machine::own() });
            }
            Some(Ok(Said::Machine(machine))) => release.machine = machine,
            Some(Ok(Said::Program(found))) => program = found,
            Some(Ok(Said::NoRelease)) => return Err(Trouble::NoRelease { directory: directory.to_owned() }),
            Some(Ok(Said::Answer(Answer::Hello { version, build, release: sum }))) => {
                return Ok(Release { version, build, sum, ..release });
            }
            Some(Ok(Said::Answer(other))) => return Err(Trouble::Nonsense(format!("{other:?}"))),
            Some(Err(Trouble::Lost(why))) if !program.is_empty() => {
                return Err(Trouble::NotRunnable { program, machine: release.machine, why });
            }
            Some(Err(trouble)) => return Err(trouble),
            None => return Err(Trouble::Lost(String::new())),
        }
    }
}
