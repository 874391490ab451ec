//! A workflow that runs for long while one fault follows the other: nothing may be lost, and nothing may grow.
//! `scripts/chaos --soak`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open};

use super::chaos::{Dice, number};
use super::{sums, written};
use crate::cluster::node::{Host, Node};

/// How long the short form lasts, that runs with the other tests.
const SHORT: u64 = 20;

/// How often there is a fault.
const FAULT: Duration = Duration::from_secs(5);

/// How often it is looked at what processes need.
const SAMPLE: Duration = Duration::from_millis(250);

/// For how many seconds a frozen process is not found, at least: nothing is read meanwhile. All else goes on at once.
const SILENCE: u64 = 3;

/// Numbers by which the peak rate is found.
const PEAK: u64 = 1_000_000;

/// Workers that read: two on each node.
const READERS: u64 = 6;

/// How many numbers have a key.
const KEYS: u64 = 1000;

/// Fewer complete checkpoints show nothing.
const CHECKPOINTS: usize = 8;

/// By how much the median of what is needed may be higher in the last third than in the first one: in percent, and
/// by an amount. What processes hold goes up and down by so much, depending on when they are looked at.
const LIMITS: [(&str, Growth); 7] = [
    ("memory of the master, kB", Growth { percent: 20, amount: 4096 }),
    ("memory of workers, kB", Growth { percent: 20, amount: 8192 }),
    ("file handles of the master", Growth { percent: 0, amount: 4 }),
    ("file handles of workers", Growth { percent: 0, amount: 6 }),
    // With those that use the disk. They stay for ten seconds, so there are as many as a recovery has needed at once
    // lately, and few before the first one. One that stayed for each fault would be more in ten minutes.
    ("threads of the master", Growth { percent: 0, amount: 32 }),
    ("threads of workers", Growth { percent: 0, amount: 10 }),
    ("size of the store, bytes", Growth { percent: 50, amount: 65_536 }),
];

#[derive(Clone, Copy)]
struct Growth {
    percent: u64,
    amount: u64,
}

/// What processes need, and how much is kept: in the order of [`LIMITS`].
type Sample = [u64; LIMITS.len()];

/// The value of a line of what the system says of a process; none if it has ended.
fn of_process(process: Pid, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn handles(process: Pid) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{}/fd", process.as_raw_nonzero())).ok()?.count() as u64)
}

/// The size of all files below a directory, of which some may go meanwhile.
fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().map_while(Result::ok);
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        found => found.map_or(0, |found| found.len()),
    };
    entries.map(of).sum()
}

/// None if one of the processes has ended.
fn sample(master: &Node, workers: &[Node], store: &Path) -> Option<Sample> {
    let sum = |of: &dyn Fn(Pid) -> Option<u64>| workers.iter().map(|worker| of(worker.pid())).sum::<Option<u64>>();
    let (memory, threads) = (|of: Pid| of_process(of, "VmRSS:"), |of: Pid| of_process(of, "Threads:"));
    let own = master.pid();
    Some([memory(own)?, sum(&memory)?, handles(own)?, sum(&handles)?, threads(own)?, sum(&threads)?, size(store)])
}

/// Cuts all connections of a process, of which it is not asked.
fn cut(process: Pid) {
    let number = process.as_raw_nonzero();
    let mut sockets = BTreeMap::new();
    for table in ["tcp", "tcp6"] {
        let table = fs::read_to_string(format!("/proc/{number}/net/{table}")).unwrap_or_default();
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // Its state, and the number of its file.
            sockets.insert(format!("socket:[{}]", fields[9]), fields[3] == "01");
        }
    }
    let handle = pidfd_open(process, PidfdFlags::empty()).expect("it runs");
    for entry in fs::read_dir(format!("/proc/{number}/fd")).expect("it runs").map_while(Result::ok) {
        let Ok(file) = fs::read_link(entry.path()) else { continue };
        if sockets.get(&*file.to_string_lossy()) == Some(&true) {
            let file = entry.file_name().to_string_lossy().parse().expect("a number");
            if let Ok(socket) = pidfd_getfd(&handle, file, PidfdGetfdFlags::empty()) {
                // It may have been closed meanwhile.
                let _ = TcpStream::from(socket).shutdown(Shutdown::Both);
            }
        }
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// What has grown, and a table of all: the medians of the three thirds.
fn growth(samples: &[Sample]) -> (Vec<&'static str>, String) {
    let third = samples.len() / 3;
    let (mut grown, mut table) = (Vec::new(), String::new());
    for (at, (name, limit)) in LIMITS.into_iter().enumerate() {
        let median = |of: &[Sample]| median(of.iter().map(|sample| sample[at]).collect());
        let (first, last) = (median(&samples[..third]), median(&samples[samples.len() - third..]));
        if last > first + first * limit.percent / 100 + limit.amount {
            grown.push(name);
        }
        let middle = median(&samples[third..samples.len() - third]);
        let _ = writeln!(table, "{name}: {first}, {middle}, {last}");
    }
    (grown, table)
}

/// Starts a master, which sums numbers.
fn master(host: &Host, output: &str, pace: u64, count: u64) -> Node {
    let (pace, count) = (pace.to_string(), count.to_string());
    let options = ["--log-level", "debug", "--checkpoint-interval", "500ms", "--checkpoint-store", "checkpoints"];
    let recovery = ["--max-restarts", "1000", "--recovery-wait", "20"];
    let sums = ["--", "--output", output, "--pace", &pace, "--count", &count];
    let before = ["master", "start", "w1@localhost", "w2@localhost", "w3@localhost"];
    host.start(before.iter().chain(&options).chain(&recovery).chain(&sums))
}

/// The numbers a second when nothing holds them up.
fn peak(host: &Host) -> u64 {
    let ended = master(host, "peak.tsv", 0, PEAK).ended().expect(0);
    let line = ended.stderr.lines().find(|line| line.contains("Completed `exact`")).expect("it completes");
    let seconds = line.rsplit(" in ").next().and_then(|time| time.strip_suffix(" s")).expect("a time");
    (PEAK as f64 / seconds.parse::<f64>().expect("a number")) as u64
}

/// Three workers, one after the other of which is killed and started again, frozen until it is given up, or cut off,
/// while they read at half of their peak rate. `SKITTER_SOAK_SECONDS` says for how long, `SKITTER_CHAOS_SEED` in which
/// order.
#[test]
fn nothing_grows_and_nothing_is_lost_while_it_fails_for_long() {
    let seconds = number("SKITTER_SOAK_SECONDS").unwrap_or(SHORT);
    let seed = number("SKITTER_CHAOS_SEED").unwrap_or(1);
    let mut dice = Dice(seed);
    let host = Host::exact();
    let names = ["w1", "w2", "w3"];
    // They outlive the cut of a connection.
    let start = |name: &str| host.worker(name, &["--no-shutdown-with-master"]);
    let mut workers: Vec<Node> = names.iter().map(|name| start(name)).collect();
    let peak = peak(&host);
    let pace = (peak / 2 / READERS / 1000).max(1);
    // What happens, and to whom.
    let faults: Vec<_> =
        (0..seconds / FAULT.as_secs()).map(|_| (dice.roll(3) as usize, dice.roll(3) as usize)).collect();
    let frozen = faults.iter().filter(|(kind, _)| *kind == 1).count() as u64;
    // So much that there is something to read until the last fault.
    let count = pace * READERS * 1000 * (seconds - SILENCE * frozen);
    let master = master(&host, "sums.tsv", pace, count);
    let store = host.directory().join("checkpoints");
    let (mut samples, mut done, mut of_kind) = (Vec::new(), 0, [0; 3]);
    let mut longest = [Duration::ZERO; 3];
    let begun = Instant::now();
    let is_complete = || master.said_times("Completed `exact`") > 0;
    let pause = |until: Instant, workers: &[Node], samples: &mut Vec<Sample>| {
        while Instant::now() < until && !is_complete() {
            std::thread::park_timeout(SAMPLE.min(until.saturating_duration_since(Instant::now())));
            samples.extend(sample(&master, workers, &store));
        }
    };
    for (fault, (kind, victim)) in faults.iter().copied().enumerate() {
        // All is as it should be before it is looked at, and before something fails.
        master.says_times("A checkpoint is complete", master.said_times("A checkpoint is complete") + 1);
        pause(begun + FAULT * (fault as u32 + 1), &workers, &mut samples);
        if is_complete() {
            break;
        }
        let recovered = master.said_times("Recovered `exact`");
        let lost = master.said_times(&format!("Worker `{}@localhost` disconnected", names[victim]));
        let failed = Instant::now();
        match kind {
            0 => {
                workers[victim].signal(Signal::KILL);
                workers[victim] = start(names[victim]);
            }
            1 => {
                workers[victim].signal(Signal::STOP);
                master.says_times(&format!("Worker `{}@localhost` disconnected", names[victim]), lost + 1);
                workers[victim].signal(Signal::CONT);
            }
            _ => cut(workers[victim].pid()),
        }
        master.says_times("Recovered `exact`", recovered + 1);
        (done, of_kind[kind]) = (done + 1, of_kind[kind] + 1);
        longest[kind] = longest[kind].max(failed.elapsed());
    }
    let limit = Instant::now() + Duration::from_secs(seconds) + crate::cluster::node::PATIENCE;
    pause(limit, &workers, &mut samples);
    let checkpoints = master.said_times("A checkpoint is complete");
    let ended = master.ended().expect(0);
    for worker in workers {
        worker.signal(Signal::TERM);
        worker.ended().expect(0);
    }
    let (want, got) = (sums(count, KEYS), written(&host.directory().join("sums.tsv")));
    let wrong = want.iter().zip(&got).filter(|(want, got)| want != got).count() + want.len().abs_diff(got.len());
    let (grown, table) = growth(&samples);
    let [killed, frozen, cut] = of_kind;
    let report = format!(
        "seed {seed}, {} s, {count} numbers at {pace} a millisecond and worker, half of {peak} a second: {killed} \
         killed, {frozen} frozen, {cut} cut, after which it went on within {longest:.1?}; {checkpoints} checkpoints, \
         {} samples, {wrong} of {} keys wrong\n{table}",
        begun.elapsed().as_secs(),
        samples.len(),
        want.len()
    );
    assert_eq!(wrong, 0, "{report}\n{}", ended.stderr);
    assert_eq!(done, faults.len(), "it was over before: {report}");
    assert!(checkpoints >= CHECKPOINTS, "{report}");
    assert!(grown.is_empty(), "{grown:?} has grown: {report}");
    if seconds >= SHORT {
        // For whoever has asked for it.
        let _ = writeln!(std::io::stderr(), "{report}lost 0, duplicated 0, out of order 0");
    }
}

#[test]
fn what_grows_is_found() {
    let flat: Vec<Sample> = (0..30).map(|i| [100_000 + i % 7, 300_000, 40, 90, 60, 60, 1 << 20]).collect();
    assert_eq!(growth(&flat).0, [""; 0]);
    for (at, (name, _)) in LIMITS.iter().enumerate() {
        let mut samples = flat.clone();
        for (i, sample) in samples.iter_mut().enumerate() {
            sample[at] += sample[at] * i as u64 / 20;
        }
        assert_eq!(growth(&samples).0, [*name]);
    }
}
