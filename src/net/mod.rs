//! Bytes between nodes: from a connection to one whose ends know and trust each other, with typed messages over it.
//!
//! | file | what it is |
//! |---|---|
//! | `transport` | connections between hosts: TCP, or simulated in one process; TLS over them |
//! | `cookie` | the secret that nodes share |
//! | `handshake` | how two nodes get to know and trust each other; pure |
//! | `session` | a connection after the handshake |
//! | `reception` | where sessions come in, whatever else comes in |
//! | `doorkeeper` | who has to wait, because others from there have failed; pure |
//! | `digest` | what is said of strangers, once a second; pure |
//! | `frames` | pieces of a stream that have a length |
//! | `channel` | typed messages and heartbeats over it |
//! | `membership` | who belongs to the cluster, and who is dead; pure |
//! | `mapper` | which node of a host listens at which port |
//!
//! Nothing here starts a task: what has to be run is a future that whoever uses it drives.

mod channel;
mod cookie;
mod digest;
mod doorkeeper;
mod file;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    //! Ways into this room for bytes of any kind; see [`crate::fuzz`].

    pub use super::handshake::fuzz::{acceptor, claims, dialer};
    pub use super::mapper::fuzz::lines;
}
mod handshake;
mod identity;
pub mod mapper;
mod membership;
mod reception;
mod refusal;
mod session;
#[cfg(test)]
mod tests;
mod transport;

pub use channel::{ChannelError, Courier, Frame, HEARTBEAT, MAX_MESSAGE, Receiver, STALL_TIMEOUT, Sender, channel};
pub use cookie::{COOKIE_FILE, Cookie, CookieError, MAX_COOKIE};
pub use digest::{Digest, Line};
pub use doorkeeper::{BURST, Doorkeeper, MAX_ORIGINS, Origin, REFILL};
pub use frames::Frames;
pub use handshake::{Acceptor, Dialer, MAX_DETAIL, MAX_HANDSHAKE, Nonce, PROTOCOL};
pub use identity::{Expect, Fingerprint, Identity, Mode, Purpose};
pub use membership::{Cause, Command, Event, LONGEST_STEP, Membership, SILENCE};
pub use reception::{MAX_STRANGERS, Reception, Stranger};
pub use refusal::{Reason, Refusal};
pub use session::{HANDSHAKE_TIMEOUT, Session, accept, dial};
pub use transport::{
    BoxFuture, BoxReader, BoxStream, BoxWriter, CONNECT_TIMEOUT, Credentials, Listener, MAX_PEM, Silence, Simulated,
    SimulatedHost, Stream, Tcp, Tls, TlsError, TlsFiles, Transport,
};
