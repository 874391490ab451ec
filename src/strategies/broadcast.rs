//! Everything to everybody.

use crate::codec::Record;
use crate::workflow::{Cluster, Deployment, Emit, LinkContext, Outbox, React, Result, Strategy, WorkerContext};

/// A worker on each core; each gets every record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Broadcast;

impl<O: React<In: Record + Clone>> Strategy<O> for Broadcast {
    type Message = O::In;
    type Sender = ();
    type State = O::State;
    const NAME: &'static str = "broadcast";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        Ok(cluster.on_all_worker_cores())
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    #[inline(always)]
    fn deliver(&self, _link: &LinkContext<'_, O>, _sender: &mut (), record: O::In, outbox: &mut Outbox<O::In>) {
        outbox.broadcast(record);
    }

    keeps_operation_state!();
    reacts_to_records!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategies::tests::{echo, letters};
    use crate::testing::Simulation;

    #[test]
    fn every_worker_gets_everything_in_order() {
        let sent = letters(1, 100);
        let outcome = Simulation::new(echo(), Broadcast, Cluster::simulated(2, 2)).run_from(sent.clone());
        let expected: Vec<_> = sent.into_iter().map(|(_, letter)| letter).collect();
        assert_eq!(outcome.expect("no failure").by_worker(), vec![expected; 4]);
    }
}
