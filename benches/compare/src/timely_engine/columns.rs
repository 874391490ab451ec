//! Timely with words in columns, each a record.

use timely::container::{CapacityContainerBuilder, PushInto};
use timely::dataflow::channels::pact::{ExchangeCore, Pipeline};
use timely::dataflow::operators::generic::Operator;
use timely::worker::Worker;

use super::execute;
use super::source::{Batches, parts};
use crate::columns::{Column, Columns};
use crate::jobs::Run;
use crate::tally::{Sink, WordCounts};

/// Counts that cross operators together.
const BATCH: usize = 4096;

/// J1b.
pub fn word_updates(run: &Run) {
    execute(run, |worker: &mut Worker, run: &Run| {
        let mut columns = Columns::open(&run.input, worker.index(), worker.peers()).expect("the text opens");
        let mut sink = Sink::new(&run.totals);
        worker.dataflow::<u64, _, _>(|scope| {
            type Builder = CapacityContainerBuilder<Vec<(u64, Column)>>;
            let columns = parts::<Builder, _>(scope, move |time, output| {
                let mut session = output.session(time);
                columns.step(|owner, column| session.give((owner as u64, column)))
            });
            let to_owner = ExchangeCore::<Builder, _>::new(|(owner, _): &(u64, Column)| *owner);
            let updates = columns.unary::<Batches<u64, BATCH>, _, _, _>(to_owner, "Count", |_, _| {
                let mut counts = WordCounts::default();
                move |input, output| {
                    input.for_each(|time, data| {
                        let mut session = output.session_with_builder(&time);
                        for (_, column) in data.drain(..) {
                            column.for_each(|hash, word| session.builder().push_into(counts.add(hash, word, 1)));
                            session.extract_and_send();
                        }
                    });
                }
            });
            updates.sink(Pipeline, "Sink", move |(input, _)| {
                input.for_each(|_, data| data.iter().for_each(|count| sink.update(*count)));
            });
        });
    });
}
