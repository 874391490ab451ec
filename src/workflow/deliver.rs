//! From a worker to the vertices behind it: the sender's half of a strategy.

use std::sync::Arc;
use std::time::Duration;

use super::blame::Blame;
use super::chain::{Downstream, Opening, Outlet, Prepared, Survey};
use super::failure::Failure;
use super::tolerance::{Guarded, Watch};
use super::{
    Commit, Emit, Flush, Grown, LinkContext, Operation, Outbox, Result, Snapshot, Strategy, Timestamp, Watermark,
    Workers,
};
use crate::id::{NodeId, VertexId};

/// How often receivers are told how far time has come while the sender is busy: so seldom that a strategy that keeps
/// records back, and has to let go of them before, loses little by it.
const BUSY_TIME: Duration = Duration::from_millis(10);

/// Recipe: the sender's half of a vertex with workers of its own.
pub struct Deliver<S, O> {
    vertex: VertexId,
    strategy: S,
    operation: Prepared<O>,
    port: usize,
}

impl<S: Clone, O> Clone for Deliver<S, O> {
    fn clone(&self) -> Self {
        Deliver {
            vertex: self.vertex,
            strategy: self.strategy.clone(),
            operation: self.operation.clone(),
            port: self.port,
        }
    }
}

impl<S, O> Deliver<S, O> {
    pub(super) fn new(vertex: VertexId, strategy: S, operation: Prepared<O>) -> Self {
        Deliver { vertex, strategy, operation, port: 0 }
    }
}

impl<O: Operation, S: Strategy<O>> Downstream<O::In> for Deliver<S, O> {
    type Outlet = Delivery<S, O>;

    fn open(&self, opening: &mut Opening<'_>) -> Result<Delivery<S, O>> {
        let vertex = opening.id(self.vertex);
        // Dropped, too, when the operation cannot be prepared, whose error does not say where it comes from.
        let blame = Blame(vertex);
        let operation = self.operation.get()?;
        let wiring = opening.wiring();
        let workers = wiring.workers(vertex);
        let (node, sender_index) = (wiring.node(), wiring.index());
        let outbox = Outbox::new(workers.len(), wiring.post(vertex));
        let link =
            LinkContext { operation: &operation, workers: &workers, port: self.port, node, sender: sender_index };
        let sender = self.strategy.sender(&link);
        std::mem::forget(blame);
        let strategy = self.strategy.clone();
        Ok(Delivery {
            vertex,
            strategy,
            operation,
            workers,
            port: self.port,
            node,
            sender_index,
            sender,
            outbox,
            time: Time::default(),
            told: Time::default(),
            told_at: Duration::ZERO,
        })
    }

    fn open_tolerant(&self, opening: &mut Opening<'_>) -> Result<Box<dyn Outlet<O::In>>> {
        let delivery = self.open(opening)?;
        let Some(tolerance) = opening.tolerance() else { return Ok(Box::new(delivery)) };
        let watch = Watch::new(tolerance, delivery.vertex);
        Ok(Box::new(Guarded::new(delivery, watch)))
    }

    fn survey(&self, survey: &mut Survey) {
        survey.link(self.vertex);
    }

    fn at_port(self, port: usize) -> Self {
        Deliver { port, ..self }
    }
}

/// The sender's half of a vertex with workers of its own.
pub struct Delivery<S: Strategy<O>, O: Operation> {
    sender: S::Sender,
    outbox: Outbox<S::Message>,
    strategy: S,
    operation: O,
    workers: Workers,
    vertex: VertexId,
    port: usize,
    node: NodeId,
    sender_index: usize,
    /// How far time has come, and whether nothing is to be waited for now; what the receivers have been told of it, and
    /// when.
    time: Time,
    told: Time,
    told_at: Duration,
}

/// What is known of the time of a stream: a time is not forgotten when the stream gets idle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Time {
    latest: Option<Timestamp>,
    is_idle: bool,
}

macro_rules! link {
    ($delivery:ident) => {
        &LinkContext {
            operation: &$delivery.operation,
            workers: &$delivery.workers,
            port: $delivery.port,
            node: $delivery.node,
            sender: $delivery.sender_index,
        }
    };
}

impl<S: Strategy<O>, O: Operation> Emit<O::In> for Delivery<S, O> {
    #[inline(always)]
    fn emit(&mut self, record: O::In) {
        let blame = Blame(self.vertex);
        self.strategy.deliver(link!(self), &mut self.sender, record, &mut self.outbox);
        std::mem::forget(blame);
    }
}

impl<S: Strategy<O>, O: Operation> Delivery<S, O> {
    /// Whether the receivers are to be told how far time has come.
    fn is_to_tell(&mut self, due: Flush) -> bool {
        if self.time == self.told {
            return false;
        }
        match due {
            Flush::Busy { now } if now < self.told_at + BUSY_TIME => return false,
            Flush::Busy { now } | Flush::Idle { now } => self.told_at = now,
            Flush::Barrier | Flush::End => {}
        }
        true
    }
}

impl<S: Strategy<O>, O: Operation> Outlet<O::In> for Delivery<S, O> {
    fn settle(&mut self, _records: u64) -> Result<(), Failure> {
        Ok(())
    }

    fn flush(&mut self, due: Flush) -> Result<(), Failure> {
        let tells = self.is_to_tell(due);
        let blame = Blame(self.vertex);
        let let_go = if tells && due != Flush::End { Flush::Barrier } else { due };
        self.strategy.flush(link!(self), &mut self.sender, &mut self.outbox, let_go);
        std::mem::forget(blame);
        self.outbox.flush();
        if tells {
            let Time { latest, is_idle } = self.time;
            if let Some(time) = latest.filter(|_| latest != self.told.latest || !is_idle) {
                self.outbox.advance(Watermark::At(time));
            }
            if is_idle {
                self.outbox.advance(Watermark::Idle);
            }
            self.told = self.time;
        }
        Ok(())
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        match watermark {
            Watermark::At(time) => self.time = Time { latest: Some(time), is_idle: false },
            Watermark::Idle => self.time.is_idle = true,
        }
        Ok(())
    }

    fn joined(&mut self, grown: &Grown) {
        let Some(workers) = grown.get(&self.vertex) else { return };
        self.workers = Arc::clone(workers);
        self.outbox.joined(workers.len());
        // Those who have joined have not been told.
        self.told = Time::default();
        let blame = Blame(self.vertex);
        self.strategy.on_workers_joined(link!(self), &mut self.sender);
        std::mem::forget(blame);
    }

    /// A sender has let go of all records, and what else it has is not saved.
    fn snapshot(&mut self, _snapshot: &mut Snapshot) -> Result<(), Failure> {
        Ok(())
    }

    fn commit(&mut self, _commit: Commit) -> Result<(), Failure> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.flush(Flush::End)
    }
}
