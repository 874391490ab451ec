//! A host of a simulation: a node with a runtime of its own, so that all that runs there can be stopped, and killed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio::time::{advance, sleep};

use crate::actor::Census;
use crate::node::console::Asked;
use crate::node::console::wire::{Reply, Request};
use crate::node::master::{self, MasterOptions};
use crate::node::worker::{self, WorkerOptions};
use crate::node::{Catalog, Console, NodeFailure, NodeSettings, Signals, Stopper};
use crate::runtime::Runtime;

/// What a node does.
pub enum Life {
    Master(MasterOptions),
    Worker(WorkerOptions),
}

/// How a node has ended, if it has.
type Outcome = Rc<RefCell<Option<Result<(), NodeFailure>>>>;

/// The host.
pub struct Host {
    pub name: String,
    /// All that does not belong to the runtime: the node's own loop. Goes first.
    local: LocalSet,
    runtime: tokio::runtime::Runtime,
    pub census: Census,
    pub stopper: Stopper,
    pub outcome: Outcome,
    ask: mpsc::Sender<Asked>,
    /// Tasks when the node was up and had nothing to do.
    at_rest: Option<usize>,
    /// It is not run, and so long it has not been.
    frozen: Option<Duration>,
}

impl Host {
    /// A process begins.
    pub fn start(settings: NodeSettings, catalog: Arc<dyn Catalog>, life: Life) -> Host {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let (runtime, local) = (runtime.expect("a runtime"), LocalSet::new());
        let (name, outcome) = (settings.name.name().to_owned(), Outcome::default());
        let (census, stopper, ask);
        {
            let _entered = runtime.enter();
            let engine = Runtime::with(settings.runtime.clone()).expect("a runtime");
            let mut signals = Signals::none();
            let mut console;
            (ask, console) = Console::without_socket();
            (census, stopper) = (engine.census(), signals.stopper());
            let ended = Rc::clone(&outcome);
            local.spawn_local(async move {
                let how = match life {
                    Life::Master(options) => {
                        master::live(settings, engine, catalog, options, &mut signals, &mut console, None).await
                    }
                    Life::Worker(options) => {
                        worker::live(settings, engine, catalog, options, &mut signals, &mut console).await
                    }
                };
                *ended.borrow_mut() = Some(how);
            });
        }
        Host { name, local, runtime, census, stopper, outcome, ask, at_rest: None, frozen: None }
    }

    /// Lets it run for a while.
    pub fn step(&mut self, time: Duration) {
        match &mut self.frozen {
            Some(frozen) => *frozen += time,
            None => self.local.block_on(&self.runtime, async { sleep(time).await }),
        }
    }

    /// Somebody at its console wants a savepoint of the first deployment.
    pub fn savepoint(&self, stop: bool) -> oneshot::Receiver<Reply> {
        let (reply, comes) = oneshot::channel();
        let request = Request::Savepoint { deployment: 1, directory: None, stop };
        // A node that has too much to do, or has ended, does not answer.
        drop(self.ask.try_send(Asked { request, reply }));
        comes
    }

    pub fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Stops all of it, as SIGSTOP does.
    pub fn freeze(&mut self) {
        self.frozen.get_or_insert(Duration::ZERO);
    }

    /// It goes on, and finds that time has passed.
    pub fn wake(&mut self) {
        if let Some(time) = self.frozen.take() {
            self.local.block_on(&self.runtime, async { advance(time).await });
        }
    }

    fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }

    /// It has nothing to do now.
    pub fn rests(&mut self) {
        self.at_rest.get_or_insert(self.tasks());
    }

    /// What is left in it, that was not there when it had nothing to do.
    pub fn left(&self) -> Option<String> {
        let (living, tasks) = (self.census.living(), self.tasks());
        let more = self.at_rest.is_some_and(|before| tasks > before);
        (living > 0 || more)
            .then(|| format!("`{}` has {living} actors and {tasks} tasks ({:?} before)", self.name, self.at_rest))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.local = LocalSet::new();
    }
}
