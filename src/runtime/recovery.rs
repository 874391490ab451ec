//! What is needed to start a deployment anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use tokio::sync::oneshot;

use super::crew::Crew;
use super::keeper::{self, Checkpoints, Keeping, Origin, Title, unusable};
use super::restarts::Restarts;
use super::supervisor::Parts;
use crate::state::{Run, Store};
use crate::workflow::Result;

/// Makes an attempt: plans the workflow anew, and says who belongs to it. It must not wait; the answer may take its
/// time.
pub type Relaunch = Arc<dyn Fn(Again) + Send + Sync>;

/// An attempt to be made.
pub struct Again {
    /// Where it finds its checkpoints, and the one that it goes on at.
    pub keeping: Keeping,
    answer: Box<dyn FnOnce(Result<Fresh>) + Send>,
}

/// An attempt that can begin.
pub struct Fresh {
    pub crew: Crew,
    pub parts: Parts,
    /// The checkpoint that it goes on at.
    pub resume: Option<Origin>,
}

/// A savepoint that somebody wants.
pub struct Wish {
    /// Where it is to be, if not beside the checkpoints: the URL of a store.
    pub directory: Option<String>,
    /// Whether the deployment is to stop at it.
    pub stop: bool,
    answer: oneshot::Sender<Result<String>>,
}

impl Wish {
    pub fn new(directory: Option<String>, stop: bool) -> (Wish, oneshot::Receiver<Result<String>>) {
        let (answer, comes) = oneshot::channel();
        (Wish { directory, stop, answer }, comes)
    }

    /// Says how to go on from it, or why it is not there.
    pub fn answer(self, answer: Result<String>) {
        // Nobody may be interested any more.
        let _ = self.answer.send(answer);
    }

    /// Brings a savepoint that is complete to where it is wanted.
    pub async fn copy(self, run: &Run, checkpoint: u64) {
        let name = |store: &str| {
            let slash = if store.ends_with('/') { "" } else { "/" };
            format!("{store}{slash}{}/{}/{checkpoint}", run.workflow(), run.name())
        };
        let copied = match &self.directory {
            None => Ok(name(run.store().url())),
            Some(directory) => match Store::open(directory) {
                Ok(store) => {
                    let to = Run::new(store, run.workflow(), run.name());
                    let copied = keeper::copy(run, checkpoint, &to).await;
                    copied.map(|()| name(to.store().url())).map_err(|error| unusable(directory, &error))
                }
                Err(error) => Err(unusable(directory, &error)),
            },
        };
        self.answer(copied);
    }
}

impl Again {
    pub fn new(keeping: Keeping, answer: impl FnOnce(Result<Fresh>) + Send + 'static) -> Again {
        Again { keeping, answer: Box::new(answer) }
    }

    /// Says who belongs to it and how its parts are made, or why it cannot be.
    pub fn begin(self, attempt: Result<(Crew, Parts)>) {
        let resume = self.keeping.resume.clone();
        (self.answer)(attempt.map(|(crew, parts)| Fresh { crew, parts, resume }));
    }
}

/// The checkpoints of a deployment, as its supervisor sees them.
pub struct Recovery {
    pub run: Run,
    pub keeping: Keeping,
    pub settings: Checkpoints,
    pub title: Title,
    pub restarts: Restarts,
    pub relaunch: Relaunch,
    /// Savepoints that somebody waits for.
    pub wishes: VecDeque<Wish>,
    /// The checkpoint that was begun last, and when.
    begun: Option<(u64, Instant)>,
}

impl Recovery {
    /// Of a deployment that has not failed yet.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub fn new(keeping: Keeping, settings: Checkpoints, title: Title, relaunch: Relaunch) -> Result<Recovery> {
        let restarts = Restarts::new(settings.intensity);
        Ok(Recovery {
            run: keeping.open()?,
            keeping,
            settings,
            title,
            restarts,
            relaunch,
            wishes: VecDeque::new(),
            begun: None,
        })
    }

    /// A checkpoint begins.
    pub fn began(&mut self, checkpoint: u64) {
        if self.begun.is_none_or(|(begun, _)| begun < checkpoint) {
            self.begun = Some((checkpoint, Instant::now()));
        }
    }

    /// What has begun will not be complete.
    pub fn forget(&mut self) {
        self.begun = None;
    }

    /// How long a checkpoint has taken so far.
    pub fn took(&self, checkpoint: u64) -> Duration {
        self.begun.filter(|(begun, _)| *begun == checkpoint).map_or(Duration::ZERO, |(_, then)| then.elapsed())
    }
}
