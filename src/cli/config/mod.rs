//! Settings: defaults, then `skitter.toml`, then the environment, then options; the later one counts.
//!
//! A setting has one name in three forms: option `--log-level`, key `log-level` in the file, variable
//! `SKITTER_LOG_LEVEL`.

mod environment;
mod file;
mod listing;
mod saving;
mod values;

use std::io;
use std::path::{Path, PathBuf};

pub use self::listing::listing;
pub use self::saving::{Interval, Kept, Number, Restarts, StoreUrl};
pub use self::values::{Choice, CookieSource, Count, Host, Listen, LogFiles, Name, Port, Seconds};
use crate::id::Tag;
use crate::net::{CookieError, TlsError, TlsFiles};
use crate::runtime::OnError;
use crate::telemetry::{Format, Level};

/// The file that is read when none is named, if it is there.
const FILE: &str = "skitter.toml";

/// Names the file.
const FILE_VARIABLE: &str = "SKITTER_CONFIG";

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {what} `{}`: {source}", .path.display())]
    Read {
        /// What it is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something at a place of a file, or in an option or variable, is wrong.
    #[error("{at}: {reason}")]
    At {
        /// The file, line and column; the option; or the variable.
        at: String,
        /// What is wrong.
        reason: String,
    },
    /// A variable has a value that means nothing.
    #[error("environment variable {variable}=`{value}`: {reason}")]
    Variable {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        reason: String,
    },
    /// There is no cookie to be had.
    #[error(transparent)]
    Cookie(#[from] CookieError),
    /// There is no TLS to be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of the user's cookie has no place.
    #[error("there is no home directory to keep a cookie in; name a file by --cookie-file or SKITTER_COOKIE_FILE")]
    NoHome,
    /// Checkpoints have no place.
    #[error(
        "there is no home directory to keep checkpoints in; name a place by --checkpoint-store or \
         SKITTER_CHECKPOINT_STORE"
    )]
    NoStore,
}

/// What one layer says; or all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The workflow.
    pub deploy: Option<Choice>,
    /// Workers of a vertex on a node.
    pub cores: Option<Count>,
    /// Threads that run workers.
    pub threads: Option<Count>,
    /// The name of the node on its host.
    pub name: Option<Name>,
    /// The host that others reach the node by.
    pub host: Option<Host>,
    /// The properties of the node.
    pub tags: Option<Vec<Tag>>,
    /// Where the node listens.
    pub listen: Option<Listen>,
    /// Where the port mapper of a host listens.
    pub mapper_port: Option<Port>,
    /// The file that lists workers.
    pub worker_file: Option<PathBuf>,
    /// Whether a master stops when a worker goes away.
    pub shutdown_with_workers: Option<bool>,
    /// Whether a worker stays when its master goes away.
    pub no_shutdown_with_master: Option<bool>,
    /// How long a worker waits for a master.
    pub adopt_timeout: Option<Seconds>,
    /// How often the state of workflows is saved.
    pub checkpoint_interval: Option<Interval>,
    /// And where.
    pub checkpoint_store: Option<StoreUrl>,
    /// How long one waits for what is under way.
    pub unaligned_after: Option<Interval>,
    /// How many checkpoints are kept.
    pub checkpoints_kept: Option<Kept>,
    /// How long a lost worker is waited for.
    pub recovery_wait: Option<Seconds>,
    /// How often a workflow is restarted within a minute.
    pub max_restarts: Option<Restarts>,
    /// What follows when user code fails on a record.
    pub on_error: Option<OnError>,
    /// The directory of dead letters.
    pub dead_letters: Option<PathBuf>,
    /// Where the cookie is from.
    pub cookie: Option<CookieSource>,
    /// The file of the node's certificate.
    pub tls_cert: Option<PathBuf>,
    /// The file of its key.
    pub tls_key: Option<PathBuf>,
    /// The file of the CA of all nodes.
    pub tls_ca: Option<PathBuf>,
    /// Where the log is written to, beside stderr.
    pub log_files: Option<LogFiles>,
    /// What is logged.
    pub log_level: Option<Level>,
    /// And how.
    pub log_format: Option<Format>,
}

impl Settings {
    /// This layer, and where it says nothing, the one below it.
    fn over(self, lower: Settings) -> Settings {
        Settings {
            deploy: self.deploy.or(lower.deploy),
            cores: self.cores.or(lower.cores),
            threads: self.threads.or(lower.threads),
            name: self.name.or(lower.name),
            host: self.host.or(lower.host),
            tags: self.tags.or(lower.tags),
            listen: self.listen.or(lower.listen),
            mapper_port: self.mapper_port.or(lower.mapper_port),
            worker_file: self.worker_file.or(lower.worker_file),
            shutdown_with_workers: self.shutdown_with_workers.or(lower.shutdown_with_workers),
            no_shutdown_with_master: self.no_shutdown_with_master.or(lower.no_shutdown_with_master),
            adopt_timeout: self.adopt_timeout.or(lower.adopt_timeout),
            checkpoint_interval: self.checkpoint_interval.or(lower.checkpoint_interval),
            checkpoint_store: self.checkpoint_store.or(lower.checkpoint_store),
            unaligned_after: self.unaligned_after.or(lower.unaligned_after),
            checkpoints_kept: self.checkpoints_kept.or(lower.checkpoints_kept),
            recovery_wait: self.recovery_wait.or(lower.recovery_wait),
            max_restarts: self.max_restarts.or(lower.max_restarts),
            on_error: self.on_error.or(lower.on_error),
            dead_letters: self.dead_letters.or(lower.dead_letters),
            cookie: self.cookie.or(lower.cookie),
            tls_cert: self.tls_cert.or(lower.tls_cert),
            tls_key: self.tls_key.or(lower.tls_key),
            tls_ca: self.tls_ca.or(lower.tls_ca),
            log_files: self.log_files.or(lower.log_files),
            log_level: self.log_level.or(lower.log_level),
            log_format: self.log_format.or(lower.log_format),
        }
    }

    /// The files for TLS, if there is to be any.
    ///
    /// # Errors
    /// When only some of them are named: a node that is thought to have TLS is not to be without.
    pub fn tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let files = [("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key), ("--tls-ca", &self.tls_ca)];
        match files.map(|(_, file)| file.clone()) {
            [Some(cert), Some(key), Some(ca)] => Ok(Some(TlsFiles { cert, key, ca })),
            [None, None, None] => Ok(None),
            _ => {
                let missing: Vec<_> =
                    files.iter().filter(|(_, file)| file.is_none()).map(|(option, _)| *option).collect();
                let reason = format!("--tls-cert, --tls-key and --tls-ca go together; missing: {}", missing.join(", "));
                Err(ConfigError::At { at: "TLS".to_owned(), reason })
            }
        }
    }

    /// All layers, `self` being the options. `file` is the configuration file that an option names.
    ///
    /// # Errors
    /// When the file or the environment is wrong.
    pub fn complete(self, file: Option<&Path>) -> Result<Settings, ConfigError> {
        let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let named = file.map(Path::to_owned).or_else(|| environment(FILE_VARIABLE).map(PathBuf::from));
        let file = match named {
            Some(path) => file::read(&path)?,
            None => match file::read(Path::new(FILE)) {
                Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    Settings::default()
                }
                read => read?,
            },
        };
        Ok(self.over(environment::read(&environment)?).over(file))
    }
}

#[cfg(test)]
mod tests;
