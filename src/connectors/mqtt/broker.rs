//! A broker, and how it is connected to.

use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, MqttOptions, StateError,
    TlsConfiguration, Transport,
};

use crate::connectors::driver::Driver;
use crate::connectors::retry::{ANSWER_TIMEOUT, Attempt, Attempts, CONNECT_TIMEOUT, FIRST_PATIENCE, Failure, wait};
use crate::connectors::server::{Resolved, ServerUrl};
use crate::connectors::tls;
use crate::workflow::{Error, Result};

/// How many requests may wait for the connection, and how many messages for their acknowledgements.
pub(super) const REQUESTS: u16 = 256;

/// A connection, and who runs it.
pub(super) struct Session {
    pub client: AsyncClient,
    pub events: EventLoop,
    pub driver: Driver,
}

/// How somebody wants to be known to a broker.
pub(super) struct Guest<'a> {
    /// None for one that nobody else has.
    pub id: Option<&'a str>,
    /// Whether the broker forgets it when it goes.
    pub clean: bool,
    /// How often it says that it is there, when it says nothing else; never if zero.
    pub keep_alive: Duration,
    /// Whether it acknowledges messages itself.
    pub acknowledges: bool,
    /// The largest message, in bytes.
    pub longest: usize,
}

impl Guest<'_> {
    /// One of whom nothing is kept.
    pub const PASSING: Guest<'static> =
        Guest { id: None, clean: true, keep_alive: Duration::ZERO, acknowledges: false, longest: 1 << 20 };

    /// Connects once.
    pub fn connect(&self, server: &Resolved) -> Result<Session, Failure> {
        let options = self.options(server).map_err(Failure::Other)?;
        let (client, mut events) = AsyncClient::new(options, REQUESTS.into());
        events.network_options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
        let driver = Driver::new().map_err(Failure::Other)?;
        match driver.run(ANSWER_TIMEOUT, events.poll()) {
            Some(Ok(Event::Incoming(Incoming::ConnAck(_)))) => Ok(Session { client, events, driver }),
            Some(Ok(other)) => Err(Failure::Refused(format!("it has answered {other:?}"))),
            Some(Err(error)) => Err(failure(&error, server)),
            None => Err(Failure::Away(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))),
        }
    }

    fn options(&self, server: &Resolved) -> Result<MqttOptions> {
        let parts = server.parts();
        let tls = parts.scheme == "mqtts";
        let address = parts.rest.split('/').next().unwrap_or_default();
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => {
                (host, port.parse().map_err(|_| Error::Operation(format!("`{port}` is not a port")))?)
            }
            _ => (address, if tls { 8883 } else { 1883 }),
        };
        let id = match self.id {
            Some(id) => id.to_owned(),
            None => {
                let mut random = [0; 8];
                getrandom::fill(&mut random).map_err(|error| Error::Outside(format!("no random number: {error}")))?;
                format!("skitter-{:016x}", u64::from_ne_bytes(random))
            }
        };
        let mut options = MqttOptions::new(id, host.trim_start_matches('[').trim_end_matches(']'), port);
        if let Some(user) = parts.user {
            options.set_credentials(user, parts.password.unwrap_or_default());
        }
        if tls {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls::client_config()?)));
        }
        options.set_clean_session(self.clean).set_keep_alive(self.keep_alive).set_manual_acks(self.acknowledges);
        options.set_max_packet_size(self.longest, usize::MAX).set_inflight(REQUESTS);
        Ok(options)
    }
}

/// Sees whether the broker can be reached.
///
/// # Errors
/// When it cannot, for as long as is waited for it at the start, or when it refuses the login.
pub(super) fn check(server: &ServerUrl) -> Result<()> {
    let mut attempts = Attempts::new("MQTT", server, FIRST_PATIENCE);
    loop {
        let connected = Guest::PASSING.connect(&server.resolve()?);
        match attempts.judge("connect", connected)? {
            Attempt::Done(_) => return Ok(()),
            Attempt::Away(time) => wait(time),
        }
    }
}

/// What a lost connection means.
pub(super) fn failure(error: &ConnectionError, server: &Resolved) -> Failure {
    let reason = match error {
        ConnectionError::ConnectionRefused(code) => format!("it refuses the connection: {code:?}"),
        ConnectionError::MqttState(StateError::Io(error)) => error.to_string(),
        other => other.to_string(),
    };
    let reason = server.scrub(reason);
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable) => Failure::Away(reason),
        ConnectionError::ConnectionRefused(_)
        | ConnectionError::NotConnAck(_)
        | ConnectionError::MqttState(StateError::Deserialization(_)) => Failure::Refused(reason),
        ConnectionError::Tls(rumqttc::TlsError::Io(error)) if error.kind() != std::io::ErrorKind::InvalidData => {
            Failure::Away(reason)
        }
        ConnectionError::Tls(_) => Failure::Refused(reason),
        _ => Failure::Away(reason),
    }
}
