//! `skitter help`.

use crate::cli::app::App;
use crate::cli::failure::Failure;

/// Describe the program, or a command of it
#[derive(Debug, Default, clap::Args)]
#[command(visible_alias = "h")]
pub struct Help {
    /// The command
    command: Option<String>,
}

/// Does it: as `--help` behind the command.
///
/// # Errors
/// Always: the help, or that there is no such command.
pub fn run(app: &App, help: &Help) -> Result<(), Failure> {
    match &help.command {
        Some(command) => super::parse_again(app, &[command, "--help"]),
        None => super::parse_again(app, &["--help"]),
    }
}
