//! J1b with a strategy of its own: words travel in columns, so that none is made a string of before it is a new key.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skitter::prelude::*;
use skitter::workflow::{Cluster, Deployment, Flush, LinkContext, Outbox, WorkerContext};

use super::numbers::Counting;
use super::words::Blocks;
use crate::hash;
use crate::jobs::Run;
use crate::tally::WordCounts;
use crate::text::for_each_hashed_word;

/// Words in a message.
const COLUMN: usize = 2048;

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

/// Words with their hashes, in columns.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Column {
    text: String,
    /// The hash of each word, and where it ends in `text`.
    words: Vec<(u64, u32)>,
}

impl Column {
    #[inline(always)]
    fn push(&mut self, hash: u64, word: &str) {
        self.text.push_str(word);
        self.words.push((hash, self.text.len() as u32));
    }

    /// Takes the words out, and leaves a column with as much room.
    fn take(&mut self) -> Column {
        let room = Column { text: String::with_capacity(self.text.capacity()), words: Vec::with_capacity(COLUMN) };
        std::mem::replace(self, room)
    }
}

/// Sends the words of a block to their owners in columns.
#[derive(Clone)]
struct ByColumns;

impl Strategy<CountWords> for ByColumns {
    type Message = Column;
    type Sender = Vec<Column>;
    type State = WordCounts;
    const NAME: &'static str = "by columns";

    fn deploy(&self, _operation: &CountWords, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, link: &LinkContext<'_, CountWords>) -> Vec<Column> {
        vec![Column::default(); link.workers.len()]
    }

    fn deliver(
        &self,
        _link: &LinkContext<'_, CountWords>,
        columns: &mut Vec<Column>,
        block: String,
        outbox: &mut Outbox<Column>,
    ) {
        for_each_hashed_word(&block, |hash, word| {
            let owner = hash::owner(hash, columns.len());
            columns[owner].push(hash, word);
            if columns[owner].words.len() == COLUMN {
                outbox.send(owner, columns[owner].take());
                outbox.dispatch(owner);
            }
        });
    }

    fn flush(
        &self,
        _link: &LinkContext<'_, CountWords>,
        columns: &mut Vec<Column>,
        outbox: &mut Outbox<Column>,
        _due: Flush,
    ) {
        for (owner, column) in columns.iter_mut().enumerate().filter(|(_, column)| !column.words.is_empty()) {
            outbox.send(owner, column.take());
        }
    }

    fn init(&self, _worker: &WorkerContext<'_, CountWords>) -> Result<WordCounts> {
        Ok(WordCounts::default())
    }

    fn process<E: Emit<u64>>(
        &self,
        _worker: &WorkerContext<'_, CountWords>,
        counts: &mut WordCounts,
        column: Column,
        emit: &mut E,
        _peers: &mut Outbox<Column>,
    ) -> Result<()> {
        let mut start = 0;
        for (hash, end) in column.words {
            emit.emit(counts.add(hash, &column.text[start..end as usize], 1));
            start = end as usize;
        }
        Ok(())
    }
}
