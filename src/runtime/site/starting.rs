//! How a site starts its workers.

use std::sync::Arc;

use crate::actor::{self, ActorCell, ActorId, Executor};
use crate::id::WorkerId;
use crate::runtime::flow::Mailbox;
use crate::runtime::worker::{Arguments, Worker};

/// A worker, and the way in.
pub(super) type Started = (WorkerId, ActorId, Mailbox);

/// Starts the workers. Those whose operations may wait have each an executor of one thread of its own: that tokio is
/// told of each of their calls then changes nothing for those who share threads, who would be handed to another one
/// each time, and have nothing in its caches. Gives these executors, too.
pub(super) async fn start_all(
    all: Vec<Arguments>,
    shared: &Executor,
    supervisor: &ActorCell,
) -> Result<(Vec<Started>, Vec<Executor>), String> {
    let (waiting, sharing) = all.into_iter().partition(|arguments: &Arguments| arguments.stage.blocks);
    let mut started = start(shared, sharing, supervisor).await?;
    let mut threads = Vec::new();
    for arguments in waiting {
        let thread = Executor::new("skitter-waits", 1).map_err(|error| error.to_string())?;
        started.extend(start(&thread, vec![arguments], supervisor).await?);
        threads.push(thread);
    }
    Ok((started, threads))
}

async fn start(threads: &Executor, all: Vec<Arguments>, supervisor: &ActorCell) -> Result<Vec<Started>, String> {
    let supervisor = supervisor.clone();
    let start = async move {
        let mut workers = Vec::with_capacity(all.len());
        for arguments in all {
            let (id, waiting) = (arguments.id, Arc::clone(&arguments.waiting));
            let actor = actor::spawn(Worker, arguments, Some(supervisor.clone())).await;
            let actor = actor.map_err(|error| error.to_string())?;
            workers.push((id, actor.get_id(), Mailbox::new(actor, waiting)));
        }
        Ok(workers)
    };
    threads.run(start).await.flatten()
}
