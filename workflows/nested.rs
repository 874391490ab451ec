//! Workflows inside a workflow: steps of the Collatz sequence, in which half of an even number follows, and three times
//! an odd one and one more.

use skitter::clap;
use skitter::prelude::*;

#[derive(clap::Args)]
pub struct Nested {
    /// Begin with all numbers from 1 to this one
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    to: u64,
}

/// Prints each number that it begins with and the one two steps behind it.
pub fn nested(args: &Nested) -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let to = args.to;
    let first = workflow.nest("first", step()?);
    let second = workflow.nest("second", step()?);
    first.input("numbers", workflow.source(StreamSource::new(move || (1..=to).map(|n| (n, n)))));
    second.input("numbers", first.output::<(u64, u64)>("next"));
    second.output::<(u64, u64)>("next").print();
    workflow.build()
}

/// One step, from an in port to an out port.
fn step() -> Result<Workflow> {
    let workflow = WorkflowBuilder::new();
    let parity = workflow.input::<(u64, u64)>("numbers").filter(|(_, n)| n % 2 == 0).named("is even").ports();
    let even = parity.stream(Accept).map(|(start, n)| (start, n / 2)).named("half");
    let odd = parity.stream(Reject).map(|(start, n)| (start, 3 * n + 1)).named("triple and one");
    workflow.output("next", even.union(odd));
    workflow.build()
}
