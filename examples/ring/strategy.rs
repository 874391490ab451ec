//! A strategy as a user would write it, on the public interface alone: keys on a ring of consistent hashes, so that
//! most of them stay where they are when a node comes.

use std::collections::HashMap;

use skitter::codec::{Record, stable_hash};
use skitter::id::NodeId;
use skitter::workflow::{
    Cluster, Deployment, Emit, Error, Keyed, LinkContext, Outbox, React, Result, Strategy, WorkerContext, Workers,
};

/// Sends each record to the worker that comes first behind its key on a ring, on which each worker stands in many
/// places (Karger et al. 1997). One worker on each node.
#[derive(Clone, Debug)]
pub struct Ring {
    /// In how many places a worker stands.
    pub places: u32,
}

/// The places of all workers, in order.
pub struct Places(Vec<(u64, usize)>);

impl Places {
    fn new(ring: &Ring, workers: &Workers) -> Places {
        // A place depends on the node alone, not on how many others there are.
        let on_node = |node: NodeId| (0..ring.places).map(move |place| stable_hash(&(node.number, place)));
        let places = workers.iter().enumerate();
        let mut places: Vec<_> = places.flat_map(|(i, worker)| on_node(worker.node).map(move |at| (at, i))).collect();
        places.sort_unstable();
        Places(places)
    }

    fn worker_behind(&self, hash: u64) -> usize {
        let behind = self.0.partition_point(|(at, _)| *at < hash);
        self.0[behind % self.0.len()].1
    }
}

impl<O: Keyed<In: Record> + React> Strategy<O> for Ring {
    type Message = O::In;
    type Sender = Places;
    type State = HashMap<O::Key, O::State>;
    const NAME: &'static str = "ring";

    fn deploy(&self, _operation: &O, cluster: &Cluster) -> Result<Deployment> {
        if self.places == 0 {
            return Err(Error::Deploy("a worker has to stand in at least one place of the ring".to_owned()));
        }
        Ok(cluster.on_all_workers())
    }

    fn sender(&self, link: &LinkContext<'_, O>) -> Places {
        Places::new(self, link.workers)
    }

    fn deliver(&self, link: &LinkContext<'_, O>, places: &mut Places, record: O::In, outbox: &mut Outbox<O::In>) {
        let key = link.operation.key(&record);
        outbox.send(places.worker_behind(stable_hash(&key)), record);
    }

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<Self::State> {
        Ok(HashMap::new())
    }

    fn process<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        record: O::In,
        emit: &mut E,
        _peers: &mut Outbox<O::In>,
    ) -> Result<()> {
        let state = states.entry(worker.operation.key(&record)).or_insert_with(|| worker.operation.init());
        worker.operation.react(state, record, emit)
    }

    fn finish<E: Emit<O::Out>>(
        &self,
        worker: &WorkerContext<'_, O>,
        states: &mut Self::State,
        emit: &mut E,
    ) -> Result<()> {
        states.values_mut().try_for_each(|state| worker.operation.finish(state, emit))
    }
}
