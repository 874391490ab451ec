//! Checkpoints that go through the master: workers send what they have saved, and ask for what they go on with, in
//! pieces over the control connection.
//!
//! A peer says which worker and which checkpoint is meant, never a path.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::control::ToMaster;
use crate::id::{DeploymentId, NodeId};
use crate::net::{BoxFuture, Sender};
use crate::runtime::{Courier, Keeping, ObjectOf};
use crate::state::{Run, StateError};

/// Most bytes of a piece: so few that reports and orders, which travel over the same connection, wait some milliseconds
/// for it, so many that an answer for each costs nothing.
const PIECE: usize = 1024 * 1024;

/// Most bytes of pieces that wait at the master for the rest, over all workers of a deployment: as much as a machine
/// that runs a master may have to spare.
const MOST_WAITING: usize = 8 << 30;

/// How long a piece may take, there and back, the store included: a disk that is busy takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes that are written as such.
#[derive(Clone, PartialEq, Eq)]
pub struct Piece(pub Bytes);

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

struct Bytewise;

impl Visitor<'_> for Bytewise {
    type Value = Piece;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Piece, E> {
        if bytes.len() > PIECE {
            Err(E::custom("a piece is too long"))
        } else {
            Ok(Piece(Bytes::copy_from_slice(bytes)))
        }
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytewise).map_err(D::Error::custom)
    }
}

/// What a worker node asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Keep a piece of an object of what a worker has saved; the last one completes it.
    Put { of: ObjectOf, piece: Piece, last: bool },
    /// A piece of the manifest that the deployment goes on at.
    Manifest { at: u64 },
    /// A piece of one of its objects.
    Object { number: u32, at: u64 },
}

/// What the master answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is kept.
    Kept,
    /// Here it is.
    Piece { piece: Piece, last: bool },
    /// It was not done.
    Failed(String),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The worker's side, as long as it has the same master.
#[derive(Clone)]
pub struct Client {
    sender: Sender<ToMaster>,
    asked: Arc<Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>>,
    next: Arc<AtomicU64>,
}

impl Client {
    pub fn new(sender: Sender<ToMaster>) -> Client {
        Client { sender, asked: Arc::default(), next: Arc::default() }
    }

    /// The master has answered.
    pub fn answer(&self, id: u64, answer: Answer) {
        if let Some(asked) = locked(&self.asked).remove(&id) {
            let _ = asked.send(answer);
        }
    }

    /// The way to the checkpoints of a deployment.
    pub fn courier(&self, deployment: DeploymentId) -> Arc<dyn Courier> {
        Arc::new(OfDeployment { client: self.clone(), deployment })
    }

    async fn ask(&self, deployment: DeploymentId, ask: Ask) -> Result<Answer, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (asked, comes) = oneshot::channel();
        locked(&self.asked).insert(id, asked);
        let answer = async {
            let sent = self.sender.send(&ToMaster::Vault { deployment, id, ask }).await;
            sent.map_err(|error| error.to_string())?;
            comes.await.map_err(|_| "the master is gone".to_owned())
        };
        let answer = timeout(PATIENCE, answer).await;
        locked(&self.asked).remove(&id);
        match answer {
            Ok(Ok(Answer::Failed(why))) => Err(why),
            Ok(answer) => answer,
            Err(_) => Err(format!("the master has not answered within {} s", PATIENCE.as_secs())),
        }
    }

    /// Asks for one piece after the other.
    async fn gather(self, deployment: DeploymentId, ask: impl Fn(u64) -> Ask + Send) -> Result<Bytes, String> {
        let mut all = Vec::new();
        loop {
            match self.ask(deployment, ask(all.len() as u64)).await? {
                Answer::Piece { piece, last } => {
                    all.extend_from_slice(&piece.0);
                    if last {
                        return Ok(all.into());
                    }
                }
                _ => return Err("the master answers something else".to_owned()),
            }
        }
    }
}

struct OfDeployment {
    client: Client,
    deployment: DeploymentId,
}

impl Courier for OfDeployment {
    fn put(&self, of: ObjectOf, pieces: Vec<Bytes>) -> BoxFuture<'static, Result<(), String>> {
        let (client, deployment) = (self.client.clone(), self.deployment);
        Box::pin(async move {
            let mut left = pieces.into_iter();
            let mut bytes = left.next().unwrap_or_default();
            loop {
                // What is small is joined, so that it is not asked for one by one.
                while bytes.len() < PIECE / 2
                    && let Some(more) = left.next()
                {
                    bytes = [bytes, more].concat().into();
                }
                let piece = Piece(bytes.split_to(bytes.len().min(PIECE)));
                let last = bytes.is_empty() && left.len() == 0;
                client.ask(deployment, Ask::Put { of, piece, last }).await?;
                if last {
                    return Ok(());
                }
            }
        })
    }

    fn manifest(&self) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(self.client.clone().gather(self.deployment, |at| Ask::Manifest { at }))
    }

    fn object(&self, number: usize, _length: u64) -> BoxFuture<'static, Result<Bytes, String>> {
        Box::pin(self.client.clone().gather(self.deployment, move |at| Ask::Object { number: number as u32, at }))
    }
}

/// The master's side, of one attempt of a deployment.
#[derive(Default)]
pub struct Desk {
    keeping: Option<Keeping>,
    /// What has come of what workers have saved.
    waiting: Mutex<BTreeMap<(NodeId, ObjectOf), Vec<u8>>>,
}

impl Desk {
    pub fn new(keeping: Option<Keeping>) -> Desk {
        Desk { keeping, waiting: Mutex::default() }
    }

    /// Does what a node asks.
    pub async fn serve(&self, node: NodeId, ask: Ask) -> Answer {
        let Some(keeping) = &self.keeping else {
            return Answer::Failed("the deployment takes no checkpoints".to_owned());
        };
        let done = match ask {
            Ask::Put { of, piece, last } => self.put(keeping, (node, of), &piece.0, last).await,
            Ask::Manifest { at } => piece_of_manifest(keeping, at).await,
            Ask::Object { number, at } => piece_of_object(keeping, number as usize, at).await,
        };
        done.unwrap_or_else(Answer::Failed)
    }

    async fn put(&self, keeping: &Keeping, of: (NodeId, ObjectOf), piece: &[u8], last: bool) -> Result<Answer, String> {
        let whole = {
            let mut waiting = locked(&self.waiting);
            let held: usize = waiting.values().map(Vec::len).sum();
            if held + piece.len() > MOST_WAITING {
                waiting.remove(&of);
                return Err(format!("the master holds {held} bytes of snapshots that are on their way, and no more"));
            }
            let all = waiting.entry(of).or_default();
            all.extend_from_slice(piece);
            if last { waiting.remove(&of) } else { None }
        };
        if let Some(whole) = whole {
            let (_, ObjectOf { checkpoint, worker, number }) = of;
            let run = keeping.open().map_err(|error| error.to_string())?;
            let path = run.object_path(keeping.attempt, checkpoint, worker, number);
            run.store().put(&path, whole.into()).await.map_err(|error| error.to_string())?;
        }
        Ok(Answer::Kept)
    }
}

/// The run and the checkpoint that a deployment goes on at.
fn origin(keeping: &Keeping) -> Result<(Run, u64), String> {
    let origin = keeping.resume.as_ref().ok_or("the deployment goes on at no checkpoint")?;
    Ok((origin.open().map_err(|error| error.to_string())?, origin.checkpoint))
}

async fn piece_of_manifest(keeping: &Keeping, at: u64) -> Result<Answer, String> {
    let (run, checkpoint) = origin(keeping)?;
    let manifest = run.manifest(checkpoint).await.map_err(|error| error.to_string())?;
    let bytes = Bytes::from(manifest.to_bytes());
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let end = (at + PIECE).min(bytes.len());
    Ok(Answer::Piece { piece: Piece(bytes.slice(at..end)), last: end == bytes.len() })
}

async fn piece_of_object(keeping: &Keeping, number: usize, at: u64) -> Result<Answer, String> {
    let said = |error: StateError| error.to_string();
    let (run, checkpoint) = origin(keeping)?;
    let manifest = run.manifest(checkpoint).await.map_err(said)?;
    let object = manifest.objects.get(number).ok_or_else(|| format!("there is no object {number}"))?;
    let end = at.saturating_add(PIECE as u64).min(object.length);
    let start = at.min(end);
    let piece = run.store().get_range(&object.path, start..end).await.map_err(|error| error.to_string())?;
    Ok(Answer::Piece { piece: Piece(piece), last: end == object.length })
}
