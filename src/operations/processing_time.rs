//! The time of the clock as the time of records.

use std::marker::PhantomData;
use std::time::{SystemTime, UNIX_EPOCH};

use super::closure::clone_and_debug;
use super::watermarks::milliseconds;
use crate::strategies::Chained;
use crate::workflow::{
    Behind, ByHand, Chain, Emit, Flush, Operation, OutPort, React, Result, Saved, Snapshot, Stream, Timestamp,
    Watermark,
};

/// Gives each record with the time at which it is handled, and says that time has come so far.
pub struct ProcessingTime<T, F = fn() -> Timestamp> {
    clock: F,
    types: PhantomData<fn(T)>,
}

clone_and_debug!(ProcessingTime < T, F > { clock });

impl<T> ProcessingTime<T> {
    /// By the clock of the system.
    pub fn new() -> Self {
        ProcessingTime::by(now)
    }
}

impl<T> Default for ProcessingTime<T> {
    fn default() -> Self {
        ProcessingTime::new()
    }
}

impl<T, F: Fn() -> Timestamp> ProcessingTime<T, F> {
    /// By another clock, for a test.
    pub fn by(clock: F) -> Self {
        ProcessingTime { clock, types: PhantomData }
    }

    /// What the clock says. One that is set back stands still until it is as far again.
    fn advance(&self, now: &mut Timestamp) -> Timestamp {
        *now = (self.clock)().max(*now);
        *now
    }
}

fn now() -> Timestamp {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

impl<T, F> Operation for ProcessingTime<T, F>
where
    T: Send + 'static,
    F: Fn() -> Timestamp + Clone + Send + Sync + 'static,
{
    type In = T;
    type Out = (Timestamp, T);
    const NAME: &'static str = "processing time";
    const KEEPS_TIME: bool = true;
}

impl<T, F> React for ProcessingTime<T, F>
where
    T: Send + 'static,
    F: Fn() -> Timestamp + Clone + Send + Sync + 'static,
{
    /// The time of the last record.
    type State = ByHand<Timestamp>;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> Self::State {
        ByHand(Timestamp::MIN)
    }

    #[inline(always)]
    fn react<E: Emit<Self::Out>>(&self, now: &mut Self::State, record: T, emit: &mut E) -> Result<()> {
        emit.emit((self.advance(now), record));
        Ok(())
    }

    fn watermark(&self, now: &mut Self::State, _due: Flush) -> Option<Watermark> {
        Some(Watermark::At(self.advance(now)))
    }

    fn snapshot(&self, _now: &mut Self::State, _snapshot: &mut Snapshot) -> Result<()> {
        Ok(())
    }

    fn restore(&self, _saved: &Saved) -> Result<Self::State> {
        Ok(self.init())
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Gives each record with the time at which it is handled here, and lets that be the event time of what stands
    /// behind it: so windows and timers go by the clock. Time goes on in pauses of the source, too, every 20 ms. What
    /// windows have is then not the same in each run, nor when records are handled again after a failure.
    ///
    /// ```
    /// use skitter::operations::windows::{Count, Windows};
    /// use std::time::Duration;
    ///
    /// let counts = skitter::testing::run(vec!['a', 'b', 'a'], |letters| {
    ///     let timed = letters.processing_time();
    ///     let minutes = Windows::tumbling(Duration::from_secs(60));
    ///     timed.keyed_window(|(_, letter)| *letter, |(time, _)| *time, minutes, Count)
    /// })?;
    /// assert_eq!(counts.iter().map(|count| count.value).sum::<u64>(), 3);
    /// # Ok::<(), skitter::Error>(())
    /// ```
    pub fn processing_time(self) -> Stream<Behind<C, P, ProcessingTime<P::Record>, Chained>>
    where
        P::Record: Send,
    {
        self.vertex(ProcessingTime::new(), Chained)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_stands_still() {
        let times = std::sync::Mutex::new(vec![5, 3, 7, 9]);
        let times = std::sync::Arc::new(times);
        let operation = ProcessingTime::by(move || times.lock().expect("no panic").pop().unwrap_or_default());
        let (mut state, mut emitted) = (operation.init(), Vec::new());
        for record in ['a', 'b'] {
            operation.react(&mut state, record, &mut emitted).expect("accepted");
        }
        assert_eq!(emitted, [(9, 'a'), (9, 'b')]);
        assert_eq!(operation.watermark(&mut state, Flush::Barrier), Some(Watermark::At(9)));
    }
}
