//! How the hosts of workers are reached, and where the release is on them.

use std::sync::Arc;

use openssh::Session;

use super::Entry;
use crate::hosts::{Host, Lines, Login, SshOptions, Trouble};

/// How hosts are reached, and where the release is on them.
#[derive(Clone, Debug)]
pub struct Access {
    /// How ssh is told to connect.
    pub ssh: SshOptions,
    /// The directory of the release on the hosts.
    pub directory: String,
}

impl Access {
    /// Prepares to log in.
    ///
    /// # Errors
    /// When there is no place for ssh's files; says so.
    pub fn login(&self) -> Result<Login, String> {
        Login::new(&self.ssh).map_err(|error| format!("ssh cannot be prepared: {error}"))
    }

    /// Logs in to the host of a worker and starts the agent of the release there.
    ///
    /// # Errors
    /// When the host cannot be reached, or there is no release that runs.
    pub async fn visit(&self, login: &Login, entry: &Entry, lines: &Lines) -> Result<Host, Trouble> {
        let session = Arc::new(login.open(&entry.host).await?);
        self.enter(session, entry, None, lines).await
    }

    /// Starts the agent over a session; that of the release that counts, unless a program is named.
    ///
    /// # Errors
    /// When there is no release that runs.
    pub async fn enter(
        &self,
        session: Arc<Session>,
        entry: &Entry,
        program: Option<&str>,
        lines: &Lines,
    ) -> Result<Host, Trouble> {
        Host::start(session, &entry.host, &self.directory, program, lines.clone()).await
    }
}
