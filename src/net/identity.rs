//! What a node tells its peers of itself, and what it wants of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{DeploymentId, NodeName, Tag};

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// It deploys workflows.
    Master,
    /// It runs parts of them.
    Worker,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Master => "master",
            Mode::Worker => "worker",
        })
    }
}

/// Which build of an application a node runs; nodes of different builds may understand the same plan differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// All of it in hexadecimal, 64 digits: for programs.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Fingerprint {
    /// The first eight bytes, in hexadecimal: enough for people to tell builds apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a node tells of itself to who proves to know the cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name; the host is what the node believes itself to be on.
    pub name: NodeName,
    /// What it is for.
    pub mode: Mode,
    /// Which life of the node this is; a later one has a higher number.
    pub incarnation: u64,
    /// The port at which it listens.
    pub port: u16,
    /// The version of Skitter.
    pub skitter: String,
    /// The build of the application.
    pub build: Fingerprint,
    /// What strategies can ask for.
    pub tags: Vec<Tag>,
    /// How many threads of work it can do at a time.
    pub cores: u32,
    /// How much memory it has, in bytes.
    pub memory: u64,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Purpose {
    /// Orders, answers and heartbeats between a master and a worker.
    Control,
    /// Records of a deployment between two nodes.
    Data {
        /// The deployment.
        deployment: DeploymentId,
        /// The number, in the cluster, of the node that connects.
        from: u32,
    },
    /// Nothing: it is lost when the way between two nodes of a deployment is cut.
    Watch {
        /// The deployment.
        deployment: DeploymentId,
        /// The number, in the cluster, of the node that connects.
        from: u32,
    },
}

/// Who should be at the other end. The peer is told, and refuses if it is somebody else, so nobody can pass the
/// handshake on to another node than the one that was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// What the peer is for.
    pub mode: Mode,
    /// The peer's name on its host, if it is known.
    pub name: Option<String>,
}

impl Mode {
    /// A node of this mode, and of this name on its host.
    pub fn named(self, name: impl Into<String>) -> Expect {
        Expect { mode: self, name: Some(name.into()) }
    }
}

impl From<Mode> for Expect {
    fn from(mode: Mode) -> Expect {
        Expect { mode, name: None }
    }
}
