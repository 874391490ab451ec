//! What goes wrong, by a seed.

use super::dice::Dice;
use super::disk::Failing;
use super::jobs::{Distribution, Job};
use crate::net::Silence;

/// Something goes wrong. Workers are known by their numbers, from 0; times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The process dies; another one begins after a while, if ever.
    Kill { worker: usize, back: Option<u64> },
    /// The host dies, and nobody is told.
    PowerOff { worker: usize, back: Option<u64> },
    /// The process stands still.
    Freeze { worker: usize, time: u64 },
    /// Connections are reset.
    Cut { a: Option<usize>, b: usize },
    /// Nothing gets through.
    Partition { a: Option<usize>, b: usize, silence: Silence, time: u64 },
    /// All takes longer.
    Delay { most: u64, time: u64 },
    /// The store takes longer.
    Slow { most: u64, time: u64 },
    /// The store takes nothing.
    Store { failing: Failing, time: u64 },
    /// An operation panics, so many records later.
    Panic { records: u64 },
    /// A worker comes that was not there.
    Join,
    /// The master dies; another one goes on after a while.
    Master { back: u64 },
    /// Somebody wants a savepoint, and perhaps the deployment to stop at it, and to go on from it then.
    Savepoint { stop: bool },
    /// Somebody presses Ctrl-C.
    Stop,
}

impl Fault {
    /// What kind it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill { .. } => "kill",
            Fault::PowerOff { .. } => "power off",
            Fault::Freeze { .. } => "freeze",
            Fault::Cut { .. } => "cut",
            Fault::Partition { .. } => "partition",
            Fault::Delay { .. } => "delay",
            Fault::Slow { .. } => "slow store",
            Fault::Store { failing: Failing::Lost, .. } => "failing store",
            Fault::Store { failing: Failing::Full, .. } => "full store",
            Fault::Panic { .. } => "panic",
            Fault::Join => "join",
            Fault::Master { .. } => "master",
            Fault::Savepoint { stop: false } => "savepoint",
            Fault::Savepoint { stop: true } => "stop at savepoint",
            Fault::Stop => "stop",
        }
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub job: Job,
    pub workers: usize,
    pub cores: usize,
    pub interval: u64,
    pub kept: usize,
    /// How long the master waits for workers that are gone.
    pub recovery_wait: u64,
    /// Most milliseconds that bytes take.
    pub latency: u64,
    /// Faults, and the time from the one before to each.
    pub faults: Vec<(u64, Fault)>,
}

impl Plan {
    pub fn new(dice: &mut Dice) -> Plan {
        let (workers, cores) = (dice.within(2..=3) as usize, dice.within(1..=2) as usize);
        let all = [
            Distribution::Keyed,
            Distribution::Combining,
            Distribution::PartialKey,
            Distribution::Ring,
            Distribution::Windows,
            Distribution::Windows,
        ];
        let readers = (workers * cores) as u64;
        // Without a pause it is as fast as there is credit.
        let pace = (dice.within(1..=4), dice.one_of(&[0, 1, 1, 1, 2]));
        let turns = if pace.1 == 0 { dice.within(100..=1500) } else { dice.within(50..=400) };
        let distribution = dice.one_of(&all);
        let job = Job {
            distribution,
            timed: distribution == Distribution::Windows || dice.once_in(3),
            chained: dice.once_in(3),
            passed_on: dice.once_in(3),
            twice: dice.once_in(2),
            count: pace.0 * turns * readers - dice.within(0..=7),
            pace,
        };
        let fixed = job.is_fixed();
        // Milliseconds of a day, where nobody goes on with fewer.
        let recovery_wait = if fixed { 86_400_000 } else { dice.one_of(&[0, 300, 86_400_000]) };
        let mut plan = Plan {
            job,
            workers,
            cores,
            interval: dice.within(10..=60),
            kept: dice.within(1..=3) as usize,
            recovery_wait,
            latency: dice.one_of(&[1, 2, 2, 5, 15]),
            faults: Vec::new(),
        };
        for _ in 0..dice.within(0..=7) {
            let gap = if dice.once_in(5) { dice.within(0..=3000) } else { dice.within(1..=80) };
            let fault = plan.fault(dice);
            plan.faults.push((gap, fault));
        }
        plan
    }

    fn fault(&self, dice: &mut Dice) -> Fault {
        let worker = dice.within(0..=self.workers as u64 - 1) as usize;
        let other = (worker + dice.within(1..=self.workers as u64 - 1) as usize) % self.workers;
        let a = if dice.once_in(2) { None } else { Some(other) };
        let comes_back = self.recovery_wait > 1000 || worker == 0 || !dice.once_in(4);
        let back = comes_back.then(|| dice.one_of(&[1, 30, 60, 200, 400, 1000, 5000]));
        let long = [dice.within(5..=100), dice.within(100..=2000), dice.within(3000..=9000)];
        let time = dice.one_of(&long);
        match dice.within(0..=18) {
            0..=2 => Fault::Kill { worker, back },
            3 => Fault::PowerOff { worker, back },
            4 | 5 => Fault::Freeze { worker, time },
            6 => Fault::Cut { a, b: worker },
            7 => Fault::Partition { a, b: worker, silence: dice.one_of(&[Silence::Hold, Silence::Lose]), time },
            8 => Fault::Delay { most: dice.within(10..=300), time },
            9 => Fault::Slow { most: dice.within(20..=1000), time },
            10 => Fault::Store { failing: dice.one_of(&[Failing::Lost, Failing::Full]), time },
            11 => Fault::Panic { records: dice.within(0..=300) },
            12 if !self.job.is_fixed() => Fault::Join,
            13 if dice.once_in(3) => Fault::Stop,
            14..=16 => Fault::Master { back: dice.one_of(&[1, 30, 100, 400, 4000]) },
            17 => Fault::Savepoint { stop: false },
            18 => Fault::Savepoint { stop: true },
            _ => Fault::Kill { worker, back },
        }
    }
}
