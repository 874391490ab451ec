//! A control connection that stands.

use tokio::sync::mpsc;

use crate::actor::{self, Task};
use crate::codec::Record;
use crate::id::NodeName;
use crate::net::{Frame, HEARTBEAT, Identity, Sender, Session, channel};

/// What comes over a link.
#[derive(Debug)]
pub enum Heard<M> {
    /// A sign of life.
    Heartbeat,
    /// A message.
    Message(M),
    /// The connection has ended, for this reason.
    Lost(String),
}

/// The control connection to a peer. Dropping it closes the connection at once.
pub struct Link<Out> {
    /// Who is at the other end.
    pub peer: Identity,
    /// The address that the peer was seen at.
    pub host: Option<String>,
    /// Takes what is to be sent.
    pub sender: Sender<Out>,
    courier: Task,
    reader: Task,
}

impl<Out: Record> Link<Out> {
    /// Begins to talk over a session. What comes is given to `hear` with a number of the caller's.
    pub fn new<In: Record>(session: Session, number: u64, hear: mpsc::Sender<(u64, Heard<In>)>) -> Link<Out> {
        let Session { peer, stream, address, .. } = session;
        let (sender, mut receiver, courier) = channel::<Out, In>(stream, HEARTBEAT);
        let lost = hear.clone();
        let courier = actor::task(async move {
            if let Err(error) = courier.run().await {
                let _ = lost.send((number, Heard::Lost(error.to_string()))).await;
            }
        });
        let reader = actor::task(async move {
            loop {
                let heard = match receiver.recv().await {
                    Ok(Some(Frame::Heartbeat)) => Heard::Heartbeat,
                    Ok(Some(Frame::Message(message))) => Heard::Message(message),
                    Ok(None) => Heard::Lost("it was closed".to_owned()),
                    Err(error) => Heard::Lost(error.to_string()),
                };
                let last = matches!(heard, Heard::Lost(_));
                if hear.send((number, heard)).await.is_err() || last {
                    return;
                }
            }
        });
        Link { peer, host: address.map(|address| address.ip().to_string()), sender, courier, reader }
    }

    /// The name of the peer.
    pub fn name(&self) -> &NodeName {
        &self.peer.name
    }

    /// Says a last thing, and closes the connection when the peer has; waits for that.
    pub async fn part(self, last: &Out) {
        let Link { sender, courier, reader, .. } = self;
        if sender.send(last).await.is_ok() {
            drop(sender);
            courier.ended().await;
            // The system would take back what was said last if something came that nobody has read.
            reader.ended().await;
        }
    }
}
