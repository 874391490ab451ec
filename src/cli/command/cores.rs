//! How much of the machine a node takes.

use crate::cli::config::{Count, Settings};
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
}

impl Cores {
    /// These options, and those that were given at another place.
    pub fn and(self, other: Cores) -> Cores {
        Cores { cores: self.cores.or(other.cores), threads: self.threads.or(other.threads) }
    }

    /// Adds what the options say.
    pub fn options(&self, options: Settings) -> Settings {
        Settings { cores: self.cores, threads: self.threads, ..options }
    }
}

/// What a runtime is set up with by all that is configured.
pub fn runtime(settings: &Settings) -> runtime::Settings {
    let mut of_runtime = runtime::Settings::default();
    of_runtime.cores = settings.cores.map_or(of_runtime.cores, |Count(cores)| cores);
    of_runtime.threads = settings.threads.map_or(of_runtime.threads, |Count(threads)| threads);
    of_runtime
}
