//! What is needed to start a deployment anew.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use tokio::sync::{oneshot, watch};

use super::crew::Crew;
use super::keeper::{self, Checkpoints, Keeping, Origin, Title, unusable};
use super::regions::Region;
use super::restarts::{Restarts, is_of_node};
use super::supervisor::Parts;
use crate::state::{Run, Store};
use crate::workflow::{Error, Result};

/// Makes an attempt: plans the workflow anew, and says who belongs to it. It must not wait; the answer may take its
/// time.
pub type Relaunch = Arc<dyn Fn(Again) + Send + Sync>;

/// An attempt to be made.
pub struct Again {
    /// The region that is to be started anew; none if it is all of them.
    pub region: Option<Region>,
    /// A region of it has waited in vain for the nodes that are gone.
    pub waited: bool,
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

    /// Brings a savepoint that is complete to where it is wanted; gives what is to be answered.
    pub async fn bring(&self, run: &Run, checkpoint: u64) -> Result<String> {
        let name = |store: &str| {
            let slash = if store.ends_with('/') { "" } else { "/" };
            format!("{store}{slash}{}/{}/{checkpoint}", run.workflow(), run.name())
        };
        let Some(directory) = &self.directory else { return Ok(name(run.store().url())) };
        let store = Store::open(directory).map_err(|error| unusable(directory, &error))?;
        let to = Run::new(store, run.workflow(), run.name());
        keeper::copy(run, checkpoint, &to).await.map_err(|error| unusable(directory, &error))?;
        Ok(name(to.store().url()))
    }
}

impl Again {
    pub fn new(
        (region, waited): (Option<Region>, bool),
        keeping: Keeping,
        answer: impl FnOnce(Result<Fresh>) + Send + 'static,
    ) -> Again {
        Again { region, waited, keeping, answer: Box::new(answer) }
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
    /// Whether somebody has noted the run, who goes on with it and deletes it; none if nobody does.
    pub noted: Option<watch::Receiver<bool>>,
    /// It has run before, under another master.
    pub goes_on: bool,
    /// The checkpoint that was begun last, and when.
    begun: Option<(u64, Instant)>,
    /// Regions that are started anew.
    waiting: BTreeSet<Region>,
    /// The failure that was counted last while regions wait: what it was, how long whoever fails of it waits, and who
    /// has.
    counted: Option<(Error, Duration, BTreeSet<Region>)>,
    /// A region has waited in vain for its nodes, so all are started anew: that is no further failure.
    widened: bool,
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
            noted: None,
            goes_on: false,
            begun: None,
            waiting: BTreeSet::new(),
            counted: None,
            widened: false,
        })
    }

    /// Somebody else notes the run, before a checkpoint is complete, and deletes it at its end.
    #[must_use]
    pub fn noted_elsewhere(mut self, noted: watch::Receiver<bool>, goes_on: bool) -> Recovery {
        (self.noted, self.goes_on) = (Some(noted), goes_on);
        self
    }

    /// It has failed: how long to wait before it is started anew; none if that has been often enough.
    pub fn failed(&mut self, now: Duration, cause: &str) -> Option<Duration> {
        self.waiting.clear();
        self.counted = None;
        if self.widened { Some(Duration::ZERO) } else { self.restarts.failed(now, cause) }
    }

    /// A region has failed. What several fail of together counts once, for each of them: the death of a node shows in
    /// many ways.
    pub fn failed_in(&mut self, region: Region, now: Duration, cause: &Error) -> Option<Duration> {
        self.waiting.insert(region);
        let is_same = |other: &Error| other == cause || (is_of_node(other) && is_of_node(cause));
        if let Some((other, wait, regions)) = &mut self.counted
            && is_same(other)
            && regions.insert(region)
        {
            return Some(*wait);
        }
        let wait = self.restarts.failed(now, &cause.to_string())?;
        self.counted = Some((cause.clone(), wait, BTreeSet::from([region])));
        Some(wait)
    }

    /// A region runs again.
    pub fn is_back(&mut self, region: Region) {
        self.waiting.remove(&region);
        if self.waiting.is_empty() {
            self.counted = None;
        }
    }

    /// A region has waited in vain for its nodes.
    pub fn widen(&mut self) {
        self.widened = true;
    }

    /// Whether that was so since this was asked.
    pub fn has_waited(&mut self) -> bool {
        std::mem::take(&mut self.widened)
    }

    /// A checkpoint begins, unless it has; says so.
    pub fn began(&mut self, checkpoint: u64) -> bool {
        let begins = self.begun.is_none_or(|(begun, _)| begun < checkpoint);
        if begins {
            self.begun = Some((checkpoint, Instant::now()));
        }
        begins
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::restarts::Intensity;

    const A: Region = Region(0);
    const B: Region = Region(1);

    fn recovery(most: usize) -> Recovery {
        let store = "memory://recovery".to_owned();
        let (workflow, run) = ("words".to_owned(), "first".to_owned());
        let keeping = Keeping { store: store.clone(), workflow, run, attempt: 1, resume: None, drop_unfit: false };
        let intensity = Intensity { most, ..Intensity::default() };
        let interval = Duration::from_secs(1);
        let settings = Checkpoints { interval, store, kept: 1, intensity, unaligned_after: None };
        Recovery::new(keeping, settings, Title::default(), Arc::new(|_| {})).expect("a store")
    }

    fn lost(what: &str) -> Error {
        Error::Node(what.to_owned())
    }

    #[test]
    fn what_regions_fail_of_together_counts_once_for_each_of_them() {
        let (mut recovery, now) = (recovery(2), Duration::from_secs(1));
        for _ in 0..2 {
            assert!(recovery.failed_in(A, now, &lost("w2 is gone")).is_some());
            assert!(recovery.failed_in(B, now, &lost("w1 has lost its connection to w2")).is_some());
        }
        assert_eq!(recovery.failed_in(A, now, &lost("w2 is gone")), None, "that was twice");
    }

    #[test]
    fn what_fails_when_all_are_back_counts_anew() {
        let (mut recovery, now) = (recovery(1), Duration::from_secs(1));
        assert!(recovery.failed_in(A, now, &lost("w2 is gone")).is_some());
        recovery.is_back(A);
        assert_eq!(recovery.failed_in(B, now, &lost("w2 is gone")), None);
    }

    #[test]
    fn other_causes_count_by_themselves() {
        let (mut recovery, now) = (recovery(1), Duration::from_secs(1));
        assert!(recovery.failed_in(A, now, &lost("w2 is gone")).is_some());
        assert_eq!(recovery.failed_in(B, now, &Error::from("it panicked")), None);
    }
}
