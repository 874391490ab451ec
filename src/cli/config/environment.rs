//! The environment: `SKITTER_…`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use super::{Choice, ConfigError, CookieSource, LogFiles, Settings};
use crate::id::{InvalidTag, Tag};
use crate::net::Cookie;

/// Reads the variables.
///
/// # Errors
/// When one of them means nothing, or two exclude each other.
pub fn read(environment: &dyn Fn(&str) -> Option<OsString>) -> Result<Settings, ConfigError> {
    let text = |name| Variable::read(environment, name);
    let path = |name| environment(name).map(PathBuf::from);
    let deploy = match (text("SKITTER_DEPLOY")?, parsed(text("SKITTER_NO_DEPLOY")?, truth)?) {
        (Some(named), Some(true)) => {
            return Err(named.wrong("it and SKITTER_NO_DEPLOY exclude each other".to_owned()));
        }
        (Some(Variable { name, value }), _) => Some(Choice::Workflow { name: value, at: name.to_owned() }),
        (None, Some(true)) => Some(Choice::Nothing),
        (None, _) => None,
    };
    let log_files = match (path("SKITTER_LOG_DIR"), parsed(text("SKITTER_NO_LOG")?, truth)?) {
        (Some(_), Some(true)) => {
            let at = "environment variable SKITTER_LOG_DIR".to_owned();
            return Err(ConfigError::At { at, reason: "it and SKITTER_NO_LOG exclude each other".to_owned() });
        }
        (Some(directory), _) => Some(LogFiles::In(directory)),
        (None, Some(true)) => Some(LogFiles::None),
        (None, _) => None,
    };
    Ok(Settings {
        deploy,
        cores: parsed(text("SKITTER_CORES")?, str::parse)?,
        threads: parsed(text("SKITTER_THREADS")?, str::parse)?,
        name: parsed(text("SKITTER_NAME")?, str::parse)?,
        host: parsed(text("SKITTER_HOST")?, str::parse)?,
        tags: parsed(text("SKITTER_TAG")?, tags)?,
        listen: parsed(text("SKITTER_LISTEN")?, str::parse)?,
        mapper_port: parsed(text("SKITTER_MAPPER_PORT")?, str::parse)?,
        worker_file: path("SKITTER_WORKER_FILE"),
        shutdown_with_workers: parsed(text("SKITTER_SHUTDOWN_WITH_WORKERS")?, truth)?,
        no_shutdown_with_master: parsed(text("SKITTER_NO_SHUTDOWN_WITH_MASTER")?, truth)?,
        adopt_timeout: parsed(text("SKITTER_ADOPT_TIMEOUT")?, str::parse)?,
        checkpoint_interval: parsed(text("SKITTER_CHECKPOINT_INTERVAL")?, str::parse)?,
        checkpoint_store: parsed(text("SKITTER_CHECKPOINT_STORE")?, str::parse)?,
        unaligned_after: parsed(text("SKITTER_UNALIGNED_AFTER")?, str::parse)?,
        checkpoints_kept: parsed(text("SKITTER_CHECKPOINTS_KEPT")?, str::parse)?,
        recovery_wait: parsed(text("SKITTER_RECOVERY_WAIT")?, str::parse)?,
        max_restarts: parsed(text("SKITTER_MAX_RESTARTS")?, str::parse)?,
        on_error: parsed(text("SKITTER_ON_ERROR")?, one_of)?,
        dead_letters: path("SKITTER_DEAD_LETTERS"),
        cookie: cookie(environment("SKITTER_COOKIE"), path("SKITTER_COOKIE_FILE"))?,
        tls_cert: path("SKITTER_TLS_CERT"),
        tls_key: path("SKITTER_TLS_KEY"),
        tls_ca: path("SKITTER_TLS_CA"),
        log_files,
        log_level: parsed(text("SKITTER_LOG_LEVEL")?, one_of)?,
        log_format: parsed(text("SKITTER_LOG_FORMAT")?, one_of)?,
    })
}

/// The cookie, whose value no message shows.
fn cookie(secret: Option<OsString>, file: Option<PathBuf>) -> Result<Option<CookieSource>, ConfigError> {
    let wrong = |reason| ConfigError::At { at: "environment variable SKITTER_COOKIE".to_owned(), reason };
    match (secret, file) {
        (Some(_), Some(_)) => Err(wrong("it and SKITTER_COOKIE_FILE exclude each other".to_owned())),
        (Some(secret), None) => {
            let cookie = Cookie::new(secret.as_encoded_bytes()).map_err(|error| wrong(error.to_string()))?;
            Ok(Some(CookieSource::Secret(cookie)))
        }
        (None, file) => Ok(file.map(CookieSource::File)),
    }
}

/// A variable that is set.
struct Variable {
    name: &'static str,
    value: String,
}

impl Variable {
    fn read(
        environment: &dyn Fn(&str) -> Option<OsString>,
        name: &'static str,
    ) -> Result<Option<Variable>, ConfigError> {
        let Some(value) = environment(name) else { return Ok(None) };
        match value.into_string() {
            Ok(value) => Ok(Some(Variable { name, value })),
            Err(value) => {
                let value = value.to_string_lossy().into_owned();
                Err(Variable { name, value }.wrong("it is not UTF-8".to_owned()))
            }
        }
    }

    fn wrong(self, reason: String) -> ConfigError {
        ConfigError::Variable { variable: self.name, value: self.value, reason }
    }
}

/// What the value of a variable means, if it is set.
fn parsed<T>(variable: Option<Variable>, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, ConfigError> {
    let Some(variable) = variable else { return Ok(None) };
    parse(&variable.value).map(Some).map_err(|reason| variable.wrong(reason))
}

fn tags(text: &str) -> Result<Vec<Tag>, String> {
    text.split(',').map(|tag| Tag::new(tag.trim()).map_err(|error: InvalidTag| error.to_string())).collect()
}

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("it may be `true` or `false`".to_owned()),
    }
}

fn one_of<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        format!("it may be {}", names.join(", "))
    })
}
