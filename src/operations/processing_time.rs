//! The time of the clock as the time of records.

use std::marker::PhantomData;
use std::time::{SystemTime, UNIX_EPOCH};

use super::watermarks::milliseconds;
use crate::strategies::Chained;
use crate::workflow::{
    Behind, ByHand, Chain, Emit, Flush, Operation, OutPort, React, Result, Saved, Snapshot, Stream, Timestamp,
    Watermark,
};

/// Gives each record with the time at which it is handled, and says that time has come so far.
pub struct ProcessingTime<T>(PhantomData<fn(T)>);

impl<T> Clone for ProcessingTime<T> {
    fn clone(&self) -> Self {
        ProcessingTime(PhantomData)
    }
}

impl<T> std::fmt::Debug for ProcessingTime<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProcessingTime")
    }
}

impl<T> Default for ProcessingTime<T> {
    fn default() -> Self {
        ProcessingTime(PhantomData)
    }
}

/// What the clock says. One that is set back stands still until it is as far again.
fn advance(now: &mut Timestamp) -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    *now = milliseconds(since).max(*now);
    *now
}

impl<T: Send + 'static> Operation for ProcessingTime<T> {
    type In = T;
    type Out = (Timestamp, T);
    const NAME: &'static str = "processing time";
    const KEEPS_TIME: bool = true;
}

impl<T: Send + 'static> React for ProcessingTime<T> {
    /// The time of the last record.
    type State = ByHand<Timestamp>;
    const ONE_TO_ONE: bool = true;

    fn init(&self) -> Self::State {
        ByHand(Timestamp::MIN)
    }

    #[inline(always)]
    fn react<E: Emit<Self::Out>>(&self, now: &mut Self::State, record: T, emit: &mut E) -> Result<()> {
        emit.emit((advance(now), record));
        Ok(())
    }

    fn watermark(&self, now: &mut Self::State, _due: Flush) -> Option<Watermark> {
        Some(Watermark::At(advance(now)))
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
        self.vertex(ProcessingTime::default(), Chained)
    }
}
