//! Nodes that run apart from the terminal: where their state is, how they are started, and how they are talked to.
//!
//! | file of a node's place | what |
//! |---|---|
//! | `pid` | the number of the process, locked by it as long as it lives: the lock counts, not the number |
//! | `control` | the control socket |
//! | `log` | what the node writes to stdout and stderr |
//! | `end` | the process that has ended as it should, and why: one that is not named there has died |
//! | `options` | what it was started with, for `restart`; no secret is in it |
//! | `history` | what was typed into the console |

mod child;
mod client;
mod launch;
mod log;
mod notify;
mod options;
mod place;
mod process;

use std::io;
use std::path::PathBuf;

pub use child::{Child, own_arguments};
pub use client::ask;
pub use launch::{launch, relaunch};
pub use notify::Notifier;
pub use options::{COOKIE, GO_ON, Options};
pub use place::{Lock, Place, state_directory};
pub use process::Process;

use crate::node::console::wire::Fault;

/// What goes wrong with daemons.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// There is no place for the state of a node.
    #[error("there is no place for the state of a node: {0}; set HOME, or XDG_RUNTIME_DIR")]
    NoPlace(String),
    /// The place is unfit.
    #[error("`{}`: {why}", .path.display())]
    Unfit {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Something in the place cannot be used.
    #[error("`{}` cannot be {action}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A node of this mode and name runs.
    #[error("{what} runs already, process {pid}")]
    Running {
        /// Its mode and name.
        what: String,
        /// Its process.
        pid: u32,
    },
    /// No node of this mode and name runs.
    #[error("{0} does not run")]
    NotRunning(String),
    /// It runs, and cannot be talked to.
    #[error("{what} runs, process {pid}, but does not answer: {why}")]
    Unanswered {
        /// Its mode and name.
        what: String,
        /// Its process.
        pid: u32,
        /// Why.
        why: String,
    },
    /// It says no.
    #[error("{message}")]
    Refused {
        /// Whose fault it is.
        kind: Fault,
        /// What it said.
        message: String,
    },
    /// It has ended before it was up; standard error has its last words.
    #[error("{what} has ended before it was up")]
    Ended {
        /// Its mode and name.
        what: String,
        /// Its exit status.
        status: u8,
        /// What it wrote.
        log: String,
    },
    /// It was not up in time, and has been ended.
    #[error("{what} was not up within {seconds} s, and has been ended; its log is `{}`", .log.display())]
    Late {
        /// Its mode and name.
        what: String,
        /// The time that it had.
        seconds: u64,
        /// What it wrote.
        log: PathBuf,
    },
    /// It cannot be ended.
    #[error("{what}, process {pid}, does not end, although it was killed: it waits for the system")]
    Undead {
        /// Its mode and name.
        what: String,
        /// Its process.
        pid: u32,
    },
    /// It cannot be started anew.
    #[error("{what} cannot be started anew: {why}")]
    NoSuccessor {
        /// Its mode and name.
        what: String,
        /// Why, and what to do.
        why: String,
    },
}

impl DaemonError {
    /// The exit status of a command that fails with it.
    pub fn status(&self) -> u8 {
        match self {
            DaemonError::Ended { status, .. } => *status,
            DaemonError::Refused { kind: Fault::Refused | Fault::NotUnderstood, .. } => 2,
            // As a name that another node of the host has.
            DaemonError::Running { .. } => 3,
            DaemonError::Unanswered { .. } | DaemonError::Refused { kind: Fault::Version | Fault::Busy, .. } => 3,
            DaemonError::NoPlace(_) | DaemonError::Unfit { .. } | DaemonError::NoSuccessor { .. } => 5,
            _ => 1,
        }
    }
}
