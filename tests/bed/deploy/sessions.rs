//! What users of `skitter deploy` see when all is well, or a worker fails.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Site;
use crate::cluster::{expected, text};

/// How long workers may be there after their master was killed.
const GONE: Duration = Duration::from_secs(5);

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
    let again = ["--no-shutdown-with-master", "host-a", "host-b:gpu"];
    let said = site.deploy(&again).ended().with(0).stdout;
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

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn what_runs_otherwise_is_replaced_on_request_only() {
    let site = Site::new(2);
    let stays = ["--no-deploy", "--mode", "daemon", "--no-shutdown-with-master"];
    let stop = ["env", "HOME=/tmp", "/tmp/release/bin/skitter", "master", "stop"];
    site.deploy(&[&stays[..], &["host-b:gpu"]].concat()).ended().with(0);
    site.cluster.bed.start("host-a", &stop).ended().with(0);

    let said = site.deploy(&["host-b:fast"]).ended().with(6).stdout;
    assert!(said.contains("with other tags, options, files or another cookie; use --replace"), "{said}");
    let said = site.deploy(&["--cores", "1", "host-b:gpu"]).ended().with(6).stdout;
    assert!(said.contains("use --replace"), "{said}");
    let ended = site.deploy(&["--replace", "host-b:fast"]).ended().with(0).said(&["tags: [fast]"]);
    assert!(ended.stdout.contains("host-b | (\"Hello\", 1)"), "what the new one prints comes here: {}", ended.stdout);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_master_in_the_background_needs_nobody_who_reads() {
    let site = Site::new(2);
    let shell = ["sh", "-c", "\"$@\" | true", "sh"];
    site.deploy_by(&shell, &["--mode", "daemon", "--no-deploy", "host-b"]).ended().with(0);
    let on = |arguments: &[&str]| {
        let program = ["env", "HOME=/tmp", "/tmp/release/bin/skitter"];
        site.cluster.bed.start("host-a", &[&program, arguments].concat()).ended()
    };
    assert!(on(&["master", "status"]).with(0).stdout.contains("skitter_worker@host-b"));
    // A second one of its name is refused before anything is started.
    let ended = site.deploy(&["--mode", "daemon", "--no-deploy", "w2@host-b"]).ended();
    assert!(ended.status != 0 && !ended.stdout.contains("starting worker"), "{ended:?}");
    on(&["master", "stop"]).with(0);
    site.is_left("host-b");
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn workers_that_are_to_stay_survive_a_deployer_that_is_killed() {
    let site = Site::new(2);
    let deploy = site.deploy(&["--no-deploy", "--no-shutdown-with-master", "host-b"]);
    deploy.wait_for("Connected to `skitter_worker@host-b`");
    site.cluster.bed.start("host-a", &["sh", "-c", "kill -9 $(pgrep -x skitter)"]).ended().with(0);
    deploy.ended();
    let said = site.deploy(&["--no-shutdown-with-master", "host-b"]).ended().with(0).stdout;
    assert!(said.contains("runs already: unchanged"), "{said}");
    site.deploy(&["--stop", "host-b"]).ended().with(0);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn whoever_reads_may_take_a_break() {
    let mut site = Site::new(2);
    site.cluster.put("text", &text(1));
    // Longer than an agent waits for signs of life.
    let shell = ["sh", "-c", "{ \"$@\"; echo status $?; } | { sleep 20; cat; }", "sh"];
    let count = ["host-b", "-d", "wordcount", "--", "--input", "/tmp/text"];
    let ended = site.deploy_by(&shell, &count).ended().with(0);
    let words: u64 = expected(1).len() as u64;
    let lines = ended.stdout.lines().filter(|line| line.starts_with("host-b | (")).count() as u64;
    assert!(lines >= words, "{lines} lines for {words} words");
    assert!(ended.stdout.ends_with("status 0") && !ended.stdout.contains("was lost"), "{}", ended.stdout);
    site.leaves_nothing();
}

/// Gives a host an address of IPv6 that is not looked for elsewhere first.
const ADDRESS: &str = r#"
import fcntl, socket, struct, sys
open("/proc/sys/net/ipv6/conf/eth0/accept_dad", "w").write("0")
place = socket.inet_pton(socket.AF_INET6, sys.argv[1]) + struct.pack("=Ii", 64, socket.if_nametoindex("eth0"))
fcntl.ioctl(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), 0x8916, place)
"#;

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn hosts_may_have_other_addresses_than_ssh_uses() {
    let mut site = Site::new(3);
    let known = site.cluster.bed.disk("host-a").join("ssh/known");
    let mut keys = fs::read_to_string(&known).expect("there");
    let (_, key) = keys.split_once(' ').expect("names and a key");
    keys.push_str(&format!("fd77::c,alias {key}"));
    fs::write(known, keys).expect("room");
    let client = site.cluster.bed.disk("host-a").join("ssh/client");
    let text = fs::read_to_string(&client).expect("there");
    fs::write(client, format!("{text}Host alias\nHostName host-b\nHostKeyAlias host-b\n")).expect("room");
    for (host, address) in [("host-a", "fd77::a"), ("host-b", "fd77::b"), ("host-c", "fd77::c")] {
        site.cluster.bed.start(host, &["python3", "-c", ADDRESS, address]).ended().with(0);
    }
    site.cluster.put("text", &crate::cluster::text(5));

    // A name of ssh's own, of which nodes know nothing: the address that ssh comes to is taken, or one that is said.
    let count = ["-d", "wordcount", "--", "--input", "/tmp/text", "--output", "/tmp/counts.tsv"];
    let ended = site.deploy(&[&["w1@alias", "w2@[fd77::c]:gpu"], &count[..]].concat()).ended().with(0);
    ended.said(&["Connected to `w1@10.77.0.12`, tags: []", "Connected to `w2@[fd77::c]`, tags: [gpu]"]);
    assert_eq!(site.cluster.counts(), Some(expected(5)));
    let ended = site.deploy(&["--address", "alias=fd77::b", "alias", "host-c"]).ended().with(0);
    ended.said(&["Connected to `skitter_worker@[fd77::b]`", "Connected to `skitter_worker@host-c`"]);
    site.leaves_nothing();
}
