//! Workers on hosts over ssh: what `skitter deploy` does before its master starts and after it has ended.
//!
//! All hosts are looked at before anything is started on one; all are tried before anything is said to have failed; and
//! what this run has started ends with it, by [`agents`](crate::cli::agent) even when this process is killed.

mod access;
mod entry;
mod errands;
mod fleet;
mod keep;
mod preflight;
mod screen;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, Shared, join_all};
use futures_util::stream::{self, BoxStream, StreamExt};
use openssh::Session;
use tokio::time::timeout;

pub use self::access::Access;
pub use self::entry::Entry;
pub use self::fleet::Fleet;
use self::fleet::Member;
use self::keep::Keeper;
use self::preflight::Finding;
pub use self::screen::Screen;
use crate::hosts::{Answer, Delivery, Host, Lines, Login, Packing, Release, Request, Running, Trouble, deliver, hold};
use crate::runtime::Intensity;

/// Hosts that are logged in to, or asked for what takes long, at a time: more would wait for this machine's processor.
const AT_A_TIME: usize = 16;

/// How long a host may take to say what there is.
const LOOK: Duration = Duration::from_secs(10);

/// How long a worker may take until it is up: somewhat longer than it is given there, where more is known of it.
const START: Duration = Duration::from_secs(130);

/// How long a worker may take to stop, as long as it has there to drain, and some more.
const STOP: Duration = Duration::from_secs(45);

/// How long an agent may take to stop what it has started, and to end.
const CLOSE: Duration = Duration::from_secs(20);

/// How often it is said how far a copy is.
const PROGRESS: Duration = Duration::from_secs(2);

/// How long a name may take to be looked up.
const RESOLVE: Duration = Duration::from_secs(5);

/// Lines of logs that wait to be shown.
const LINES: usize = 1024;

/// What is to be done with hosts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The workers.
    pub entries: Vec<Entry>,
    /// How their hosts are reached.
    pub access: Access,
    /// The release, to be sent to hosts that have another one, or none.
    pub push: Option<Packing>,
    /// What becomes the directory that workers run in.
    pub files: Option<Packing>,
    /// The fingerprint of this build, in hexadecimal.
    pub build: String,
    /// What tells this release from others of this build.
    pub release: Option<String>,
    /// The secret of the cluster.
    pub cookie: String,
    /// Arguments of all workers.
    pub arguments: Vec<String>,
    /// The address between nodes of hosts that have another one for ssh.
    pub addresses: BTreeMap<String, String>,
    /// Stop workers of another build that run, and start this one.
    pub replace: bool,
    /// How long workers have until all have to be up.
    pub wait: Duration,
    /// How often a worker that dies is started again; not at all if that is the master's end.
    pub restarts: Option<Intensity>,
    /// Who deploys, for others that want to.
    pub holder: String,
    /// Show what workers write.
    pub follow: bool,
}

/// Why nothing runs. It has been said what and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// A host that has been logged in to, and what was sent there.
#[derive(Clone, Debug)]
struct Ground {
    session: Arc<Session>,
    /// Where the release was sent to, if it was.
    sent: Option<String>,
    /// Where the files are that were to be sent.
    files: Option<String>,
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
    /// Logs in to all hosts and finds out whether they are ready; sends them what they are to have.
    ///
    /// # Errors
    /// When one is not ready. All that was found is said.
    async fn look(&self, login: &Login, screen: &Screen, lines: &Lines) -> Result<Vec<Member>, Failed> {
        // Once for a host, however many workers are to be there.
        let mut grounds: BTreeMap<&str, Shared<BoxFuture<'_, Result<Ground, Trouble>>>> = BTreeMap::new();
        for entry in &self.entries {
            let prepare = || self.prepare(login, entry, screen, lines).boxed().shared();
            grounds.entry(&entry.host).or_insert_with(prepare);
        }
        let looks = self.entries.iter().map(|entry| {
            let ground = grounds[entry.host.as_str()].clone();
            async move { self.look_at(ground.await?, entry, lines).await }.boxed()
        });
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
        join_all(members.into_iter().map(|member| member.host.close(CLOSE))).await;
        Err(Failed)
    }

    /// Logs in to a host and sends it what it lacks.
    async fn prepare(&self, login: &Login, entry: &Entry, screen: &Screen, lines: &Lines) -> Result<Ground, Trouble> {
        let mut ground = Ground { session: Arc::new(login.open(&entry.host).await?), sent: None, files: None };
        if self.push.is_none() && self.files.is_none() {
            return Ok(ground);
        }
        // What is to be sent may not be packed yet.
        let _held = hold(&ground.session).await?;
        let there = self.access.enter(Arc::clone(&ground.session), entry, None, lines).await;
        ground.sent = match (&self.push, there) {
            (push, Ok(host)) => {
                let push = push.as_ref().filter(|_| !self.is_this(host.release()));
                // It has said what it was asked.
                let _ = host.close(CLOSE).await;
                match push {
                    Some(release) => Some(self.send(&ground.session, entry, release, screen).await?),
                    None => None,
                }
            }
            (Some(release), Err(Trouble::NoRelease { .. } | Trouble::NotRunnable { .. })) => {
                Some(self.send(&ground.session, entry, release, screen).await?)
            }
            (_, Err(trouble)) => return Err(trouble),
        };
        if let Some(files) = &self.files {
            ground.files = Some(self.send(&ground.session, entry, files, screen).await?);
        }
        Ok(ground)
    }

    /// Whether a release on a host is the one here.
    fn is_this(&self, release: &Release) -> bool {
        let same_files = match (&release.sum, &self.release) {
            (Some(there), Some(here)) => there == here,
            // A program without anything beside it.
            _ => true,
        };
        release.build == self.build && same_files
    }

    /// What one host has to say.
    async fn look_at(&self, ground: Ground, entry: &Entry, lines: &Lines) -> Result<(Member, Vec<Finding>), Trouble> {
        let Ground { session, sent, files } = ground;
        let program = sent.as_ref().map(|place| format!("{place}/bin/skitter"));
        let host = self.access.enter(session, entry, program.as_deref(), lines).await?;
        let found = match host.ask(&Request::Look { name: entry.name.clone() }, LOOK).await? {
            Answer::Found(found) => found,
            other => return Err(Trouble::Nonsense(format!("{other:?}"))),
        };
        let address = match self.addresses.get(&entry.host) {
            Some(address) => address.clone(),
            None if resolves(&entry.host).await => entry.host.clone(),
            None => found.address.clone().unwrap_or_else(|| entry.host.clone()),
        };
        let arguments = self.arguments_of(entry, &address);
        let setup = self.setup(&arguments, files.as_deref());
        let findings = preflight::findings(self, &host, &found, entry, &setup);
        let running = found.running;
        let unchanged = running.as_ref().is_some_and(|running| preflight::is_as_wanted(self, running, entry, &setup));
        let entry = entry.clone();
        let (begun, again, failed) = (false, false, false);
        let member =
            Member { entry, host, address, running, unchanged, begun, again, failed, sent, files, arguments, setup };
        Ok((member, findings))
    }

    /// What a worker is told.
    fn arguments_of(&self, entry: &Entry, address: &str) -> Vec<String> {
        let mut arguments = self.arguments.clone();
        arguments.push(format!("--host={address}"));
        arguments.extend(entry.tags.iter().map(|tag| format!("--tag={tag}")));
        arguments
    }

    /// What tells a worker that is started with all of this from others.
    fn setup(&self, arguments: &[String], files: Option<&str>) -> String {
        let mut hash = blake3::Hasher::new_derive_key("skitter deploy 2026 what a worker is started with");
        for part in arguments.iter().map(String::as_str).chain([files.unwrap_or_default(), &self.cookie]) {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        hash.finalize().to_hex().to_string()
    }

    /// Sends what is packed, unless it is there; returns where it is.
    async fn send(
        &self,
        session: &Arc<Session>,
        entry: &Entry,
        parcel: &Packing,
        screen: &Screen,
    ) -> Result<String, Trouble> {
        let parcel = parcel.clone().await.map_err(Trouble::Refused)?;
        let name = entry.to_string();
        let begin = Instant::now();
        let mut last = begin;
        let tell = |sent| {
            if last.elapsed() >= PROGRESS {
                last = Instant::now();
                screen.sending(&name, parcel.place(), sent, parcel.size());
            }
        };
        match deliver(session, &self.access.directory, &parcel, tell).await? {
            Delivery::Known => {}
            Delivery::Sent(bytes) => screen.sent(&name, parcel.place(), bytes, begin.elapsed()),
        }
        Ok(parcel.place().to_owned())
    }

    /// Starts a worker on each host, and returns when all are up. They are put into `fleet` before anything is started,
    /// so that it can be called off at any time.
    ///
    /// # Errors
    /// When one host is not ready, or one worker does not come up. All of it is said.
    pub async fn start(&self, screen: &Screen, fleet: &mut Fleet) -> Result<(), Failed> {
        let login = self.access.login().map_err(|why| screen.failed(&why))?;
        fleet.keeper = self.restarts.map(|intensity| Keeper { cookie: self.cookie.clone(), intensity });
        let login = fleet.login.insert(login);
        fleet.members = self.look(login, screen, &fleet.tell).await?;
        login.close();
        let members = &mut fleet.members;
        let mut table = lock(&self.holder, members.iter().map(|member| (&member.entry, &member.host))).await;
        if table.is_empty() {
            table = switch(members).await;
        }
        if !table.is_empty() {
            screen.not_ready(&table);
            return Err(Failed);
        }
        let mut starts = in_order(members.iter_mut().map(|member| self.start_one(member).boxed()));
        while let Some((worker, unchanged, result)) = starts.next().await {
            screen.started(&worker, unchanged, result.as_ref().err());
        }
        drop(starts);
        if members.iter().all(|member| !member.failed) {
            screen.waiting(self.wait);
            for (at, why) in self.gone(members).await {
                screen.problem(&format!("{}: {why}", members[at].entry));
                members[at].failed = true;
            }
        }
        if members.iter().any(|member| member.failed) { Err(Failed) } else { Ok(()) }
    }

    async fn start_one(&self, member: &mut Member) -> (String, bool, Result<(), Trouble>) {
        let result = self.try_start(member).await;
        member.failed = result.is_err();
        (member.entry.to_string(), member.unchanged, result)
    }

    async fn try_start(&self, member: &mut Member) -> Result<(), Trouble> {
        let name = member.entry.name.clone();
        if !member.unchanged {
            member.begun = true;
            if member.running.take().is_some() {
                member.host.ask(&Request::Stop { name: name.clone() }, STOP).await?;
            }
        }
        if self.follow {
            member.host.ask(&Request::Follow { name: name.clone() }, LOOK).await?;
        }
        if member.unchanged {
            return Ok(());
        }
        match member.host.ask(&member.start(&self.cookie), START).await? {
            // What it was started with is noted behind that.
            Answer::Started(running) => {
                member.running = Some(Running { setup: Some(member.setup.clone()), ..running });
            }
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
}

/// Keeps others off hosts; returns those that somebody else has, and who.
async fn lock(holder: &str, hosts: impl Iterator<Item = (&Entry, &Host)>) -> Vec<(String, String)> {
    let locks = hosts.map(|(entry, host)| {
        let request = Request::Lock { name: entry.name.clone(), holder: holder.to_owned() };
        async move {
            let why = match host.ask(&request, LOOK).await {
                Ok(Answer::Busy { holder }) => format!("{holder} is deploying there"),
                Ok(_) => return None,
                Err(trouble) => trouble.to_string(),
            };
            Some((entry.to_string(), why))
        }
        .boxed()
    });
    in_order(locks).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

/// Makes the releases that were sent those that count; returns where that has failed, and why.
async fn switch(members: &[Member]) -> Vec<(String, String)> {
    let hosts: BTreeMap<&str, &Member> = members.iter().map(|member| (member.entry.host.as_str(), member)).collect();
    let switches = hosts.into_values().map(|member| {
        async move {
            let to = member.sent.clone()?;
            let trouble = member.host.ask(&Request::Switch { to }, LOOK).await.err()?;
            Some((member.entry.to_string(), trouble.to_string()))
        }
        .boxed()
    });
    in_order(switches).collect::<Vec<_>>().await.into_iter().flatten().collect()
}

/// Whether the system knows a host by this name.
async fn resolves(host: &str) -> bool {
    let found = timeout(RESOLVE, tokio::net::lookup_host((host, 0))).await;
    found.is_ok_and(|found| found.is_ok_and(|mut addresses| addresses.next().is_some()))
}
