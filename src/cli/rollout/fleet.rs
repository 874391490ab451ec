//! Workers that have been started, and the agents that hold them.

use std::io;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use futures_util::stream::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::keep::Keeper;
use super::{CLOSE, Entry, LINES, LOOK, STOP, Screen, in_order};
use crate::actor::Executor;
use crate::hosts::{Host, Lines, Login, Request, Running};
use crate::id::NodeAddress;

/// How long workers have to end by themselves when their master has.
const END: Duration = Duration::from_secs(5);

/// How long whoever reads what workers have written may take a break at the end.
const BREAK: Duration = Duration::from_secs(600);

/// Workers on hosts, each with the agent by which it was started or is about to be.
#[derive(Debug)]
pub struct Fleet {
    pub(super) members: Vec<Member>,
    /// What workers write, with the host's name.
    lines: mpsc::Receiver<(String, String)>,
    pub(super) tell: Lines,
    /// Starts again what dies.
    pub(super) keeper: Option<Keeper>,
    /// Kept as long as its sessions.
    pub(super) login: Option<Login>,
}

/// A worker on a host.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) entry: Entry,
    pub(super) host: Host,
    /// By which others reach it.
    pub(super) address: String,
    pub(super) running: Option<Running>,
    /// It ran before.
    pub(super) unchanged: bool,
    /// This run has begun to start it.
    pub(super) begun: bool,
    /// It has died and was started again, so its master may have ended before it has found it.
    pub(super) again: bool,
    /// It is not up, or not known to be.
    pub(super) failed: bool,
    /// The release that was sent and has to become the one that counts.
    pub(super) sent: Option<String>,
    /// The directory that it is to run in, below that of the release.
    pub(super) files: Option<String>,
    /// What it is told when it starts.
    pub(super) arguments: Vec<String>,
    /// What tells it from workers that are started otherwise.
    pub(super) setup: String,
}

impl Member {
    /// The worker as the master knows it.
    pub(super) fn node(&self) -> String {
        NodeAddress { name: self.entry.name.clone(), host: self.address.clone(), port: None }.to_string()
    }

    /// What starts it.
    pub(super) fn start(&self, cookie: &str) -> Request {
        Request::Start {
            name: self.entry.name.clone(),
            arguments: self.arguments.clone(),
            cookie: cookie.to_owned(),
            directory: self.files.clone(),
            setup: self.setup.clone(),
        }
    }
}

impl Fleet {
    /// No workers.
    pub fn new() -> Fleet {
        let (tell, lines) = mpsc::channel(LINES);
        Fleet { members: Vec::new(), lines, tell, keeper: None, login: None }
    }

    /// Where the workers can be reached.
    pub fn addresses(&self) -> Vec<NodeAddress> {
        let address = |member: &Member| NodeAddress {
            name: member.entry.name.clone(),
            host: member.address.clone(),
            port: member.running.as_ref().map(|running| running.port),
        };
        self.members.iter().map(address).collect()
    }

    /// Shows what workers write, and starts again those that die, until `ended` says that the master has: then waits
    /// until the workers have ended, too, and stops those that do not by themselves. Those that ran before are left;
    /// all are, also if this process is killed, if they are to `stay`.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn show(
        self,
        executor: &Executor,
        screen: Screen,
        stay: bool,
        ended: oneshot::Receiver<()>,
    ) -> io::Result<Showing> {
        let Fleet { mut members, lines, tell, keeper, login } = self;
        // So that it ends with the agents.
        drop(tell);
        let shown = screen.lines(lines)?;
        let (tell, told) = oneshot::channel::<()>();
        executor.start(async move {
            if stay {
                // From here on they end by their own time-out if no master comes.
                join_all(members.iter().map(|member| member.host.ask(&Request::Leave, LOOK))).await;
            }
            // Gone without a word, it has ended, too.
            let ended = ended.map(drop).boxed().shared();
            if let Some(keeper) = keeper {
                join_all(members.iter_mut().map(|member| keeper.keep(member, stay, &screen, ended.clone()))).await;
            }
            ended.await;
            if stay {
                join_all(members.into_iter().map(|member| member.host.close(CLOSE))).await;
            } else {
                end(members, &screen).await;
            }
            drop(login);
            drop(tell);
        });
        Ok(Showing([shown, told]))
    }

    /// Lets the workers go on when this process ends.
    pub async fn leave(self) {
        leave(self.members).await;
    }

    /// Stops what this run has started when some of it has failed.
    pub async fn tear_down(self, screen: &Screen) {
        let (bad, good): (Vec<_>, Vec<_>) = self.members.into_iter().partition(|member| member.failed);
        let names =
            |members: &[Member]| -> Vec<String> { members.iter().map(|member| member.entry.to_string()).collect() };
        if bad.is_empty() {
            join_all(good.into_iter().map(|member| member.host.close(CLOSE))).await;
            return;
        }
        screen.some_failed(&names(&good), &names(&bad));
        stop(good, screen).await;
        // Agents end what they were about to start.
        join_all(bad.into_iter().map(|member| member.host.close(CLOSE))).await;
    }

    /// Stops what this run has started or is starting, and waits until it has ended.
    pub async fn call_off(self, screen: &Screen) {
        let (begun, others): (Vec<_>, Vec<_>) = self.members.into_iter().partition(|member| member.begun);
        let ends = begun.into_iter().map(|member| {
            async move {
                // The agent lets what is starting come up, and then stops it.
                let closed = member.host.close(CLOSE).await;
                (member.entry.to_string(), closed.map(|()| true))
            }
            .boxed()
        });
        let mut ends = in_order(ends);
        while let Some((name, ended)) = ends.next().await {
            screen.stopped(&name, &ended, "");
        }
        join_all(others.into_iter().map(|member| member.host.close(CLOSE))).await;
    }
}

/// What goes on beside the master: lines are shown, hosts are held. Each says nothing, and goes when it is done.
#[derive(Debug)]
pub struct Showing([oneshot::Receiver<()>; 2]);

impl Showing {
    /// Waits until all workers have ended, and all that they wrote is shown.
    pub fn wait(self) {
        for done in self.0 {
            let _ = done.blocking_recv();
        }
    }
}

async fn stop(members: Vec<Member>, screen: &Screen) {
    let stops = members.into_iter().map(|member| {
        async move {
            let request = Request::Stop { name: member.entry.name.clone() };
            let stopped = match member.unchanged {
                true => Ok(false),
                false => member.host.ask(&request, STOP).await.map(|_| true),
            };
            // It has nothing left to do.
            let _ = member.host.close(CLOSE).await;
            (member.entry.to_string(), stopped)
        }
        .boxed()
    });
    let mut stops = in_order(stops);
    while let Some((name, stopped)) = stops.next().await {
        screen.stopped(&name, &stopped, "is left as it was");
    }
}

async fn leave(members: Vec<Member>) {
    join_all(members.iter().map(|member| member.host.ask(&Request::Leave, LOOK))).await;
    join_all(members.into_iter().map(|member| member.host.close(CLOSE))).await;
}

async fn end(members: Vec<Member>, screen: &Screen) {
    join_all(members.into_iter().map(|member| end_one(member, screen))).await;
}

async fn end_one(member: Member, screen: &Screen) {
    let name = member.entry.name.clone();
    // One that has no master would be waited for in vain.
    let request = if member.again { Request::Stop { name } } else { Request::Await { name, seconds: END.as_secs() } };
    // What ran before is not this run's to stop.
    if !member.unchanged
        && let Err(trouble) = member.host.ask(&request, END + STOP + BREAK).await
    {
        screen.problem(&format!("{}: {trouble}", member.entry));
    }
    // It has been waited for what it had to do.
    let _ = member.host.close(CLOSE).await;
}
