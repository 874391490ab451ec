//! `skitter help`.

use crate::cli::app::App;
use crate::cli::failure::Failure;

/// Describe the program, or a command of it
#[derive(Debug, Default, clap::Args)]
#[command(visible_alias = "h")]
pub struct Help {
    /// The command, such as `local` or `worker start`
    command: Vec<String>,
}

/// Does it: as `--help` behind the command.
///
/// # Errors
/// Always: the help, or that there is no such command.
pub fn run(app: &App, help: &Help) -> Result<(), Failure> {
    let command = help.command.iter().map(String::as_str);
    super::parse_again(app, &command.chain(["--help"]).collect::<Vec<_>>())
}
