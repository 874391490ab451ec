//! J1b with a strategy of its own: words travel in columns, so that none is made a string of before it is a new key.

use std::sync::Arc;

use skitter::prelude::*;
use skitter::workflow::{ByHand, Cluster, Deployment, Flush, LinkContext, Outbox, WorkerContext};

use super::numbers::Counting;
use super::words::Blocks;
use crate::columns::{Column, Cutter};
use crate::jobs::Run;
use crate::tally::WordCounts;

/// Each word to its owner, who counts it and emits the count.
pub fn updates(workflow: &WorkflowBuilder, run: &Run) {
    workflow
        .source(Blocks(run.input.clone()))
        .vertex(CountWords, ByColumns)
        .sink(Counting(Arc::clone(&run.totals)), Chained);
}

/// Words of blocks in, counts out; what happens in between is its strategy's.
#[derive(Clone)]
struct CountWords;

impl Operation for CountWords {
    type In = String;
    type Out = u64;
    const NAME: &'static str = "count";
}

/// Sends the words of a block to their owners in columns.
#[derive(Clone)]
struct ByColumns;

impl Strategy<CountWords> for ByColumns {
    type Message = Column;
    type Sender = Cutter;
    type State = ByHand<WordCounts>;
    const NAME: &'static str = "by columns";

    fn deploy(&self, _operation: &CountWords, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, link: &LinkContext<'_, CountWords>) -> Cutter {
        Cutter::new(link.workers.len())
    }

    fn deliver(
        &self,
        _link: &LinkContext<'_, CountWords>,
        cutter: &mut Cutter,
        block: String,
        outbox: &mut Outbox<Column>,
    ) {
        cutter.cut(&block, |owner, column| {
            outbox.send(owner, column);
            outbox.dispatch(owner);
        });
    }

    fn flush(
        &self,
        _link: &LinkContext<'_, CountWords>,
        cutter: &mut Cutter,
        outbox: &mut Outbox<Column>,
        _due: Flush,
    ) {
        cutter.rest(|owner, column| outbox.send(owner, column));
    }

    fn init(&self, _worker: &WorkerContext<'_, CountWords>) -> Result<ByHand<WordCounts>> {
        Ok(ByHand(WordCounts::default()))
    }

    fn process<E: Emit<u64>>(
        &self,
        _worker: &WorkerContext<'_, CountWords>,
        counts: &mut ByHand<WordCounts>,
        column: Column,
        emit: &mut E,
        _peers: &mut Outbox<Column>,
    ) -> Result<()> {
        column.for_each(|hash, word| emit.emit(counts.add(hash, word, 1)));
        Ok(())
    }
}
