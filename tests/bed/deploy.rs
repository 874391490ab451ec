//! `skitter deploy` over real sshds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::cluster::{Cluster, expected, text};
use super::program::Program;

/// Starts sshd, which wants an empty directory; it is the one that the system's own makes.
const SSHD: &str = "mkdir -p -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f /tmp/ssh/server";

/// What a server takes from its disk, so that hosts share nothing.
const SERVER: &str = "HostKey /tmp/ssh/host\nAuthorizedKeysFile /tmp/ssh/user.pub\nStrictModes no\nUsePAM no\n\
                      PidFile none\nPermitRootLogin yes\nSetEnv HOME=/tmp\n";

/// What a client does.
const CLIENT: &str = "IdentityFile /tmp/ssh/user\nIdentitiesOnly yes\nUserKnownHostsFile /tmp/ssh/known\n\
                      GlobalKnownHostsFile /dev/null\n";

/// How long workers may be there after their master was killed.
const GONE: Duration = Duration::from_secs(5);

/// Hosts with an sshd each, and the program as a release in a directory.
struct Site {
    cluster: Cluster,
    servers: Vec<Program>,
}

impl Site {
    fn new(hosts: usize) -> Site {
        let mut cluster = Cluster::new(hosts);
        let keys = tempfile::tempdir().expect("a directory");
        for name in ["host", "user"] {
            let path = keys.path().join(name);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
            assert!(made.expect("ssh-keygen is there").success());
        }
        let read = |name: &str| fs::read_to_string(keys.path().join(name)).expect("a key");
        let names: Vec<String> = cluster.bed.hosts().map(str::to_owned).collect();
        let known = format!("{} {}", names.join(","), read("host.pub"));
        let files = [
            ("host", read("host")),
            ("user", read("user")),
            ("user.pub", read("user.pub")),
            ("known", known),
            ("server", SERVER.to_owned()),
            ("client", CLIENT.to_owned()),
        ];
        for name in &names {
            let disk = cluster.bed.disk(name);
            for directory in ["ssh", "release", "release/bin"] {
                fs::create_dir(disk.join(directory)).expect("room");
                fs::set_permissions(disk.join(directory), PermissionsExt::from_mode(0o700)).expect("ours");
            }
            for (file, text) in &files {
                let path = disk.join("ssh").join(file);
                fs::write(&path, text).expect("room");
                fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
            }
            fs::hard_link(disk.join("skitter"), disk.join("release/bin/skitter")).expect("the same file system");
        }
        for file in ["ssh", "release"] {
            cluster.knows(file);
        }
        let server = |host: &String| {
            let server = cluster.bed.start(host, &["sh", "-c", SSHD]);
            server.wait_for("Server listening on 0.0.0.0 port 22");
            server
        };
        let servers = names.iter().map(server).collect();
        Site { cluster, servers }
    }

    /// Deploys from the first host.
    fn deploy(&self, arguments: &[&str]) -> Program {
        self.deploy_by(&[], arguments)
    }

    fn deploy_by(&self, shell: &[&str], arguments: &[&str]) -> Program {
        let start = ["/tmp/release/bin/skitter", "deploy", "--working-dir", "/tmp/release", "--ssh-config"];
        let more = ["/tmp/ssh/client", "--cookie-file", "/tmp/cookie"];
        self.cluster.bed.start("host-a", &[shell, &start[..], &more[..], arguments].concat())
    }

    /// That nothing is left but the servers, which end.
    fn leaves_nothing(self) {
        let Site { cluster, servers } = self;
        for server in servers {
            server.signal(Signal::TERM);
            server.ended();
        }
        cluster.leaves_nothing();
    }
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn three_hosts_are_deployed_on_as_the_guide_has_it() {
    let site = Site::new(3);
    let ended = site.deploy(&["host-a", "host-b", "host-c"]).ended().with(0);
    let version = env!("CARGO_PKG_VERSION");
    let begin = format!(
        "⬡⬢⬡⬢ Skitter deploy {version}\n> workers:  host-a host-b host-c\n> options:  working-dir=/tmp/release\n\n\
         * starting worker on host-a ✓\n* starting worker on host-b ✓\n* starting worker on host-c ✓\n\n\
         ⧖ sleeping 10 second(s) while workers start.\n✓ finished deployment, starting master.\n"
    );
    assert!(ended.stdout.starts_with(&begin), "{}", ended.stdout);
    let ended = ended.said(&[
        &format!("⬡⬢⬡⬢ Skitter v{version} started in master mode"),
        "Reachable at `skitter_master@host-a`",
        "Connected to `skitter_worker@host-b`, tags: []",
        "Deploying `hello`",
        "Completed `hello`",
    ]);
    let printed = ended.stdout.lines().filter(|line| line.contains("| (\"Hello\", ")).count();
    assert_eq!(printed, 2, "what workers print comes here: {}", ended.stdout);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_text_is_counted_over_hosts_that_were_deployed_on() {
    let mut site = Site::new(3);
    site.cluster.put("text", &text(20));
    let begin = Instant::now();
    let count = ["host-a", "host-b", "host-c", "-d", "wordcount", "--", "--input", "/tmp/text", "--output"];
    let deploy = site.deploy(&[&count[..], &["/tmp/counts.tsv"]].concat());
    let deploying = deploy.wait_for("Deploying `wordcount`") - begin;
    deploy.ended().with(0);
    assert!(deploying < Duration::from_secs(10), "{deploying:?}");
    assert!(site.cluster.counts() == Some(expected(20)), "the counts differ: {:?}", site.cluster.counts());
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn hosts_that_are_not_ready_are_all_named_and_nothing_is_started() {
    let site = Site::new(3);
    fs::remove_file(site.cluster.bed.disk("host-b").join("release/bin/skitter")).expect("there");
    let ended = site.deploy(&["host-a", "host-b", "w2@host-c", "host-z"]).ended().with(6);
    let said = &ended.stdout;
    assert!(said.contains("Nothing was started, because some hosts are not ready:"), "{said}");
    assert!(said.contains("✗ host-b  there is no release in `/tmp/release`"), "{said}");
    assert!(said.contains("✗ host-z  ssh: "), "{said}");
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn what_was_started_ends_when_one_worker_fails() {
    let site = Site::new(3);
    // Its worker has no place for its state.
    let states = site.cluster.bed.disk("host-c").join(".local/state/skitter");
    fs::create_dir_all(&states).expect("room");
    fs::write(states.join("worker-skitter_worker@host-c"), "in the way").expect("room");
    let ended = site.deploy(&["host-a", "host-b", "host-c"]).ended().with(6);
    let said = &ended.stdout;
    let failed = "Failed to initialize some workers:\n> Succeeded: host-a host-b\n> Failed: host-c\n\n\
                  Shutting down initialized workers:\n* stopping worker on host-a ✓\n* stopping worker on host-b ✓";
    assert!(said.contains(failed), "{said}");
    assert!(said.contains("* starting worker on host-c ✗\n  error: "), "{said}");
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_deployer_that_is_killed_leaves_nothing() {
    let mut site = Site::new(3);
    let endless = site.cluster.put_endless_text();
    let note = "echo $$ > /tmp/ssh/pid; exec \"$@\"";
    let count = ["-d", "wordcount", "--", "--output", "/tmp/counts.tsv", "--input", endless];
    let deploy = site.deploy_by(&["sh", "-c", note, "sh"], &[&["host-b", "host-c"], &count[..]].concat());
    deploy.wait_for("Deploying `wordcount`");
    let on = |host: &str, order: &str| site.cluster.bed.start(host, &["sh", "-c", order]).ended().with(0);
    on("host-a", "kill -9 $(cat /tmp/ssh/pid)");
    let begin = Instant::now();
    deploy.ended();
    for host in ["host-b", "host-c"] {
        on(host, "for pid in $(cat /tmp/.local/state/skitter/worker-*/pid); do tail --pid=$pid -f /dev/null; done");
    }
    assert!(begin.elapsed() < GONE, "workers were there for {:?}", begin.elapsed());
    // What ssh keeps open for a while.
    on("host-a", "for pid in $(pgrep -x ssh); do tail --pid=$pid -f /dev/null; done");
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_master_in_the_background_is_seen_kept_and_stopped() {
    let site = Site::new(2);
    let daemon = ["--mode", "daemon", "--no-deploy", "--no-shutdown-with-master", "host-a", "host-b:gpu"];
    let would = site.deploy(&[&["--dry-run"], &daemon[..]].concat()).ended().with(0).stdout;
    assert!(would.contains("* would start worker `skitter_worker` on host-b in /tmp/release, tags: gpu"), "{would}");

    let said = site.deploy(&daemon).ended().with(0).stdout;
    assert!(said.contains("is up: process"), "{said}");
    let on = |arguments: &[&str]| {
        let home = ["env", "HOME=/tmp", "/tmp/release/bin/skitter"];
        site.cluster.bed.start("host-a", &[&home, arguments].concat()).ended()
    };
    let status = on(&["master", "status"]).with(0).stdout;
    assert!(status.contains("skitter_worker@host-b") && status.contains("gpu"), "{status}");

    // Workers that have a master are nobody else's.
    let said = site.deploy(&["host-a", "host-b"]).ended().with(6).stdout;
    assert!(said.contains("and has a master: `skitter_master@host-a`"), "{said}");

    // Those that have none are taken as they are.
    on(&["master", "stop"]).with(0);
    let said = site.deploy(&["host-a", "host-b"]).ended().with(0).stdout;
    assert_eq!(said.matches("runs already: unchanged ✓").count(), 2, "{said}");

    let said = site.deploy(&["--stop", "host-a", "host-b"]).ended().with(0).stdout;
    assert_eq!(said.matches("* stopping worker on host-").count(), 2, "{said}");
    let said = site.deploy(&["--stop", "host-a", "host-b"]).ended().with(0).stdout;
    assert_eq!(said.matches(" did not run ✓").count(), 2, "{said}");
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn one_deployer_at_a_time() {
    let mut site = Site::new(2);
    let endless = site.cluster.put_endless_text();
    let count = ["host-b", "-d", "wordcount", "--", "--output", "/tmp/counts.tsv", "--input", endless];
    let first = site.deploy(&count);
    first.wait_for("Deploying `wordcount`");
    let said = site.deploy(&["host-b"]).ended().with(6).stdout;
    assert!(said.contains("✗ host-b  "), "{said}");
    first.signal(Signal::TERM);
    first.ended().with(0);
    site.leaves_nothing();
}
