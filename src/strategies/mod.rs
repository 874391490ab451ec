//! The built-in strategies, one a file, all written on the public [`Strategy`](crate::workflow::Strategy) trait: what
//! they can do, a user's strategy can do.
//!
//! | strategy | workers | who gets a record |
//! |---|---|---|
//! | [`Chained`] | none of its own | the worker that has it |
//! | [`ImmutableLocal`] | one a core, each with a state of its own that is thrown away after each record | the next one on the same node |
//! | [`KeyedState`] | one a core | the owner of its key |
//! | `DiskState` (feature `disk`) | one a core, with states on disk | the owner of its key |
//! | [`Partitioned`] | one a core, with one state for all of its keys | the owner of its key |
//! | [`Combining`] | one a core | the owner of its key, many records in one message |
//! | [`PartialKey`] | one a core | one of several candidates of its key; the owner gets the sum |
//! | [`RoundRobin`] | one a core | the next one |
//! | [`Rebalance`] | one a core | the one with the least to do |
//! | [`Broadcast`] | one a core | all |
//! | [`Sedentary`] | one | that one |
//! | [`Funnel`] | one | that one, many records in one message |
//! | [`SideInput`] | one a core | the next one; of all in ports but the first, all |
//! | [`StreamSource`], [`PassiveSource`] | of sources | – |
//!
//! When a node joins, [`RoundRobin`], [`Rebalance`] and [`ImmutableLocal`] add a worker on each of its cores, unless
//! the user has asked for a number of workers. The results of the others depend on who gets what, so they stay as they
//! are.

/// The hooks of strategies whose workers keep the state of their operation and nothing else.
macro_rules! keeps_operation_state {
    () => {
        const TELLS_TIME: bool = true;

        fn init(&self, worker: &WorkerContext<'_, O>) -> Result<Self::State> {
            Ok(worker.operation.init())
        }

        fn settle<E: Emit<O::Out>>(
            &self,
            worker: &WorkerContext<'_, O>,
            state: &mut Self::State,
            _emit: &mut E,
            _peers: &mut Outbox<Self::Message>,
            _due: crate::workflow::Flush,
        ) -> Result<()> {
            worker.operation.flush(state)
        }

        fn tick<E: Emit<O::Out>>(
            &self,
            worker: &WorkerContext<'_, O>,
            state: &mut Self::State,
            now: crate::workflow::Timestamp,
            emit: &mut E,
        ) -> Result<()> {
            worker.operation.tick(state, now, emit)
        }

        fn finish<E: Emit<O::Out>>(
            &self,
            worker: &WorkerContext<'_, O>,
            state: &mut Self::State,
            emit: &mut E,
        ) -> Result<()> {
            worker.operation.finish(state, emit)
        }

        fn snapshot(
            &self,
            worker: &WorkerContext<'_, O>,
            state: &mut Self::State,
            snapshot: &mut crate::workflow::Snapshot,
        ) -> Result<crate::workflow::Saving> {
            worker.operation.snapshot_in_slices(state, snapshot)
        }

        fn restore(&self, worker: &WorkerContext<'_, O>, saved: &crate::workflow::Saved) -> Result<Self::State> {
            worker.operation.restore(saved)
        }

        fn commit(
            &self,
            worker: &WorkerContext<'_, O>,
            state: &mut Self::State,
            commit: crate::workflow::Commit,
        ) -> Result<()> {
            worker.operation.commit(state, commit)
        }

        fn advance<E: Emit<O::Out>>(
            &self,
            worker: &WorkerContext<'_, O>,
            state: &mut Self::State,
            time: crate::workflow::Timestamp,
            emit: &mut E,
        ) -> Result<()> {
            worker.operation.advance(state, time, emit)
        }
    };
}

/// The hook of strategies whose workers hand records to their operation and do nothing else.
macro_rules! reacts_to_records {
    () => {
        #[inline(always)]
        fn process<E: Emit<O::Out>>(
            &self,
            worker: &WorkerContext<'_, O>,
            state: &mut Self::State,
            record: O::In,
            emit: &mut E,
            _peers: &mut Outbox<O::In>,
        ) -> Result<()> {
            worker.operation.react(state, record, emit)
        }
    };
}

/// The hooks of strategies whose workers keep a table of keys and nothing else.
macro_rules! keeps_keyed_table {
    () => {
        fn snapshot(
            &self,
            _worker: &WorkerContext<'_, O>,
            states: &mut Self::State,
            snapshot: &mut crate::workflow::Snapshot,
        ) -> Result<crate::workflow::Saving> {
            states.snapshot(snapshot)
        }

        fn restore(&self, _worker: &WorkerContext<'_, O>, saved: &crate::workflow::Saved) -> Result<Self::State> {
            KeyedTable::restore(saved)
        }
    };
}

mod broadcast;
mod chained;
mod combining;
#[cfg(feature = "disk")]
mod disk_state;
mod funnel;
mod immutable_local;
mod keyed_state;
mod partial_key;
mod partitioned;
mod passive_source;
mod rebalance;
mod round_robin;
mod sedentary;
mod side_input;
mod stream_source;

pub use broadcast::Broadcast;
pub use chained::Chained;
pub use combining::Combining;
#[cfg(feature = "disk")]
pub use disk_state::DiskState;
pub use funnel::Funnel;
pub use immutable_local::ImmutableLocal;
pub use keyed_state::KeyedState;
pub use partial_key::PartialKey;
pub use partitioned::Partitioned;
pub use passive_source::PassiveSource;
pub use rebalance::Rebalance;
pub use round_robin::RoundRobin;
pub use sedentary::Sedentary;
pub use side_input::SideInput;
pub use stream_source::StreamSource;

#[cfg(test)]
mod tests;
