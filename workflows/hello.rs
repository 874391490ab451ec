//! The first workflow of the guide: how often was each word seen so far?

use skitter::prelude::*;

pub fn hello(_: &()) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    workflow
        .source(StreamSource::new(|| ["Hello Skitter Hello World!"]))
        .flat_map(|line| line.split_whitespace().map(Word::from))
        .keyed_reduce(Word::clone, 0u64, |count, word| {
            *count += 1;
            (word, *count)
        })
        .print();
    workflow.build()
}
