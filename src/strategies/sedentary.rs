//! All of it in one place.

use crate::codec::Record;
use crate::workflow::{Cluster, Deployment, Emit, LinkContext, Outbox, React, Result, Strategy, WorkerContext};

/// One worker for all records, wherever they come from: for global results and for sinks with one file. It limits the
/// rate to that of one core.
///
/// ```
/// use skitter::prelude::*;
///
/// let sum = skitter::testing::run(vec![1u64, 2, 3], |numbers| {
///     numbers.fold(0u64, |sum, n| *sum += n).with(Sedentary)
/// })?;
/// assert_eq!(sum, [6]);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Sedentary;

impl<O: React<In: Record>> Strategy<O> for Sedentary {
    type Message = O::In;
    type Sender = ();
    type State = O::State;
    const NAME: &'static str = "sedentary";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_n(1))
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    #[inline(always)]
    fn deliver(&self, _link: &LinkContext<'_, O>, _sender: &mut (), record: O::In, outbox: &mut Outbox<O::In>) {
        outbox.send(0, record);
    }

    keeps_operation_state!();
    reacts_to_records!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::Fold;
    use crate::testing::Simulation;

    #[test]
    fn one_worker_gets_it_all_whatever_is_asked_for() {
        let sum = Fold::new(0u64, |sum: &mut u64, n: u64| *sum += n);
        let simulation = Simulation::new(sum, Sedentary, Cluster::simulated(3, 4)).senders(5).parallelism(6).seed(1);
        let outcome = simulation.run(0..1000).expect("no failure");
        assert_eq!(outcome.workers.len(), 1);
        assert_eq!(outcome.received, [1000]);
        assert_eq!(outcome.records(), [499_500]);
    }
}
