//! An application: its name, its version, its workflows.

use std::ffi::OsString;
use std::process::ExitCode;

use super::command;
use super::entry::WorkflowEntry;
use super::failure::Failure;

/// A program with its workflows. [`main`] is all that most need; this is for one that states its version, most easily
/// made by [`skitter::app!()`](crate::app).
#[derive(Clone, Debug)]
pub struct App {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) workflows: Vec<WorkflowEntry>,
}

/// An [`App`] with the name and the version of the package that this is written in.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     skitter::app!().workflows(&[]).main()
/// }
/// ```
#[macro_export]
macro_rules! app {
    () => {
        $crate::App::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    };
}

/// Runs the command line of a program with these workflows: all that its `main` has to do. The first workflow, or the
/// one that is marked as [`default`](WorkflowEntry::default), is deployed when none is named.
///
/// It reads the process's arguments, environment and `skitter.toml`, writes to its stdout and stderr, takes over SIGINT
/// and SIGTERM, and sets the panic hook and the process's subscriber of [`tracing`]. Returns the exit status:
///
/// | status | when |
/// |---|---|
/// | 0 | the workflow completed, or the node was stopped by a signal and drained |
/// | 1 | the workflow failed; the node that is to be managed does not run; a checkpoint is damaged |
/// | 2 | wrong use: an unknown command, option, workflow or argument |
/// | 3 | a node could not be reached, refused the connection or does not answer, or another one has the name |
/// | 4 | a remote node went away and the node was told to stop with it |
/// | 5 | the configuration, the cookie, a release or the store of checkpoints is unusable |
///
/// A second signal ends the process with status 128 and the number of the signal.
pub fn main(workflows: &[WorkflowEntry]) -> ExitCode {
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    let name = program.as_deref().and_then(std::path::Path::file_stem).map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| "skitter".to_owned());
    App { name, version: None, workflows: workflows.to_vec() }.main()
}

impl App {
    /// A program of this name and version, without workflows.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> App {
        App { name: name.into(), version: Some(version.into()), workflows: Vec::new() }
    }

    /// Adds workflows.
    #[must_use]
    pub fn workflows(mut self, workflows: &[WorkflowEntry]) -> App {
        self.workflows.extend_from_slice(workflows);
        self
    }

    /// See [`main`].
    pub fn main(self) -> ExitCode {
        self.run(std::env::args_os().collect()).unwrap_or_else(|failure| {
            failure.report();
            ExitCode::from(failure.status())
        })
    }

    fn run(&self, arguments: Vec<OsString>) -> Result<ExitCode, Failure> {
        self.check()?;
        command::run(self, arguments)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What a program can have wrong.
    fn check(&self) -> Result<(), Failure> {
        let mut seen = std::collections::BTreeSet::new();
        match self.workflows.iter().find(|entry| !seen.insert(entry.name)) {
            Some(twice) => Err(Failure::Usage(format!("this program has two workflows named `{}`", twice.name))),
            None => Ok(()),
        }
    }

    /// The workflow that is deployed when none is named.
    pub(super) fn default_workflow(&self) -> Option<&WorkflowEntry> {
        self.workflows.iter().find(|entry| entry.is_default).or(self.workflows.first())
    }

    /// The workflow of this name.
    pub(super) fn find(&self, name: &str) -> Option<&WorkflowEntry> {
        self.workflows.iter().find(|entry| entry.name == name)
    }

    /// What is said of a name that no workflow has.
    pub(super) fn no_such_workflow(&self, name: &str) -> String {
        let near = |entry: &&WorkflowEntry| strsim::jaro_winkler(entry.name, name);
        let nearest =
            self.workflows.iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|entry| near(entry) > 0.7);
        let suggestion = nearest.map(|entry| format!("; did you mean `{}`?", entry.name)).unwrap_or_default();
        let names: Vec<_> = self.workflows.iter().map(|entry| entry.name).collect();
        format!("there is no workflow `{name}`{suggestion} (there is {})", names.join(", "))
    }

    /// `name version`, as far as known.
    pub(super) fn version(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.name),
            None => format!("{}, version not stated", self.name),
        }
    }
}
