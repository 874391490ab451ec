//! `skitter savepoint` and `skitter stop`: saves a deployment, and stops it.

use super::General;
use super::manage::{self, GRACE, Listed};
use super::{local, master};
use crate::cli::config::{Name, Seconds, Settings, StoreUrl};
use crate::cli::daemon::Place;
use crate::cli::failure::Failure;
use crate::node::console::wire::Request;

/// Save a deployment of the master or local node that runs here, to go on from with `--from`
#[derive(Debug, clap::Args)]
pub struct Savepoint {
    /// The number of the deployment
    id: u32,

    /// Where the savepoint is copied to, a directory or a URL [default: it stays in the checkpoint store]
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directory: Option<StoreUrl>,

    #[command(flatten)]
    waiting: Waiting,
}

/// Stop a deployment of the master or local node that runs here
#[derive(Debug, clap::Args)]
pub struct Stop {
    /// The number of the deployment
    id: u32,

    /// Stop it at a savepoint, to go on from with `--from`, in place of draining it; copied to this directory or URL,
    /// if one is said [default: it is drained]
    #[arg(long, value_name = "DIR", num_args = 0..=1, env = "SKITTER_SAVEPOINT", hide_env_values = true)]
    savepoint: Option<Option<StoreUrl>>,

    #[command(flatten)]
    waiting: Waiting,
}

/// Of which node, and for how long.
#[derive(Debug, clap::Args)]
struct Waiting {
    #[command(flatten)]
    listed: Listed,

    /// How long to wait for it, such as 30s, 2m, 0.5
    #[arg(long, value_name = "TIME", env = "SKITTER_STOP_TIMEOUT", hide_env_values = true, default_value = "30s")]
    timeout: Seconds,
}

impl Waiting {
    /// The master of the name, or the local node if none runs.
    fn place(&self, general: &General) -> Result<Place, Failure> {
        let name = self.listed.name();
        let settings = general.settings(Settings { name, ..Settings::default() })?;
        let named = |default| settings.name.as_ref().map_or(default, |Name(name)| name.as_str());
        let master = Place::of(master::MODE, named(master::MASTER))?;
        if master.holder()?.is_some() {
            return Ok(master);
        }
        let local = Place::of(local::MODE, named(local::LOCAL))?;
        // Neither is a master that does not run, of which it is said.
        Ok(if local.holder()?.is_some() { local } else { master })
    }
}

impl Savepoint {
    /// Does it.
    ///
    /// # Errors
    /// When no node runs, there is no such deployment, or it cannot be saved.
    pub fn run(self, general: &General) -> Result<(), Failure> {
        let Savepoint { id, directory, waiting } = self;
        save(id, directory, false, &waiting, general)
    }
}

impl Stop {
    /// Does it.
    ///
    /// # Errors
    /// When no node runs, there is no such deployment, or it cannot be saved.
    pub fn run(self, general: &General) -> Result<(), Failure> {
        let Stop { id, savepoint, waiting } = self;
        match savepoint {
            Some(directory) => save(id, directory, true, &waiting, general),
            None => {
                let (place, Seconds(limit)) = (waiting.place(general)?, waiting.timeout);
                manage::tell(&place, &manage::undeploy(id, limit), limit + GRACE, waiting.listed.json())
            }
        }
    }
}

fn save(
    deployment: u32,
    directory: Option<StoreUrl>,
    stop: bool,
    waiting: &Waiting,
    general: &General,
) -> Result<(), Failure> {
    let (place, Seconds(limit)) = (waiting.place(general)?, waiting.timeout);
    let directory = directory.map(|StoreUrl(url)| url);
    let request = Request::Savepoint { deployment, directory, stop };
    manage::tell(&place, &request, limit + GRACE, waiting.listed.json())
}
