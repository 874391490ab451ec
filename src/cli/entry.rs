//! A workflow of an application: its name, its arguments, and how it is built.

use std::ffi::OsString;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::failure::Failure;
use crate::actor;
use crate::workflow::{Error, Result, Workflow};

/// A workflow that a program carries. Made by [`workflow`].
#[derive(Clone)]
pub struct WorkflowEntry {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) is_default: bool,
    recipe: Arc<dyn Recipe>,
}

impl fmt::Debug for WorkflowEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkflowEntry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The arguments of a workflow that has none.
#[derive(Debug, clap::Args)]
pub struct NoArgs {}

/// A workflow for [`main`](super::main): its name, one line that describes it, and the function that builds it from its
/// arguments, a type that implements [`clap::Args`] ([`NoArgs`] if it has none).
///
/// Arguments of a workflow stand behind `--`: `skitter local -d squares -- --most 5`.
///
/// ```
/// use skitter::clap;
/// use skitter::prelude::*;
///
/// #[derive(clap::Args)]
/// struct Squares {
///     /// How many numbers to square.
///     #[arg(long, default_value_t = 10)]
///     most: u64,
/// }
///
/// fn squares(args: &Squares) -> Result<Workflow> {
///     let workflow = WorkflowBuilder::new();
///     let most = args.most;
///     workflow.source(StreamSource::new(move || 0..most)).map(|n| n * n).discard();
///     workflow.build()
/// }
///
/// let entry = skitter::workflow("squares", "Squares numbers", squares);
/// assert_eq!(entry.name(), "squares");
/// ```
pub fn workflow<A, F>(name: &'static str, description: &'static str, build: F) -> WorkflowEntry
where
    A: clap::Args + 'static,
    F: Fn(&A) -> Result<Workflow> + Send + Sync + 'static,
{
    let recipe = Arc::new(Typed { build, arguments: PhantomData });
    WorkflowEntry { name, description, is_default: false, recipe }
}

impl WorkflowEntry {
    /// Makes it the workflow that is deployed when none is named. Otherwise that is the first one of the program.
    #[must_use]
    pub fn default(mut self) -> WorkflowEntry {
        self.is_default = true;
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The line that describes it.
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// Checks arguments, without building it. `command` is what stands before them, for the messages.
    pub(super) fn check(&self, command: &str, arguments: Vec<OsString>) -> Result<(), Failure> {
        Ok(self.parser(command).try_get_matches_from(arguments).map(drop)?)
    }

    fn parser(&self, command: &str) -> clap::Command {
        let parser = clap::Command::new(command.to_owned())
            .bin_name(command.to_owned())
            .about(self.description)
            .no_binary_name(true);
        self.recipe.describe(parser)
    }

    /// Builds it. `command` is what stands before the arguments, for the messages.
    pub(super) fn build(&self, command: &str, arguments: Vec<OsString>) -> Result<Workflow, Failure> {
        let parser = self.parser(command);
        let built = actor::catch(|| self.recipe.build(parser, arguments));
        let built = built.unwrap_or_else(|message| Ok(Err(Error::Panic(message))))?;
        built.map_err(|source| Failure::Workflow { name: self.name.to_owned(), source: Box::new(source) })
    }
}

/// A workflow with the type of its arguments erased.
trait Recipe: Send + Sync {
    fn describe(&self, parser: clap::Command) -> clap::Command;
    fn build(&self, parser: clap::Command, arguments: Vec<OsString>) -> Result<Result<Workflow>, clap::Error>;
}

struct Typed<A, F> {
    build: F,
    arguments: PhantomData<fn() -> A>,
}

impl<A, F> Recipe for Typed<A, F>
where
    A: clap::Args,
    F: Fn(&A) -> Result<Workflow> + Send + Sync,
{
    fn describe(&self, parser: clap::Command) -> clap::Command {
        A::augment_args(parser)
    }

    fn build(&self, mut parser: clap::Command, arguments: Vec<OsString>) -> Result<Result<Workflow>, clap::Error> {
        let matches = parser.try_get_matches_from_mut(arguments)?;
        let arguments = A::from_arg_matches(&matches).map_err(|error| error.format(&mut parser))?;
        Ok((self.build)(&arguments))
    }
}
