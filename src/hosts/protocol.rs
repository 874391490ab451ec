//! What is said between whoever deploys and the agent on a host: a line of JSON each.
//!
//! Both ends are programs of one build, which the first line says; what does not fit is refused, so there is no
//! version.

use std::path::{Component, Path};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::NodeName;

/// What an agent, and the shell that looks for it, put before each line of theirs, so that what else a login shell
/// prints is not taken for it.
pub const MARK: &str = "skitter-agent ";

/// How often whoever deploys says that it is there.
pub const BEAT: Duration = Duration::from_secs(2);

/// How long an agent waits for that: as long as ssh waits for a host that does not answer, so both sides give up alike.
pub const LEASE: Duration = Duration::from_secs(15);

/// Longest line, in bytes: the tail of a log is the longest that is said.
pub const MAX_LINE: usize = 1 << 20;

/// What an agent is told and asked. Each request but [`Beat`](Request::Beat) has one answer, in the order of the
/// requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// What there is. Answered by [`Answer::Found`].
    Look {
        /// The name of the worker that is to be started.
        name: String,
    },
    /// To keep others from deploying workers of a name on this host, as long as the agent lives. Answered by
    /// [`Answer::Done`] or [`Answer::Busy`].
    Lock {
        /// The name of the worker.
        name: String,
        /// Who asks, for the others.
        holder: String,
    },
    /// To start a worker. Answered by [`Answer::Started`].
    Start {
        /// Its name.
        name: String,
        /// The arguments behind `worker daemon`.
        arguments: Vec<String>,
        /// The secret of the cluster.
        cookie: String,
        /// The directory to run in, below that of the release, if it is not that one.
        directory: Option<String>,
        /// What tells all of this from what a worker is started with otherwise.
        setup: String,
    },
    /// To stop a worker, whoever has started it. Answered by [`Answer::Stopped`].
    Stop {
        /// Its name.
        name: String,
    },
    /// To pass on what the worker writes to its log, from the beginning of its life, as [`Answer::Line`]. Answered by
    /// [`Answer::Done`].
    Follow {
        /// Its name.
        name: String,
    },
    /// To say by [`Answer::Gone`] when a process of the worker has ended. Answered by [`Answer::Done`].
    Watch {
        /// Its name.
        name: String,
        /// The number of the process.
        pid: u32,
    },
    /// To wait until the worker has ended, and stop it after so many seconds. Answered by [`Answer::Stopped`].
    Await {
        /// Its name.
        name: String,
        /// How long it has.
        seconds: u64,
    },
    /// That whoever deploys is there; without that for [`LEASE`], the agent ends.
    Beat,
    /// To make the release at a place below the directory the one that counts. Answered by [`Answer::Done`].
    Switch {
        /// The place.
        to: String,
    },
    /// To make the release count that did before. Answered by [`Answer::Done`].
    SwitchBack,
    /// To pass on the last lines of a worker's log, as [`Answer::Line`], and, if it shall follow, all that come after.
    /// Answered by [`Answer::Done`], behind the last lines.
    Log {
        /// The name of the worker.
        name: String,
        /// How many lines; all, if it is not said.
        lines: Option<u64>,
        /// Whether to go on.
        follow: bool,
    },
    /// To let stand what was started, when the agent ends. Answered by [`Answer::Done`].
    Leave,
}

impl Request {
    /// That names in it are those of nodes, and the directory is below another one: they become parts of paths.
    ///
    /// # Errors
    /// When they are not; says which.
    pub fn check(&self) -> Result<(), String> {
        let (name, directory) = match self {
            Request::Start { name, directory, .. } => (name, directory.as_deref()),
            Request::Look { name }
            | Request::Lock { name, .. }
            | Request::Stop { name }
            | Request::Follow { name }
            | Request::Watch { name, .. }
            | Request::Await { name, .. }
            | Request::Log { name, .. } => (name, None),
            // Which of the releases there are it may be is looked at where they are known.
            Request::Beat | Request::Switch { .. } | Request::SwitchBack | Request::Leave => return Ok(()),
        };
        NodeName::new(name.as_str(), "localhost").map_err(|error| format!("{name:?} is no name: {}", error.why))?;
        let inside =
            |directory: &str| Path::new(directory).components().all(|part| matches!(part, Component::Normal(_)));
        match directory {
            Some(directory) if !inside(directory) => Err(format!("{directory:?} is no directory below the release")),
            _ => Ok(()),
        }
    }
}

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Its first words.
    Hello {
        /// The version of Skitter.
        version: String,
        /// The fingerprint of its build.
        build: String,
        /// What tells the release that it stands in from others, if it stands in one.
        release: Option<String>,
    },
    /// What there is.
    Found(Found),
    /// It is done.
    Done,
    /// Another deployer has this host.
    Busy {
        /// Who it is.
        holder: String,
    },
    /// The worker is up.
    Started(Running),
    /// The worker does not run any more, or did not.
    Stopped {
        /// Whether it ran.
        ran: bool,
    },
    /// It could not be done.
    Failed {
        /// Why.
        why: String,
    },
    /// A process that was watched has ended; no answer to a request.
    Gone(Gone),
    /// A line of a worker's log; no answer to a request.
    Line {
        /// Without its end.
        text: String,
    },
}

/// What an agent finds on its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The time of its clock, in milliseconds since 1970.
    pub clock: u64,
    /// Why the directory cannot be written to, if it cannot.
    pub unwritable: Option<String>,
    /// The worker of the name, if it runs.
    pub running: Option<Running>,
    /// The address by which ssh has come to this host.
    pub address: Option<String>,
    /// The release that counted before the one that counts.
    pub previous: Option<String>,
}

/// A worker that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The number of its process.
    pub pid: u32,
    /// Where it listens.
    pub port: u16,
    /// The fingerprint of its build.
    pub build: String,
    /// Its master.
    pub master: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it was started with, if it was by an agent: see [`Request::Start`].
    pub setup: Option<String>,
}

/// A process of a worker that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Its number.
    pub pid: u32,
    /// How it has ended.
    pub how: End,
}

/// How the process of a node has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was told to stop, or was about to.
    Stopped,
    /// It had done its work.
    Done,
    /// Neither: it was killed, or something has gone wrong.
    Died,
}

/// A line, with its mark and end.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn line(message: &impl Serialize, mark: &str) -> serde_json::Result<Vec<u8>> {
    let mut line = mark.as_bytes().to_vec();
    serde_json::to_writer(&mut line, message)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_request_leads_elsewhere() {
        let start = |name: &str, directory: Option<&str>| {
            let (name, directory) = (name.to_owned(), directory.map(str::to_owned));
            Request::Start { name, arguments: Vec::new(), cookie: String::new(), directory, setup: String::new() }
        };
        for directory in [None, Some("files/0123"), Some("..x")] {
            assert_eq!(start("w1", directory).check(), Ok(()), "{directory:?}");
        }
        for directory in ["..", "/etc", "files/../..", "./x"] {
            assert!(start("w1", Some(directory)).check().is_err(), "{directory}");
        }
        for name in ["", "../x", "a/b", "/x", "a\0b", "a\nb"] {
            let name = || name.to_owned();
            for request in [
                start(&name(), None),
                Request::Look { name: name() },
                Request::Lock { name: name(), holder: name() },
                Request::Stop { name: name() },
                Request::Follow { name: name() },
                Request::Watch { name: name(), pid: 1 },
                Request::Await { name: name(), seconds: 1 },
                Request::Log { name: name(), lines: None, follow: false },
            ] {
                assert!(request.check().is_err(), "{request:?}");
            }
        }
        assert_eq!(Request::Beat.check(), Ok(()));
    }

    #[test]
    fn lines_are_these() {
        let request = Request::Stop { name: "w".to_owned() };
        assert_eq!(line(&request, "").expect("JSON"), b"{\"stop\":{\"name\":\"w\"}}\n");
        assert_eq!(line(&Request::Leave, "").expect("JSON"), b"\"leave\"\n");
        let answer = Answer::Line { text: "a\nb".to_owned() };
        let text = line(&answer, MARK).expect("JSON");
        assert_eq!(text, b"skitter-agent {\"line\":{\"text\":\"a\\nb\"}}\n");
        assert_eq!(serde_json::from_slice::<Answer>(&text[MARK.len()..]).expect("it"), answer);
    }
}
