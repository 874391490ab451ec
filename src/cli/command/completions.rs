//! `skitter completions`: for shells.

use clap_complete::Shell;

use crate::cli::failure::Failure;
use crate::cli::output;

/// Print a script that completes commands, options and names of workflows in a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Does it.
///
/// # Errors
/// When stdout takes no more.
pub fn run(mut parser: clap::Command, completions: &Completions) -> Result<(), Failure> {
    let name = parser.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut parser, name, &mut script);
    output::print(&script)
}
