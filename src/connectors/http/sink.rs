//! Records as posts.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use serde::Serialize;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use crate::connectors::payload;
use crate::connectors::retry::{ANSWER_TIMEOUT, Attempt, Attempts, CONNECT_TIMEOUT, Failure, PATIENCE, wait};
use crate::connectors::sending::sends_at_flushes;
use crate::connectors::server::{ServerUrl, expand};
use crate::workflow::{ByHand, Emit, Error, Operation, React, Result};

/// How many records are posted together unless told otherwise.
const AT_ONCE: usize = 100;

/// From how many bytes on they are posted, however few they are: what every server takes.
const BODY_BYTES: usize = 512 << 10;

/// How long one waits at most because a server asks for it; it is asked again then.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(10);

/// How much of what a server says to a refusal is passed on.
const MOST_SAID: u64 = 300;

/// Posts records to a URL, many in one body: a webhook. Each is a line of the body: text as it is, all else as JSON.
/// The body is `application/x-ndjson`; with [`array`](Self::array) it is an array in JSON, `application/json`.
///
/// A body is posted when there are so many records as [`batch`](Self::batch) says, at the latest a tenth of a second
/// after the first one came, and before a checkpoint is complete. Those of one worker are in order.
///
/// **On failure** records since the last checkpoint are posted again, and so is a body whose answer was lost or says
/// that the server has trouble: at least once. A body that is posted again after such an answer has the same
/// `Idempotency-Key`, which no other one has; one that is posted again after a recovery has another one.
///
/// An answer of 408, 429 or 5xx, and none at all within 30 s, are waited for, longer each time, and as long as
/// `Retry-After` says up to 10 s; see [`patience`](Self::patience). Any other answer that is not 2xx fails the
/// deployment; redirections are not followed.
///
/// ```no_run
/// use skitter::connectors::HttpSink;
/// use skitter::prelude::*;
///
/// let workflow = WorkflowBuilder::new();
/// let hook = HttpSink::new("https://hooks.example.org/counts").header("Authorization", "Bearer ${HOOK_TOKEN}");
/// workflow.source(TextFiles::new(["words.txt"])).count_by(|word: &String| word.clone()).sink(hook, Sedentary);
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the URL is none, or a header is not valid. The deployment fails when a variable of a header is
/// not set, when the server is away for too long, and when it refuses a body. All name the server and the cause.
pub struct HttpSink<T> {
    server: ServerUrl,
    headers: Vec<(String, String)>,
    batch: usize,
    array: bool,
    patience: Duration,
    types: PhantomData<fn(T)>,
}

impl<T> HttpSink<T> {
    /// Posts to this URL.
    pub fn new(url: impl Into<String>) -> Self {
        HttpSink {
            server: ServerUrl::new(url),
            headers: Vec::new(),
            batch: AT_ONCE,
            array: false,
            patience: PATIENCE,
            types: PhantomData,
        }
    }

    /// Sends this header with each body. `${NAME}` in its value stands for a variable of the environment of the node
    /// that posts.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Posts up to so many records together, 100 unless set; 1 is one body a record.
    #[must_use]
    pub fn batch(mut self, records: usize) -> Self {
        self.batch = records.max(1);
        self
    }

    /// Posts arrays in JSON.
    #[must_use]
    pub fn array(mut self) -> Self {
        self.array = true;
        self
    }

    /// How long a server that is away is waited for before the deployment fails. A minute unless set.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    fn body(&self, records: &[Vec<u8>]) -> Vec<u8> {
        let mut body = Vec::with_capacity(records.iter().map(|record| record.len() + 1).sum::<usize>() + 2);
        if self.array {
            body.push(b'[');
            body.extend(records.join(&b','));
            body.push(b']');
        } else {
            records.iter().for_each(|record| {
                body.extend(record);
                body.push(b'\n');
            });
        }
        body
    }

    /// Posts all records that are held.
    fn send(&self, writer: &mut HttpWriter) -> Result<()> {
        let HttpWriter { agent, attempts, records, bytes } = writer;
        if records.is_empty() {
            return Ok(());
        }
        let agent = match agent {
            Some(agent) => agent,
            none => none.insert(agent_of()),
        };
        let (body, key) = (self.body(records), key()?);
        loop {
            let mut retry_after = None;
            let posted = self.post(agent, &body, &key, &mut retry_after);
            match attempts.judge("take records", posted)? {
                Attempt::Done(()) => break,
                Attempt::Away(time) => wait(time.max(retry_after.unwrap_or_default())),
            }
        }
        records.clear();
        *bytes = 0;
        Ok(())
    }

    fn post(&self, agent: &Agent, body: &[u8], key: &str, retry_after: &mut Option<Duration>) -> Result<(), Failure> {
        let server = self.server.resolve().map_err(Failure::Other)?;
        let kind = if self.array { "application/json" } else { "application/x-ndjson" };
        let mut request = agent.post(&server.url).header("Content-Type", kind).header("Idempotency-Key", key);
        let mut secrets = Vec::new();
        for (name, value) in &self.headers {
            let (value, found) = expand(value, &format!("header `{name}`"), str::to_owned).map_err(Failure::Other)?;
            request = request.header(name, value);
            secrets.extend(found);
        }
        let scrub = |text: String| {
            let text = server.scrub(text);
            secrets.iter().filter(|secret| !secret.is_empty()).fold(text, |text, secret| text.replace(secret, "***"))
        };
        let mut response = request.send(body).map_err(|error| {
            let reason = scrub(error.to_string());
            match error {
                ureq::Error::Io(_)
                | ureq::Error::Timeout(_)
                | ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::Protocol(_) => Failure::Away(reason),
                _ => Failure::Refused(reason),
            }
        })?;
        let status = response.status();
        if status.is_success() {
            // So that the connection can be used again.
            let _ = response.body_mut().with_config().limit(MOST_SAID).read_to_vec();
            return Ok(());
        }
        let seconds = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        *retry_after = seconds.map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
        if status.is_server_error() || status == 408 || status == 429 {
            return Err(Failure::Away(format!("it answers {status}")));
        }
        let mut said = Vec::new();
        let _ =
            std::io::Read::read_to_end(&mut std::io::Read::take(response.body_mut().as_reader(), MOST_SAID), &mut said);
        let said = scrub(String::from_utf8_lossy(&said).trim().to_owned());
        Err(Failure::Refused(format!("it answers {status}: {said}")))
    }
}

/// Who posts, over connections that are kept.
fn agent_of() -> Agent {
    let trusted = rustls_native_certs::load_native_certs().certs;
    let trusted: Vec<_> = trusted.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(ANSWER_TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent("skitter")
        .build();
    Agent::new_with_config(config)
}

/// A key that no other body has.
fn key() -> Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| Error::Outside(format!("no random number: {error}")))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

/// What a worker keeps of the server that it posts to.
#[derive(Debug)]
pub struct HttpWriter {
    agent: Option<Agent>,
    attempts: Attempts,
    /// What has not been posted yet, and how many bytes that are.
    records: Vec<Vec<u8>>,
    bytes: usize,
}

impl<T> Clone for HttpSink<T> {
    fn clone(&self) -> Self {
        HttpSink { server: self.server.clone(), headers: self.headers.clone(), types: PhantomData, ..*self }
    }
}

impl<T> std::fmt::Debug for HttpSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSink").field("server", &self.server).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operation for HttpSink<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "http sink";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        self.server.check(&["http", "https"])?;
        let valid =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        match self.headers.iter().find(|(name, value)| !valid(name) || value.contains(char::is_control)) {
            Some((name, _)) => Err(Error::Operation(format!("header `{name}` is not valid"))),
            None => Ok(()),
        }
    }

    fn conf(&mut self) -> Result<()> {
        self.server.resolve()?;
        let found =
            |(name, value): &(String, String)| expand(value, &format!("header `{name}`"), str::to_owned).map(|_| ());
        self.headers.iter().try_for_each(found)
    }
}

impl<T: Serialize + Send + 'static> React for HttpSink<T> {
    type State = ByHand<HttpWriter>;

    fn init(&self) -> Self::State {
        let attempts = Attempts::new("HTTP", &self.server, self.patience);
        ByHand(HttpWriter { agent: None, attempts, records: Vec::new(), bytes: 0 })
    }

    fn react<E: Emit<Infallible>>(&self, writer: &mut Self::State, record: T, _emit: &mut E) -> Result<()> {
        let record = if self.array { payload::json(&record)? } else { payload::bytes(&record)? };
        writer.bytes += record.len();
        writer.records.push(record);
        let is_full = writer.records.len() >= self.batch || writer.bytes >= BODY_BYTES;
        if is_full { self.send(writer) } else { Ok(()) }
    }

    sends_at_flushes!();
}
