//! Why there is no session with a peer.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why there is no session with a peer, in one word, which is part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// Nothing answers.
    NotConnected,
    /// Something answers that is no node of Skitter.
    NotSkitter,
    /// One side does not know the cookie.
    BadCookie,
    /// Another protocol, version of Skitter, or build of the application.
    Incompatible,
    /// A master where a worker was expected, or the other way round.
    ModeMismatch,
    /// There is a session with this very node.
    AlreadyConnected,
    /// The worker serves a master.
    HasMaster,
    /// A living node has this name.
    NameTaken,
    /// This life of the node has been declared dead.
    DeclaredDead,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 9] = [
        Reason::NotConnected,
        Reason::NotSkitter,
        Reason::BadCookie,
        Reason::Incompatible,
        Reason::ModeMismatch,
        Reason::AlreadyConnected,
        Reason::HasMaster,
        Reason::NameTaken,
        Reason::DeclaredDead,
    ];

    /// The word that users see: `bad_cookie`.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::NotConnected => "not_connected",
            Reason::NotSkitter => "not_skitter",
            Reason::BadCookie => "bad_cookie",
            Reason::Incompatible => "incompatible",
            Reason::ModeMismatch => "mode_mismatch",
            Reason::AlreadyConnected => "already_connected",
            Reason::HasMaster => "has_master",
            Reason::NameTaken => "name_taken",
            Reason::DeclaredDead => "declared_dead",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why there is no session with a peer. Shown as `bad_cookie (what is known beyond it)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The reason in a word.
    pub reason: Reason,
    /// What is known beyond it, for people; may be empty.
    pub detail: String,
}

impl Refusal {
    /// A refusal with what is known beyond the reason.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Refusal {
        Refusal { reason, detail: detail.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() { self.reason.fmt(f) } else { write!(f, "{} ({})", self.reason, self.detail) }
    }
}
