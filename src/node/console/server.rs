//! The thread that serves a control socket.
//!
//! A connection brings one request and takes one reply, each within a time, and there are only so many at once: a
//! client that says nothing, or never reads, costs a place for a few seconds. Who waits for a deployment gives its
//! place up, so that there is one for who wants to stop the node.

use std::io;
use std::os::unix::net::UnixListener as Listener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::wire::{self, Fault, LONGEST_PATIENCE_MS, MAX_REPLY, MAX_REQUEST, Reply, Request};
use super::{Asked, Desk};
use crate::actor::{self, Census, Task};
use crate::telemetry::events;

/// Connections at a time; further ones wait to be taken in. More than scripts and people open at once.
const MOST: usize = 32;

/// Those of them that wait for a deployment to begin or to end.
const MOST_WAITING: usize = 64;

/// How long a client may take to say what it wants, and to take the reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the node's loop may take to answer. It never waits itself.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a deployment may take until records flow, before whoever asked for it is told that it still starts.
const DEPLOY: Duration = Duration::from_secs(600);

/// Beyond the time in which a deployment is to end: for the answer that it has not.
const GRACE: Duration = Duration::from_secs(5);

/// The wait after the system had no connection to give: it lacks files, which others may close.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How long answers may take that are on their way when the node ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Bytes read at a time.
const CHUNK: usize = 8 * 1024;

struct Server {
    desk: Desk,
    is_up: Arc<AtomicBool>,
    ask: mpsc::Sender<Asked>,
    /// For those who wait.
    waiting: Arc<Semaphore>,
    /// The user that the node runs as.
    user: u32,
}

/// Ends the thread when it is dropped, and waits until those who have asked are answered.
pub struct Leave {
    leave: Option<oneshot::Sender<()>>,
    is_over: Receiver<()>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        drop(self.leave.take());
        // A little longer than it takes by itself.
        let _ = self.is_over.recv_timeout(2 * LAST_WORDS);
    }
}

/// Starts the thread, which ends when what is returned is dropped.
pub fn start(listener: Listener, desk: Desk, is_up: Arc<AtomicBool>, ask: mpsc::Sender<Asked>) -> io::Result<Leave> {
    listener.set_nonblocking(true)?;
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = executor.enter();
        UnixListener::from_std(listener)?
    };
    let waiting = Arc::new(Semaphore::new(MOST_WAITING));
    let server = Arc::new(Server { desk, is_up, ask, waiting, user: rustix::process::geteuid().as_raw() });
    let (leave, left) = oneshot::channel::<()>();
    let (over, is_over) = std::sync::mpsc::sync_channel(1);
    let work = move || {
        executor.block_on(serve(listener, server, left));
        // Nobody may wait for it.
        let _ = over.send(());
    };
    actor::thread("skitter-console".to_owned(), &Census::new(), work, drop)?;
    Ok(Leave { leave: Some(leave), is_over })
}

/// A connection that is served.
struct Talk {
    task: Task,
    /// Whether it is known what is asked.
    asked: Arc<AtomicBool>,
}

async fn serve(listener: UnixListener, server: Arc<Server>, mut left: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(MOST));
    // A task has a place, here or among those who wait, until it is over; so there are never more of them.
    let mut talks: Vec<Talk> = Vec::with_capacity(MOST + MOST_WAITING);
    loop {
        let accepted = async {
            // Nobody closes it.
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((listener.accept().await?.0, place))
        };
        let accepted = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut left => break,
        };
        match accepted {
            Ok((stream, place)) => {
                talks.retain(|talk| !talk.task.has_ended());
                let (server, asked) = (Arc::clone(&server), Arc::new(AtomicBool::new(false)));
                let is_asked = Arc::clone(&asked);
                let task = actor::task(async move { server.talk(stream, place, &is_asked).await });
                talks.push(Talk { task, asked });
            }
            Err(error) => {
                debug!(%error, "The control socket takes no connection");
                sleep(BACK_OFF).await;
            }
        }
    }
    // Who has asked is answered, as long as that is quick; the node has nothing more to say.
    let last = talks.into_iter().filter(|talk| talk.asked.load(Ordering::Acquire));
    let last = futures_util::future::join_all(last.map(|talk| talk.task.ended()));
    drop(timeout(LAST_WORDS, last).await);
}

impl Server {
    async fn talk(&self, mut stream: UnixStream, place: OwnedSemaphorePermit, asked: &AtomicBool) {
        let peer = stream.peer_cred().map(|peer| peer.uid());
        if !peer.is_ok_and(|user| user == self.user || user == 0) {
            // Whoever it is has come past the permissions of the socket, and is told nothing.
            debug!("Another user has connected to the control socket");
            return;
        }
        let read = timeout(PATIENCE, read(&mut stream)).await;
        asked.store(true, Ordering::Release);
        let reply = match read {
            Ok(Ok(line)) => match wire::decode_request(&line) {
                Ok(request @ (Request::Deploy { .. } | Request::Undeploy { .. })) => {
                    match Arc::clone(&self.waiting).try_acquire_owned() {
                        Ok(waits) => {
                            drop(place);
                            let reply = self.answer(request, &mut stream).await;
                            drop(waits);
                            reply
                        }
                        Err(_) => Some(Reply::Error {
                            kind: Fault::Busy,
                            message: format!("{MOST_WAITING} others wait for deployments already; ask again"),
                        }),
                    }
                }
                Ok(request) => self.answer(request, &mut stream).await,
                Err((kind, message)) => Some(Reply::Error { kind, message }),
            },
            Ok(Err(wrong)) => wrong.map(|message| Reply::Error { kind: Fault::NotUnderstood, message }),
            Err(_) => Some(Reply::Error {
                kind: Fault::NotUnderstood,
                message: format!("there was no whole request within {} s", PATIENCE.as_secs()),
            }),
        };
        let Some(reply) = reply else { return };
        let line = wire::encode(&reply, MAX_REPLY).or_else(|why| {
            let message = format!("the reply cannot be sent: {why}");
            wire::encode(&Reply::Error { kind: Fault::Failed, message }, MAX_REPLY)
        });
        let Ok(line) = line else { return };
        let written = timeout(PATIENCE, async {
            stream.write_all(&line).await?;
            stream.shutdown().await
        });
        if !matches!(written.await, Ok(Ok(()))) {
            debug!("A client of the control socket did not take its reply");
        }
    }

    /// The answer, unless whoever asked has gone.
    async fn answer(&self, request: Request, stream: &mut UnixStream) -> Option<Reply> {
        let Desk { stopper, verbosity, workflows, cookie } = &self.desk;
        let limit = match &request {
            Request::Deploy { .. } => DEPLOY,
            Request::Undeploy { patience_ms, .. } => {
                Duration::from_millis((*patience_ms).min(LONGEST_PATIENCE_MS)) + GRACE
            }
            _ => ANSWER,
        };
        Some(match request {
            Request::Ping => Reply::Pong { pid: std::process::id(), up: self.is_up.load(Ordering::Relaxed) },
            Request::Stop => {
                stopper.stop();
                Reply::Stopping
            }
            Request::Workflows => Reply::Workflows { workflows: workflows.clone() },
            Request::Log { level } => match verbosity {
                Some(verbosity) => {
                    verbosity.set(level);
                    events::log_level(&format!("{level:?}").to_lowercase());
                    Reply::Log { level }
                }
                None => super::refused("the log of this process is not this node's to change"),
            },
            Request::Handover => Reply::Handover { cookie: cookie.0.clone() },
            request => {
                let (reply, answered) = oneshot::channel();
                let forward = async {
                    self.ask.send(Asked { request, reply }).await.ok()?;
                    answered.await.ok()
                };
                tokio::select! {
                    biased;
                    answer = timeout(limit, forward) => match answer {
                        Ok(Some(reply)) => reply,
                        Ok(None) => Reply::Error { kind: Fault::Busy, message: "the node is about to end".to_owned() },
                        Err(_) => Reply::Error { kind: Fault::Busy, message: self.busy(limit) },
                    },
                    () = gone(stream) => return None,
                }
            }
        })
    }

    fn busy(&self, limit: Duration) -> String {
        let why = if self.is_up.load(Ordering::Relaxed) { "it is busy" } else { "it is still starting" };
        format!("the node has not answered within {} s: {why}; ask again", limit.as_secs())
    }
}

/// Reads a line; what comes behind it is not read.
async fn read(stream: &mut UnixStream) -> Result<Vec<u8>, Option<String>> {
    let mut line = Vec::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = stream.read(&mut chunk).await.map_err(|_| None)?;
        if let Some(end) = chunk[..read].iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&chunk[..end]);
            return Ok(line);
        }
        if read == 0 {
            // Whoever connects and goes has looked whether there is somebody. The last line may lack its end.
            return if line.is_empty() { Err(None) } else { Ok(line) };
        }
        line.extend_from_slice(&chunk[..read]);
        if line.len() >= MAX_REQUEST {
            return Err(Some(format!("a request is a line of at most {MAX_REQUEST} bytes")));
        }
    }
}

/// Returns when the client has gone. One that has only said that it has no more to say is still there, which cannot be
/// told from one that is gone until something is written to it.
async fn gone(stream: &mut UnixStream) {
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) => std::future::pending().await,
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
