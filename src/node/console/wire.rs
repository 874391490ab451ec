//! What is said over the control socket of a node, declared in this one file.
//!
//! A client connects, writes one request, reads one reply, and that is all: each is a JSON object in one line, with the
//! version of this form in `skitter`. Fields that are not known are passed over, so that a form can grow; what changes
//! its meaning raises [`VERSION`].
//!
//! ```text
//! {"skitter":1,"verb":"undeploy","deployment":3,"patience_ms":30000}
//! {"skitter":1,"reply":"undeployed","deployment":{"id":3,"name":"hello","phase":"stopped",…}}
//! {"skitter":1,"reply":"error","kind":"refused","message":"there is no deployment 3 here (there is 1)"}
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::telemetry::Level;

/// The version of this form.
pub const VERSION: u32 = 1;

/// Most bytes of a request, its line feed included: a name, and as many arguments as fit into a command line that
/// somebody has typed or a script has made of some hundred files.
pub const MAX_REQUEST: usize = 256 * 1024;

/// Most bytes of a reply, its line feed included: the workers of a thousand nodes, at a hundred bytes each, several
/// times.
pub const MAX_REPLY: usize = 16 << 20;

/// What a node is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// Answer.
    Ping,
    /// Say how it stands.
    Status,
    /// Stop in order, as on SIGTERM. The answer comes before that.
    Stop,
    /// Say which nodes it is connected with.
    Nodes,
    /// Say which workflows it could deploy.
    Workflows,
    /// Say what runs, and what has ended lately.
    Deployments,
    /// Deploy a workflow, beside those that run. The answer comes once records flow, or it has failed.
    Deploy {
        /// The workflow.
        name: String,
        /// Its arguments.
        arguments: Vec<String>,
    },
    /// Stop a deployment in order. The answer comes when it has ended, or the time is over.
    Undeploy {
        /// Its number.
        deployment: u32,
        /// How long to wait for its end, in milliseconds; at most [`LONGEST_PATIENCE_MS`].
        patience_ms: u64,
    },
    /// Take a savepoint of a deployment. The answer comes when it is complete.
    Savepoint {
        /// Its number.
        deployment: u32,
        /// The store that it is copied to, if not only beside the checkpoints.
        directory: Option<String>,
        /// Whether the deployment is to stop at it.
        stop: bool,
    },
    /// Say what workers are at.
    Workers {
        /// Of this deployment; of all of them, if none is said.
        deployment: Option<u32>,
    },
    /// Draw a deployment for Graphviz.
    Graph {
        /// Its number.
        deployment: u32,
    },
    /// Change the level of the log.
    Log {
        /// The new one.
        level: Level,
    },
    /// Hand over the cookie that it was started with, for a successor with the same options. It is answered to the user
    /// that the node runs as, who could read it in the node's environment as well.
    Handover,
}

/// The longest wait for the end of a deployment, in milliseconds: a day.
pub const LONGEST_PATIENCE_MS: u64 = 24 * 60 * 60 * 1000;

/// The verbs, for messages; a test compares them with [`Request`].
pub const VERBS: [&str; 13] = [
    "ping",
    "status",
    "stop",
    "nodes",
    "workflows",
    "deployments",
    "deploy",
    "undeploy",
    "savepoint",
    "workers",
    "graph",
    "log",
    "handover",
];

/// What a node answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reply {
    /// It is there.
    Pong {
        /// The number of its process.
        pid: u32,
        /// Whether it is up: reachable, and what it was told to deploy runs.
        up: bool,
    },
    /// How it stands.
    Status(Box<NodeStatus>),
    /// It stops.
    Stopping,
    /// The nodes.
    Nodes {
        /// Those it is connected with.
        nodes: Vec<PeerStatus>,
    },
    /// The workflows.
    Workflows {
        /// In the order of the program.
        workflows: Vec<WorkflowInfo>,
    },
    /// The deployments.
    Deployments {
        /// Those that run, then those that have ended lately.
        deployments: Vec<DeploymentInfo>,
    },
    /// It has been deployed.
    Deployed {
        /// How it stands: it may have ended by now.
        deployment: DeploymentInfo,
    },
    /// It has ended.
    Undeployed {
        /// How.
        deployment: DeploymentInfo,
    },
    /// There is a savepoint.
    Saved {
        /// What goes on with it is told: `STORE/WORKFLOW/RUN/CHECKPOINT`.
        savepoint: String,
    },
    /// The workers.
    Workers {
        /// By deployment, vertex and number.
        workers: Vec<WorkerInfo>,
    },
    /// A drawing.
    Graph {
        /// In the language of Graphviz.
        dot: String,
    },
    /// The level of the log.
    Log {
        /// That it has now.
        level: Level,
    },
    /// What a successor needs.
    Handover {
        /// The cookie, if it was not in a file.
        cookie: Option<String>,
    },
    /// It was not done.
    Error {
        /// Whose fault it is.
        kind: Fault,
        /// What happened, and what to do.
        message: String,
    },
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// It is no request.
    NotUnderstood,
    /// It has another version.
    Version,
    /// A node of this mode does not do that, there is no such thing, or the arguments are wrong.
    Refused,
    /// It was tried, and failed.
    Failed,
    /// There was no time for it.
    Busy,
}

/// How a node stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// `local`, `worker` or `master`.
    pub mode: String,
    /// Its name: `worker1@silverlode`.
    pub name: String,
    /// Where it listens for other nodes: host and port.
    pub address: Option<String>,
    /// The number of its process.
    pub pid: u32,
    /// The version of Skitter.
    pub version: String,
    /// Which build of the application it is, in hexadecimal.
    pub build: Option<String>,
    /// Time since it was started, in milliseconds.
    pub uptime_ms: u64,
    /// Workers of a vertex that is distributed over all its cores.
    pub cores: u32,
    /// Its tags.
    pub tags: Vec<String>,
    /// The nodes that it is connected with: of a worker, its master.
    pub peers: Vec<PeerStatus>,
    /// What runs; of a worker, what it has a part of.
    pub deployments: Vec<DeploymentInfo>,
    /// Whether it has been told to stop.
    pub stopping: bool,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// `worker` or `master`.
    pub mode: String,
    /// Where it listens.
    pub address: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Workers of a vertex that is distributed over all its cores.
    pub cores: u32,
    /// Its memory, in bytes.
    pub memory: u64,
}

/// A workflow that can be deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowInfo {
    /// Its name.
    pub name: String,
    /// What it does, in a line.
    pub description: String,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeploymentInfo {
    /// Its number on the node that deployed it.
    pub id: u32,
    /// The workflow.
    pub name: String,
    /// `starting`, `running`, `stopping`, `completed`, `stopped` or `failed`.
    pub phase: String,
    /// What it failed with.
    pub error: Option<String>,
    /// Time since it was deployed, until it ended, in milliseconds.
    pub elapsed_ms: u64,
    /// What has been read, from 0 to 1, if all its sources know.
    pub progress: Option<f64>,
    /// Its vertices; empty on a worker node, which knows its own part only.
    pub vertices: Vec<VertexInfo>,
}

/// A vertex of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VertexInfo {
    /// Its name.
    pub name: String,
    /// Its workers.
    pub workers: u32,
    /// Records, or messages of its strategy, that it was given.
    pub received: u64,
    /// Records that it emitted.
    pub emitted: u64,
}

/// A worker of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// The number of the deployment.
    pub deployment: u32,
    /// Its vertex.
    pub vertex: String,
    /// Its number among the workers of the vertex, from 0.
    pub index: u32,
    /// The node that it runs on.
    pub node: String,
    /// Records, or messages of its strategy, that it was given.
    pub received: u64,
    /// Records that it emitted.
    pub emitted: u64,
}

/// A request or a reply in its line.
#[derive(Serialize, Deserialize)]
struct Line<T> {
    skitter: u32,
    #[serde(flatten)]
    content: T,
}

/// What can be told of a line that is not understood.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    skitter: Option<u32>,
    verb: Option<String>,
}

/// A line, its line feed included.
///
/// # Errors
/// When it would be longer than `most` bytes.
pub fn encode<T: Serialize>(content: &T, most: usize) -> Result<Vec<u8>, String> {
    let line = serde_json::to_vec(&Line { skitter: VERSION, content });
    let mut line = line.map_err(|error| error.to_string())?;
    line.push(b'\n');
    match line.len() {
        bytes if bytes > most => Err(format!("it would be {bytes} bytes long, of at most {most}")),
        _ => Ok(line),
    }
}

/// The request in a line.
///
/// # Errors
/// What is wrong with it.
pub fn decode_request(line: &[u8]) -> Result<Request, (Fault, String)> {
    let head: Head = serde_json::from_slice(line)
        .map_err(|error| (Fault::NotUnderstood, format!("a request is a JSON object in a line: {error}")))?;
    match head {
        Head { skitter: Some(VERSION), .. } => {}
        Head { skitter: Some(other), .. } => {
            let message = format!("this node speaks version {VERSION} and not {other}: it is another release");
            return Err((Fault::Version, message));
        }
        Head { skitter: None, .. } => {
            return Err((Fault::NotUnderstood, format!("a request says its version, `\"skitter\":{VERSION}`")));
        }
    }
    let verb = head.verb.unwrap_or_default();
    if !VERBS.contains(&verb.as_str()) {
        let message = format!("there is no verb `{}` (there is {})", verb.escape_debug(), VERBS.join(", "));
        return Err((Fault::NotUnderstood, message));
    }
    decode(line).map_err(|error| (Fault::NotUnderstood, format!("verb `{verb}`: {error}")))
}

/// The reply in a line.
///
/// # Errors
/// When it is none, or one of another version.
pub fn decode_reply(line: &[u8]) -> Result<Reply, String> {
    decode(line)
}

fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    let Line { skitter, content } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if skitter == VERSION { Ok(content) } else { Err(format!("it has version {skitter} and not {VERSION}")) }
}

#[cfg(test)]
mod tests;
