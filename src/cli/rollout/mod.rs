//! Workers on hosts over ssh: what `skitter deploy` does before its master starts and after it has ended.
//!
//! All hosts are looked at before anything is started on one; all are tried before anything is said to have failed; and
//! what this run has started ends with it, by [`agents`](crate::cli::agent) even when this process is killed.

mod entry;
mod preflight;
mod screen;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

pub use self::entry::Entry;
use self::preflight::Finding;
pub use self::screen::Screen;
use crate::actor::Executor;
use crate::hosts::{Answer, Host, Lines, Login, Request, Running, SshOptions, Trouble};
use crate::id::NodeAddress;

/// Hosts that are logged in to, or asked for what takes long, at a time: more would wait for this machine's processor.
const AT_A_TIME: usize = 16;

/// How long a host may take to say what there is.
const LOOK: Duration = Duration::from_secs(10);

/// How long a worker may take until it is up: somewhat longer than it is given there, where more is known of it.
const START: Duration = Duration::from_secs(130);

/// How long a worker may take to stop, as long as it has there to drain, and some more.
const STOP: Duration = Duration::from_secs(45);

/// How long workers have to end by themselves when their master has.
const END: Duration = Duration::from_secs(5);

/// How long an agent may take to stop what it has started, and to end.
const CLOSE: Duration = Duration::from_secs(20);

/// How long a name may take to be looked up.
const RESOLVE: Duration = Duration::from_secs(5);

/// Lines of logs that wait to be shown.
const LINES: usize = 1024;

/// What is to be done with hosts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workers.
    pub entries: Vec<Entry>,
    /// Where the release is on the hosts.
    pub directory: String,
    /// The fingerprint of this build, in hexadecimal.
    pub build: String,
    /// The secret of the cluster.
    pub cookie: String,
    /// How ssh is told to connect.
    pub ssh: SshOptions,
    /// Arguments of all workers.
    pub arguments: Vec<String>,
    /// The address between nodes of hosts that have another one for ssh.
    pub addresses: BTreeMap<String, String>,
    /// Stop workers of another build that run, and start this one.
    pub replace: bool,
    /// How long workers have until all have to be up.
    pub wait: Duration,
    /// Who deploys, for others that want to.
    pub holder: String,
    /// Show what workers write.
    pub follow: bool,
}

/// Why nothing runs. It has been said what and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// Workers that are up, and the agents by which they were started.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    /// What workers write, with the host's name.
    pub lines: mpsc::Receiver<(String, String)>,
}

#[derive(Debug)]
struct Member {
    entry: Entry,
    host: Host,
    /// By which others reach it.
    address: String,
    running: Option<Running>,
    /// It ran before.
    unchanged: bool,
}

/// Does all of it, some at a time; results come in the order of the list.
fn in_order<'a, T>(all: impl IntoIterator<Item = BoxFuture<'a, T>>) -> BoxStream<'a, T>
where
    T: Send + 'a,
{
    let all: Vec<_> = all.into_iter().collect();
    stream::iter(all).buffered(AT_A_TIME).boxed()
}

impl Plan {
    /// Logs in to all hosts and finds out whether they are ready.
    ///
    /// # Errors
    /// When one is not. All that was found is said.
    async fn look(&self, screen: &Screen, lines: &Lines) -> Result<Vec<Member>, Failed> {
        let login = Login::new(&self.ssh).map_err(|error| {
            screen.problem(&format!("ssh cannot be prepared: {error}"));
            Failed
        })?;
        let looks = self.entries.iter().map(|entry| self.look_at(&login, entry, lines).boxed());
        let looked: Vec<_> = in_order(looks).collect().await;
        let mut members = Vec::new();
        let mut table = Vec::new();
        for (entry, looked) in self.entries.iter().zip(looked) {
            match looked {
                Ok((member, findings)) => {
                    table.extend(findings.into_iter().map(|Finding(what)| (entry.to_string(), what)));
                    members.push(member);
                }
                Err(trouble) => table.push((entry.to_string(), trouble.to_string())),
            }
        }
        if table.is_empty() {
            return Ok(members);
        }
        screen.not_ready(&table);
        Err(Failed)
    }

    /// What one host has to say.
    async fn look_at(&self, login: &Login, entry: &Entry, lines: &Lines) -> Result<(Member, Vec<Finding>), Trouble> {
        let session = login.open(&entry.host).await?;
        let host = Host::start(session, &entry.host, &self.directory, lines.clone()).await?;
        let found = match host.ask(&Request::Look { name: entry.name.clone() }, LOOK).await? {
            Answer::Found(found) => found,
            other => return Err(Trouble::Nonsense(format!("{other:?}"))),
        };
        let findings = preflight::findings(self, &host, &found);
        let unchanged = found.running.as_ref().is_some_and(|running| running.build == self.build);
        let address = match self.addresses.get(&entry.host) {
            Some(address) => address.clone(),
            None if resolves(&entry.host).await => entry.host.clone(),
            None => found.address.clone().unwrap_or_else(|| entry.host.clone()),
        };
        let running = found.running;
        Ok((Member { entry: entry.clone(), host, address, running, unchanged }, findings))
    }

    /// Starts a worker on each host, and returns when all are up.
    ///
    /// # Errors
    /// When one host is not ready, or one worker does not come up: then those that did are stopped. All of it is said.
    pub async fn start(&self, screen: &Screen) -> Result<Fleet, Failed> {
        let (tell, lines) = mpsc::channel(LINES);
        let mut members = self.look(screen, &tell).await?;
        self.lock(screen, &members).await?;
        let mut failed = Vec::new();
        let mut starts = in_order(members.iter_mut().map(|member| self.start_one(member).boxed()));
        while let Some((worker, unchanged, result)) = starts.next().await {
            screen.started(&worker, unchanged, result.as_ref().err());
            failed.push(result.is_err());
        }
        drop(starts);
        if failed.iter().all(|failed| !failed) {
            screen.waiting(self.wait);
            for (at, why) in self.gone(&members).await {
                screen.problem(&format!("{}: {why}", members[at].entry));
                failed[at] = true;
            }
        }
        let fleet = Fleet { members, lines };
        if failed.iter().any(|failed| *failed) {
            fleet.tear_down(screen, &failed).await;
            return Err(Failed);
        }
        Ok(fleet)
    }

    /// Keeps others off all hosts.
    async fn lock(&self, screen: &Screen, members: &[Member]) -> Result<(), Failed> {
        let locks = members.iter().map(|member| {
            let request = Request::Lock { name: member.entry.name.clone(), holder: self.holder.clone() };
            async move { member.host.ask(&request, LOOK).await }.boxed()
        });
        let locked: Vec<_> = in_order(locks).collect().await;
        let locked = locked.into_iter().map(|answer| match answer {
            Ok(Answer::Busy { holder }) => Some(format!("{holder} is deploying there")),
            Ok(_) => None,
            Err(trouble) => Some(trouble.to_string()),
        });
        let named = members.iter().zip(locked).filter_map(|(member, why)| Some((member.entry.to_string(), why?)));
        let table: Vec<_> = named.collect();
        if table.is_empty() {
            return Ok(());
        }
        screen.not_ready(&table);
        Err(Failed)
    }

    async fn start_one(&self, member: &mut Member) -> (String, bool, Result<(), Trouble>) {
        let result = self.try_start(member).await;
        (member.entry.to_string(), member.unchanged, result)
    }

    async fn try_start(&self, member: &mut Member) -> Result<(), Trouble> {
        let name = member.entry.name.clone();
        if self.follow {
            member.host.ask(&Request::Follow { name: name.clone() }, LOOK).await?;
        }
        if member.unchanged {
            return Ok(());
        }
        if member.running.take().is_some() {
            member.host.ask(&Request::Stop { name: name.clone() }, STOP).await?;
        }
        let mut arguments = self.arguments.clone();
        arguments.extend(["--host".to_owned(), member.address.clone()]);
        for tag in &member.entry.tags {
            arguments.extend(["--tag".to_owned(), tag.to_string()]);
        }
        let request = Request::Start { name, arguments, cookie: self.cookie.clone() };
        match member.host.ask(&request, START).await? {
            Answer::Started(running) => member.running = Some(running),
            other => return Err(Trouble::Nonsense(format!("{other:?}"))),
        }
        Ok(())
    }

    /// Workers that are not up, or do not say so while there is time, and why.
    async fn gone(&self, members: &[Member]) -> Vec<(usize, String)> {
        let limit = self.wait.min(LOOK);
        let looks = members.iter().enumerate().map(|(at, member)| {
            let request = Request::Look { name: member.entry.name.clone() };
            async move { (at, member.host.ask(&request, limit).await) }.boxed()
        });
        let answers: Vec<_> = in_order(looks).collect().await;
        let gone = answers.into_iter().filter_map(|(at, answer)| match answer {
            Ok(Answer::Found(found)) if found.running.is_some() => None,
            Ok(_) => Some((at, "the worker has ended; its log is on the host".to_owned())),
            Err(trouble) => Some((at, trouble.to_string())),
        });
        gone.collect()
    }

    /// Stops the worker on each host, whoever has started it. What became of each is said.
    ///
    /// # Errors
    /// When a host cannot be reached, or a worker does not stop. It is said which.
    pub async fn stop(&self, screen: &Screen) -> Result<(), Failed> {
        let Ok(login) = Login::new(&self.ssh) else { return Err(Failed) };
        let (tell, _lines) = mpsc::channel(1);
        let mut stops = in_order(self.entries.iter().map(|entry| self.stop_one(&login, entry, &tell).boxed()));
        let mut all = Ok(());
        let mut entries = self.entries.iter();
        while let (Some(result), Some(entry)) = (stops.next().await, entries.next()) {
            screen.stopped(&entry.to_string(), &result, "did not run");
            if result.is_err() {
                all = Err(Failed);
            }
        }
        all
    }

    async fn stop_one(&self, login: &Login, entry: &Entry, lines: &Lines) -> Result<bool, Trouble> {
        let session = login.open(&entry.host).await?;
        let host = Host::start(session, &entry.host, &self.directory, lines.clone()).await?;
        let stopped = host.ask(&Request::Stop { name: entry.name.clone() }, STOP).await?;
        // It has nothing left to do.
        let _ = host.close(CLOSE).await;
        Ok(stopped == Answer::Stopped { ran: true })
    }
}

/// Whether the system knows a host by this name.
async fn resolves(host: &str) -> bool {
    let found = timeout(RESOLVE, tokio::net::lookup_host((host, 0))).await;
    found.is_ok_and(|found| found.is_ok_and(|mut addresses| addresses.next().is_some()))
}

impl Fleet {
    /// Where the workers can be reached.
    pub fn addresses(&self) -> Vec<NodeAddress> {
        let address = |member: &Member| NodeAddress {
            name: member.entry.name.clone(),
            host: member.address.clone(),
            port: member.running.as_ref().map(|running| running.port),
        };
        self.members.iter().map(address).collect()
    }

    /// Shows what workers write, until `ended` says that the master has: then waits until the workers have ended, too,
    /// and stops those that do not by themselves; or leaves them, if it says `true`. Those that ran before are left.
    pub fn show(self, executor: &Executor, screen: Screen, ended: oneshot::Receiver<bool>) -> Showing {
        let (tell, told) = sync_channel::<()>(1);
        executor.start(async move {
            let Fleet { members, mut lines } = self;
            let ends = async {
                match ended.await {
                    Ok(true) => leave(members).await,
                    _ => end(members, &screen).await,
                }
            };
            let shows = async {
                while let Some((host, line)) = lines.recv().await {
                    screen.line(&host, &line);
                }
            };
            tokio::join!(ends, shows);
            drop(tell);
        });
        Showing(told)
    }

    /// Stops the workers.
    pub async fn end(self, screen: &Screen) {
        end(self.members, screen).await;
    }

    /// Lets the workers go on when this process ends.
    pub async fn leave(self) {
        leave(self.members).await;
    }

    /// Stops what this run has started.
    async fn tear_down(self, screen: &Screen, failed: &[bool]) {
        let (bad, good): (Vec<_>, Vec<_>) = self.members.into_iter().zip(failed).partition(|(_, failed)| **failed);
        let names = |members: &[(Member, &bool)]| -> Vec<String> {
            members.iter().map(|(member, _)| member.entry.to_string()).collect()
        };
        screen.some_failed(&names(&good), &names(&bad));
        let stops = good.into_iter().map(|(member, _)| {
            async move {
                let request = Request::Stop { name: member.entry.name.clone() };
                let stopped = match member.unchanged {
                    true => Ok(false),
                    false => member.host.ask(&request, STOP).await.map(|_| true),
                };
                let _ = member.host.close(CLOSE).await;
                (member.entry.to_string(), stopped)
            }
            .boxed()
        });
        let mut stops = in_order(stops);
        while let Some((name, stopped)) = stops.next().await {
            screen.stopped(&name, &stopped, "is left as it was");
        }
        // Agents end what they were about to start.
        join_all(bad.into_iter().map(|(member, _)| member.host.close(CLOSE))).await;
    }
}

/// What goes on beside the master.
#[derive(Debug)]
pub struct Showing(Receiver<()>);

impl Showing {
    /// Waits until all workers have ended, and all that they wrote is shown.
    pub fn wait(self) {
        // The other side says nothing, and goes.
        let _ = self.0.recv();
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
    let request = Request::Await { name: member.entry.name.clone(), seconds: END.as_secs() };
    // What ran before is not this run's to stop.
    if !member.unchanged
        && let Err(trouble) = member.host.ask(&request, END + STOP).await
    {
        screen.problem(&format!("{}: {trouble}", member.entry));
    }
    // It has been waited for what it had to do.
    let _ = member.host.close(CLOSE).await;
}
