//! Hosts that cannot be deployed on, for all kinds of reasons.

use std::fs;
use std::time::Duration;

use super::Site;
use crate::program::{Ended, Program};

impl Ended {
    /// What is said of a host that is not ready.
    #[track_caller]
    fn of(&self, host: &str) -> &str {
        let begin = format!("✗ {host} ");
        let line = self.stdout.lines().find_map(|line| line.strip_prefix(&begin));
        line.unwrap_or_else(|| panic!("{host} is not named:\n{}", self.stdout)).trim_start()
    }
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn who_does_not_let_in_is_named_with_what_to_do() {
    // Whoever asks this one for keys waits for long.
    let hangs = "AuthorizedKeysFile none\nAuthorizedKeysCommand /usr/bin/sleep 25\nAuthorizedKeysCommandUser root\n";
    let site = Site::with(4, |host| if host == "host-d" { hangs } else { "" });
    let disk = |host| site.cluster.bed.disk(host).join("ssh");
    let known = fs::read_to_string(disk("host-a").join("known")).expect("there");
    let (names, key) = known.split_once(' ').expect("names and a key");
    let names = names.replace("host-c,", "").replace(",host-c", "");
    fs::write(disk("host-a").join("known"), format!("{names} {key}")).expect("room");
    fs::write(disk("host-b").join("user.pub"), "").expect("room");

    let ended = site.deploy(&["host-a", "host-b", "host-c", "host-d", "host-z"]).ended().with(6);
    assert!(ended.of("host-b").contains("Permission denied") && ended.of("host-b").contains("by a key or an agent"));
    assert!(ended.of("host-c").contains("use --accept-new-host-keys"), "{}", ended.of("host-c"));
    assert_eq!(ended.of("host-d"), "the login has taken more than 15 s");
    assert!(ended.of("host-z").starts_with("ssh: "), "{}", ended.of("host-z"));
    // No ssh waits for the host that hangs.
    let left = site.cluster.bed.start("host-a", &["sh", "-c", "cat /proc/[0-9]*/comm"]).ended().with(0).stdout;
    assert!(!left.lines().any(|name| name == "ssh"), "{left}");

    site.deploy(&["--accept-new-host-keys", "host-a", "host-c"]).ended().with(0);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn releases_that_do_not_run_are_named() {
    // The first one that is asked what it is says something else.
    let other = |host: &str| if host == "host-b" { "SetEnv HOME=/tmp PATH=/tmp/ssh:/usr/bin:/bin\n" } else { "" };
    let site = Site::with(4, other);
    let disk = |host: &str| site.cluster.bed.disk(host);
    let uname = disk("host-b").join("ssh/uname");
    fs::write(&uname, "#!/bin/sh\necho Linux aarch64\n").expect("room");
    fs::set_permissions(&uname, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    // A copy that was cut, and another build.
    let whole = fs::read(disk("host-c").join("skitter")).expect("there");
    let replace = |host: &str, program: &[u8]| {
        let path = disk(host).join("release/bin/skitter");
        fs::remove_file(&path).expect("there");
        fs::write(&path, program).expect("room");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    };
    replace("host-c", &whole[..whole.len() / 20]);
    replace("host-d", &[&whole[..], b"x"].concat());

    let ended = site.deploy(&["host-a", "host-b", "host-c", "host-d"]).ended().with(6);
    let said = ended.of("host-b");
    assert!(said.starts_with("it is Linux aarch64, and this program is for linux "), "{said}");
    let said = ended.of("host-c");
    assert!(said.starts_with("`/tmp/release/bin/skitter` does not run there, on Linux "), "{said}");
    let said = ended.of("host-d");
    assert!(said.starts_with("another build is in `/tmp/release`: "), "{said}");
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn lists_that_are_no_lists_are_refused_before_anybody_is_logged_in_to() {
    let site = Site::new(2);
    let file = site.cluster.bed.disk("host-a").join("ssh/workers");
    let said = |text: &str, arguments: &[&str], status| {
        fs::write(&file, text).expect("room");
        site.deploy(&[&["-f", "/tmp/ssh/workers"], arguments].concat()).ended().with(status).stderr
    };
    assert!(said("# nobody\n\n", &[], 2).contains("there is no worker; name hosts, or a file of them by -f"));
    assert!(said("host-b\nhost-b # again\n", &[], 5).contains("/tmp/ssh/workers:2: "));
    assert!(said("host-b:a,,b\n", &[], 5).contains("/tmp/ssh/workers:1: "));
    assert!(
        said("host-b\n", &["host-b"], 5).contains("/tmp/ssh/workers:1: worker `skitter_worker@host-b` is there twice")
    );
    assert!(said("", &["host-b", "host-b"], 2).contains("`skitter_worker@host-b` is there twice"));

    // One that is a list, with tags, which the workers have.
    fs::write(&file, "# the cluster\nhost-a\nw2@host-b:gpu,big # the large one\n").expect("room");
    let ended = site.deploy(&["-f", "/tmp/ssh/workers"]).ended().with(0);
    ended.said(&["Connected to `skitter_worker@host-a`, tags: []", "Connected to `w2@host-b`, tags: [gpu, big]"]);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn what_happens_is_told_to_programs_too() {
    let site = Site::new(2);
    let ended = site.deploy(&["--json", "host-a", "host-b"]).ended().with(0);
    let events: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("begin"), count("started"), count("waiting"), count("finished")), (1, 2, 1, 1));
    assert!(events.iter().any(|event| event["event"] == "output" && event["line"] == "(\"Hello\", 1)"), "{events:?}");
    let ended = site.deploy(&["--json", "host-a", "host-z"]).ended().with(6);
    assert!(ended.stdout.contains(r#"{"event":"not_ready","hosts":[{"why":"ssh: "#), "{}", ended.stdout);
    site.leaves_nothing();
}

impl Site {
    fn logs(&self, arguments: &[&str]) -> Program {
        let start = ["/tmp/release/bin/skitter", "logs", "--working-dir", "/tmp/release", "--ssh-config"];
        self.cluster.bed.start("host-a", &[&start[..], &["/tmp/ssh/client"], arguments].concat())
    }
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn logs_are_fetched_and_followed() {
    let mut site = Site::new(3);
    let ended = site.deploy(&["--no-stream", "host-b", "host-c"]).ended().with(0);
    assert!(!ended.stdout.contains(" | "), "{}", ended.stdout);
    // What is printed is to be found there beside what is logged.
    let read = ["cat", "/tmp/release/logs/skitter_worker.out", "/tmp/release/logs/skitter_worker@host-c.log"];
    let there = site.cluster.bed.start("host-c", &read).ended().with(0).stdout;
    assert_eq!(there.matches("Reachable at `skitter_worker@host-c`").count(), 2, "{there}");

    let ended = site.logs(&["host-b", "host-c"]).ended().with(0);
    assert_eq!(ended.stdout.lines().filter(|line| line.contains("| (\"Hello\", ")).count(), 2, "{}", ended.stdout);
    assert!(ended.stdout.contains("host-c | ") && ended.stdout.contains("Reachable at `skitter_worker@host-c`"));
    let ended = site.logs(&["-n", "1", "host-b", "host-c"]).ended().with(0);
    assert_eq!(ended.stdout.lines().count(), 2, "{}", ended.stdout);
    let ended = site.logs(&["host-b", "w9@host-c"]).ended().with(6);
    assert!(ended.stdout.contains("✗ w9@host-c: there is no log of a worker `w9`"), "{}", ended.stdout);

    let follow = site.logs(&["--follow", "-n", "0", "host-b"]);
    let endless = site.cluster.put_endless_text();
    let count = ["--no-stream", "host-b", "-d", "wordcount", "--", "--output", "/tmp/counts.tsv", "--input", endless];
    let deploy = site.deploy(&count);
    follow.wait_for_lines(3);
    deploy.signal(rustix::process::Signal::INT);
    deploy.ended();
    follow.goes_on_for(Duration::from_millis(1));
    follow.signal(rustix::process::Signal::INT);
    let ended = follow.ended().with(0);
    assert!(ended.stdout.contains("host-b | ") && !ended.stdout.contains("Hello"), "{}", ended.stdout);
    site.leaves_nothing();
}
