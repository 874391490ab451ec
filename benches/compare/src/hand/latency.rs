//! J4 by hand: a source thread and keyed threads that park while they have nothing to do.

use std::collections::HashMap;
use std::thread;

use crossbeam_channel::{Receiver, bounded};

use crate::hash::{self, FastBuild};
use crate::jobs::{Run, THREADS};
use crate::pace::{Due, Event, LatencySink, Pacer, rest};

/// Events in a batch at most; a batch leaves as soon as no other event is due.
const BATCH: usize = 4096;

pub fn run(run: &Run) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| bounded(16)).unzip();
    thread::scope(|scope| {
        for receiver in receivers {
            scope.spawn(|| count(run, receiver));
        }
        let mut pacer = Pacer::new(run.rate);
        let mut batches: Vec<Vec<Event>> = vec![Vec::new(); THREADS];
        loop {
            let due = pacer.poll();
            let (full, wait) = match due {
                Due::Event(event) => {
                    let owner = hash::owner(hash::of_number(event.key), THREADS);
                    batches[owner].push(event);
                    (BATCH, 0)
                }
                Due::Later(ns) => (1, ns),
                Due::End => (1, 0),
            };
            for (sender, batch) in senders.iter().zip(&mut batches) {
                if batch.len() >= full {
                    sender.send(std::mem::take(batch)).expect("owners outlive the source");
                }
            }
            match due {
                Due::Event(_) => {}
                Due::Later(_) => rest(wait),
                Due::End => break,
            }
        }
        drop(senders);
    });
}

fn count(run: &Run, receiver: Receiver<Vec<Event>>) {
    let mut counts: HashMap<u64, u64, FastBuild> = HashMap::default();
    let mut sink = LatencySink::new(&run.totals);
    for batch in receiver {
        for event in batch {
            let count = counts.entry(event.key).or_insert(0);
            *count += 1;
            sink.arrived(event, *count);
        }
    }
}
