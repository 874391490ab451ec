//! `skitter release`: the tarball that is copied to nodes, and whether one is as it was made.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::cli::app::App;
use crate::cli::config;
use crate::cli::failure::Failure;
use crate::cli::{build, output};
use crate::release::{self, Order, Packed, Tools};

/// Build the application in this directory, and pack it as the tarball for nodes
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Release {
    #[command(subcommand)]
    action: Option<Action>,

    /// The file to write [default: NAME-VERSION-TARGET.tar.gz]
    #[arg(short, long, value_name = "FILE", env = "SKITTER_RELEASE_OUTPUT", hide_env_values = true)]
    #[arg(value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,

    /// What it runs on, as Rust names it [default: this machine; on Linux its musl, which
    /// needs nothing of the system, where Rust and a C compiler for that are installed]
    #[arg(long, value_name = "TRIPLE", env = "SKITTER_RELEASE_TARGET", hide_env_values = true)]
    target: Option<String>,

    /// The program with the workflows, if the package has several [default: the only one, or
    /// the package's `default-run`]
    #[arg(long, value_name = "NAME", env = "SKITTER_RELEASE_BIN", hide_env_values = true)]
    bin: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    Verify(Verify),
}

/// Check each file of a release; exit status 5 if one differs, is missing or too much
#[derive(Debug, clap::Args)]
struct Verify {
    /// The tarball, or the directory that one was unpacked to
    #[arg(value_name = "FILE|DIR", value_hint = clap::ValueHint::AnyPath)]
    release: PathBuf,
}

/// Does it.
///
/// # Errors
/// When the application does not build, or the release is unusable.
pub fn run(app: &App, release: Release) -> Result<(), Failure> {
    if let Some(Action::Verify(Verify { release })) = release.action {
        let manifest = release::verify(&release)?;
        let (shown, files) = (release.display(), manifest.files.len());
        let release::Manifest { name, version, target, .. } = manifest;
        let text = format!("`{shown}` is {name} {version} for {target}; all {files} files are as they were made\n");
        return output::print(text.as_bytes());
    }
    let tools = Tools::new(&|name| std::env::var_os(name))?;
    let packed = release::make(
        &tools,
        &Order {
            directory: Path::new("."),
            program: release.bin.as_deref(),
            target: release.target.as_deref(),
            output: release.output.as_deref(),
            configuration: &configuration(app),
            fingerprint: &|program| Ok(release::hex(&build::digest_of(program)?.0)),
        },
    )?;
    let Packed { path, size, runs_on, .. } = packed;
    output::say(&format!("Packed {:.1} MB; it runs on {runs_on}", size as f64 / 1e6));
    output::print(format!("{}\n", path.strip_prefix(".").unwrap_or(&path).display()).as_bytes())
}

/// The text of `skitter.toml`, by what help says of the options of modes.
fn configuration(app: &App) -> String {
    let mut parser = super::parser(app);
    parser.build();
    config::listing(&|key| find(&parser, key))
}

/// What a command, or one inside of it, says of an option.
fn find(command: &clap::Command, option: &str) -> Option<String> {
    let own = command.get_arguments().find(|argument| argument.get_long() == Some(option));
    let help = own.and_then(clap::Arg::get_help).map(ToString::to_string);
    help.or_else(|| command.get_subcommands().find_map(|inner| find(inner, option)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_explains_every_key() {
        let text = configuration(&App::new("test", "1.2.3"));
        let described = text.split("\n\n").skip(1);
        let mut keys = 0;
        for part in described {
            let lines: Vec<_> = part.lines().collect();
            assert!(lines.len() >= 3, "{part}");
            assert!(lines[0].starts_with("# ") && lines[0].len() > 10, "{part}");
            assert!(part.contains("\n# Default: "), "{part}");
            assert!(lines[lines.len() - 1].starts_with('#') && lines[lines.len() - 1].contains(" = "), "{part}");
            keys += 1;
        }
        assert!(keys >= 18, "{text}");
        let level = "# What is logged: this and what is more important.\n# Default: info.\n#log-level = \"info\"\n";
        assert!(text.contains(level), "{text}");
        assert!(text.contains("The workflow to deploy.\n# Default: none.\n#deploy = "), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
}
