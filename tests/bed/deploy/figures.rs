//! How long it takes. The bounds are those of a build for release, which `SKITTER_BED_PROGRAM` names; the tests' own
//! build stays within them, too, on a machine that has nothing else to do, and here has three times as long.

use std::fs;
use std::time::{Duration, Instant};

use super::Site;
use crate::program::Program;

/// As long as it should take at most; other tests run beside this one.
fn within(limit: Duration) -> Duration {
    if std::env::var_os("SKITTER_BED_PROGRAM").is_some() { limit } else { limit * 3 }
}

#[track_caller]
#[expect(clippy::print_stdout, reason = "for who measures")]
fn is_within(what: &str, took: Duration, limit: Duration) {
    println!("{what}: {:.2} s, at most {:.2} s", took.as_secs_f64(), limit.as_secs_f64());
    assert!(took < within(limit), "{what} took {took:?}, not less than {limit:?}");
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn starting_and_tearing_down_are_quick() {
    let mut site = Site::new(3);
    let text = site.cluster.put_endless_text();
    let count = ["host-b", "host-c", "-d", "wordcount", "--", "--output", "/tmp/counts.tsv", "--input", text];
    let begin = Instant::now();
    let deploy = site.deploy(&[&["host-a"], &count[..]].concat());
    let deploying = deploy.wait_for("Deploying `wordcount`") - begin;
    is_within("from deploy to Deploying", deploying, Duration::from_secs(2));
    // The worker, not the agent beside it.
    let kill = "kill -9 $(cat /tmp/.local/state/skitter/worker-*/pid)";
    site.cluster.bed.start("host-b", &["sh", "-c", kill]).ended().with(0);
    let begin = Instant::now();
    deploy.ended().with(1);
    is_within("from the death of a worker to the end of all", begin.elapsed(), Duration::from_secs(1));
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn many_hosts_are_deployed_on_at_once() {
    let site = Site::new(64);
    let hosts: Vec<String> = site.cluster.bed.hosts().map(str::to_owned).collect();
    let begin = Instant::now();
    let deploy = site.deploy(&hosts[..32].iter().map(String::as_str).collect::<Vec<_>>());
    let deploying = deploy.wait_for("Deploying `hello`") - begin;
    deploy.ended().with(0);
    is_within("32 hosts from deploy to Deploying", deploying, Duration::from_secs(10));

    // Of 64, three fail, and are all named; the others run nothing.
    for host in &hosts[7..10] {
        fs::remove_file(site.cluster.bed.disk(host).join("release/bin/skitter")).expect("there");
    }
    let ended = site.deploy(&hosts.iter().map(String::as_str).collect::<Vec<_>>()).ended().with(6);
    assert_eq!(ended.stdout.matches("✗ host-").count(), 3, "{}", ended.stdout);
    site.leaves_nothing();
}

#[test]
#[ignore = "needs hosts; see scripts/check"]
fn a_release_is_sent_about_as_fast_as_by_scp() {
    let mut site = super::push::site(4);
    site.cluster.knows("copy");
    let bed = &site.cluster.bed;
    let (mut pushes, mut copies) = (Vec::new(), Vec::new());
    // What is there then is the same: a release that can be run.
    let copy = "all=; for host in host-b host-c host-d; do \
                scp -q -r -F /tmp/ssh/client /tmp/app $host:/tmp/copy & all=\"$all $!\"; done; \
                for one in $all; do wait $one || exit 1; done";
    let hosts = ["host-b", "host-c", "host-d"];
    for _ in 0..5 {
        for host in hosts {
            let _ = fs::remove_dir_all(bed.disk(host).join("place"));
            let _ = fs::remove_dir_all(bed.disk(host).join("copy"));
        }
        let begin = Instant::now();
        bed.start("host-a", &["sh", "-c", copy]).ended().with(0);
        copies.push(begin.elapsed());
        let begin = Instant::now();
        let push: Program = site.push(&[&["--push", "--json"], &hosts[..]].concat());
        pushes.push(push.wait_for_output(r#""event":"sent""#, 3) - begin);
        push.ended().with(0);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (push, copy) = (median(&mut pushes), median(&mut copies));
    is_within("three copies by scp", copy, Duration::from_secs(10));
    is_within("three copies by deploy", push, copy.mul_f64(1.3));
    site.leaves_nothing();
}
