//! Workers that die while the master runs, and are started again over the session that has started them.
//!
//! The deployer does it, because it has the sessions, the secret of the cluster and what each worker was told; it lives
//! as long as the master, which is in its process. A master in the background has no such keeper.

use std::fmt;
use std::time::Instant;

use futures_util::future::{BoxFuture, Shared};
use tokio::time::sleep;

use super::fleet::Member;
use super::{LOOK, START, Screen};
use crate::hosts::{Answer, End, Request, Running, Trouble};
use crate::runtime::{Intensity, Restarts};
use crate::telemetry::events;

/// What it takes to start workers again.
pub(super) struct Keeper {
    /// The secret of the cluster.
    pub(super) cookie: String,
    /// How often, for each worker.
    pub(super) intensity: Intensity,
}

/// Without the secret.
impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("intensity", &self.intensity).finish_non_exhaustive()
    }
}

/// Comes when the master has ended.
pub(super) type Ended = Shared<BoxFuture<'static, ()>>;

/// Why a worker is not kept any more.
enum Over {
    /// There is nothing to be said: the master has ended, or the worker has done its work.
    Quietly,
    /// It is said.
    Because(String),
}

impl Keeper {
    /// Starts a worker again whenever it has died, until the master has ended or that is of no use. What it has begun
    /// is done when it returns.
    pub(super) async fn keep(&self, member: &mut Member, stay: bool, screen: &Screen, ended: Ended) {
        if let Over::Because(why) = self.serve(member, stay, screen, ended).await {
            screen.not_kept(&member.entry.to_string(), &why);
            events::worker_stays_dead(&member.node(), &why);
        }
    }

    async fn serve(&self, member: &mut Member, stay: bool, screen: &Screen, ended: Ended) -> Over {
        let (began, mut restarts) = (Instant::now(), Restarts::new(self.intensity));
        loop {
            // Of one that no deployer has started it is not known whether it was to end.
            let Some(Running { pid, setup: Some(_), .. }) = member.running else { return Over::Quietly };
            // An answer that nobody waits for would be taken for another one, so this is not given up.
            if let Err(trouble) = member.host.ask(&Request::Watch { name: member.entry.name.clone(), pid }, LOOK).await
            {
                return lost(&trouble);
            }
            let how = tokio::select! {
                biased;
                () = ended.clone() => return Over::Quietly,
                how = how_it_ends(member, pid) => how,
            };
            match how {
                Ok(End::Died) => {}
                Ok(End::Done) => return Over::Quietly,
                Ok(End::Stopped) => return Over::Because("it was told to stop".to_owned()),
                Err(trouble) => return lost(&trouble),
            }
            let worker = member.entry.to_string();
            screen.died(&worker, pid);
            events::worker_died(&member.node(), pid);
            loop {
                let Some(wait) = restarts.failed(began.elapsed(), "") else {
                    let Intensity { most, period } = self.intensity;
                    let seconds = period.as_secs();
                    return Over::Because(format!("that is done {most} times within {seconds} s at most"));
                };
                tokio::select! {
                    biased;
                    () = ended.clone() => return Over::Quietly,
                    () = sleep(wait) => {}
                }
                let result = self.start(member, stay).await;
                screen.started_again(&worker, result.as_ref().err());
                match result {
                    Ok(pid) => events::worker_started_again(&member.node(), pid),
                    Err(trouble @ Trouble::Refused(_)) => {
                        events::worker_not_started(&member.node(), &trouble);
                        continue;
                    }
                    Err(trouble) => return lost(&trouble),
                }
                break;
            }
        }
    }

    async fn start(&self, member: &mut Member, stay: bool) -> Result<u32, Trouble> {
        // From here on it is one that this run has started, and is to end.
        (member.unchanged, member.begun, member.again) = (false, true, true);
        let running = match member.host.ask(&member.start(&self.cookie), START).await? {
            Answer::Started(running) => running,
            other => return Err(Trouble::Nonsense(format!("{other:?}"))),
        };
        let pid = running.pid;
        member.running = Some(Running { setup: Some(member.setup.clone()), ..running });
        if stay {
            member.host.ask(&Request::Leave, LOOK).await?;
        }
        Ok(pid)
    }
}

/// How a process of a worker that is watched has ended, as soon as it has.
async fn how_it_ends(member: &Member, pid: u32) -> Result<End, Trouble> {
    while let Some(gone) = member.host.gone().await {
        if gone.pid == pid {
            return Ok(gone.how);
        }
    }
    Err(member.host.lost().await)
}

fn lost(trouble: &Trouble) -> Over {
    Over::Because(format!("nothing can be done on its host: {trouble}"))
}
