//! The first workflow of the guide: how often was each word seen so far?

use skitter::prelude::*;

pub fn hello(_: &NoArgs) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    workflow
        .source(StreamSource::new(|| ["Hello Skitter Hello World!"]))
        .words::<Word>()
        .keyed_reduce(Word::clone, 0u64, |count, word| {
            *count += 1;
            (word, *count)
        })
        .print();
    workflow.build()
}
