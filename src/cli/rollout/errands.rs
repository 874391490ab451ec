//! What is done on each host at once, without a master: workers are stopped, the release before is gone back to, logs
//! are fetched.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{FutureExt, join_all};
use futures_util::stream::StreamExt;
use tokio::sync::mpsc;

use super::{Access, CLOSE, Entry, Failed, LINES, LOOK, Plan, STOP, Screen, in_order, lock};
use crate::hosts::{Answer, Found, Host, Lines, Login, Request, Trouble};

/// How long a log may take to be read: by whom, how fast, and over what, is not known.
const READ: Duration = Duration::from_secs(3600);

impl Access {
    /// Stops the worker on each host, whoever has started it. What became of each is said.
    ///
    /// # Errors
    /// When a host cannot be reached, or a worker does not stop. It is said which.
    pub async fn stop(&self, entries: &[Entry], screen: &Screen) -> Result<(), Failed> {
        let login = self.login().map_err(|why| screen.failed(&why))?;
        let (tell, _lines) = mpsc::channel(1);
        let mut stops = in_order(entries.iter().map(|entry| self.stop_one(&login, entry, &tell).boxed()));
        let mut all = Ok(());
        let mut entries = entries.iter();
        while let (Some(result), Some(entry)) = (stops.next().await, entries.next()) {
            screen.stopped(&entry.to_string(), &result, "did not run");
            if result.is_err() {
                all = Err(Failed);
            }
        }
        all
    }

    async fn stop_one(&self, login: &Login, entry: &Entry, lines: &Lines) -> Result<bool, Trouble> {
        let host = self.visit(login, entry, lines).await?;
        let stopped = host.ask(&Request::Stop { name: entry.name.clone() }, STOP).await?;
        // It has nothing left to do.
        let _ = host.close(CLOSE).await;
        Ok(stopped == Answer::Stopped { ran: true })
    }

    /// Shows the last so many lines of each worker's log, or all, and, if it shall follow, what comes after.
    ///
    /// # Errors
    /// When a host cannot be reached, or has no such log. It is said which.
    pub async fn logs(
        &self,
        entries: &[Entry],
        lines: Option<u64>,
        follow: bool,
        screen: &Screen,
    ) -> Result<(), Failed> {
        let login = self.login().map_err(|why| screen.failed(&why))?;
        let (tell, told) = mpsc::channel(LINES);
        let shown = screen.lines(told).map_err(|error| screen.failed(&format!("nothing can be shown: {error}")))?;
        let reads = async {
            let request = |entry: &Entry| Request::Log { name: entry.name.clone(), lines, follow };
            let reads = entries.iter().map(|entry| {
                let (login, tell, request) = (&login, tell.clone(), request(entry));
                async move {
                    let host = self.visit(login, entry, &tell).await?;
                    host.ask(&request, READ).await?;
                    Ok::<Host, Trouble>(host)
                }
                .boxed()
            });
            let hosts: Vec<_> = in_order(reads).collect().await;
            drop(tell);
            let mut all = Ok(());
            let mut good = Vec::new();
            for (entry, host) in entries.iter().zip(hosts) {
                match host {
                    Ok(host) => good.push((entry, host)),
                    Err(trouble) => {
                        screen.problem(&format!("{entry}: {trouble}"));
                        all = Err(Failed);
                    }
                }
            }
            if follow {
                let ends = good.into_iter().map(|(entry, host)| async move {
                    let why = host.lost().await;
                    screen.problem(&format!("{entry}: {why}"));
                });
                join_all(ends).await;
                return Err(Failed);
            }
            join_all(good.into_iter().map(|(_, host)| host.close(CLOSE))).await;
            all
        };
        let all = reads.await;
        // Says nothing, and goes.
        let _ = shown.await;
        all
    }
}

impl Plan {
    /// Goes back, on all hosts, from this release to the one that counted before. Workers are left as they are.
    ///
    /// # Errors
    /// When a host has another release than this one, or none before it: then nothing is changed on any. It is said
    /// which.
    pub async fn roll_back(&self, screen: &Screen) -> Result<(), Failed> {
        let login = self.access.login().map_err(|why| screen.failed(&why))?;
        let (tell, _lines) = mpsc::channel(1);
        // Once for a host, however many workers are there.
        let entries: BTreeMap<&str, &Entry> = self.entries.iter().map(|entry| (entry.host.as_str(), entry)).collect();
        let looks = entries.values().map(|entry| self.look_back(&login, entry, &tell).boxed());
        let looked: Vec<_> = in_order(looks).collect().await;
        let (mut hosts, mut table) = (Vec::new(), Vec::new());
        for (entry, looked) in entries.values().copied().zip(looked) {
            match looked {
                Ok((host, previous)) => hosts.push((entry, host, previous)),
                Err(why) => table.push((entry.to_string(), why)),
            }
        }
        if table.is_empty() {
            let locks = hosts.iter().map(|(entry, host, _)| (*entry, host));
            table = lock(&self.holder, locks).await;
        }
        if !table.is_empty() {
            screen.not_back(&table);
            return Err(Failed);
        }
        let backs = hosts.iter().map(|(_, host, _)| host.ask(&Request::SwitchBack, LOOK).boxed());
        let results: Vec<_> = in_order(backs).collect().await;
        let mut all = Ok(());
        for ((entry, _, previous), result) in hosts.iter().zip(&results) {
            screen.back(&entry.to_string(), previous, result.as_ref().err());
            if result.is_err() {
                all = Err(Failed);
            }
        }
        join_all(hosts.into_iter().map(|(_, host, _)| host.close(CLOSE))).await;
        all
    }

    /// A host that can go back, and to what.
    async fn look_back(&self, login: &Login, entry: &Entry, lines: &Lines) -> Result<(Host, String), String> {
        let host = self.access.visit(login, entry, lines).await.map_err(|trouble| trouble.to_string())?;
        if host.release().build != self.build {
            return Err(format!(
                "another release counts there than this one, the only one to go back from; to go further, use \
                 `{}/current/bin/skitter` there",
                self.access.directory
            ));
        }
        match host.ask(&Request::Look { name: entry.name.clone() }, LOOK).await {
            Ok(Answer::Found(Found { previous: Some(previous), .. })) => Ok((host, previous)),
            Ok(Answer::Found(_)) => Err(format!("there was no release before this one in `{}`", self.access.directory)),
            Ok(other) => Err(Trouble::Nonsense(format!("{other:?}")).to_string()),
            Err(trouble) => Err(trouble.to_string()),
        }
    }
}
