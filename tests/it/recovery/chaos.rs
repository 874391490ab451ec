//! Real processes that are killed and frozen at random: `scripts/chaos --real`.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{HELD, go_on, sums, written};
use crate::cluster::node::{Host, Node};

/// Faults of the short form, that runs with the other tests.
const FEW: u64 = 6;

/// Checkpoints that are waited for before each fault, so that even the short form has more than eight.
const PER_FAULT: usize = 2;

/// A sequence of numbers that looks random and is the same for each seed (splitmix64, by Steele, Lea and Flood, 2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }
}

pub fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

/// Three workers, of which one after the other is killed and started again, or frozen until others have gone on without
/// it. `SKITTER_CHAOS_FAULTS` says how often, `SKITTER_CHAOS_SEED` in which order.
#[test]
fn nothing_is_lost_twice_or_out_of_order_whatever_is_killed() {
    let faults = number("SKITTER_CHAOS_FAULTS").unwrap_or(FEW);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let seed = number("SKITTER_CHAOS_SEED").unwrap_or(clock);
    let mut dice = Dice(seed);
    let host = Host::exact();
    let names = ["w1", "w2", "w3"];
    let start = |name: &str| host.worker(name, &[]);
    let mut workers: Vec<Node> = names.iter().map(|name| start(name)).collect();
    // Enough to do for all faults: six sources, each of 30 numbers a millisecond at most.
    let count = 400_000 + faults * 200_000;
    let (count_text, restarts) = (count.to_string(), (2 * faults + 10).to_string());
    let master = host.start(
        ["master", "start", "w1@localhost", "w2@localhost", "w3@localhost", "--log-level", "debug"]
            .iter()
            .chain(&["--checkpoint-interval", "100ms", "--checkpoint-store", "checkpoints"])
            .chain(&["--max-restarts", &restarts, "--recovery-wait", "2"])
            .chain(&["--", "--output", "sums.tsv", "--pace", "30", "--count", &count_text])
            .chain(&HELD),
    );
    let (mut killed, mut frozen) = (0, 0);
    // One that has come back when others had gone on without it, and has no part until they fail.
    let mut idle = None;
    for _ in 0..faults {
        let checkpoints = master.said_times("A checkpoint is complete");
        master.says_times("A checkpoint is complete", checkpoints + PER_FAULT);
        // At any moment between two checkpoints.
        let moment = Instant::now() + Duration::from_millis(dice.roll(200));
        while Instant::now() < moment {
            std::thread::park_timeout(moment - Instant::now());
        }
        let victim = dice.roll(3) as usize;
        let victim = if idle == Some(victim) { (victim + 1) % 3 } else { victim };
        let recovered = master.said_times("Recovered `exact`");
        if dice.roll(5) == 0 {
            workers[victim].signal(Signal::STOP);
            master.says_times("Recovered `exact`", recovered + 1);
            workers[victim].signal(Signal::CONT);
            // It learns that it was given up, and ends.
            let zombie = std::mem::replace(&mut workers[victim], host.start(["workflows"]));
            zombie.ended().expect(4);
            workers[victim] = start(names[victim]);
            idle = Some(victim);
            frozen += 1;
        } else {
            workers[victim].signal(Signal::KILL);
            workers[victim] = start(names[victim]);
            master.says_times("Recovered `exact`", recovered + 1);
            idle = None;
            killed += 1;
        }
    }
    go_on(&host);
    let checkpoints = master.said_times("A checkpoint is complete");
    // What is left when the last fault is over may be as much as there was.
    let ended = master.ended_within(Duration::from_secs(60 + 2 * faults)).expect(0);
    let (want, got) = (sums(count, 1000), written(&host.directory().join("sums.tsv")));
    let wrong = want.iter().zip(&got).filter(|(want, got)| want != got).count() + want.len().abs_diff(got.len());
    let report = format!(
        "seed {seed}: {killed} killed, {frozen} frozen, {checkpoints} checkpoints, {wrong} of {} keys wrong",
        want.len()
    );
    assert_eq!(wrong, 0, "{report}\n{}", ended.stderr);
    assert!(checkpoints as u64 >= faults * PER_FAULT as u64, "{report}");
    if faults > FEW {
        // For whoever has asked for it.
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "{report}; lost 0, duplicated 0, out of order 0");
    }
}
