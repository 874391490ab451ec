//! What a command can fail with, and the exit status of each.

use std::io;
use std::path::{Path, PathBuf};

use super::config::ConfigError;
use super::daemon::DaemonError;
use super::graphviz::GraphvizError;
use super::output;
use crate::node::NodeFailure;
use crate::release::ReleaseError;
use crate::state::StateError;
use crate::workflow::Error;

/// What a command failed with.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments are wrong, or ask for help.
    #[error("{0}")]
    Arguments(Box<clap::Error>),
    /// What was asked for is not there.
    #[error("{0}")]
    Usage(String),
    /// The configuration is unusable.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// A workflow cannot be built, cannot be deployed, or failed.
    #[error("workflow `{name}`: {source}")]
    Workflow {
        /// Its name.
        name: String,
        /// What happened.
        source: Box<Error>,
    },
    /// The same, and the log has said so.
    #[error("workflow `{name}`: {source}")]
    Logged {
        /// The name of the workflow.
        name: String,
        /// What happened.
        source: Box<Error>,
    },
    /// Who read stdout wants no more of it.
    #[error("stdout is closed")]
    OutputClosed,
    /// What was to be written cannot be.
    #[error("cannot write {}: {source}", named(.path.as_deref()))]
    Output {
        /// The file, or stdout.
        path: Option<PathBuf>,
        /// Why.
        source: io::Error,
    },
    /// What was to be read cannot be.
    #[error("cannot read stdin: {0}")]
    Input(io::Error),
    /// What was read from stdin has failed, and that has been said.
    #[error("a command has failed")]
    Said {
        /// The exit status of the first that failed.
        status: u8,
    },
    /// The system refuses what a node needs.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// A node of a cluster has ended otherwise than in order.
    #[error(transparent)]
    Node(#[from] NodeFailure),
    /// A daemon cannot be started, or talked to.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// Not all hosts did what they should; it has been said which, and why.
    #[error("not all hosts did what they should")]
    Rollout,
    /// What is to be brought to hosts is in no release.
    #[error(
        "this program is in no release, so there is nothing that hosts could have: make one by `release`, unpack it \
         and use its bin/skitter, or name a directory that all hosts have by --working-dir"
    )]
    NoRelease,
    /// A workflow cannot be drawn.
    #[error(transparent)]
    Draw(#[from] GraphvizError),
    /// A checkpoint is damaged; it has been said which, and how.
    #[error("not all that was saved is as it was written")]
    Damaged,
    /// What was saved cannot be used.
    #[error(transparent)]
    State(Box<StateError>),
    /// There is no release, or an unusable one.
    #[error(transparent)]
    Release(Box<ReleaseError>),
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Failure {
        Failure::Arguments(Box::new(error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Config(Box::new(error))
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Failure {
        Failure::State(Box::new(error))
    }
}

impl From<ReleaseError> for Failure {
    fn from(error: ReleaseError) -> Failure {
        Failure::Release(Box::new(error))
    }
}

fn named(path: Option<&Path>) -> String {
    path.map_or("to stdout".to_owned(), |path| format!("`{}`", path.display()))
}

impl Failure {
    /// The exit status. The only place where it is decided.
    pub fn status(&self) -> u8 {
        match self {
            Failure::Arguments(error) if !error.use_stderr() => 0,
            Failure::OutputClosed => 0,
            Failure::Workflow { .. } | Failure::Logged { .. } => 1,
            Failure::Output { .. } | Failure::Input(_) | Failure::Start(_) | Failure::Draw(_) => 1,
            Failure::Said { status } => *status,
            Failure::Node(NodeFailure::Start(_) | NodeFailure::Deployment { .. }) => 1,
            Failure::Arguments(_) | Failure::Usage(_) => 2,
            Failure::Node(NodeFailure::Unreachable(_) | NodeFailure::NameTaken(_)) => 3,
            Failure::Node(NodeFailure::MasterLost | NodeFailure::WorkersLost) => 4,
            Failure::Daemon(error) => error.status(),
            Failure::Config(_) | Failure::NoRelease => 5,
            Failure::Rollout => 6,
            Failure::Damaged => 1,
            Failure::State(error) => match **error {
                StateError::Damaged { .. } => 1,
                // The store, or a later version.
                _ => 5,
            },
            Failure::Release(error) => match **error {
                ReleaseError::Usage(_) => 2,
                ReleaseError::Unusable { .. } | ReleaseError::Broken { .. } | ReleaseError::Read { .. } => 5,
                // There is none, because something else went wrong.
                _ => 1,
            },
        }
    }

    /// Says it to the user.
    pub fn report(&self) {
        match self {
            // Help goes to stdout, errors with colours to stderr. Whoever does not want to read it need not.
            Failure::Arguments(error) => drop(error.print()),
            Failure::Logged { .. } | Failure::OutputClosed | Failure::Said { .. } => {}
            // The node has logged who, and why.
            Failure::Node(NodeFailure::Unreachable(_) | NodeFailure::MasterLost | NodeFailure::WorkersLost) => {}
            Failure::Daemon(DaemonError::Ended { log, .. }) => {
                output::pass_on(log);
                output::complain(self);
            }
            failure => output::complain(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StoreError;

    #[test]
    fn each_way_in_which_a_node_ends_has_its_status() {
        let deployment = NodeFailure::Deployment { name: "x".to_owned(), source: Box::new(Error::Aborted) };
        for (failure, status) in [
            (NodeFailure::Start("no".to_owned()), 1),
            (deployment, 1),
            (NodeFailure::Unreachable(Vec::new()), 3),
            (NodeFailure::NameTaken("no".to_owned()), 3),
            (NodeFailure::MasterLost, 4),
            (NodeFailure::WorkersLost, 4),
        ] {
            assert_eq!(Failure::from(failure).status(), status);
        }
        assert_eq!(Failure::from(ConfigError::NoHome).status(), 5);
    }

    #[test]
    fn each_way_in_which_state_is_unusable_has_its_status() {
        let what = || "it".to_owned();
        for (error, status) in [
            (StateError::Damaged { what: what(), why: what() }, 1),
            (StateError::Newer { what: what(), format: 2, known: 1 }, 5),
            (StateError::Store(StoreError::Missing(what())), 5),
        ] {
            assert_eq!(Failure::from(error).status(), status);
        }
        assert_eq!(Failure::Damaged.status(), 1);
    }

    #[test]
    fn each_way_in_which_there_is_no_release_has_its_status() {
        let error = || io::Error::other("x");
        for (failure, status) in [
            (ReleaseError::Usage(String::new()), 2),
            (ReleaseError::NoTool(String::new()), 1),
            (ReleaseError::Build(String::new()), 1),
            (ReleaseError::Write { path: "x".into(), source: error() }, 1),
            (ReleaseError::Read { path: "x".into(), source: error() }, 5),
            (ReleaseError::Unusable { path: "x".into(), reason: String::new() }, 5),
            (ReleaseError::Broken { path: "x".into(), faults: Vec::new() }, 5),
        ] {
            assert_eq!(Failure::from(failure).status(), status);
        }
    }
}
