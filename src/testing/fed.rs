//! An operation that is fed by hand.

use crate::workflow::{React, Result, Saving, Snapshot, Timestamp};

/// An operation with its state, for a test that feeds it with records and times, one after the other. Each call gives
/// what the operation emits.
///
/// ```
/// use skitter::operations::Fold;
/// use skitter::testing::Fed;
///
/// let mut fed = Fed::new(Fold::new(0u64, |sum: &mut u64, n: u64| *sum += n))?;
/// fed.record(3)?;
/// fed.restore()?;
/// fed.record(4)?;
/// assert_eq!(fed.finish()?, [7]);
/// # Ok::<(), skitter::Error>(())
/// ```
#[derive(Debug)]
pub struct Fed<O: React> {
    operation: O,
    state: O::State,
    checkpoint: u64,
}

impl<O: React> Fed<O> {
    /// The operation, checked and prepared, with the state before the first record.
    ///
    /// # Errors
    /// Those of [`check`](crate::workflow::Operation::check) and [`conf`](crate::workflow::Operation::conf).
    pub fn new(mut operation: O) -> Result<Self> {
        operation.check()?;
        operation.conf()?;
        Ok(Fed { state: operation.init(), operation, checkpoint: 0 })
    }

    /// Hands a record in.
    ///
    /// # Errors
    /// Those of [`React::react`].
    pub fn record(&mut self, record: O::In) -> Result<Vec<O::Out>> {
        let mut emitted = Vec::new();
        self.operation.react(&mut self.state, record, &mut emitted)?;
        Ok(emitted)
    }

    /// Lets time come so far.
    ///
    /// # Errors
    /// Those of [`React::advance`].
    pub fn advance(&mut self, time: Timestamp) -> Result<Vec<O::Out>> {
        let mut emitted = Vec::new();
        self.operation.advance(&mut self.state, time, &mut emitted)?;
        Ok(emitted)
    }

    /// Lets the clock show this, in milliseconds since 1970.
    ///
    /// # Errors
    /// Those of [`React::tick`].
    pub fn tick(&mut self, now: Timestamp) -> Result<Vec<O::Out>> {
        let mut emitted = Vec::new();
        self.operation.tick(&mut self.state, now, &mut emitted)?;
        Ok(emitted)
    }

    /// Saves the state, and goes on with what has been saved, as after a failure.
    ///
    /// # Errors
    /// Those of [`React::snapshot`] and [`React::restore`].
    pub fn restore(&mut self) -> Result<()> {
        self.checkpoint += 1;
        let mut snapshot = Snapshot::new(self.checkpoint);
        snapshot.of(crate::id::VertexId(0));
        while self.operation.snapshot_in_slices(&mut self.state, &mut snapshot)? == Saving::More {}
        self.state = self.operation.restore(&snapshot.finish().into_saved(0)?)?;
        Ok(())
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// Those of [`React::finish`].
    pub fn finish(&mut self) -> Result<Vec<O::Out>> {
        let mut emitted = Vec::new();
        self.operation.finish(&mut self.state, &mut emitted)?;
        Ok(emitted)
    }

    /// The state.
    pub fn state(&mut self) -> &mut O::State {
        &mut self.state
    }
}
