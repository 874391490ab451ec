//! Logging in to a host by ssh.

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder};
use tempfile::TempDir;
use tokio::time::timeout;

use super::trouble::{Trouble, chain};

/// How long ssh may take to reach a host, and to agree on keys with it.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a login may take in all. A host that has hung itself in the middle of it is not waited for longer.
const LOGIN: Duration = Duration::from_secs(15);

/// How often ssh asks whether the host is there while nothing is said. After three times without an answer it is lost.
const ALIVE: Duration = Duration::from_secs(5);

/// How long ssh keeps a connection that nobody uses, in seconds: longer than from the login to the start of the agent,
/// which then uses it until the end.
const IDLE: NonZeroUsize = NonZeroUsize::new(3).expect("not zero");

/// How ssh is told to connect.
#[derive(Clone, Debug, Default)]
pub struct SshOptions {
    /// A configuration file in the place of the user's and the system's.
    pub config: Option<PathBuf>,
    /// Options as they stand in such a file, `KEY=VALUE`; they come before the files.
    pub options: Vec<String>,
    /// Trust a host that was not seen before.
    pub accept_new: bool,
}

/// Logs in to hosts. Its files are gone when it is dropped.
#[derive(Debug)]
pub struct Login {
    builder: SessionBuilder,
    _directory: TempDir,
}

impl Login {
    /// Prepares it.
    ///
    /// # Errors
    /// When there is no place for its files.
    pub fn new(options: &SshOptions) -> io::Result<Login> {
        // In the shortest directory there is: the name of a socket has room for a hundred bytes.
        let directory = tempfile::Builder::new().prefix("skitter-").tempdir_in("/tmp").or_else(|_| TempDir::new())?;
        let mut builder = SessionBuilder::default();
        let check = if options.accept_new { KnownHosts::Add } else { KnownHosts::Strict };
        builder
            .known_hosts_check(check)
            .connect_timeout(CONNECT)
            .server_alive_interval(ALIVE)
            .control_persist(ControlPersist::IdleFor(IDLE))
            .control_directory(directory.path());
        if !options.options.is_empty() {
            let path = directory.path().join("config");
            fs::write(&path, config(options, std::env::home_dir().as_deref()))?;
            builder.config_file(path);
        } else if let Some(config) = &options.config {
            builder.config_file(config);
        }
        Ok(Login { builder, _directory: directory })
    }

    /// Logs in to a host, whatever ssh's own configuration says about it: user, port, keys, hosts in between. There is
    /// no terminal, so nothing is asked.
    ///
    /// # Errors
    /// With what ssh says.
    pub async fn open(&self, host: &str) -> Result<Session, Trouble> {
        match timeout(LOGIN, self.builder.connect_mux(host)).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(Trouble::Login(advice(chain(&error)))),
            Err(_) => Err(Trouble::Silent { what: "the login", limit: LOGIN }),
        }
    }
}

/// A configuration file: its first word on a matter counts.
fn config(options: &SshOptions, home: Option<&Path>) -> String {
    let mut text = String::new();
    for option in &options.options {
        text.push_str(option);
        text.push('\n');
    }
    let own = home.map(|home| home.join(".ssh/config"));
    let files = match &options.config {
        Some(config) => vec![config.clone()],
        None => own.into_iter().chain([PathBuf::from("/etc/ssh/ssh_config")]).collect(),
    };
    for file in files {
        // What the options belong to ends here.
        text.push_str(&format!("Match all\nInclude \"{}\"\n", file.display()));
    }
    text
}

/// What ssh says, and what can be done about it.
fn advice(said: String) -> String {
    let hint = if said.contains("Host key verification failed") || said.contains("No matching host key") {
        "; if you trust it, use --accept-new-host-keys, or log in once by hand"
    } else if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        "; it is another host than before, or somebody is in between"
    } else if said.contains("Permission denied") {
        "; ssh must get in without a password: by a key or an agent"
    } else {
        ""
    };
    said + hint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_before_the_files() {
        let options = SshOptions { options: vec!["Port=2222".to_owned()], ..SshOptions::default() };
        let text = config(&options, Some(Path::new("/home/u")));
        let expected =
            "Port=2222\nMatch all\nInclude \"/home/u/.ssh/config\"\nMatch all\nInclude \"/etc/ssh/ssh_config\"\n";
        assert_eq!(text, expected);
        let own = SshOptions { config: Some("c".into()), ..options };
        assert_eq!(config(&own, None), "Port=2222\nMatch all\nInclude \"c\"\n");
    }

    #[test]
    fn what_can_be_done_is_said() {
        assert!(advice("Host key verification failed.".to_owned()).contains("--accept-new-host-keys"));
        assert!(advice("x: Permission denied (publickey).".to_owned()).contains("without a password"));
        assert_eq!(advice("Connection refused".to_owned()), "Connection refused");
    }
}
