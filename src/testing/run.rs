//! A workflow on given input.

use std::sync::Arc;

use crate::Runtime;
use crate::operations::{Collected, StreamSource};
use crate::workflow::{Chain, OutPort, Result, Shared, Stream, WorkflowBuilder};

/// Runs a piece of a workflow on these records, on all processors, and returns what comes out. One worker gives the
/// records, in order; what comes out of several workers is in no particular order.
///
/// # Errors
/// When the workflow cannot be built, or fails.
///
/// ```
/// let even = skitter::testing::run(vec![1, 2, 3, 4], |numbers| numbers.filter(|n| n % 2 == 0))?;
/// assert_eq!(even, [2, 4]);
/// # Ok::<(), skitter::Error>(())
/// ```
pub fn run<T, C, P>(input: Vec<T>, piece: impl FnOnce(Stream<Shared<T>>) -> Stream<C, P>) -> Result<Vec<P::Record>>
where
    T: Clone + Send + Sync + 'static,
    C: Chain,
    P: OutPort<C::Out>,
    P::Record: Send,
{
    let workflow = WorkflowBuilder::new();
    let input = Arc::new(input);
    let records = move || {
        let input = Arc::clone(&input);
        (0..input.len()).map(move |index| input[index].clone())
    };
    let collected = Collected::new();
    let source = workflow.source(StreamSource::new(records)).named("testing: input").shared();
    piece(source).collect(&collected).named("testing: output");
    let runtime = Runtime::local()?;
    runtime.deploy("test", workflow.build()?)?.wait()?;
    Ok(collected.take())
}
