//! No distribution at all: the operation runs where its records are.

use crate::id::VertexId;
use crate::workflow::{
    Cluster, Deployment, Downstream, Emit, Error, Fused, Graph, LinkContext, Outbox, React, Result, Strategy, Upstream,
    WorkerContext,
};

/// Runs the operation inside the workers before it: no message and no copy, one loop for both. The default of
/// operations that leave a record where it is. Its records need not be serialisable.
///
/// A vertex whose in ports are linked one by one has no worker before it to run in, so `build()` refuses this strategy
/// there.
///
/// ```
/// let doubled = skitter::testing::run(vec![1u64, 2, 3], |numbers| numbers.map(|n| n * 2));
/// assert_eq!(doubled?, [2, 4, 6]);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Chained;

impl<O: React> Strategy<O> for Chained {
    type Message = ();
    type Sender = ();
    type State = ();
    const NAME: &'static str = "chained";

    fn deploy(&self, _operation: &O, _cluster: &Cluster) -> Result<Deployment> {
        Err(Error::Deploy("strategy `chained` has no workers".to_owned()))
    }

    fn sender(&self, _link: &LinkContext<'_, O>) {}

    fn deliver(&self, _link: &LinkContext<'_, O>, _sender: &mut (), _record: O::In, _outbox: &mut Outbox<()>) {}

    fn init(&self, _worker: &WorkerContext<'_, O>) -> Result<()> {
        Ok(())
    }

    fn process<E: Emit<O::Out>>(
        &self,
        _worker: &WorkerContext<'_, O>,
        _state: &mut (),
        _message: (),
        _emit: &mut E,
        _peers: &mut Outbox<()>,
    ) -> Result<()> {
        Ok(())
    }

    fn close<U: Upstream<O::In>, D: Downstream<O::Out>>(
        self,
        vertex: VertexId,
        operation: O,
        upstream: U,
        down: D,
        graph: &Graph,
    ) {
        if !U::CHAINS {
            graph.refuse(
                vertex,
                "strategy `chained` needs one stream before it to run in; give the vertex a strategy with workers of \
                 its own, such as `RoundRobin`",
            );
        }
        upstream.close(Fused::new(vertex, operation, down), graph);
    }
}
