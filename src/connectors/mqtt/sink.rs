//! Records as messages.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{Event, Incoming, QoS};
use serde::Serialize;

use super::SCHEMES;
use super::broker::{self, Guest, REQUESTS, Session};
use crate::connectors::payload;
use crate::connectors::retry::{ANSWER_TIMEOUT, Attempt, Attempts, Failure, PATIENCE, wait};
use crate::connectors::sending::sends_at_flushes;
use crate::connectors::server::{Resolved, ServerUrl};
use crate::workflow::{ByHand, Emit, Error, Operation, React, Result};

/// How many messages are sent before their acknowledgements are waited for: enough that the way there and back is
/// little beside the work of the broker, and no more than may be under way.
const AT_ONCE: usize = REQUESTS as usize / 2;

/// Publishes records to a topic of an MQTT broker (version 3.1.1), each as a message with QoS 1. Text is written as it
/// is, all else as JSON, unless [`payload`](Self::payload) says otherwise.
///
/// **On failure** messages since the last checkpoint are published again, and so are those whose acknowledgement was
/// lost: at least once. The broker has acknowledged each before a checkpoint is complete, and each is published at the
/// latest a tenth of a second after its record came. Those of one worker are in order. A broker that is away is waited
/// for; see [`patience`](Self::patience).
///
/// ```no_run
/// use skitter::connectors::MqttSink;
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// workflow
///     .source(TextFiles::new(["words.txt"]))
///     .count_by(|word: &String| word.clone())
///     .sink(MqttSink::new("mqtt://localhost", "counts"), Chained);
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or the topic is empty or has a `+` or `#` in it. The deployment fails before
/// it starts when the broker cannot be reached within 10 s, or refuses the login; while it runs, when it is away for
/// too long. All name the broker and the cause.
pub struct MqttSink<T> {
    server: ServerUrl,
    topic: String,
    payload: Option<Arc<dyn Fn(&T) -> Vec<u8> + Send + Sync>>,
    retained: bool,
    patience: Duration,
}

impl<T> MqttSink<T> {
    /// Publishes to this topic.
    pub fn new(url: impl Into<String>, topic: impl Into<String>) -> Self {
        MqttSink {
            server: ServerUrl::new(url),
            topic: topic.into(),
            payload: None,
            retained: false,
            patience: PATIENCE,
        }
    }

    /// Makes the payload of a message by this function.
    #[must_use]
    pub fn payload(mut self, payload: impl Fn(&T) -> Vec<u8> + Send + Sync + 'static) -> Self {
        self.payload = Some(Arc::new(payload));
        self
    }

    /// Has the broker keep the last message, for those who subscribe later.
    #[must_use]
    pub fn retained(mut self) -> Self {
        self.retained = true;
        self
    }

    /// How long a broker that is away is waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Publishes what is held, and waits for the acknowledgements.
    fn publish(&self, session: &mut Session, server: &Resolved, messages: &[Bytes]) -> Result<(), Failure> {
        for message in messages {
            let sent = session.client.try_publish(&*self.topic, QoS::AtLeastOnce, self.retained, message.clone());
            sent.map_err(|_| Failure::Away("there is no room for what is to be sent".to_owned()))?;
        }
        let acknowledged = session.driver.run(ANSWER_TIMEOUT, async {
            let mut left = messages.len();
            while left > 0 {
                match session.events.poll().await {
                    Ok(Event::Incoming(Incoming::PubAck(_))) => left -= 1,
                    Ok(_) => {}
                    Err(error) => return Err(broker::failure(&error, server)),
                }
            }
            Ok(())
        });
        acknowledged.unwrap_or_else(|| Err(Failure::Away(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))))
    }

    fn send(&self, writer: &mut MqttWriter) -> Result<()> {
        let MqttWriter { attempts, session, messages } = writer;
        while !messages.is_empty() {
            let server = self.server.resolve()?;
            let connected = match &mut *session {
                Some(session) => Ok(session),
                none => Guest::PASSING.connect(&server).map(|session| none.insert(session)),
            };
            let result = connected.and_then(|session| self.publish(session, &server, messages));
            if result.is_err() {
                // What has not been acknowledged is sent again, and nothing else.
                *session = None;
            }
            match attempts.judge(&format!("publish to `{}`", self.topic), result)? {
                Attempt::Done(()) => messages.clear(),
                Attempt::Away(time) => wait(time),
            }
        }
        Ok(())
    }
}

/// What a worker keeps of the broker that it publishes to.
pub struct MqttWriter {
    attempts: Attempts,
    session: Option<Session>,
    /// What has not been published yet.
    messages: Vec<Bytes>,
}

impl std::fmt::Debug for MqttWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MqttWriter").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}

impl<T> Clone for MqttSink<T> {
    fn clone(&self) -> Self {
        let MqttSink { server, topic, payload, .. } = self;
        MqttSink { server: server.clone(), topic: topic.clone(), payload: payload.clone(), ..*self }
    }
}

impl<T> std::fmt::Debug for MqttSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MqttSink").field("server", &self.server).field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operation for MqttSink<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "mqtt sink";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.check(SCHEMES)?;
        if self.topic.is_empty() || self.topic.contains(['+', '#']) {
            return Err(Error::Operation(format!(
                "`{}` is no topic to publish to: it is empty, or a pattern",
                self.topic
            )));
        }
        Ok(())
    }

    fn conf(&mut self) -> Result<()> {
        broker::check(&self.server)
    }
}

impl<T: Serialize + Send + 'static> React for MqttSink<T> {
    type State = ByHand<MqttWriter>;

    fn init(&self) -> Self::State {
        let attempts = Attempts::new("MQTT", &self.server, self.patience);
        ByHand(MqttWriter { attempts, session: None, messages: Vec::new() })
    }

    fn react<E: Emit<Infallible>>(&self, writer: &mut Self::State, record: T, _emit: &mut E) -> Result<()> {
        let payload = match &self.payload {
            Some(payload) => payload(&record),
            None => payload::bytes(&record)?,
        };
        writer.messages.push(payload.into());
        if writer.messages.len() >= AT_ONCE { self.send(writer) } else { Ok(()) }
    }

    sends_at_flushes!();
}
