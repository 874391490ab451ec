//! Deployments in the midst of which something happens: while workers are started (exit status 6), while the master
//! connects to them (3), while it has them (1).

use std::time::Duration;

use rustix::process::Signal;

use super::Site;
use crate::program::{Ended, Program};

/// When something happens after the start of a deployment: before, in and after each of its phases. It has logged in
/// after 0.3 s or so, and its master deploys after 0.7 s.
const MOMENTS: [u64; 8] = [0, 100, 200, 300, 400, 500, 700, 1200];

impl Site {
    /// Begins to deploy what does not end by itself on host-b and host-c; returns after some time.
    fn deploy_endlessly(&self, text: &str, wait: Duration) -> Program {
        let count = ["host-b", "host-c", "-d", "wordcount", "--", "--output", "/tmp/counts.tsv", "--input", text];
        let deploy = self.deploy(&count);
        deploy.goes_on_for(wait);
        deploy
    }

    /// Checks that no program is left on hosts, nor a lock: they can be deployed on.
    #[track_caller]
    fn is_as_before(&self, hosts: &[&str]) {
        hosts.iter().for_each(|host| self.is_left(host));
        self.deploy(hosts).ended().with(0);
    }
}

impl Ended {
    /// Checks that it has failed, and has said that this host is why.
    #[track_caller]
    fn fails_because_of(&self, host: &str) {
        assert!(matches!(self.status, 1 | 3 | 6), "{self:?}");
        let blames = |line: &str| {
            let blame = ["✗", "> Failed:", "[error]", "error:", "disconnected"];
            line.contains(host) && blame.iter().any(|word| line.contains(word))
        };
        assert!(self.stdout.lines().chain(self.stderr.lines()).any(blames), "{host} is not named: {self:?}");
    }
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_signal_at_any_moment_leaves_nothing() {
    let mut site = Site::new(3);
    let text = site.cluster.put_endless_text();
    for (moment, signal) in MOMENTS.into_iter().zip([Signal::INT, Signal::TERM, Signal::HUP].into_iter().cycle()) {
        let deploy = site.deploy_endlessly(text, Duration::from_millis(moment));
        deploy.signal(signal);
        let ended = deploy.ended();
        // When it has ended, all has.
        for host in ["host-b", "host-c"] {
            let order = ["sh", "-c", "cat /proc/[0-9]*/comm"];
            let names = site.cluster.bed.start(host, &order).ended().with(0).stdout;
            assert!(!names.contains("skitter"), "{signal:?} after {moment} ms leaves on {host}: {names}\n{ended:?}");
        }
        // It may not have begun.
        let begun = ended.status == 6 || ended.stdout.contains("finished deployment");
        assert!(begun || ended.stdout.is_empty(), "{signal:?} after {moment} ms: {ended:?}");
    }
    site.is_as_before(&["host-b", "host-c"]);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_host_that_dies_at_any_moment_fails_the_deployment_and_nothing_is_left() {
    let mut site = Site::new(3);
    let text = site.cluster.put_endless_text();
    // ssh takes 15 s to see it.
    for moment in [0, 300, 500, 1200] {
        let deploy = site.deploy_endlessly(text, Duration::from_millis(moment));
        site.cluster.bed.order(&["kill", "host-c"]);
        deploy.ended().fails_because_of("host-c");
        site.is_left("host-b");
        site.cluster.bed.order(&["boot", "host-c"]);
        site.serve("host-c");
    }
    site.is_as_before(&["host-b", "host-c"]);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_cable_that_is_cut_at_any_moment_fails_the_deployment_and_nothing_is_left() {
    // Servers that are cut off in or after a login would wait for minutes or hours.
    let mut site = Site::with(3, |_| "LoginGraceTime 20\nClientAliveInterval 5\nClientAliveCountMax 2\n");
    let text = site.cluster.put_endless_text();
    for moment in [250, 450, 1200] {
        let deploy = site.deploy_endlessly(text, Duration::from_millis(moment));
        site.cluster.bed.order(&["cut", "host-a", "host-c"]);
        deploy.ended().fails_because_of("host-c");
        // Also on the host that hears nothing more.
        ["host-b", "host-c"].iter().for_each(|host| site.is_left(host));
        site.cluster.bed.order(&["heal", "host-a", "host-c"]);
    }
    site.is_as_before(&["host-b", "host-c"]);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn an_sshd_that_dies_at_any_moment_leaves_nothing() {
    let mut site = Site::new(3);
    let text = site.cluster.put_endless_text();
    for moment in MOMENTS {
        let deploy = site.deploy_endlessly(text, Duration::from_millis(moment));
        // The one that listens and all that serve.
        let kill = ["sh", "-c", "kill -9 $(grep -l ^sshd /proc/[0-9]*/comm | cut -d/ -f3)"];
        site.cluster.bed.start("host-c", &kill).ended();
        if deploy.says("Deploying `wordcount`") {
            // The master has the workers, which need nobody else.
            deploy.signal(Signal::INT);
        }
        let ended = deploy.ended();
        if ended.status != 0 {
            ended.fails_because_of("host-c");
        }
        ["host-b", "host-c"].iter().for_each(|host| site.is_left(host));
        site.serve("host-c");
    }
    site.is_as_before(&["host-b", "host-c"]);
    site.leaves_nothing();
}

/// Fills a directory of a host: what it has is there, and room for nothing else.
fn fill(site: &Site, host: &str, directory: &str) {
    let order = "mkdir -p $0 && cp -r $0 /tmp/kept && mount -t tmpfs -o size=100m none $0 && cp -r /tmp/kept/. $0 && \
                 rm -r /tmp/kept && ! cat /dev/zero >$0/filled 2>/dev/null";
    site.cluster.bed.start(host, &["sh", "-c", order, directory]).ended().with(0);
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_disk_that_is_full_is_named_and_nothing_is_left() {
    let mut site = Site::new(3);
    site.cluster.knows("out");
    let full = "No space left on device";
    // There is no room for a worker's state, nor for a lock.
    fill(&site, "host-b", "/tmp/.local");
    let ended = site.deploy(&["host-b", "host-c"]).ended().with(6);
    ended.fails_because_of("host-b");
    assert!(ended.stdout.contains(full), "{ended:?}");
    site.cluster.bed.start("host-b", &["umount", "/tmp/.local"]).ended().with(0);
    // While it runs.
    site.cluster.put("text", &crate::cluster::text(1));
    ["host-b", "host-c"].iter().for_each(|host| fill(&site, host, "/tmp/out"));
    let count = ["host-b", "host-c", "-d", "wordcount", "--", "--input", "/tmp/text", "--output", "/tmp/out/counts"];
    let ended = site.deploy(&count).ended().with(1);
    assert!(ended.stderr.contains(full) && ended.stderr.contains("write file"), "{ended:?}");
    site.is_as_before(&["host-b", "host-c"]);
    site.leaves_nothing();
}
