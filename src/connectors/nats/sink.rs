//! Records as messages.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::PublishErrorKind;
use bytes::Bytes;
use serde::Serialize;

use super::SCHEMES;
use super::link::{Link, Nats, Server, Trouble};
use crate::connectors::retry::{FIRST_PATIENCE, PATIENCE};
use crate::connectors::sending::sends_at_flushes;
use crate::connectors::server::ServerUrl;
use crate::workflow::{ByHand, Emit, Error, Operation, React, Result};

/// How many messages are sent before their acknowledgements are waited for: enough that the way there and back is
/// little beside the work of the server.
const AT_ONCE: usize = 256;

/// What a message needs beside its payload, at most: what the server allows is for both.
const HEADERS_BYTES: usize = 1 << 10;

/// Publishes records to NATS JetStream, each as a message of one subject. Text is written as it is, all else as JSON,
/// unless [`payload`](Self::payload) says otherwise.
///
/// Each message is acknowledged by its stream before a checkpoint is complete, and published at the latest a tenth of a
/// second after its record came. Those of one worker are in order, unless the server was away in between.
///
/// **On failure** messages since the last checkpoint are published again: at least once. With a
/// [message id](Self::message_id) the stream leaves out those that it has had within its *duplicate window*, 2 minutes
/// unless it says otherwise: exactly once, where that is longer than from a checkpoint to the recovery from a failure
/// behind it. A server that is away is waited for; see [`patience`](Self::patience).
///
/// ```no_run
/// use skitter::connectors::NatsSink;
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// let sink = NatsSink::new("nats://localhost", "orders.new").message_id(|order: &String| order.clone());
/// workflow.source(TextFiles::new(["orders.txt"])).sink(sink, Chained);
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or the subject is empty. The deployment fails before it starts when the server
/// cannot be reached within 10 s, refuses the login, or has no stream of that subject; while it runs, when the server
/// is away for too long, and when a message is larger than the server allows. All name the server and the cause.
pub struct NatsSink<T> {
    server: Server,
    subject: String,
    payload: Option<Make<T, Vec<u8>>>,
    id: Option<Make<T, String>>,
    patience: Duration,
}

/// Makes something of a record.
type Make<T, R> = Arc<dyn Fn(&T) -> R + Send + Sync>;

impl<T> NatsSink<T> {
    /// Publishes to this subject. In the URL there may be a user with a password, or a token in the place of a user.
    pub fn new(url: impl Into<String>, subject: impl Into<String>) -> Self {
        let server = Server { url: ServerUrl::new(url), credentials: None };
        NatsSink { server, subject: subject.into(), payload: None, id: None, patience: PATIENCE }
    }

    /// Makes the payload of a message by this function.
    #[must_use]
    pub fn payload(mut self, payload: impl Fn(&T) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.payload = Some(Arc::new(payload));
        self
    }

    /// Gives each message the id that this function makes of its record, and of nothing else: the same for a record
    /// that comes again after a failure, and another one for each other record.
    #[must_use]
    pub fn message_id(mut self, id: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        self.id = Some(Arc::new(id));
        self
    }

    /// Logs in by the credentials in this file, which is read on the node that connects.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.server.credentials = Some(path.into());
        self
    }

    /// How long a server that is away is waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Publishes all messages that are held, and waits until they are stored.
    fn send(&self, writer: &mut NatsWriter) -> Result<()> {
        let NatsWriter { link, messages } = writer;
        if messages.is_empty() {
            return Ok(());
        }
        let what = format!("publish to `{}`", self.subject);
        link.call(&what, async |nats, ()| publish(nats, &self.subject, messages).await)?;
        messages.clear();
        Ok(())
    }
}

async fn publish(nats: &Nats, subject: &str, messages: &[(Option<String>, Bytes)]) -> Result<(), Trouble> {
    let most = nats.client.server_info().max_payload;
    if let Some((_, payload)) = messages.iter().find(|(_, payload)| payload.len() + HEADERS_BYTES > most) {
        let length = payload.len();
        return Err(Trouble::Refused(format!(
            "a message has {length} bytes, and the server allows {most} with headers"
        )));
    }
    let mut acknowledgements = Vec::with_capacity(messages.len());
    for (id, payload) in messages {
        let mut headers = HeaderMap::new();
        if let Some(id) = id {
            headers.insert(NATS_MESSAGE_ID, id.as_str());
        }
        let sent = nats.jetstream.publish_with_headers(subject.to_owned(), headers, payload.clone()).await;
        acknowledgements.push(sent.map_err(Trouble::away)?);
    }
    for acknowledgement in acknowledgements {
        // A stream that is not there may be so because its server has just come up.
        acknowledgement.await.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Trouble::refused(error),
            _ => Trouble::away(error),
        })?;
    }
    Ok(())
}

/// What a worker keeps of the server that it publishes to.
#[derive(Debug)]
pub struct NatsWriter {
    link: Link<()>,
    /// What has not been published yet: ids and payloads.
    messages: Vec<(Option<String>, Bytes)>,
}

impl<T> Clone for NatsSink<T> {
    fn clone(&self) -> Self {
        let NatsSink { server, subject, payload, id, patience } = self;
        let (server, subject) = (server.clone(), subject.clone());
        NatsSink { server, subject, payload: payload.clone(), id: id.clone(), patience: *patience }
    }
}

impl<T> std::fmt::Debug for NatsSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NatsSink").field("server", &self.server).field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operation for NatsSink<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "nats sink";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.url.check(SCHEMES)?;
        if self.subject.is_empty() { Err(Error::from("the subject to publish to is empty")) } else { Ok(()) }
    }

    fn conf(&mut self) -> Result<()> {
        let mut link = Link::<()>::new(&self.server, FIRST_PATIENCE);
        let what = format!("find a stream of subject `{}`", self.subject);
        link.call(&what, async |nats, ()| {
            nats.jetstream.stream_by_subject(&self.subject).await.map_err(Trouble::refused)
        })
        .map(|_| ())
    }
}

impl<T: Serialize + Send + 'static> React for NatsSink<T> {
    type State = ByHand<NatsWriter>;

    fn init(&self) -> Self::State {
        ByHand(NatsWriter { link: Link::new(&self.server, self.patience), messages: Vec::new() })
    }

    fn react<E: Emit<Infallible>>(&self, writer: &mut Self::State, record: T, _emit: &mut E) -> Result<()> {
        let payload = match &self.payload {
            Some(payload) => payload(&record),
            None => crate::connectors::payload::bytes(&record)?,
        };
        writer.messages.push((self.id.as_ref().map(|id| id(&record)), payload.into()));
        if writer.messages.len() >= AT_ONCE { self.send(writer) } else { Ok(()) }
    }

    sends_at_flushes!();
}
