//! What a strategy does in its sender for each record: choosing the worker, filling its batch, and letting full batches
//! go. The batches come back empty at once, as from a worker that is never behind.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use skitter::operations::Count;
use skitter::prelude::*;
use skitter::workflow::{Batch, Cluster, LinkContext, Messages, Outbox, Post, Workers};

use super::RECORDS;
use skitter::codec::Record;
use skitter::id::NodeId;

/// Receivers of the records.
const WORKERS: usize = 8;

type CountOdd = Count<(u64, u64), u64, fn(&(u64, u64)) -> u64>;

/// Clears each batch and hands it out again.
struct Recycle<M>(Vec<Option<Box<Messages<M>>>>);

impl<M: Record> Post for Recycle<M> {
    fn post(&mut self, worker: usize, mut batch: Box<dyn Batch>) {
        if let Some(Messages(messages)) = batch.as_any_mut().downcast_mut() {
            self.0[worker] = Some(Box::new(Messages(std::mem::take::<Vec<M>>(messages))));
        }
    }

    fn spare(&mut self, worker: usize) -> Option<Box<dyn Batch>> {
        let mut batch = self.0[worker].take()?;
        batch.0.clear();
        Some(batch)
    }

    fn load(&self, _worker: usize) -> usize {
        0
    }

    fn advance(&mut self, _worker: usize, _watermark: skitter::workflow::Watermark) {}

    fn joined(&mut self, workers: usize) {
        self.0.resize_with(workers, || None);
    }
}

#[divan::bench(
    types = [Sedentary, RoundRobin, Rebalance, ImmutableLocal, KeyedState, PartialKey, Combining, Broadcast]
)]
fn deliver<S: Strategy<CountOdd> + Default>(bencher: Bencher) {
    let operation: CountOdd = Count::by(|record| record.0);
    let strategy = S::default();
    let deployment = strategy.deploy(&operation, &Cluster::simulated(1, WORKERS)).expect("a deployment");
    let workers: Workers = deployment.workers.into();
    let link = LinkContext { operation: &operation, workers: &workers, port: 0, node: NodeId::LOCAL, sender: 0 };
    let post = Recycle::<S::Message>(workers.iter().map(|_| None).collect());
    let mut outbox = Outbox::new(workers.len(), Box::new(post));
    let mut sender = strategy.sender(&link);
    // A few heavy keys among many, so that those strategies that look for them find some.
    let records: Vec<(u64, u64)> =
        (0..RECORDS as u64).map(|n| (if n % 4 == 0 { n % 3 } else { n * 0x9E37_79B9 }, n)).collect();
    bencher.counter(ItemsCount::new(RECORDS)).bench_local(|| {
        for record in black_box(&records) {
            strategy.deliver(&link, &mut sender, *record, &mut outbox);
        }
    });
}
