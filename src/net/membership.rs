//! Who belongs to the cluster, and who has left it without a word. Pure: events in, commands out, time as an argument.
//!
//! A node is *up* from when it is admitted until it leaves, its connection is reset, or nothing is heard of it for a
//! while. Then it is *dead*: that life of it, its *incarnation*, does not come back, for others have gone on without
//! it. A later one may.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{Reason, Refusal};
use crate::id::NodeName;

/// How long a node may be silent: six heartbeats, so that a pause of a second or two harms nobody.
pub const SILENCE: Duration = Duration::from_secs(3);

/// Most time that passes between two events, for the purpose of silence. When more has passed, whoever calls this has
/// been away itself, frozen or without processor, and what the others have sent meanwhile waits to be read.
pub const LONGEST_STEP: Duration = Duration::from_secs(1);

/// Most dead nodes that are remembered: more than a cluster has, a few hundred kilobytes.
const MOST_DEAD: usize = 4096;

/// What happens to a node. Times are counted from any moment on, the same for all events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node has passed the handshake.
    Connected {
        /// Its name.
        node: NodeName,
        /// Which life of it.
        incarnation: u64,
        /// When.
        now: Duration,
    },
    /// Something has come from a node.
    Heard {
        /// Its name.
        node: NodeName,
        /// Which life of it.
        incarnation: u64,
        /// When.
        now: Duration,
    },
    /// The connection to a node is lost.
    Reset {
        /// Its name.
        node: NodeName,
        /// Which life of it.
        incarnation: u64,
        /// When.
        now: Duration,
    },
    /// A node has said that it goes. It may come back, in this life or another.
    Left {
        /// Its name.
        node: NodeName,
        /// Which life of it.
        incarnation: u64,
        /// When.
        now: Duration,
    },
    /// Time has passed. Has to come at least every [`LONGEST_STEP`]; every [`HEARTBEAT`](super::HEARTBEAT) is good.
    Tick {
        /// When.
        now: Duration,
    },
}

/// Why a node was declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its connection is lost.
    Reset,
    /// Nothing has been heard of it for so long.
    Silent(Duration),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Reset => f.write_str("its connection is lost"),
            Cause::Silent(time) => write!(f, "nothing was heard of it for {:.1} s", time.as_secs_f64()),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The node belongs to the cluster.
    Up {
        /// Its name.
        node: NodeName,
        /// Which life of it.
        incarnation: u64,
    },
    /// The node that has connected is refused.
    Refuse {
        /// Its name.
        node: NodeName,
        /// Which life of it.
        incarnation: u64,
        /// Why.
        refusal: Refusal,
    },
    /// The node is dead: its connections are closed, and its messages dropped.
    Down {
        /// Its name.
        node: NodeName,
        /// Which life of it.
        incarnation: u64,
        /// Why.
        reason: Cause,
    },
}

/// The nodes that are up, and the dead.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use skitter::net::{Cause, Command, Event, Membership, SILENCE};
///
/// let node: skitter::id::NodeName = "worker@here".parse()?;
/// let second = Duration::from_secs;
/// let mut members = Membership::new(SILENCE);
/// members.handle(Event::Connected { node: node.clone(), incarnation: 1, now: second(0) });
/// for now in 1..3 {
///     assert_eq!(members.handle(Event::Tick { now: second(now) }), []);
/// }
/// let reason = Cause::Silent(second(3));
/// let down = Command::Down { node: node.clone(), incarnation: 1, reason };
/// assert_eq!(members.handle(Event::Tick { now: second(3) }), [down]);
/// assert!(members.check(&node, 1).is_err(), "it comes back only as another");
/// assert!(members.check(&node, 2).is_ok());
/// # Ok::<(), skitter::id::InvalidName>(())
/// ```
#[derive(Clone, Debug)]
pub struct Membership {
    silence: Duration,
    /// When the last event was.
    last: Duration,
    /// Time that has passed, without that in which nobody was there to look.
    watched: Duration,
    up: BTreeMap<NodeName, Up>,
    /// The last dead incarnation of a name, and a number that says who died before whom.
    dead: BTreeMap<NodeName, (u64, u64)>,
    deaths: u64,
}

#[derive(Clone, Copy, Debug)]
struct Up {
    incarnation: u64,
    /// When it was heard last, in watched time.
    heard: Duration,
}

impl Membership {
    /// No nodes; `silence` is how long one may be silent.
    pub fn new(silence: Duration) -> Membership {
        let (up, dead) = (BTreeMap::new(), BTreeMap::new());
        Membership { silence, last: Duration::ZERO, watched: Duration::ZERO, up, dead, deaths: 0 }
    }

    /// The nodes that are up, with their incarnations, in order of their names.
    pub fn up(&self) -> impl Iterator<Item = (&NodeName, u64)> {
        self.up.iter().map(|(node, up)| (node, up.incarnation))
    }

    /// Whether this life of a node is up; what comes from another is to be dropped.
    pub fn is_up(&self, node: &NodeName, incarnation: u64) -> bool {
        self.up.get(node).is_some_and(|up| up.incarnation == incarnation)
    }

    /// Whether a node may join, as things are.
    ///
    /// # Errors
    /// With [`Reason::AlreadyConnected`] when this life of it is up, with [`Reason::NameTaken`] when another is, with
    /// [`Reason::DeclaredDead`] when this or a later one is dead.
    pub fn check(&self, node: &NodeName, incarnation: u64) -> Result<(), Refusal> {
        if let Some(up) = self.up.get(node) {
            return Err(if up.incarnation == incarnation {
                Refusal::new(Reason::AlreadyConnected, format!("there is a connection with `{node}`"))
            } else {
                Refusal::new(Reason::NameTaken, format!("another `{node}` is up"))
            });
        }
        match self.dead.get(node) {
            Some((dead, _)) if *dead >= incarnation => {
                let detail = format!("this `{node}` was declared dead; it has to start anew");
                Err(Refusal::new(Reason::DeclaredDead, detail))
            }
            _ => Ok(()),
        }
    }

    /// Takes an event; says what is to be done, in order. Events of lives that are not up change nothing.
    pub fn handle(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Connected { node, incarnation, now } => {
                // Who has been silent for too long is not in the way any more.
                let mut commands = self.pass(now);
                commands.push(match self.check(&node, incarnation) {
                    Ok(()) => {
                        self.up.insert(node.clone(), Up { incarnation, heard: self.watched });
                        Command::Up { node, incarnation }
                    }
                    Err(refusal) => Command::Refuse { node, incarnation, refusal },
                });
                commands
            }
            Event::Heard { node, incarnation, now } => {
                self.watch(now);
                if let Some(up) = self.up.get_mut(&node).filter(|up| up.incarnation == incarnation) {
                    up.heard = self.watched;
                }
                Vec::new()
            }
            Event::Reset { node, incarnation, now } => {
                self.watch(now);
                if self.is_up(&node, incarnation) {
                    self.bury(&node, incarnation);
                    vec![Command::Down { node, incarnation, reason: Cause::Reset }]
                } else {
                    Vec::new()
                }
            }
            Event::Left { node, incarnation, now } => {
                self.watch(now);
                if self.is_up(&node, incarnation) {
                    self.up.remove(&node);
                }
                Vec::new()
            }
            Event::Tick { now } => self.pass(now),
        }
    }

    /// Counts the time since the last event.
    fn watch(&mut self, now: Duration) {
        self.watched += now.saturating_sub(self.last).min(LONGEST_STEP);
        self.last = self.last.max(now);
    }

    /// Counts the time since the last event, and looks who has been silent for too long.
    fn pass(&mut self, now: Duration) -> Vec<Command> {
        self.watch(now);
        let silent = |up: &Up| self.watched.saturating_sub(up.heard);
        let dead = self.up.iter().filter(|(_, up)| silent(up) >= self.silence);
        let dead: Vec<_> = dead.map(|(node, up)| (node.clone(), up.incarnation, silent(up))).collect();
        let bury = |(node, incarnation, silent)| {
            self.bury(&node, incarnation);
            Command::Down { node, incarnation, reason: Cause::Silent(silent) }
        };
        dead.into_iter().map(bury).collect()
    }

    fn bury(&mut self, node: &NodeName, incarnation: u64) {
        self.up.remove(node);
        self.deaths += 1;
        self.dead.insert(node.clone(), (incarnation, self.deaths));
        if self.dead.len() > MOST_DEAD {
            let first = self.dead.iter().min_by_key(|(_, (_, death))| *death).map(|(node, _)| node.clone());
            first.map(|node| self.dead.remove(&node));
        }
    }
}

#[cfg(test)]
mod tests;
