//! What goes wrong with releases.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Most faults that a message lists: who has more of them has another release, or none.
const SHOWN: usize = 20;

/// Why there is no release, or why what is there is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// What was asked for cannot be done as it was asked for.
    #[error("{0}")]
    Usage(String),
    /// There is no such program on this machine.
    #[error("there is no `{0}` on this machine, which builds releases; install Rust (https://rustup.rs)")]
    NoTool(String),
    /// A program cannot be run.
    #[error("cannot run `{program}`: {source}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program that was asked something has failed.
    #[error("`{command}` failed: {said}")]
    Tool {
        /// The program and its arguments.
        command: String,
        /// What it said.
        said: String,
    },
    /// The application does not build; cargo has said why.
    #[error("the application does not build ({0})")]
    Build(String),
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something is no release.
    #[error("`{}` is no release: {reason}", .path.display())]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A release is not as it was made.
    #[error("`{}` is not as it was made; get it again, or make a new one:{}", .path.display(), Faults(.faults))]
    Broken {
        /// The file or directory.
        path: PathBuf,
        /// All that is wrong, by the paths of the files.
        faults: Vec<Fault>,
    },
}

/// What is wrong with a file of a release. Its path may be anybody's text, so it is shown with its special characters
/// escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is not there.
    Missing(String),
    /// It is there and does not belong to the release.
    TooMuch(String),
    /// It has other contents.
    Differs {
        /// The file.
        path: String,
        /// In which way.
        why: String,
    },
}

impl Fault {
    /// The file that it is about.
    pub fn path(&self) -> &str {
        match self {
            Fault::Missing(path) | Fault::TooMuch(path) | Fault::Differs { path, .. } => path,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().escape_debug();
        match self {
            Fault::Missing(_) => write!(f, "`{path}` is missing"),
            Fault::TooMuch(_) => write!(f, "`{path}` does not belong to it"),
            Fault::Differs { why, .. } => write!(f, "`{path}` {why}"),
        }
    }
}

/// Shows faults, each on a line.
struct Faults<'a>(&'a [Fault]);

impl fmt::Display for Faults<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(SHOWN).try_for_each(|fault| write!(f, "\n  {fault}"))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
