//! What follows from a failure: all of a deployment, or a region of it, is started anew at the newest checkpoint.

use std::sync::Arc;

use super::{Note, Order, State};
use crate::actor::{self, ActorRef};
use crate::id::WorkerId;
use crate::runtime::coordinator::Failed;
use crate::runtime::crew::Joins;
use crate::runtime::keeper::{self, Keeping};
use crate::runtime::recovery::{Again, Fresh, Recovery};
use crate::runtime::regions::Region;
use crate::runtime::restarts::{is_final, is_of_node};
use crate::runtime::status::Phase;
use crate::telemetry::events;
use crate::workflow::{Error, Result};

impl State {
    /// An attempt has failed. It is the end if it was the first and never began: what is wrong then was wrong before.
    pub(super) fn fail(&mut self, own: &ActorRef<Note>, failure: Error) {
        let shared = Arc::clone(&self.alive.shared);
        if let Some(recovery) = &mut self.recovery {
            recovery.wishes.drain(..).for_each(|wish| wish.answer(Err(failure.clone())));
        }
        // A node or a store that is lost while a run begins to go on says nothing of what is gone on with; and what has
        // run under another master is right, so that what is wrong now may pass.
        let may_pass = is_of_node(&failure) || matches!(failure, Error::Outside(_));
        let has_run =
            |recovery: &Recovery| self.started || recovery.goes_on || (may_pass && recovery.keeping.resume.is_some());
        let may_go_on = |recovery: &&mut Recovery| has_run(recovery) && !is_final(&failure);
        let Some(recovery) = self.recovery.as_mut().filter(may_go_on) else {
            return self.over(own, Phase::Failed(failure));
        };
        let cause = failure.to_string();
        let Some(wait) = recovery.failed(shared.began.elapsed(), &cause) else {
            let before = recovery.restarts.history().map(str::to_owned).collect();
            let period = recovery.settings.intensity.period.as_secs();
            let error = Error::Restarts { period, before, cause: Box::new(failure) };
            return self.over(own, Phase::Failed(error));
        };
        self.suspended |= self.coordinator.take().is_some_and(|coordinator| coordinator.is_suspended());
        self.sealing.clear();
        self.close();
        self.newest += 1;
        self.attempt = self.newest;
        self.joins = Joins::default();
        shared.pass(|phase| !phase.has_ended() && *phase != Phase::Stopping, Phase::Recovering);
        events::recovering(&shared.name, &cause);
        let (own, attempt) = (own.clone(), self.attempt);
        actor::later(wait, move || drop(own.cast(Note::Again(None, attempt))));
    }

    /// The workers of a region have failed, and are gone.
    pub(super) fn restart(&mut self, own: &ActorRef<Note>, region: Region, worker: Option<WorkerId>, failure: Failed) {
        let shared = Arc::clone(&self.alive.shared);
        let error = shared.cause(worker, &failure);
        let recovery = self.recovery.as_mut().filter(|_| !is_final(&error));
        let wait = recovery.and_then(|recovery| recovery.failed_in(region, shared.began.elapsed(), &error));
        let (Some(wait), Some(running)) = (wait, self.regions.get_mut(&region)) else {
            return self.fail_all(own, worker, failure);
        };
        running.parts.drain(..).for_each(|(_, part)| part(Order::Close));
        self.newest += 1;
        running.attempt = self.newest;
        events::recovering_part(&shared.name, &shared.crew().part(region), &error);
        let (own, attempt) = (own.clone(), running.attempt);
        actor::later(wait, move || drop(own.cast(Note::Again(Some(region), attempt))));
    }

    /// What a region has failed with is the failure of all.
    pub(super) fn fail_all(&mut self, own: &ActorRef<Note>, worker: Option<WorkerId>, failure: Failed) {
        let commands = self.coordinator.as_mut().map(|coordinator| coordinator.fail(worker, failure));
        commands.into_iter().flatten().for_each(|command| self.obey(own, command));
    }

    /// Asks for workers to go on with, from the newest checkpoint that can be read.
    pub(super) fn again(&mut self, own: &ActorRef<Note>, region: Option<Region>, attempt: u32) {
        let Some(recovery) = &mut self.recovery else { return };
        let mut keeping = Keeping { attempt, ..recovery.keeping.clone() };
        if region.is_none() {
            recovery.keeping.attempt = attempt;
            recovery.forget();
        }
        let (run, back) = (recovery.run.clone(), own.clone());
        let begun = keeping.resume.clone();
        let (relaunch, waited) = (Arc::clone(&recovery.relaunch), recovery.has_waited());
        actor::run(async move {
            let answer = move |fresh| drop(back.cast(Note::Fresh(region, attempt, fresh)));
            match run.latest().await {
                Ok(latest) => {
                    // One that it was begun with may be of another run.
                    keeping.resume = latest.map(|manifest| keeping.at(&manifest)).or(begun);
                    relaunch(Again::new((region, waited), keeping, answer));
                }
                Err(error) => answer(Err(keeper::unusable(run.store().url(), &error))),
            }
        });
    }

    /// Goes on with other workers.
    pub(super) fn resume(&mut self, own: &ActorRef<Note>, fresh: Result<Fresh>) {
        let launched = fresh.and_then(|Fresh { crew, parts, resume }| {
            self.alive.shared.replace(crew);
            if let Some(recovery) = &mut self.recovery {
                recovery.keeping.resume = resume;
            }
            self.launch(own, parts)
        });
        if let Err(error) = launched {
            self.fail(own, error);
        }
    }

    /// A region goes on with other workers; or all do, if it cannot.
    pub(super) fn resume_in(&mut self, own: &ActorRef<Note>, region: Region, fresh: Result<Fresh>) {
        let attempt = self.regions.get(&region).map_or(0, |running| running.attempt);
        let launched = fresh.and_then(|Fresh { crew, mut parts, resume }| {
            let crew = self.alive.shared.renew(region, &crew);
            let resumed = resume.map(|origin| origin.checkpoint);
            let scope = crew.regions.scope(region).ok_or_else(|| Error::from("there is no such part"))?;
            self.launch_in(own, (scope, attempt, resumed), &mut parts)?;
            if let Some(coordinator) = &mut self.coordinator {
                coordinator.relaunch(region, crew.workers_in(region), resumed);
            }
            Ok(())
        });
        if let Err(error) = launched {
            if is_of_node(&error) {
                self.recovery.iter_mut().for_each(Recovery::widen);
            }
            self.fail_all(own, None, Failed { vertex: None, error });
        }
    }
}
