//! The first workflow: how often was each word seen so far?

use skitter::clap;
use skitter::prelude::*;

/// What stands behind `--` on the command line.
#[derive(clap::Args)]
pub struct Hello {
    /// The text whose words are counted
    #[arg(long, default_value = "Hello Skitter Hello World!")]
    text: String,
}

/// A workflow: from a source through operations to a sink.
pub fn hello(args: &Hello) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let text = args.text.clone();
    let lines = workflow.source(StreamSource::new(move || [text.clone()]));
    count(lines.words::<Word>()).print();
    workflow.build()
}

/// The part in the middle, which the test runs on words of its own. Each word travels to the worker that owns it.
fn count(words: Stream<impl Chain<Out = Word>>) -> Stream<impl Chain<Out = (Word, u64)>> {
    words.keyed_reduce(Word::clone, 0u64, |count, word| {
        *count += 1;
        (word, *count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted() -> Result<()> {
        let words = ["to", "be", "or", "not", "to", "be"]
            .map(Word::from)
            .to_vec();
        let mut counts = skitter::testing::run(words, count)?;
        counts.sort();
        let seen: Vec<_> = counts
            .iter()
            .map(|(word, count)| (word.as_str(), *count))
            .collect();
        assert_eq!(
            seen,
            [
                ("be", 1),
                ("be", 2),
                ("not", 1),
                ("or", 1),
                ("to", 1),
                ("to", 2)
            ]
        );
        Ok(())
    }
}
