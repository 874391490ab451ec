//! Where requests are answered: all connections, on one thread.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Builder;

use crate::connectors::receipts::{Counter, Delivery, Ticket};
use crate::workflow::{Error, Result};

/// How many connections there are at a time. The others wait to be accepted, in a queue of the operating system.
const MOST_CONNECTIONS: usize = 128;

/// How many bytes of bodies may wait for the worker: what it takes in within a moment, and no burden to a node.
const QUEUED_BYTES: usize = 8 << 20;

/// How long a client may take for the head of a request, or be silent between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it may take for the body behind it.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request waits for a checkpoint that has it: several of them, as they are by default.
const SAFE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often one that waits looks, and how often it is looked whether to stop.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a request has to be.
pub(super) struct Rules {
    pub token: Option<String>,
    /// The longest body, in bytes.
    pub longest: usize,
    /// Whether the answer waits for a checkpoint.
    pub durable: bool,
}

/// Records on their way to the worker, and how many bytes they were.
type Taken<T> = (Vec<Delivery<T>>, usize);

/// The way to the worker, with a bound in requests and in bytes.
pub(super) struct Queue<T> {
    sender: SyncSender<Taken<T>>,
    held: Arc<AtomicUsize>,
}

impl<T> Queue<T> {
    pub fn new(sender: SyncSender<Taken<T>>) -> Self {
        Queue { sender, held: Arc::default() }
    }

    /// How many bytes are on their way; who takes them says so.
    pub fn held(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.held)
    }

    fn has_room(&self, bytes: usize) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        // One request has room whatever its size.
        held == 0 || held + bytes <= QUEUED_BYTES
    }

    fn put(&self, records: Vec<Delivery<T>>, bytes: usize) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        let sent = self.sender.try_send((records, bytes)).is_ok();
        if !sent {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }
}

/// Who answers.
pub(super) struct Desk<T> {
    rules: Rules,
    parse: fn(&[u8]) -> Result<Vec<T>, String>,
    queue: Queue<T>,
    counter: Counter,
    life: u64,
    /// How many records have been taken.
    number: AtomicU64,
}

type Answer = Response<Full<Bytes>>;

fn answer(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut text: String = text.into();
    text.push('\n');
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer
}

/// One by which the client is to come again.
fn later(status: StatusCode, text: &str) -> Answer {
    let mut later = answer(status, text);
    later.headers_mut().insert(RETRY_AFTER, 1.into());
    later
}

impl<T: Send + 'static> Desk<T> {
    pub fn new(rules: Rules, parse: fn(&[u8]) -> Result<Vec<T>, String>, queue: Queue<T>, counter: Counter) -> Self {
        let life = counter.begin();
        Desk { rules, parse, queue, counter, life, number: AtomicU64::new(0) }
    }

    /// Answers until it is told to stop.
    ///
    /// # Errors
    /// When the system lets nobody wait for connections.
    pub fn serve(&self, listener: TcpListener, stop: &AtomicBool) -> Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::from)?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::from)?;
            let mut connections = FuturesUnordered::new();
            while !stop.load(Ordering::Relaxed) {
                tokio::select! {
                    accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                        Ok((stream, _)) => connections.push(self.connection(TokioIo::new(stream))),
                        Err(error) => {
                            tracing::warn!(reason = %error, "Cannot accept a connection, trying again");
                            tokio::time::sleep(LOOK_AGAIN).await;
                        }
                    },
                    Some(()) = connections.next() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
            Ok(())
        })
    }

    async fn connection(&self, stream: TokioIo<tokio::net::TcpStream>) {
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.request(request).await) });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        // A client that breaks off, or speaks no HTTP, gets what it can be told, and is gone.
        let _ = server.serve_connection(stream, service).await;
    }

    async fn request(&self, request: Request<Incoming>) -> Answer {
        if let Some(refusal) = self.refuse(&request) {
            return refusal;
        }
        let body = Limited::new(request.into_body(), self.rules.longest);
        let body = match tokio::time::timeout(BODY_TIMEOUT, body.collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return self.too_long(),
            Ok(Err(_)) => return answer(StatusCode::BAD_REQUEST, "the body did not come as a whole"),
            Err(_) => return answer(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
        };
        let records = match (self.parse)(&body) {
            Ok(records) => records,
            Err(why) => return answer(StatusCode::BAD_REQUEST, why),
        };
        let count = records.len() as u64;
        if count > 0 {
            let busy = || later(StatusCode::TOO_MANY_REQUESTS, "the workflow has much to do; try again later");
            if !self.queue.has_room(body.len()) {
                return busy();
            }
            let first = self.number.load(Ordering::Relaxed) + 1;
            let deliver = |(number, record)| Delivery { record, ticket: Ticket { life: self.life, number } };
            if !self.queue.put((first..).zip(records).map(deliver).collect(), body.len()) {
                return busy();
            }
            self.number.store(first + count - 1, Ordering::Relaxed);
            if self.rules.durable {
                return self.wait_for(first + count - 1).await;
            }
        }
        let status = if self.rules.durable { StatusCode::OK } else { StatusCode::ACCEPTED };
        answer(status, format!("{count} records"))
    }

    /// Waits until a complete checkpoint has this record.
    async fn wait_for(&self, last: u64) -> Answer {
        let safe = async {
            while self.counter.safe(self.life).is_none_or(|safe| safe < last) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        match tokio::time::timeout(SAFE_TIMEOUT, safe).await {
            Ok(()) => answer(StatusCode::OK, "it is in a checkpoint"),
            Err(_) => later(StatusCode::SERVICE_UNAVAILABLE, "no checkpoint was complete in time; send it again"),
        }
    }

    /// What can be said before the body.
    fn refuse(&self, request: &Request<Incoming>) -> Option<Answer> {
        if let Some(token) = &self.rules.token {
            let given = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
            let given = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
            // Sums are compared in a time that says nothing of what is right.
            if blake3::hash(given) != blake3::hash(token.as_bytes()) {
                let mut refusal = answer(StatusCode::UNAUTHORIZED, "the token is missing, or not the right one");
                refusal.headers_mut().insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Bearer"));
                return Some(refusal);
            }
        }
        if request.method() != Method::POST {
            let mut refusal = answer(StatusCode::METHOD_NOT_ALLOWED, "records are posted");
            refusal.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("POST"));
            return Some(refusal);
        }
        if request.body().size_hint().lower() > self.rules.longest as u64 {
            return Some(self.too_long());
        }
        // So that a body that will not be taken need not be sent.
        let hint = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
        if self.queue.has_room(hint) {
            None
        } else {
            Some(later(StatusCode::TOO_MANY_REQUESTS, "the workflow has much to do; try again later"))
        }
    }

    fn too_long(&self) -> Answer {
        answer(StatusCode::PAYLOAD_TOO_LARGE, format!("a body may have {} bytes", self.rules.longest))
    }
}
