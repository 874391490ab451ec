//! The file: `skitter.toml`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::Visitor;
use toml::Spanned;

use super::{
    Choice, ConfigError, CookieSource, Count, Host, Interval, Kept, Listen, LogFiles, Name, Port, Restarts, Seconds,
    Settings, StoreUrl,
};
use crate::id::Tag;
use crate::net::Cookie;
use crate::runtime::OnError;
use crate::telemetry::{Format, Level};

/// Permissions that let others than the owner in.
const OTHERS: u32 = 0o077;

/// The keys of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    deploy: Option<Spanned<String>>,
    no_deploy: Option<bool>,
    cores: Option<Count>,
    threads: Option<Count>,
    name: Option<Name>,
    host: Option<Host>,
    tag: Option<Vec<Tag>>,
    listen: Option<Listen>,
    mapper_port: Option<Port>,
    worker_file: Option<PathBuf>,
    shutdown_with_workers: Option<bool>,
    no_shutdown_with_master: Option<bool>,
    adopt_timeout: Option<Seconds>,
    checkpoint_interval: Option<Interval>,
    checkpoint_store: Option<StoreUrl>,
    unaligned_after: Option<Interval>,
    checkpoints_kept: Option<Kept>,
    recovery_wait: Option<Seconds>,
    max_restarts: Option<Restarts>,
    on_error: Option<OnError>,
    dead_letters: Option<PathBuf>,
    cookie: Option<Spanned<String>>,
    cookie_file: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_ca: Option<PathBuf>,
    log_dir: Option<Spanned<PathBuf>>,
    no_log: Option<bool>,
    log_level: Option<Level>,
    log_format: Option<Format>,
}

/// The names of all keys, in the order in which they stand above.
pub(super) fn keys() -> &'static [&'static str] {
    let mut names = Names(&[]);
    // It fails, for it has no values; but it is told the names.
    let _ = Keys::deserialize(&mut names);
    names.0
}

/// Hears which fields a structure has.
struct Names(&'static [&'static str]);

impl<'de> serde::Deserializer<'de> for &mut Names {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("no values"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read, something in it is wrong, or others can read the cookie in it.
pub fn read(path: &Path) -> Result<Settings, ConfigError> {
    let open = || -> io::Result<(String, u32)> {
        let mut file = File::open(path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok((text, file.metadata()?.permissions().mode()))
    };
    let unread = |source| ConfigError::Read { what: "configuration", path: path.to_owned(), source };
    let (text, mode) = open().map_err(unread)?;
    parse(path, &text, mode & OTHERS == 0)
}

/// Reads the text of a file, which is private if its owner alone can read it.
pub(super) fn parse(path: &Path, text: &str, private: bool) -> Result<Settings, ConfigError> {
    let at = |byte: usize| {
        let before = &text.as_bytes()[..byte.min(text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        format!("{}:{line}:{column}", path.display())
    };
    let wrong = |byte: usize, reason: String| ConfigError::At { at: at(byte), reason };
    let keys: Keys = toml::from_str(text).map_err(|error| ConfigError::At {
        at: error.span().map_or_else(|| path.display().to_string(), |span| at(span.start)),
        reason: error.message().to_owned(),
    })?;
    let exclude = |key: usize, a: &str, b: &str| wrong(key, format!("`{a}` and `{b}` exclude each other"));
    let deploy = match (keys.deploy, keys.no_deploy) {
        (Some(name), Some(true)) => return Err(exclude(name.span().start, "deploy", "no-deploy")),
        (Some(name), _) => Some(Choice::Workflow { at: at(name.span().start), name: name.into_inner() }),
        (None, Some(true)) => Some(Choice::Nothing),
        (None, _) => None,
    };
    let cookie = match (keys.cookie, keys.cookie_file) {
        (Some(secret), Some(_)) => return Err(exclude(secret.span().start, "cookie", "cookie-file")),
        (Some(secret), None) if !private => {
            let reason = "others can read the cookie here; `chmod 600` this file, or name one by `cookie-file`";
            return Err(wrong(secret.span().start, reason.to_owned()));
        }
        (Some(secret), None) => {
            let cookie = Cookie::new(secret.get_ref());
            Some(CookieSource::Secret(cookie.map_err(|error| wrong(secret.span().start, error.to_string()))?))
        }
        (None, file) => file.map(CookieSource::File),
    };
    let log_files = match (keys.log_dir, keys.no_log) {
        (Some(directory), Some(true)) => return Err(exclude(directory.span().start, "log-dir", "no-log")),
        (Some(directory), _) => Some(LogFiles::In(directory.into_inner())),
        (None, Some(true)) => Some(LogFiles::None),
        (None, _) => None,
    };
    Ok(Settings {
        deploy,
        cores: keys.cores,
        threads: keys.threads,
        name: keys.name,
        host: keys.host,
        tags: keys.tag,
        listen: keys.listen,
        mapper_port: keys.mapper_port,
        worker_file: keys.worker_file,
        shutdown_with_workers: keys.shutdown_with_workers,
        no_shutdown_with_master: keys.no_shutdown_with_master,
        adopt_timeout: keys.adopt_timeout,
        checkpoint_interval: keys.checkpoint_interval,
        checkpoint_store: keys.checkpoint_store,
        unaligned_after: keys.unaligned_after,
        checkpoints_kept: keys.checkpoints_kept,
        recovery_wait: keys.recovery_wait,
        max_restarts: keys.max_restarts,
        on_error: keys.on_error,
        dead_letters: keys.dead_letters,
        cookie,
        tls_cert: keys.tls_cert,
        tls_key: keys.tls_key,
        tls_ca: keys.tls_ca,
        log_files,
        log_level: keys.log_level,
        log_format: keys.log_format,
    })
}
