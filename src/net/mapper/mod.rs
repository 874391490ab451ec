//! The port mapper of a host: which node listens at which port.

use std::sync::Arc;

use super::{Reason, Refusal, Transport};

/// The port of the mapper, where no other is set.
pub const MAPPER_PORT: u16 = 4370;

/// A name in the mapper of this host, for as long as it is run.
pub struct Lease {
    _transport: Arc<dyn Transport>,
}

/// Registers a node with the mapper of this host, or becomes the mapper if there is none.
///
/// # Errors
/// With [`Reason::NameTaken`] when a living node has the name, with [`Reason::NotSkitter`] when the port is in the hand
/// of something else.
pub async fn join(transport: Arc<dyn Transport>, port: u16, name: &str, own_port: u16) -> Result<Lease, Refusal> {
    let _ = (transport, port, name, own_port);
    std::future::ready(Err(Refusal::new(Reason::NotConnected, ""))).await
}

impl Lease {
    /// Keeps the name; becomes the mapper when the one that is dies. Ends only when the name is lost.
    pub async fn run(self) -> Refusal {
        std::future::pending().await
    }
}

/// Asks the mapper of a host at which port a node listens.
///
/// # Errors
/// With [`Reason::NotConnected`] when there is no mapper or no such node, with [`Reason::NotSkitter`] when something
/// else answers.
pub async fn lookup(transport: &dyn Transport, host: &str, port: u16, name: &str) -> Result<u16, Refusal> {
    let _ = (transport, host, port, name);
    std::future::ready(Err(Refusal::new(Reason::NotConnected, ""))).await
}
