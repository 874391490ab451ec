//! `skitter new`: a package to begin with.

use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::output;
use crate::release::{Application, Dependency};
use crate::telemetry::events;

/// Make the package of a new application, which builds and runs as it is
#[derive(Debug, clap::Args)]
pub struct New {
    /// The name of the package, and of the directory that is made for it
    name: String,

    /// Depend on the checkout of Skitter in this directory [default: none; the published version
    /// is depended on]
    #[arg(long, value_name = "DIR", env = "SKITTER_NEW_PATH", hide_env_values = true)]
    #[arg(value_hint = clap::ValueHint::DirPath)]
    path: Option<PathBuf>,
}

/// Does it.
///
/// # Errors
/// When the name is none for a package, something of that name is there, or the directory cannot be written.
pub fn run(new: &New) -> Result<(), Failure> {
    let dependency = new.path.as_deref().map_or(Dependency::Version(events::VERSION), Dependency::Path);
    let made = Application::new(&new.name)?.create(Path::new("."), dependency)?;
    let name = made.file_name().unwrap_or_default().display();
    output::print(format!("Made `{name}`. Now: cd {name} && cargo test && cargo run -- local\n").as_bytes())
}
