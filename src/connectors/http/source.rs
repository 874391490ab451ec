//! What others post.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::desk::{Desk, Queue, Rules};
use crate::codec::Record;
use crate::connectors::receipts::{Counter, Delivery, Receipts};
use crate::connectors::retry::{FIRST_PATIENCE, wait};
use crate::connectors::server::expand;
use crate::workflow::{ByHand, Commit, Emit, Error, Intake, Operation, Passive, React, Result, Saved, Share, Snapshot};

/// How often a source that is sent nothing asks whether its worker has stopped.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The largest body that is read unless told otherwise.
const LONGEST_BODY: usize = 1 << 20;

/// How many requests may wait for the worker. Their bodies are bounded, too: see the desk.
const QUEUED_REQUESTS: usize = 256;

/// A source of what is posted to an address by HTTP: each line of a body a record, or each value of JSON. One worker
/// listens, on its node, until its workflow is stopped. Records of one request stay in order, and all are taken or
/// none.
///
/// | answer | when |
/// |---|---|
/// | 202 | it was taken; with [`durable`](Self::durable) 200, when a complete checkpoint has it |
/// | 400 | the body is not UTF-8, or not JSON of the records: the answer says where |
/// | 401 | there is no token, or it is not the right one |
/// | 405, 408, 413 | it is no POST; the body did not come within 30 s; it is longer than [`longest_body`](Self::longest_body) |
/// | 429, with `Retry-After` | the workflow is slower than those who post: nothing was taken |
/// | 503, with `Retry-After` | it was taken, and no checkpoint was complete within a minute: send it again |
///
/// - **On failure** what came since the last checkpoint is lost: at most once. With [`durable`](Self::durable) at least
///   once, if whoever gets no 200 sends again.
/// - **A token** that every request has to have, `Authorization: Bearer TOKEN`, is needed unless the address is of this
///   host alone; see [`token`](Self::token). There is no TLS: put a proxy in front that has it.
/// - **Bounds:** up to 128 connections at a time, the others wait to be accepted; 8 MiB of bodies wait for the worker.
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use skitter::connectors::HttpSource;
/// use skitter::prelude::*;
///
/// #[derive(Serialize, Deserialize)]
/// struct Click {
///     page: String,
/// }
///
/// let workflow = WorkflowBuilder::new();
/// workflow
///     .listen(HttpSource::json("0.0.0.0:8080").token("${CLICKS_TOKEN}"))
///     .map(|click: Click| click.page)
///     .count_by(|page| page.clone())
///     .print();
/// # Ok::<(), skitter::Error>(())
/// ```
///
/// # Errors
/// `build()` fails when the address is none, or when a token is needed and there is none. The deployment fails when it
/// cannot listen there within 10 s, or a variable of the token is not set.
pub struct HttpSource<T> {
    address: String,
    parse: fn(&[u8]) -> Result<Vec<T>, String>,
    token: Option<String>,
    longest: usize,
    durable: bool,
    counter: Counter,
}

impl HttpSource<String> {
    /// Listens at `ADDRESS:PORT`, such as `127.0.0.1:8080` or `[::]:8080`. Lines of bodies are records as those of
    /// [`str::lines`]; blank ones are left out.
    pub fn lines(address: impl Into<String>) -> Self {
        HttpSource::new(address.into(), |body| {
            let text = std::str::from_utf8(body)
                .map_err(|error| format!("the body is not UTF-8 at byte {}", error.valid_up_to()))?;
            Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
        })
    }
}

impl<T: DeserializeOwned> HttpSource<T> {
    /// Listens at `ADDRESS:PORT`. A body is an array of records in JSON, or it has one record behind the other, as in
    /// JSON lines. Of a struct, unknown fields are ignored, unless it says otherwise.
    pub fn json(address: impl Into<String>) -> Self {
        HttpSource::new(address.into(), |body| {
            let as_array = serde_json::from_slice(body);
            if let Ok(records) = as_array {
                return Ok(records);
            }
            let is_array = body.trim_ascii_start().first() == Some(&b'[');
            let records = serde_json::Deserializer::from_slice(body).into_iter().collect::<Result<_, _>>();
            records.map_err(|error| {
                // What is wrong in an array is said by who takes it for one.
                let error = as_array.err().filter(|_| is_array).unwrap_or(error);
                format!("the body is not JSON of the records: {error}")
            })
        })
    }
}

impl<T> HttpSource<T> {
    fn new(address: String, parse: fn(&[u8]) -> Result<Vec<T>, String>) -> Self {
        HttpSource { address, parse, token: None, longest: LONGEST_BODY, durable: false, counter: Counter::default() }
    }

    /// Takes requests with this token only. `${NAME}` in it stands for a variable of the environment of the node that
    /// listens.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Reads bodies of up to this many bytes, a MiB unless set.
    #[must_use]
    pub fn longest_body(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Answers when a complete checkpoint has all of a request, so that nothing is lost that was answered with 200.
    /// That takes as long as the checkpoints are apart, and up to 128 requests wait at a time; so post many records at
    /// once. Without checkpoints nothing is answered in time.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }
}

impl<T> Clone for HttpSource<T> {
    fn clone(&self) -> Self {
        let (address, token, counter) = (self.address.clone(), self.token.clone(), self.counter.clone());
        HttpSource { address, token, counter, ..*self }
    }
}

impl<T> std::fmt::Debug for HttpSource<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSource").field("address", &self.address).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operation for HttpSource<T> {
    type In = Delivery<T>;
    type Out = T;
    const NAME: &'static str = "http source";
    const IN_PORTS: &'static [&'static str] = &[];

    fn check(&self) -> Result<()> {
        let Ok(address) = self.address.parse::<SocketAddr>() else {
            let example = "write ADDRESS:PORT, such as `127.0.0.1:8080` or `[::]:8080`";
            return Err(Error::Operation(format!("`{}` is not an address to listen at; {example}", self.address)));
        };
        match &self.token {
            None if !address.ip().is_loopback() => Err(Error::Operation(format!(
                "everybody could post to `{address}`; give it a `token`, or listen at an address of this host alone"
            ))),
            Some(token) if token.is_empty() => Err(Error::from("the token of those who post is empty")),
            _ => Ok(()),
        }
    }

    fn conf(&mut self) -> Result<()> {
        self.secret().map(|_| ())
    }
}

impl<T: Send + 'static> React for HttpSource<T> {
    type State = ByHand<Receipts>;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> Self::State {
        ByHand::default()
    }

    #[inline(always)]
    fn react<E: Emit<T>>(&self, receipts: &mut Self::State, delivery: Delivery<T>, emit: &mut E) -> Result<()> {
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

impl<T: Record> Passive for HttpSource<T> {
    fn listen(&self, share: Share, intake: &mut Intake<Delivery<T>>) -> Result<()> {
        if share.index > 0 {
            return Ok(());
        }
        let Some(listener) = self.bind(intake)? else { return Ok(()) };
        let rules = Rules { token: self.secret()?, longest: self.longest, durable: self.durable };
        let (sender, bodies) = sync_channel(QUEUED_REQUESTS);
        let queue = Queue::new(sender);
        let held = queue.held();
        let desk = Desk::new(rules, self.parse, queue, self.counter.clone());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Whoever posts gets an answer although the worker has no room. The scope joins it, and hears of a panic.
            let server = scope.spawn(|| desk.serve(listener, &stop));
            take_in(&bodies, &held, intake);
            stop.store(true, Ordering::Relaxed);
            drop(bodies);
            server.join().unwrap_or_else(|_| Err(Error::Panic("the thread that answers requests".to_owned())))
        })
    }
}

/// Hands records to the worker until it stops.
fn take_in<T: Record>(
    bodies: &Receiver<(Vec<Delivery<T>>, usize)>,
    held: &std::sync::atomic::AtomicUsize,
    intake: &mut Intake<Delivery<T>>,
) {
    while !intake.is_closed() {
        match bodies.recv_timeout(ASK_AGAIN) {
            Ok((records, bytes)) => {
                let taken = intake.take(records);
                held.fetch_sub(bytes, Ordering::Relaxed);
                if !taken {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The desk has failed.
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
}

impl<T> HttpSource<T> {
    /// The token, with the variables of the environment in it.
    fn secret(&self) -> Result<Option<String>> {
        let secret = |token: &String| expand(token, "the token of those who post", str::to_owned);
        self.token.as_ref().map(secret).transpose().map(|found| found.map(|(token, _)| token))
    }

    /// A socket; none if the worker stops first. The one of an attempt before may be about to be closed.
    fn bind<M>(&self, intake: &Intake<M>) -> Result<Option<TcpListener>> {
        let begin = Instant::now();
        while !intake.is_closed() {
            match TcpListener::bind(&self.address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            }) {
                Ok(listener) => return Ok(Some(listener)),
                Err(error) if begin.elapsed() > FIRST_PATIENCE => {
                    return Err(Error::Outside(format!("cannot listen at `{}`: {error}", self.address)));
                }
                Err(_) => wait(ASK_AGAIN),
            }
        }
        Ok(None)
    }
}
