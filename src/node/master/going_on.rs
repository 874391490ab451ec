//! How a master goes on: with deployments that have failed, with workers that are gone, and with what a master before
//! it had not ended.

use std::sync::Arc;

use tokio::time::sleep;

use super::super::deployments::Deployments;
use super::super::journal::{self, Entry, Journal};
use super::super::settings::Catalog;
use super::{CALL_AGAIN, Master};
use crate::actor;
use crate::id::{DeploymentId, NodeAddress, NodeName};
use crate::net::{Mode, Purpose};
use crate::runtime::{Again, Origin, Phase, Resume};
use crate::state::Store;
use crate::telemetry::events;
use crate::workflow::{Error, Result as WorkflowResult};

impl Master {
    /// Deploys what it was started with, and what a master before it had not ended, if it is to go on with that.
    pub(super) async fn begin(
        &mut self,
        deployments: &mut Deployments<'_>,
        catalog: &Arc<dyn Catalog>,
    ) -> Result<(), (String, Error)> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |error: Error| (name, error)
        };
        let first = self.options.deploy.clone();
        let name = first.as_ref().map_or("", |(name, _)| name);
        let store = self.runtime.settings().checkpoints.as_ref().map(|settings| settings.store.clone());
        let is_first = |entry: &Entry| {
            first.as_ref().is_some_and(|(name, arguments)| entry.name == *name && entry.arguments == *arguments)
        };
        let (mut left, mut is_over) = (Vec::new(), false);
        if let Some(url) = &store {
            let store = Store::open(url).map_err(|error| Error::Runtime(error.to_string())).map_err(failed(name))?;
            let master = self.endpoint.identity().name.to_string();
            if self.options.go_on {
                left = journal::read(&store, &master).await.map_err(failed(name))?;
            }
            let mut journal = Journal::begin(store.clone(), &master);
            let over: Vec<Entry> = left.extract_if(.., |entry| entry.ended).collect();
            for entry in &left {
                events::goes_on(&entry.name, &entry.run);
            }
            let is_first = |entry: &Entry| is_first(entry) && !left.iter().any(is_first);
            is_over = over.iter().any(is_first);
            over.into_iter().for_each(|entry| journal.is_over(entry));
            self.journal = Some(journal);
        }
        if let Some((name, arguments)) = first.clone().filter(|_| !is_over) {
            let at = left.iter().position(is_first);
            let left = at.map(|at| left.remove(at));
            let resume = match (&left, &self.options.from, &store) {
                (Some(entry), _, Some(store)) => newest(store, entry).await.map_err(failed(&name))?,
                (None, Some(from), Some(store)) => {
                    let found = from.find(store, &name).await.map_err(failed(&name))?;
                    Some((found, from.drop_unfit))
                }
                (None, Some(_), None) => {
                    let why = "to go on from a checkpoint, checkpoints have to be taken: say --checkpoint-interval";
                    return Err((name, Error::Deploy(why.to_owned())));
                }
                _ => None,
            };
            let before = left.map(Entry::runs).unwrap_or_default();
            let built = catalog.build(&name, &arguments);
            let deployed = built.and_then(|workflow| self.deploy(&name, arguments, workflow, (resume, before)));
            let (deployment, dot) = deployed.map_err(failed(&name))?;
            deployments.add(deployment, dot, None);
        }
        for entry in left {
            let Some(store) = &store else { break };
            let resume = newest(store, &entry).await.map_err(failed(&entry.name))?;
            let (name, arguments, before) = (entry.name.clone(), entry.arguments.clone(), entry.runs());
            let built = catalog.build(&name, &arguments);
            match built.and_then(|workflow| self.deploy(&name, arguments, workflow, (resume, before))) {
                Ok((deployment, dot)) => deployments.add_later(deployment, dot),
                Err(error) => events::failed(&name, &error),
            }
        }
        if is_over {
            // The master before was about to end with it.
            deployments.close();
        }
        Ok(())
    }

    /// A deployment has failed, and is to be started anew.
    pub(super) fn recover(&mut self, id: DeploymentId, again: Again) {
        let wait = self.options.recovery_wait;
        if let Some(running) = self.running.get_mut(&id) {
            running.recover(again, wait);
        }
        self.resume();
        self.grow();
    }

    /// Starts anew what can be.
    pub(super) fn resume(&mut self) {
        let workers = self.all_workers();
        self.running.values_mut().for_each(|running| running.resume(&self.runtime, workers.clone()));
    }

    /// Calls a worker that is gone until it is back, if the master was told where it is.
    pub(super) fn call(&mut self, node: &NodeName) {
        let is_it = |address: &&NodeAddress| address.name == node.name() && address.host == node.host();
        let Some(address) = self.options.workers.iter().find(is_it).cloned() else { return };
        // One that is started again may listen at another port, which the mapper of its host knows.
        let anywhere = NodeAddress { port: None, ..address.clone() };
        let mut addresses = vec![address, anywhere];
        addresses.dedup();
        let (endpoint, come) = (Arc::clone(&self.endpoint), self.come.clone());
        let calling = actor::task(async move {
            loop {
                sleep(CALL_AGAIN).await;
                for address in &addresses {
                    if let Ok(session) = endpoint.dial(address, Purpose::Control, Mode::Worker).await {
                        let _ = come.send(session).await;
                        return;
                    }
                }
            }
        });
        self.calling.insert(node.to_string(), calling);
    }

    pub(super) fn ended(&mut self, id: DeploymentId) {
        let Some(running) = self.running.remove(&id) else { return };
        running.end();
        if let Some(journal) = &mut self.journal {
            journal.remove(id, matches!(running.deployment().status().phase, Phase::Failed(_)));
        }
    }
}

/// The newest checkpoint of a deployment that a master before has not ended, or what it was begun with; none if it had
/// none and was begun at its beginning.
async fn newest(store: &str, entry: &Entry) -> WorkflowResult<Option<Resume>> {
    let unusable = |error: &dyn std::fmt::Display| Error::Runtime(format!("`{store}` cannot be used: {error}"));
    let opened = Store::open(store).map_err(|error| unusable(&error))?;
    let latest = entry.run(&opened).latest().await.map_err(|error| unusable(&error))?;
    let own = latest.map(|manifest| {
        let (store, workflow, run) = (store.to_owned(), entry.name.clone(), entry.run.clone());
        (Origin::of(store, workflow, run, &manifest), false)
    });
    Ok(own.or_else(|| Some((entry.from.clone()?, entry.drop_unfit))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// It has died before its first checkpoint, or was begun with a savepoint.
    #[tokio::test]
    async fn a_run_without_a_checkpoint_goes_on_where_it_was_begun() {
        let store = "memory://goes-on";
        let (workflow, run) = ("words".to_owned(), "before".to_owned());
        let from = Some(Origin {
            store: store.to_owned(),
            workflow: workflow.clone(),
            run,
            checkpoint: 7,
            fixed: BTreeMap::new(),
        });
        let (name, run, before) = (workflow, "new".to_owned(), vec!["before".to_owned()]);
        let (arguments, ended) = (Vec::new(), false);
        let entry = Entry { name, arguments, run, before, from: from.clone(), drop_unfit: true, ended };
        assert_eq!(newest(store, &entry).await, Ok(from.zip(Some(true))));
    }
}
