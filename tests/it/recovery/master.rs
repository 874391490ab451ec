//! A master dies: its workers stay, and the one that comes after it goes on.

use rustix::process::{Pid, Signal, kill_process};

use super::{HELD, go_on, sums, written};
use crate::cluster::node::{Host, Node};

const COUNT: u64 = 400_000;

pub fn ask(host: &Host, arguments: &[&str]) -> String {
    host.start(arguments).ended().expect(0).stdout
}

pub fn pid(host: &Host) -> Option<Pid> {
    let ended = host.start(["master", "pid"]).ended();
    if ended.status == Some(0) { ended.stdout.trim().parse().ok().and_then(Pid::from_raw) } else { None }
}

/// Waits until the log says something; a daemon has no other way to tell.
pub fn says(host: &Host, text: &str, times: usize) {
    let limit = std::time::Instant::now() + crate::cluster::node::PATIENCE;
    loop {
        let log = log(host);
        if log.matches(text).count() >= times {
            return;
        }
        assert!(std::time::Instant::now() < limit, "`{text}` was not said:\n{log}");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}

pub fn log(host: &Host) -> String {
    let state = host.directory().join(".local/state/skitter");
    let entries = std::fs::read_dir(state).into_iter().flatten().map_while(Result::ok);
    let masters = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("master-"));
    masters.map(|entry| std::fs::read_to_string(entry.path().join("log")).unwrap_or_default()).collect()
}

#[test]
fn a_master_that_was_killed_is_started_again_and_nothing_is_lost() {
    for strategy in ["keyed", "ring"] {
        let host = Host::exact();
        let workers: Vec<Node> =
            ["w1", "w2"].map(|name| host.worker(name, &["--no-shutdown-with-master"])).into_iter().collect();
        let count = COUNT.to_string();
        let master = ["master", "daemon", "w1@localhost", "w2@localhost", "--log-level", "debug"];
        let store = ["--checkpoint-interval", "100ms", "--checkpoint-store", "checkpoints"];
        let behind = ["--", "--output", "sums.tsv", "--pace", "60", "--count", &count, "--strategy", strategy];
        let all: Vec<&str> = master.iter().chain(&store).chain(&behind).chain(&HELD).copied().collect();
        ask(&host, &all);
        says(&host, "A checkpoint is complete", 3);
        kill_process(pid(&host).expect("it runs"), Signal::KILL).expect("it still runs");
        workers.iter().for_each(|worker| drop(worker.says("Waiting for a master")));
        ask(&host, &["master", "restart"]);
        says(&host, "Recovered `exact`, from checkpoint ", 1);
        go_on(&host);
        says(&host, "Completed `exact`", 1);
        assert!(written(&host.directory().join("sums.tsv")) == sums(COUNT, 1000), "{strategy}: {}", log(&host));
        assert!(log(&host).contains("Going on with `exact`, which the master before has not ended"));
        for worker in workers {
            worker.signal(Signal::TERM);
            worker.ended().expect(0);
        }
    }
}
