//! The workflows of the `skitter` program, written as those of any other: they see the library as a user does.

mod hello;
mod nested;
mod nexmark;
mod primes;
mod socket_wordcount;
mod wordcount;

use skitter::{WorkflowEntry, workflow};

/// All of them; the first is the default.
pub fn all() -> [WorkflowEntry; 6] {
    [
        workflow("hello", "Counts the words of a greeting", hello::hello),
        workflow("wordcount", "Counts the words of text files", wordcount::word_count),
        workflow("socket-wordcount", "Counts words that come over TCP", socket_wordcount::socket_word_count),
        workflow("primes", "Counts prime numbers on nodes with a tag", primes::primes),
        workflow("nested", "Takes steps of the Collatz sequence in workflows inside a workflow", nested::nested),
        workflow("nexmark", "Answers questions to the stream of an auction house", nexmark::nexmark),
    ]
}
