//! How much of the machine a node takes.

use std::path::PathBuf;

use crate::cli::config::{Count, Settings};
use crate::cli::daemon;
use crate::runtime;

/// Options of modes that run workers.
#[derive(Debug, Default, PartialEq, clap::Args)]
pub struct Cores {
    /// Workers of a vertex that is distributed over all cores [env: SKITTER_CORES] [default: the processors of the
    /// machine]
    #[arg(long, value_name = "N")]
    cores: Option<Count>,

    /// Threads that run workers [env: SKITTER_THREADS] [default: the processors of the machine]
    #[arg(long, value_name = "N")]
    threads: Option<Count>,

    /// The directory for records that operations fail on, with --on-error=dead-letter [env: SKITTER_DEAD_LETTERS]
    /// [default: ~/.local/state/skitter/dead-letters]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    dead_letters: Option<PathBuf>,
}

impl Cores {
    /// These options, and those that were given at another place.
    pub fn and(self, other: Cores) -> Cores {
        Cores {
            cores: self.cores.or(other.cores),
            threads: self.threads.or(other.threads),
            dead_letters: self.dead_letters.or(other.dead_letters),
        }
    }

    /// Adds what the options say.
    pub fn options(&self, options: Settings) -> Settings {
        Settings { cores: self.cores, threads: self.threads, dead_letters: self.dead_letters.clone(), ..options }
    }
}

/// What a runtime is set up with by all that is configured.
pub fn runtime(settings: &Settings) -> runtime::Settings {
    let mut of_runtime = runtime::Settings::default();
    of_runtime.cores = settings.cores.map_or(of_runtime.cores, |Count(cores)| cores);
    of_runtime.threads = settings.threads.map_or(of_runtime.threads, |Count(threads)| threads);
    of_runtime.on_error = settings.on_error.unwrap_or_default();
    let directory = settings.dead_letters.clone();
    let directory = directory.or_else(|| Some(daemon::state_directory()?.join("dead-letters")));
    // Where it is must not depend on where a process happens to work.
    of_runtime.dead_letters = directory.map(|path| std::path::absolute(&path).unwrap_or(path));
    of_runtime
}
