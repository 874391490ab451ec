//! Local mode: one process that is master and worker at once, and listens to no other node.

use std::sync::Arc;
use std::time::Duration;

use super::console::wire::{NodeStatus, Reply, Request};
use super::console::{Asked, answer, failed, milliseconds, refused};
use super::deployments::{Built, Deployments, Next};
use super::{Catalog, Console, Signals};
use crate::Runtime;
use crate::runtime::{DeploymentStatus, From, Resume, Settings};
use crate::telemetry::events;
use crate::workflow::{Error, Result, Workflow};

/// What is shown to whoever watches a deployment.
pub type Watch<'a> = &'a mut dyn FnMut(&DeploymentStatus);

/// Runs a node in local mode: starts a runtime, deploys the workflow, if there is one, under its name, and returns when
/// it has ended. On the first signal it stops in order, which may take as long as an operation takes to return.
/// Without a workflow it stays up until there is a signal. What is asked for over the console is deployed beside it, of
/// the workflows in the catalog.
///
/// # Errors
/// When the runtime cannot be started, or the workflow cannot be deployed or fails.
pub fn run(
    settings: Settings,
    catalog: Arc<dyn Catalog>,
    workflow: Option<(&str, Workflow, Option<From>)>,
    signals: &mut Signals,
    console: &mut Console,
    watch: Option<Watch<'_>>,
) -> Result<()> {
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Runtime(error.to_string()))?;
    let runtime = Runtime::with(settings)?;
    events::started("local");
    executor.block_on(async {
        let mut node = Local { runtime, deployments: Deployments::new(watch) };
        match workflow {
            Some((name, workflow, from)) => {
                let resume = match from {
                    Some(from) => Some(node.find(name, &from).await?),
                    None => None,
                };
                node.deploy(name, workflow, resume, None)?;
            }
            None => console.up(),
        }
        loop {
            tokio::select! {
                biased;
                next = node.deployments.next(signals) => match next {
                    Next::Up => console.up(),
                    Next::Deploy(built, workflow) => node.deploy_built(*built, workflow),
                    Next::Ended(_) => {}
                    Next::End(how) => return how.map_err(|(_, error)| error),
                },
                asked = console.asked() => node.answer(asked, &catalog, console.uptime()),
            }
        }
    })
}

struct Local<'a> {
    runtime: Runtime,
    deployments: Deployments<'a>,
}

impl Local<'_> {
    /// The checkpoint that a workflow is to go on at.
    async fn find(&self, name: &str, from: &From) -> Result<Resume> {
        let Some(settings) = &self.runtime.settings().checkpoints else {
            let why = "to go on from a checkpoint, checkpoints have to be taken: say --checkpoint-interval";
            return Err(Error::Deploy(why.to_owned()));
        };
        Ok((from.find(&settings.store, name).await?, from.drop_unfit))
    }

    fn deploy(&mut self, name: &str, workflow: Workflow, resume: Option<Resume>, built: Option<Built>) -> Result<()> {
        events::deploying(name);
        let dot = workflow.to_dot();
        match (self.runtime.deploy_from(name, workflow, resume), built) {
            (Ok(deployment), built) => self.deployments.add(deployment, dot, built.map(|built| built.answer)),
            (Err(error), None) => return Err(error),
            (Err(error), Some(built)) => {
                events::failed(name, &error);
                answer(built.answer, failed(format!("workflow `{name}`: {error}")));
            }
        }
        Ok(())
    }

    fn deploy_built(&mut self, built: Built, workflow: Workflow) {
        let name = built.name.clone();
        // What goes wrong is answered to who asked for it.
        let _ = self.deploy(&name, workflow, None, Some(built));
    }

    fn answer(&mut self, asked: Asked, catalog: &Arc<dyn Catalog>, uptime: Duration) {
        let Asked { request, reply } = asked;
        let content = match self.deployments.serve(request, catalog, reply) {
            None => return,
            Some((Request::Status, reply)) => (Reply::Status(Box::new(self.status(uptime))), reply),
            Some((Request::Nodes, reply)) => (Reply::Nodes { nodes: Vec::new() }, reply),
            Some((_, reply)) => (refused("a local node does not do that"), reply),
        };
        answer(content.1, content.0);
    }

    fn status(&self, uptime: Duration) -> NodeStatus {
        let settings = self.runtime.settings();
        NodeStatus {
            mode: "local".to_owned(),
            name: settings.name.clone(),
            address: None,
            pid: std::process::id(),
            version: events::VERSION.to_owned(),
            build: None,
            uptime_ms: milliseconds(uptime),
            cores: settings.cores as u32,
            tags: settings.tags.iter().map(ToString::to_string).collect(),
            peers: Vec::new(),
            deployments: self.deployments.running(),
            stopping: self.deployments.is_closing(),
        }
    }
}
