//! What nodes of a cluster have in common: where they are, the cookie, and files of the log.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cores;
use crate::cli::build;
use crate::cli::config::{ConfigError, CookieSource, Host, Listen, LogFiles, Name, Port, Settings};
use crate::cli::failure::Failure;
use crate::cli::log_file::LogFile;
use crate::id::NodeName;
use crate::net::mapper::MAPPER_PORT;
use crate::net::{COOKIE_FILE, Cookie, Credentials, Tcp};
use crate::node::NodeSettings;
use crate::telemetry::events;

/// Options of nodes of a cluster.
#[derive(Debug, clap::Args)]
pub struct Node {
    /// Where the node listens: an IP address, and a port if it is to be a certain one; `:PORT` is that port of all
    /// interfaces [env: SKITTER_LISTEN] [default: all interfaces, a free port, which the host's port mapper knows]
    #[arg(long, value_name = "ADDR[:PORT]")]
    listen: Option<Listen>,

    /// The name or address by which others reach this host [env: SKITTER_HOST] [default: the name that the system has]
    #[arg(long, value_name = "HOST", value_hint = clap::ValueHint::Hostname)]
    host: Option<Host>,

    /// The port of the port mappers, the same on all hosts [env: SKITTER_MAPPER_PORT] [default: 4370]
    #[arg(long, value_name = "PORT")]
    mapper_port: Option<Port>,

    /// The secret of the cluster; other users can see it in the list of processes, so better use one of the other ways
    /// [env: SKITTER_COOKIE] [default: that of the cookie file]
    #[arg(short, long, value_name = "COOKIE", conflicts_with = "cookie_file")]
    cookie: Option<Secret>,

    /// The file with the secret of the cluster, which its owner alone can read [env: SKITTER_COOKIE_FILE] [default:
    /// ~/.skitter.cookie, made on first use]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    cookie_file: Option<PathBuf>,

    /// The certificate of the node, in PEM, for TLS between nodes: signed by the CA, for the host that others reach it
    /// by. With --tls-key and --tls-ca, and on all nodes or on none; deploy hands the paths on, and each host has files
    /// of its own there [env: SKITTER_TLS_CERT] [default: none; what travels can be read on its way]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    tls_cert: Option<PathBuf>,

    /// The key of the certificate, in PEM, which its owner alone can read [env: SKITTER_TLS_KEY] [default: none]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    tls_key: Option<PathBuf>,

    /// The certificate of the CA that has signed those of all nodes, in PEM [env: SKITTER_TLS_CA] [default: none]
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    tls_ca: Option<PathBuf>,

    /// Write the log to NAME@HOST.log in this directory, too; files of 10 MB are put aside, five are kept [env:
    /// SKITTER_LOG_DIR] [default: none; `logs` where nodes are started by deploy]
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    log_dir: Option<PathBuf>,

    /// Write no file of the log [env: SKITTER_NO_LOG] [default: false]
    #[arg(long, conflicts_with = "log_dir")]
    no_log: bool,
}

/// A text that is not shown.
#[derive(Clone)]
struct Secret(OsString);

impl From<OsString> for Secret {
    fn from(text: OsString) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Node {
    /// Adds what the options say.
    ///
    /// # Errors
    /// When the cookie is none.
    pub fn options(&self, options: Settings) -> Result<Settings, ConfigError> {
        let cookie = match &self.cookie {
            Some(Secret(text)) => {
                let wrong = |error: crate::net::CookieError| ConfigError::At {
                    at: "--cookie".to_owned(),
                    reason: error.to_string(),
                };
                Some(CookieSource::Secret(Cookie::new(text.as_encoded_bytes()).map_err(wrong)?))
            }
            None => self.cookie_file.clone().map(CookieSource::File),
        };
        let log_files = if self.no_log { Some(LogFiles::None) } else { self.log_dir.clone().map(LogFiles::In) };
        let Node { listen, mapper_port, .. } = *self;
        let [tls_cert, tls_key, tls_ca] = [&self.tls_cert, &self.tls_key, &self.tls_ca].map(Clone::clone);
        let host = self.host.clone();
        Ok(Settings { host, listen, mapper_port, cookie, tls_cert, tls_key, tls_ca, log_files, ..options })
    }

    /// Whether the cookie was given as an option, where others can see it.
    pub fn shows_cookie(&self) -> bool {
        self.cookie.is_some()
    }

    /// These options, as they were given.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut add = |option: &str, value: Option<OsString>| {
            if let Some(value) = value {
                arguments.extend([option.into(), value]);
            }
        };
        add("--listen", self.listen.as_ref().map(|listen| listen.to_string().into()));
        add("--host", self.host.as_ref().map(|Host(host)| host.into()));
        add("--mapper-port", self.mapper_port.map(|Port(port)| port.to_string().into()));
        add("--cookie", self.cookie.as_ref().map(|Secret(cookie)| cookie.clone()));
        add("--cookie-file", self.cookie_file.as_ref().map(Into::into));
        add("--tls-cert", self.tls_cert.as_ref().map(Into::into));
        add("--tls-key", self.tls_key.as_ref().map(Into::into));
        add("--tls-ca", self.tls_ca.as_ref().map(Into::into));
        add("--log-dir", self.log_dir.as_ref().map(Into::into));
        if self.no_log {
            arguments.push("--no-log".into());
        }
        arguments
    }

    /// Says what is not as it should be.
    pub fn warn(&self) {
        if self.shows_cookie() {
            events::cookie_shows();
        }
    }
}

/// What the node is called, by all that is configured.
///
/// # Errors
/// When the system's host has no name by which a node could be reached.
pub fn name(settings: &Settings, default: &str) -> Result<NodeName, ConfigError> {
    let name = settings.name.as_ref().map_or(default, |Name(name)| name);
    let host = match &settings.host {
        Some(Host(host)) => host.clone(),
        None => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    };
    NodeName::new(name, host).map_err(|error| ConfigError::At {
        at: "the name of this host".to_owned(),
        reason: format!("{error}; set it by --host or SKITTER_HOST"),
    })
}

/// The file of a node's log, if it has one.
///
/// # Errors
/// When the system has no more threads.
pub fn log_file(settings: &Settings, name: &NodeName) -> Result<Option<LogFile>, Failure> {
    match &settings.log_files {
        Some(LogFiles::In(directory)) => {
            LogFile::open(directory.join(format!("{name}.log"))).map(Some).map_err(Failure::Start)
        }
        Some(LogFiles::None) | None => Ok(None),
    }
}

/// What a node is set up with, by all that is configured.
///
/// # Errors
/// When there is no cookie to be had, TLS is not as it should be, or the file of this program cannot be read.
pub fn settings(settings: &Settings, name: NodeName) -> Result<NodeSettings, Failure> {
    let tags = settings.tags.clone().unwrap_or_default();
    let mut runtime = cores::runtime(settings);
    runtime.name = name.to_string();
    runtime.tags.clone_from(&tags);
    Ok(NodeSettings {
        name,
        tags,
        listen: address(settings.listen.unwrap_or(Listen::ANYWHERE)),
        mapper_port: settings.mapper_port.map_or(MAPPER_PORT, |Port(port)| port),
        cookie: cookie(settings.cookie.as_ref(), std::env::home_dir().as_deref())?,
        build: build::fingerprint().map_err(Failure::Start)?,
        runtime,
        transport: Arc::new(Tcp),
        credentials: credentials(settings)?,
    })
}

/// What the node has TLS with, if it is to have any.
///
/// # Errors
/// When a file is missing, or not what it should be.
pub fn credentials(settings: &Settings) -> Result<Option<Credentials>, ConfigError> {
    Ok(settings.tls()?.map(|files| Credentials::read(&files)).transpose()?)
}

/// The cookie. A file that is named has to be there; that of the user is made.
///
/// # Errors
/// When it cannot be had.
pub fn cookie(source: Option<&CookieSource>, home: Option<&Path>) -> Result<Cookie, ConfigError> {
    match source {
        Some(CookieSource::Secret(cookie)) => Ok(cookie.clone()),
        Some(CookieSource::File(path)) => Ok(Cookie::from_file(path)?),
        None => match home.filter(|home| !home.as_os_str().is_empty()) {
            Some(home) => Ok(Cookie::from_file_or_new(home.join(COOKIE_FILE))?),
            None => Err(ConfigError::NoHome),
        },
    }
}

/// All interfaces are those of IPv6, which take IPv4 as well, unless the host has none.
fn address(listen: Listen) -> SocketAddr {
    let any = || match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        Err(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
    };
    SocketAddr::new(listen.address.unwrap_or_else(any), listen.port)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_cookie_of_the_user_is_made_and_one_that_is_named_is_not() {
        let home = tempfile::tempdir().expect("a directory");
        let made = cookie(None, Some(home.path())).expect("a cookie");
        let path = home.path().join(COOKIE_FILE);
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o7777, 0o600);
        assert!(cookie(Some(&CookieSource::File(path)), None).expect("a cookie") == made);
        let missing = CookieSource::File(home.path().join("missing"));
        let said = cookie(Some(&missing), Some(home.path())).expect_err("no cookie").to_string();
        assert!(said.contains("missing` cannot be read"), "{said}");
        for none in [None, Some(Path::new(""))] {
            assert!(matches!(cookie(None, none), Err(ConfigError::NoHome)));
        }
        let secret = Cookie::new("monster").expect("a cookie");
        assert!(cookie(Some(&CookieSource::Secret(secret.clone())), None).expect("a cookie") == secret);
    }

    #[test]
    fn a_node_has_the_name_that_is_configured() {
        let settings = |name: Option<&str>, host: &str| Settings {
            name: name.map(|name| Name(name.to_owned())),
            host: Some(Host(host.to_owned())),
            ..Settings::default()
        };
        let shown = |settings: &Settings| name(settings, "skitter_worker").map(|name| name.to_string()).ok();
        assert_eq!(shown(&settings(None, "h")).as_deref(), Some("skitter_worker@h"));
        assert_eq!(shown(&settings(Some("w1"), "::1")).as_deref(), Some("w1@[::1]"));
        let own = shown(&Settings::default()).expect("this machine has a name");
        assert!(own.starts_with("skitter_worker@") && own.len() > "skitter_worker@".len(), "{own}");
    }

    #[test]
    fn a_node_listens_where_it_is_told() {
        assert_eq!(address("127.0.0.1:4000".parse().expect("right")), ([127, 0, 0, 1], 4000).into());
        let anywhere = address(Listen::ANYWHERE);
        assert!(anywhere.ip().is_unspecified() && anywhere.port() == 0);
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret("monster".into())), "Secret(…)");
    }
}
