//! The control socket of a node: how whoever started it sees it, stops it, and has it deploy.
//!
//! A thread of its own takes requests, so that nothing keeps a node from being told to stop. What it cannot answer
//! itself it hands to the node's loop, as [`Asked`]. Who may connect is for the permissions of the socket to say, and
//! is checked by user once more.

mod server;
pub mod wire;

use std::fmt;
use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use self::wire::{Fault, NodeStatus, PeerStatus, Reply, Request, WorkflowInfo};
use super::Stopper;
use crate::net::Identity;
use crate::telemetry::Verbosity;

/// Requests that wait for the node's loop; who asks more waits.
const QUEUE: usize = 32;

/// A request that the node's loop is to answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Takes the answer, as long as somebody waits for it.
    pub reply: oneshot::Sender<Reply>,
}

/// What a control socket answers without the node.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Has the node stop.
    pub stopper: Stopper,
    /// The level of the log, if it can be changed.
    pub verbosity: Option<Verbosity>,
    /// What can be deployed.
    pub workflows: Vec<WorkflowInfo>,
    /// The cookie, if it is in no file.
    pub cookie: Secret,
}

/// A text that is not shown.
#[derive(Clone, Default)]
pub struct Secret(pub Option<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Told once when a node is up.
pub type OnUp = Box<dyn FnOnce() + Send>;

/// What a node hears from whoever manages it.
pub struct Console {
    asked: mpsc::Receiver<Asked>,
    is_up: Arc<AtomicBool>,
    on_up: Option<OnUp>,
    began: Instant,
    /// The thread of the socket ends when this is dropped, after `asked`: what is not answered then will not be.
    _leave: Option<server::Leave>,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("is_up", &self.is_up).finish_non_exhaustive()
    }
}

impl Default for Console {
    fn default() -> Self {
        Console::none()
    }
}

impl Console {
    /// Nobody manages the node.
    pub fn none() -> Console {
        let (_, asked) = mpsc::channel(1);
        Console { asked, is_up: Arc::default(), on_up: None, began: Instant::now(), _leave: None }
    }

    /// A console without a socket, and what asks it.
    #[cfg(test)]
    pub(super) fn without_socket() -> (mpsc::Sender<Asked>, Console) {
        let (ask, asked) = mpsc::channel(QUEUE);
        (ask, Console { asked, is_up: Arc::default(), on_up: None, began: Instant::now(), _leave: None })
    }

    /// Serves a control socket from now on, until it is dropped. It does not remove the socket's file.
    ///
    /// # Errors
    /// When the system refuses the thread, or the listener is none.
    pub fn serve(listener: UnixListener, desk: Desk) -> io::Result<Console> {
        let (ask, asked) = mpsc::channel(QUEUE);
        let is_up = Arc::new(AtomicBool::new(false));
        let leave = server::start(listener, desk, Arc::clone(&is_up), ask)?;
        Ok(Console { asked, is_up, on_up: None, began: Instant::now(), _leave: Some(leave) })
    }

    /// Calls this once when the node is up.
    #[must_use]
    pub fn on_up(mut self, call: OnUp) -> Console {
        self.on_up = Some(call);
        self
    }

    /// The node is up: it can be reached, and what it was told to deploy runs.
    pub(super) fn up(&mut self) {
        self.is_up.store(true, Ordering::Relaxed);
        if let Some(call) = self.on_up.take() {
            call();
        }
    }

    /// The next request for the node. Can be dropped and called again.
    pub(super) async fn asked(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            // There is no socket.
            None => std::future::pending().await,
        }
    }

    /// Time since it was made, which is when the node was started.
    pub(super) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }
}

/// How a node of a cluster stands, as far as it says so to its peers; the rest is to be added.
pub(super) fn status(identity: &Identity, uptime: Duration) -> NodeStatus {
    let PeerStatus { name, mode, address, tags, cores, .. } = peer(identity);
    NodeStatus {
        mode,
        name,
        address: Some(address),
        pid: std::process::id(),
        version: identity.skitter.clone(),
        build: Some(identity.build.hex()),
        uptime_ms: milliseconds(uptime),
        cores,
        tags,
        peers: Vec::new(),
        deployments: Vec::new(),
        stopping: false,
    }
}

/// What another node says of itself.
pub(super) fn peer(identity: &Identity) -> PeerStatus {
    let host = identity.name.host();
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    PeerStatus {
        name: identity.name.to_string(),
        mode: identity.mode.to_string(),
        address: format!("{host}:{}", identity.port),
        tags: identity.tags.iter().map(ToString::to_string).collect(),
        cores: identity.cores,
        memory: identity.memory,
    }
}

/// As much as there are numbers for.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// That a request is refused, and why.
pub(super) fn refused(message: impl Into<String>) -> Reply {
    Reply::Error { kind: Fault::Refused, message: message.into() }
}

/// That what was asked for has failed, and why.
pub(super) fn failed(message: impl Into<String>) -> Reply {
    Reply::Error { kind: Fault::Failed, message: message.into() }
}

/// Answers, if somebody still waits for it.
pub(super) fn answer(reply: oneshot::Sender<Reply>, content: Reply) {
    let _ = reply.send(content);
}
