//! The connections of a site to those on other nodes.

use std::sync::Arc;
use std::time::Duration;

use super::{Note, State};
use crate::actor::{self, ActorRef};
use crate::id::NodeId;
use crate::net::{BoxFuture, BoxStream, Refusal};
use crate::runtime::connection::{Connection, Lost, Reader};
use crate::runtime::coordinator::Event;
use crate::runtime::vault::Courier;
use crate::runtime::watch::watch;
use crate::workflow::{Error, Result};

/// How long nodes may take to connect to each other: that of two handshakes, so that one that is slow is the first to
/// give up and can say why.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The age of a deployment at which the ways between its nodes begin to be watched, so that this takes no time of a
/// start, and nothing in a deployment that is over before it could matter.
const WATCHED_AFTER: Duration = Duration::from_secs(1);

/// What a connection to another node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Batches.
    Data,
    /// Nothing; see [`watch`].
    Watch,
}

/// Connects to another node, for a deployment. Called in the executor of the deployment.
pub type Dial = Arc<dyn Fn(NodeId, Line) -> BoxFuture<'static, Result<BoxStream, Refusal>> + Send + Sync>;

/// What there is beside this node.
pub struct Others {
    /// The name of the node with a number, if there is one.
    pub name: Arc<dyn Fn(u32) -> Option<String> + Send + Sync>,
    /// How to reach them.
    pub dial: Dial,
    /// How to reach checkpoints that are in a directory of the node that has planned the deployment.
    pub courier: Option<Arc<dyn Courier>>,
}

/// Which connections the coordinator waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// Those with all neighbours, at the start.
    All,
    /// That with a node that joins; on that node, all.
    Joined(NodeId),
}

impl State {
    pub(super) fn name(&self, node: u32) -> String {
        let name = self.others.as_ref().and_then(|others| (others.name)(node));
        name.unwrap_or_else(|| format!("node {node}"))
    }

    /// What was needed for the other node with this number is lost.
    pub(super) fn broken(&self, with: u32, what: String) {
        if !self.closing {
            let error = Error::Node(format!("`{}`: {what}", self.name(self.node.number)));
            self.tell(Event::Broken { node: self.node, with: Some(with), error });
        }
    }

    /// Those with a higher number are called, those with a lower one call.
    fn called(&self) -> impl Iterator<Item = NodeId> {
        self.neighbours().nodes().filter(|node| node.number > self.node.number)
    }

    /// Connects to those that are to be called and have not been, and says when there are connections with all.
    pub(super) fn connect(&mut self, own: &ActorRef<Note>, awaits: Awaits) {
        self.awaits = Some(awaits);
        let strange = |to: &NodeId| !self.connections.contains_key(&to.number);
        self.called().filter(strange).for_each(|to| self.dial(own, to, Line::Data));
        self.tell_if_connected();
        if self.awaits.is_some() {
            let own = own.clone();
            actor::later(CONNECT_TIMEOUT, move || drop(own.cast(Note::ConnectTimeout(awaits))));
        }
    }

    fn tell_if_connected(&mut self) {
        if !self.neighbours().nodes().all(|node| self.connections.contains_key(&node.number)) {
            return;
        }
        match self.awaits.take() {
            Some(Awaits::All) => self.tell(Event::Connected(self.node)),
            Some(Awaits::Joined(joined)) => self.tell(Event::Met { node: self.node, joined }),
            None => {}
        }
    }

    fn dial(&self, own: &ActorRef<Note>, to: NodeId, line: Line) {
        let Some(others) = &self.others else { return };
        let (dial, own) = (Arc::clone(&others.dial), own.clone());
        self.executor.start(async move {
            let result = dial(to, line).await;
            drop(own.cast(Note::Dialled { to, line, result }));
        });
    }

    pub(super) fn attach(&mut self, own: &ActorRef<Note>, from: u32, stream: BoxStream) {
        let Some(knows) = self.neighbours().links_from(from) else {
            return self
                .broken(from, format!("`{}` connects, which no worker exchanges batches with", self.name(from)));
        };
        let connection = Connection::new(self.name(from));
        if self.connections.contains_key(&from) {
            return self.broken(from, format!("`{}` connects twice", self.name(from)));
        }
        self.connections.insert(from, Arc::clone(&connection));
        let mailboxes = Arc::clone(&self.workers);
        let reader = Reader { connection: Arc::clone(&connection), mailboxes, knows };
        let own = own.clone();
        self.executor.start(async move {
            let lost = match stream.into_here() {
                Ok(stream) => {
                    let (incoming, outgoing) = stream.into_halves();
                    tokio::select! {
                        biased;
                        lost = reader.run(incoming) => lost,
                        Err(lost) = connection.write(outgoing) => lost,
                    }
                }
                Err(error) => Lost::Io(error),
            };
            drop(own.cast(Note::Detached { node: from, lost }));
        });
        self.tell_if_connected();
    }

    /// Has the ways to other nodes watched, when they have been in use for a while.
    pub(super) fn watch_later(own: &ActorRef<Note>) {
        let own = own.clone();
        actor::later(WATCHED_AFTER, move || drop(own.cast(Note::Watch)));
    }

    pub(super) fn watch_all(&mut self, own: &ActorRef<Note>) {
        let called: Vec<NodeId> = self.called().collect();
        for to in called {
            if self.watched.insert(to.number) {
                self.dial(own, to, Line::Watch);
            }
        }
    }

    pub(super) fn watch(&mut self, own: &ActorRef<Note>, from: u32, stream: BoxStream, asks: bool) {
        let own = own.clone();
        // Not in the executor of the deployment, where user code may keep it waiting.
        let watching = actor::task(async move {
            if let Some(lost) = watch(stream, asks).await {
                drop(own.cast(Note::Detached { node: from, lost }));
            }
        });
        self.watches.insert(from, watching);
    }

    pub(super) fn check_connected(&self, awaits: Awaits) {
        let missing = |node: &NodeId| !self.connections.contains_key(&node.number);
        if self.awaits == Some(awaits)
            && let Some(node) = self.neighbours().nodes().find(missing)
        {
            let (name, seconds) = (self.name(node.number), CONNECT_TIMEOUT.as_secs());
            self.broken(node.number, format!("there is no connection with `{name}` after {seconds} s"));
        }
    }
}
