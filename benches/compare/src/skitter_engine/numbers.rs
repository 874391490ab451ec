//! J2 and J3.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use skitter::operations::Numbers;
use skitter::prelude::*;
use skitter::workflow::{ByHand, Keyed};

use crate::hash;
use crate::jobs::{J2_RECORDS, J3_RECORDS, Run, j3_key, maps};
use crate::tally::{Sink, Totals, mix};

/// Five maps and a filter, summed.
pub fn five_maps(workflow: &WorkflowBuilder, run: &Run) {
    let totals = Arc::clone(&run.totals);
    workflow
        .source(Numbers::new(0..J2_RECORDS))
        .map(maps::triple)
        .map(maps::fold7)
        .map(maps::add11)
        .map(maps::times5)
        .map(maps::fold3)
        .filter(maps::keep)
        .fold_combine(0u64, |sum, n| *sum = sum.wrapping_add(n), |sum, part| *sum = sum.wrapping_add(part))
        .inspect(move |sum| Sink::new(&totals).update(*sum))
        .discard();
}

/// Each number to the owner of its key, who adds it up and emits the sum.
pub fn running_sums(workflow: &WorkflowBuilder, run: &Run) {
    workflow
        .source(Numbers::new(0..J3_RECORDS))
        .map(|n| (j3_key(n), n))
        .vertex(SumByKey(Arc::clone(&run.totals)), KeyedState)
        .sink(Counting(Arc::clone(&run.totals)), Chained);
}

/// A running sum for each key; reports the final ones.
#[derive(Clone)]
pub struct SumByKey(pub Arc<Totals>);

impl Operation for SumByKey {
    type In = (u64, u64);
    type Out = u64;
    const NAME: &'static str = "sum by key";
}

impl Keyed for SumByKey {
    type Key = u64;

    #[inline(always)]
    fn key(&self, record: &(u64, u64)) -> u64 {
        record.0
    }

    fn finish_key<E: Emit<u64>>(&self, key: &u64, sum: &mut u64, _emit: &mut E) -> Result<()> {
        self.0.state.fetch_add(mix(hash::of_number(*key), *sum), Relaxed);
        Ok(())
    }
}

impl React for SumByKey {
    type State = u64;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn react<E: Emit<u64>>(&self, sum: &mut u64, (_, value): (u64, u64), emit: &mut E) -> Result<()> {
        *sum = sum.wrapping_add(value);
        emit.emit(*sum);
        Ok(())
    }
}

/// The sink that counts updates.
#[derive(Clone)]
pub struct Counting(pub Arc<Totals>);

impl Operation for Counting {
    type In = u64;
    type Out = Infallible;
    const NAME: &'static str = "counting sink";
    const OUT_PORTS: &'static [&'static str] = &[];
}

impl React for Counting {
    type State = ByHand<Sink>;

    fn init(&self) -> ByHand<Sink> {
        ByHand(Sink::new(&self.0))
    }

    #[inline(always)]
    fn react<E: Emit<Infallible>>(&self, sink: &mut ByHand<Sink>, update: u64, _emit: &mut E) -> Result<()> {
        sink.update(update);
        Ok(())
    }
}
