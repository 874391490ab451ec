//! Whether a host is ready.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Entry, Plan};
use crate::hosts::{Found, Host, Release, Running};

/// What is not as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding(pub String);

/// How far clocks may be apart: further, and the logs of nodes tell nothing of what came first.
const CLOCK: Duration = Duration::from_secs(60);

/// All that is not as it has to be on a host.
pub fn findings(plan: &Plan, host: &Host, found: &Found, entry: &Entry, setup: &str) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    all(plan, host.release(), found, (entry, setup), now)
}

/// Whether a worker that runs is the one that would be started. Of one that a user has started by hand, no more is
/// known than its build and its tags.
pub fn is_as_wanted(plan: &Plan, running: &Running, entry: &Entry, setup: &str) -> bool {
    let set: fn(Vec<String>) -> BTreeSet<String> = |tags| tags.into_iter().collect();
    running.build == plan.build
        && set(running.tags.clone()) == set(entry.tags.iter().map(ToString::to_string).collect())
        && running.setup.as_deref().is_none_or(|other| other == setup)
}

fn all(plan: &Plan, release: &Release, found: &Found, (entry, setup): (&Entry, &str), now: Duration) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding(what));
    if release.version != env!("CARGO_PKG_VERSION") {
        find(format!("Skitter {} is there, not {}", release.version, env!("CARGO_PKG_VERSION")));
    } else if release.build != plan.build {
        find(format!(
            "another build is in `{}`: {}…, not {}…",
            plan.access.directory,
            short(&release.build),
            short(&plan.build)
        ));
    }
    if let Some(why) = &found.unwritable {
        find(format!("`{}` cannot be written to: {why}", plan.access.directory));
    }
    let apart = now.abs_diff(Duration::from_millis(found.clock));
    if apart > CLOCK {
        find(format!("its clock is {} s away from that of this host", apart.as_secs()));
    }
    if let Some(running) = &found.running {
        let pid = running.pid;
        match &running.master {
            Some(master) => find(format!("the worker runs there, process {pid}, and has a master: `{master}`")),
            None if running.build != plan.build && !plan.replace => find(format!(
                "the worker runs there, process {pid}, of another build: {}…; use --replace",
                short(&running.build)
            )),
            None if !is_as_wanted(plan, running, entry, setup) && !plan.replace => find(format!(
                "the worker runs there, process {pid}, with other tags, options, files or another cookie; use --replace"
            )),
            None => {}
        }
    }
    findings
}

/// Enough of a fingerprint to tell it from others.
fn short(build: &str) -> &str {
    build.get(..8).unwrap_or(build)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::rollout::Access;
    use crate::hosts::SshOptions;

    #[test]
    fn all_that_is_wrong_is_found_at_once() {
        let plan = Plan {
            entries: Vec::new(),
            access: Access { ssh: SshOptions::default(), directory: "/opt/x".to_owned() },
            release: None,
            push: None,
            files: None,
            build: "11111111aa".to_owned(),
            cookie: String::new(),
            arguments: Vec::new(),
            addresses: Default::default(),
            replace: false,
            restarts: None,
            wait: Duration::ZERO,
            holder: String::new(),
            follow: false,
        };
        let entry = Entry::parse("a:x").expect("an entry");
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let release = |build: &str| Release {
            machine: "Linux".to_owned(),
            version: version.clone(),
            build: build.to_owned(),
            sum: None,
        };
        let found = Found { clock: 1_000_000, unwritable: None, running: None, address: None, previous: None };
        let now = Duration::from_secs(1000);
        assert_eq!(all(&plan, &release("11111111aa"), &found, (&entry, "s"), now), []);

        let running =
            Running { pid: 7, port: 1, build: "22222222bb".to_owned(), master: None, tags: Vec::new(), setup: None };
        let unwritable = Some("full".to_owned());
        let bad = Found { clock: 0, unwritable, running: Some(running.clone()), address: None, previous: None };
        let said: Vec<_> = all(&plan, &release("33333333cc"), &bad, (&entry, "s"), now)
            .into_iter()
            .map(|Finding(what)| what)
            .collect();
        for (said, part) in said.iter().zip(["33333333…, not 11111111…", "full", "1000 s away", "22222222…; use --rep"])
        {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(said.len(), 4);
        let replace = Plan { replace: true, ..plan.clone() };
        let other = Found { running: Some(running.clone()), ..found.clone() };
        assert_eq!(all(&replace, &release("11111111aa"), &other, (&entry, "s"), now), []);

        // What runs as it should stays; what runs otherwise is to be replaced, and only on request.
        let as_wanted = |tags: &[&str], setup: Option<&str>| Found {
            running: Some(Running {
                build: "11111111aa".to_owned(),
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                setup: setup.map(str::to_owned),
                ..running.clone()
            }),
            ..found.clone()
        };
        for (found, wrong) in [
            (as_wanted(&["x"], Some("s")), 0),
            (as_wanted(&["x"], None), 0),
            (as_wanted(&[], None), 1),
            (as_wanted(&["x"], Some("t")), 1),
        ] {
            let findings = all(&plan, &release("11111111aa"), &found, (&entry, "s"), now);
            assert_eq!(findings.len(), wrong, "{found:?}: {findings:?}");
            assert_eq!(all(&replace, &release("11111111aa"), &found, (&entry, "s"), now), []);
        }
    }
}
