//! What a site does for checkpoints: what workers have saved goes to the store, and what they go on with comes from it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Note, Others, Report, State};
use crate::actor::{self, ActorRef};
use crate::id::WorkerId;
use crate::runtime::coordinator::{Event, WorkerSaved};
use crate::runtime::keeper;
use crate::runtime::ledger::Kept;
use crate::runtime::restore::{Unfit, load};
use crate::runtime::vault::Vault;
use crate::runtime::worker::WorkerSnapshot;
use crate::workflow::Error;

impl State {
    /// Lets workers prepare; first reads what they go on with.
    pub(super) fn open(&self, own: &ActorRef<Note>) {
        let Some((origin, drop_unfit)) =
            self.run.as_ref().and_then(|(_, keeping)| Some((keeping.resume.clone()?, keeping.drop_unfit)))
        else {
            return self.open_with(None);
        };
        let (own, outline, rescales) = (own.clone(), Arc::clone(&self.outline), self.rescales.clone());
        let vault = self.vault();
        let here: BTreeSet<WorkerId> = self.workers.keys().copied().collect();
        actor::run(async move {
            let here = |worker| here.contains(&worker);
            let loaded = load(&origin, &vault, &outline, (&rescales, drop_unfit), here).await;
            let failed = |error: Unfit| match error {
                // It may be there again in a while.
                Unfit::State(error) => Error::Outside(error.to_string()),
                other @ Unfit::Other { .. } => Error::Operation(other.to_string()),
            };
            let loaded = loaded.map(Arc::new).map_err(failed);
            drop(own.cast(Note::Loaded(loaded)));
        });
    }

    /// The way to the checkpoints: a directory is that of the node that has planned the deployment.
    fn vault(&self) -> Vault {
        match (&self.run, &self.others) {
            (Some((run, _)), Some(Others { courier: Some(courier), .. })) if run.store().is_directory() => {
                Vault::Through(Arc::clone(courier))
            }
            _ => Vault::Direct,
        }
    }

    /// Brings what a worker has saved to the store.
    pub(super) fn store(&mut self, own: &ActorRef<Note>, mut snapshot: WorkerSnapshot) {
        let Some((run, keeping)) = &self.run else { return };
        let (run, attempt, tell, own) = (run.clone(), keeping.attempt, Arc::clone(&self.tell), own.clone());
        let (worker, checkpoint, vault) = (snapshot.worker, snapshot.checkpoint, self.vault());
        let kept = Kept { base: snapshot.base, parts: std::mem::take(&mut snapshot.kept) };
        let storing = actor::task(async move {
            match keeper::store(&run, &vault, attempt, snapshot).await {
                Ok(saved) => drop(own.cast(Note::Stored(saved, kept))),
                Err(error) => {
                    let error = Error::Operation(error.to_string());
                    tell(Report::Event(Event::NotSaved { worker, checkpoint, error }));
                }
            }
        });
        self.storing.retain(|task| !task.has_ended());
        self.storing.push(storing);
    }

    pub(super) fn stored(&mut self, mut saved: WorkerSaved, kept: &Kept) {
        let (worker, checkpoint) = (saved.worker, saved.checkpoint);
        let event = match self.ledger.add(&mut saved, kept) {
            Ok(()) => Event::Saved(saved),
            Err(error) => Event::NotSaved { worker, checkpoint, error },
        };
        self.tell(event);
    }
}
