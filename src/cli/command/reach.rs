//! Which workers on which hosts, and how ssh reaches these: what commands over ssh have in common.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;

use super::worker::WORKER;
use crate::cli::config::{ConfigError, Settings};
use crate::cli::failure::Failure;
use crate::cli::rollout::{Access, Entry};
use crate::cli::worker_file;
use crate::hosts::SshOptions;
use crate::id::NodeAddress;
use crate::release::Release;

/// Where releases are that were sent, below the directory of the release.
const RELEASES: &str = "releases";

/// Workers, and how their hosts are reached.
#[derive(Debug, clap::Args)]
pub struct Reach {
    /// The workers, as [NAME@]HOST[:TAG,TAG]: HOST as ssh knows it, NAME that of the node, `skitter_worker` unless it
    /// is said
    #[arg(value_parser = Entry::parse, value_hint = clap::ValueHint::Hostname)]
    workers: Vec<Entry>,

    /// A file of more workers, one a line: [NAME@]HOST[:TAG,TAG]. Blank lines and comments, from a `#`, are skipped
    /// [env: SKITTER_WORKER_FILE] [default: none]
    #[arg(short = 'f', long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    pub worker_file: Option<PathBuf>,

    /// The directory of the release on the hosts [default: that of the release here]
    #[arg(long, value_name = "PATH", env = "SKITTER_WORKING_DIR", hide_env_values = true)]
    pub working_dir: Option<PathBuf>,

    /// Trust hosts that ssh has not seen before [default: false]
    #[arg(long, env = "SKITTER_ACCEPT_NEW_HOST_KEYS", hide_env_values = true, value_parser = FalseyValueParser::new())]
    accept_new_host_keys: bool,

    /// A configuration file for ssh, in the place of the user's and the system's [default: those]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, env = "SKITTER_SSH_CONFIG")]
    #[arg(hide_env_values = true)]
    ssh_config: Option<PathBuf>,

    /// An option for ssh, as in its configuration file; can be repeated [default: none]
    #[arg(long, value_name = "KEY=VALUE", value_parser = option, env = "SKITTER_SSH_OPTION", value_delimiter = ';')]
    #[arg(hide_env_values = true)]
    ssh_option: Vec<String>,
}

fn option(text: &str) -> Result<String, String> {
    let key = text.split(['=', ' ']).next().unwrap_or_default();
    let is_key = !key.is_empty() && key.chars().all(|letter| letter.is_ascii_alphanumeric()) && key.len() < text.len();
    // It becomes a line of a file.
    if is_key && !text.contains(['\n', '\r']) { Ok(text.to_owned()) } else { Err("write KEY=VALUE".to_owned()) }
}

impl Reach {
    /// The workers, those that are named and those in the file, each once, and at least one.
    ///
    /// # Errors
    /// When there is none, the file is unusable, or two have one name and host.
    pub fn entries(&self, settings: &Settings) -> Result<Vec<Entry>, Failure> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen: Vec<NodeAddress> = Vec::new();
        let mut add = |entry: Entry| {
            let address = NodeAddress { name: entry.name.clone(), host: entry.host.clone(), port: None };
            worker_file::add(&mut seen, address)?;
            entries.push(entry);
            Ok::<(), String>(())
        };
        for entry in &self.workers {
            add(entry.clone()).map_err(Failure::Usage)?;
        }
        let file = settings.worker_file.as_deref().map(|path| worker_file::read(path, WORKER));
        for line in file.transpose()?.unwrap_or_default() {
            let at = line.at;
            let entry = Entry { name: line.address.name, host: line.address.host, tags: line.tags };
            add(entry).map_err(|reason| ConfigError::At { at, reason })?;
        }
        if entries.is_empty() {
            return Err(Failure::Usage("there is no worker; name hosts, or a file of them by -f".to_owned()));
        }
        Ok(entries)
    }

    /// How hosts are reached, and where the release is on them: where it is here, unless that is said. Of a release
    /// that was sent here it is the directory that it was sent to.
    ///
    /// # Errors
    /// When this program is in no release, and it is not said where it is on the hosts.
    pub fn access(&self, release: Option<&Release>) -> Result<Access, Failure> {
        let here = release.map(|release| {
            let above = release.directory.parent().filter(|above| above.ends_with(RELEASES));
            above.and_then(|releases| releases.parent()).unwrap_or(&release.directory)
        });
        let directory = self.working_dir.as_deref().or(here).ok_or(Failure::NoRelease)?;
        let directory = directory.to_str().map(str::to_owned);
        let directory =
            directory.ok_or_else(|| Failure::Usage("the directory of the release is not UTF-8".to_owned()))?;
        let ssh = SshOptions {
            config: self.ssh_config.clone(),
            options: self.ssh_option.clone(),
            accept_new: self.accept_new_host_keys,
        };
        Ok(Access { ssh, directory })
    }
}
