//! The messages of topics.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rumqttc::{Event, Incoming, Publish, QoS, SubscribeFilter, SubscribeReasonCode};
use serde::{Deserialize, Serialize};

use super::SCHEMES;
use super::broker::{self, Guest, REQUESTS, Session};
use crate::connectors::receipts::{Counter, Delivery, Receipts, Ticket};
use crate::connectors::retry::{Attempt, Attempts, Failure, PATIENCE, wait};
use crate::connectors::server::{Resolved, ServerUrl};
use crate::workflow::{ByHand, Commit, Emit, Error, Intake, Operation, Passive, React, Result, Saved, Share, Snapshot};

/// How often a source that is sent nothing asks whether its worker has stopped, and which messages are safe: soon
/// enough for whoever waits for that, seldom enough to cost nothing.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// How often the broker is told that the source is there, when there is nothing else to tell it.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The largest message that is read unless told otherwise.
const LONGEST_MESSAGE: usize = 1 << 20;

/// How many messages travel to the worker together at most.
const AT_ONCE: usize = 256;

/// A message of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MqttMessage {
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// Whether it was published before the source subscribed to its topic.
    pub retained: bool,
}

impl MqttMessage {
    /// The payload as text; none if it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.payload).ok()
    }
}

/// A source of the messages of topics of an MQTT broker (version 3.1.1), subscribed to with QoS 1. One worker listens,
/// and it does so until its workflow is stopped. Messages of one publisher stay in order as far as the broker keeps it.
///
/// - **On failure** what came since the last checkpoint is lost, and what is published until the source listens again:
///   at most once.
/// - **With a [session](Self::session)** the broker keeps messages until they are acknowledged, and that is done when a
///   checkpoint that has them is complete: at least once. A message that comes again has its effect again, if it was
///   handled before and its acknowledgement was lost. The broker sends no more while as many as it allows are not
///   acknowledged, which makes that many a checkpoint: with Mosquitto set `max_inflight_messages` to more than its 20,
///   and `max_queued_messages` to what may come while the source is away.
/// - **A broker that is away** is waited for; see [`patience`](Self::patience).
///
/// A slow workflow slows down the broker, as far as MQTT has a way to: what it cannot queue it drops, and a source that
/// reads nothing for a minute and a half is cut off, and connects again.
///
/// ```no_run
/// use skitter::connectors::{MqttMessage, MqttSource};
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// let heat = MqttSource::new("mqtts://plant:${MQTT_PASSWORD}@broker.example.org", ["sensors/+/heat"]).session("heat");
/// workflow
///     .listen(heat)
///     .map(|message: MqttMessage| (message.topic.clone(), message.text().unwrap_or_default().to_owned()))
///     .print();
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or no topic is named. The deployment fails before it starts when the broker
/// cannot be reached within 10 s, or refuses the login; while it runs, when the broker is away for too long, refuses a
/// topic, or sends a message that is too large. All name the broker and the cause.
#[derive(Clone, Debug)]
pub struct MqttSource {
    server: ServerUrl,
    topics: Vec<String>,
    session: Option<String>,
    longest: usize,
    patience: Duration,
    counter: Counter,
}

impl MqttSource {
    /// A source of the messages of these topics, in which `+` and `#` stand for any.
    pub fn new(url: impl Into<String>, topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        MqttSource {
            server: ServerUrl::new(url),
            topics: topics.into_iter().map(Into::into).collect(),
            session: None,
            longest: LONGEST_MESSAGE,
            patience: PATIENCE,
            counter: Counter::default(),
        }
    }

    /// Has the broker keep messages for the client of this id, which nobody else may have, until they are in a complete
    /// checkpoint. Without checkpoints none is acknowledged before the end.
    #[must_use]
    pub fn session(mut self, client_id: impl Into<String>) -> Self {
        self.session = Some(client_id.into());
        self
    }

    /// Reads messages of up to this many bytes, a MiB unless set; a larger one is an error.
    #[must_use]
    pub fn longest_message(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// How long a broker that is away is waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Connects and subscribes.
    fn connect(&self, server: &Resolved) -> Result<Session, Failure> {
        let guest = Guest {
            id: self.session.as_deref(),
            clean: self.session.is_none(),
            keep_alive: KEEP_ALIVE,
            acknowledges: self.session.is_some(),
            longest: self.longest,
        };
        let session = guest.connect(server)?;
        let filters = self.topics.iter().map(|topic| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce));
        let refused = |_| Failure::Refused(format!("a topic of `{}` is not valid", self.topics.join("`, `")));
        session.client.try_subscribe_many(filters).map_err(refused)?;
        Ok(session)
    }
}

impl Operation for MqttSource {
    type In = Delivery<MqttMessage>;
    type Out = MqttMessage;
    const NAME: &'static str = "mqtt source";
    const IN_PORTS: &'static [&'static str] = &[];

    fn check(&self) -> Result<()> {
        self.server.check(SCHEMES)?;
        if self.session.as_deref() == Some("") {
            return Err(Error::from("the client of the session has an empty id"));
        }
        if self.topics.is_empty() { Err(Error::from("no topic was named; name at least one")) } else { Ok(()) }
    }

    fn conf(&mut self) -> Result<()> {
        broker::check(&self.server)
    }
}

impl React for MqttSource {
    type State = ByHand<Receipts>;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> Self::State {
        ByHand::default()
    }

    #[inline(always)]
    fn react<E: Emit<MqttMessage>>(
        &self,
        receipts: &mut Self::State,
        delivery: Delivery<MqttMessage>,
        emit: &mut E,
    ) -> Result<()> {
        receipts.handled(delivery.ticket);
        emit.emit(delivery.record);
        Ok(())
    }

    fn snapshot(&self, receipts: &mut Self::State, snapshot: &mut Snapshot) -> Result<()> {
        receipts.note(snapshot.checkpoint());
        Ok(())
    }

    fn restore(&self, _saved: &Saved) -> Result<Self::State> {
        Ok(self.init())
    }

    fn commit(&self, receipts: &mut Self::State, commit: Commit) -> Result<()> {
        if let Some(ticket) = receipts.due(commit) {
            self.counter.tell(ticket);
        }
        Ok(())
    }
}

impl Passive for MqttSource {
    fn listen(&self, share: Share, intake: &mut Intake<Delivery<MqttMessage>>) -> Result<()> {
        if share.index > 0 {
            return Ok(());
        }
        let mut attempts = Attempts::new("MQTT", &self.server, self.patience);
        let mut listener = Listener { life: self.counter.begin(), number: 0, waiting: VecDeque::new() };
        while !intake.is_closed() {
            let server = self.server.resolve()?;
            let result = self.connect(&server).and_then(|mut session| {
                // What is not acknowledged comes again over the new connection.
                listener.waiting.clear();
                self.listen_to(&mut session, &server, &mut listener, &mut attempts, intake)
            });
            if let Attempt::Away(time) = attempts.judge("be listened to", result)? {
                pause(time, intake);
            }
        }
        Ok(())
    }
}

/// What the thread that listens knows.
struct Listener {
    life: u64,
    /// How many messages have been taken in.
    number: u64,
    /// Those that have not been acknowledged, with their numbers.
    waiting: VecDeque<(u64, Publish)>,
}

impl MqttSource {
    /// Takes messages in until the worker stops or the connection is lost.
    fn listen_to(
        &self,
        session: &mut Session,
        server: &Resolved,
        listener: &mut Listener,
        attempts: &mut Attempts,
        intake: &mut Intake<Delivery<MqttMessage>>,
    ) -> Result<(), Failure> {
        while !intake.is_closed() {
            let mut messages = Vec::new();
            let mut patience = ASK_AGAIN;
            while messages.len() < AT_ONCE {
                match session.driver.run(patience, session.events.poll()) {
                    None => break,
                    Some(Err(error)) => {
                        // Those that are here are not acknowledged, or nobody wants to know.
                        let _ = intake.take(messages);
                        return Err(broker::failure(&error, server));
                    }
                    Some(Ok(Event::Incoming(Incoming::Publish(publish)))) => {
                        listener.number += 1;
                        let ticket = Ticket { life: listener.life, number: listener.number };
                        let record = MqttMessage {
                            topic: publish.topic.clone(),
                            payload: publish.payload.to_vec(),
                            retained: publish.retain,
                        };
                        messages.push(Delivery { record, ticket });
                        if self.session.is_some() {
                            listener.waiting.push_back((ticket.number, publish));
                        }
                        // What has come with it travels with it.
                        patience = Duration::ZERO;
                    }
                    Some(Ok(Event::Incoming(Incoming::SubAck(answer)))) => {
                        if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                            let topics = self.topics.join("`, `");
                            return Err(Failure::Refused(format!("it refuses a topic of `{topics}`")));
                        }
                        attempts.judge("be listened to", Ok(())).map_err(Failure::Other)?;
                    }
                    Some(Ok(_)) => {}
                }
            }
            if !intake.take(messages) {
                break;
            }
            let safe = self.counter.safe(listener.life).unwrap_or_default();
            for _ in 0..REQUESTS {
                let Some((number, publish)) = listener.waiting.pop_front_if(|(number, _)| *number <= safe) else {
                    break;
                };
                if session.client.try_ack(&publish).is_err() {
                    // There is no room; it is told in the next turn.
                    listener.waiting.push_front((number, publish));
                    break;
                }
            }
        }
        // So that the broker does not wait for what will not come.
        let _ = session.client.try_disconnect();
        let _ = session.driver.run(ASK_AGAIN, async { while session.events.poll().await.is_ok() {} });
        Ok(())
    }
}

/// Waits before another attempt, unless the worker stops.
fn pause(time: Duration, intake: &Intake<Delivery<MqttMessage>>) {
    let end = Instant::now() + time;
    while !intake.is_closed() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        wait(left.min(ASK_AGAIN));
    }
}
