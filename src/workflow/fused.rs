//! An operation that runs inside the worker before it.

use std::sync::Arc;
use std::time::Duration;

use super::blame::Blame;
use super::chain::{Downstream, Opening, Outlet, Prepared, Survey};
use super::failure::Failure;
use super::tolerance::{Guarded, Watch};
use super::{Commit, Emit, Error, Flush, Grown, Meter, Pacing, React, Result, Saving, Snapshot, Watermark};
use crate::id::VertexId;

/// How often an operation flushes while its worker is busy: soon enough for somebody who watches, seldom enough
/// that the system calls behind it cost nothing.
pub(super) const BUSY_FLUSH: Duration = Duration::from_millis(100);

/// How often it is said how far time has come: so often that who waits for a result does not notice, so seldom that the
/// messages, one for each receiver of each worker, are few beside those with records.
const TELL: Duration = Duration::from_millis(10);

/// Recipe: an operation that reacts to records where they are, and what stands behind it.
pub struct Fused<O, D> {
    vertex: VertexId,
    operation: Prepared<O>,
    down: D,
}

impl<O, D: Clone> Clone for Fused<O, D> {
    fn clone(&self) -> Self {
        Fused { vertex: self.vertex, operation: self.operation.clone(), down: self.down.clone() }
    }
}

impl<O: React, D> Fused<O, D> {
    /// The operation of `vertex`, and `down` behind it.
    pub fn new(vertex: VertexId, operation: O, down: D) -> Self {
        Fused { vertex, operation: Prepared::new(operation), down }
    }
}

impl<O: React, D: Downstream<O::Out>> Downstream<O::In> for Fused<O, D> {
    type Outlet = FusedOutlet<O, D::Outlet>;

    fn open(&self, opening: &mut Opening<'_>) -> Result<Self::Outlet> {
        self.open_before(opening, |down, opening| down.open(opening))
    }

    fn open_tolerant(&self, opening: &mut Opening<'_>) -> Result<Box<dyn Outlet<O::In>>> {
        let outlet: FusedOutlet<O, _, true> = self.open_before(opening, |down, opening| down.open_tolerant(opening))?;
        let Some(tolerance) = opening.tolerance() else { return Ok(Box::new(outlet)) };
        let watch = Watch::new(tolerance, outlet.vertex);
        Ok(Box::new(Guarded::new(outlet, watch)))
    }

    fn survey(&self, survey: &mut Survey) {
        survey.fuse(self.vertex);
        if self.operation.as_given().alignment().is_some() {
            survey.align(self.vertex);
        }
        survey.operation::<O>(self.vertex, |survey| self.down.survey(survey));
    }
}

impl<O: React, D> Fused<O, D> {
    fn open_before<N, const COUNTS: bool>(
        &self,
        opening: &mut Opening<'_>,
        open: impl FnOnce(&D, &mut Opening<'_>) -> Result<N>,
    ) -> Result<FusedOutlet<O, N, COUNTS>> {
        let vertex = opening.id(self.vertex);
        // Dropped, too, when the operation cannot be prepared, whose error does not say where it comes from.
        let blame = Blame(vertex);
        let operation = self.operation.get()?;
        let state = match opening.saved(self.vertex) {
            Some(saved) => operation.restore(&saved)?,
            None => operation.init(),
        };
        let alignment = operation.alignment();
        std::mem::forget(blame);
        Ok(FusedOutlet {
            next: open(&self.down, opening)?,
            state,
            operation,
            emitted: 0,
            error: None,
            flushed: Duration::ZERO,
            told: None,
            told_at: Duration::ZERO,
            pacing: alignment.and_then(|alignment| opening.pacing(&alignment)),
            vertex,
            meter: opening.meter(self.vertex),
        })
    }
}

/// An operation that reacts to records where they are. What it emits is counted one by one if that is asked for, or if
/// nobody knows how many records there are for each.
pub struct FusedOutlet<O: React, N, const COUNTS: bool = false> {
    operation: O,
    state: O::State,
    next: N,
    emitted: u64,
    error: Option<Error>,
    flushed: Duration,
    /// How far it has said that time has come, and when.
    told: Option<Watermark>,
    told_at: Duration,
    /// Those that it is to stay near hear of it here.
    pacing: Option<Arc<dyn Pacing>>,
    vertex: VertexId,
    meter: Arc<Meter>,
}

/// Counts what passes.
pub(super) struct Counted<'a, N> {
    pub next: &'a mut N,
    pub count: &'a mut u64,
}

impl<T, N: Emit<T>> Emit<T> for Counted<'_, N> {
    #[inline(always)]
    fn emit(&mut self, record: T) {
        *self.count += 1;
        self.next.emit(record);
    }
}

impl<O: React, N: Outlet<O::Out>, const COUNTS: bool> Emit<O::In> for FusedOutlet<O, N, COUNTS> {
    #[inline(always)]
    fn emit(&mut self, record: O::In) {
        let blame = Blame(self.vertex);
        let result = if O::ONE_TO_ONE && !COUNTS {
            self.operation.react(&mut self.state, record, &mut self.next)
        } else {
            let mut next = Counted { next: &mut self.next, count: &mut self.emitted };
            self.operation.react(&mut self.state, record, &mut next)
        };
        std::mem::forget(blame);
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }
}

impl<O: React, N: Outlet<O::Out>, const COUNTS: bool> FusedOutlet<O, N, COUNTS> {
    fn fail(&self, error: Error) -> Failure {
        Failure { vertex: self.vertex, error }
    }

    /// Says how far time has come, if that is news, and not too soon after the last time. It is asked again by the
    /// worker's clock.
    fn tell_time(&mut self, due: Flush) -> Result<(), Failure> {
        match due {
            Flush::Busy { now } | Flush::Idle { now } if self.told.is_some() && now < self.told_at + TELL => {
                return Ok(());
            }
            Flush::Busy { now } | Flush::Idle { now } => self.told_at = now,
            Flush::Barrier | Flush::End => {}
        }
        let blame = Blame(self.vertex);
        let watermark = self.operation.watermark(&mut self.state, due);
        std::mem::forget(blame);
        if watermark != self.told
            && let Some(watermark) = watermark
        {
            self.told = Some(watermark);
            if let Some(pacing) = &self.pacing {
                pacing.tell(watermark);
            }
            self.next.advance(watermark)?;
        }
        Ok(())
    }
}

impl<O: React, N: Outlet<O::Out>, const COUNTS: bool> Outlet<O::In> for FusedOutlet<O, N, COUNTS> {
    fn settle(&mut self, records: u64) -> Result<(), Failure> {
        let emitted = if O::ONE_TO_ONE && !COUNTS { records } else { std::mem::take(&mut self.emitted) };
        self.meter.add(records, emitted);
        if let Some(error) = self.error.take() {
            return Err(self.fail(error));
        }
        if let Some(pacing) = self.pacing.as_ref().filter(|_| records > 0) {
            // At once, and not when it is told to those behind: who is too far ahead is to read no more.
            let blame = Blame(self.vertex);
            let watermark = self.operation.watermark(&mut self.state, Flush::Barrier);
            std::mem::forget(blame);
            watermark.into_iter().for_each(|watermark| pacing.tell(watermark));
        }
        self.next.settle(emitted)
    }

    fn flush(&mut self, due: Flush) -> Result<(), Failure> {
        let wanted = match due {
            Flush::Busy { now } if now < self.flushed + BUSY_FLUSH => false,
            Flush::Busy { now } | Flush::Idle { now } => {
                self.flushed = now;
                true
            }
            Flush::Barrier | Flush::End => true,
        };
        if wanted {
            let blame = Blame(self.vertex);
            let flushed = self.operation.flush(&mut self.state);
            std::mem::forget(blame);
            flushed.map_err(|error| self.fail(error))?;
        }
        if O::KEEPS_TIME {
            self.tell_time(due)?;
        }
        self.next.flush(due)
    }

    fn advance(&mut self, watermark: Watermark) -> Result<(), Failure> {
        if O::KEEPS_TIME {
            return Ok(());
        }
        if let Watermark::At(time) = watermark {
            let blame = Blame(self.vertex);
            let mut emitted = 0;
            let mut next = Counted { next: &mut self.next, count: &mut emitted };
            let advanced = self.operation.advance(&mut self.state, time, &mut next);
            std::mem::forget(blame);
            self.meter.add(0, emitted);
            advanced.map_err(|error| self.fail(error))?;
            self.next.settle(emitted)?;
        }
        self.next.advance(watermark)
    }

    fn joined(&mut self, grown: &Grown) {
        self.next.joined(grown);
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<(), Failure> {
        snapshot.of(self.vertex);
        let blame = Blame(self.vertex);
        let saved = loop {
            match self.operation.snapshot_in_slices(&mut self.state, snapshot) {
                Ok(Saving::More) => {}
                saved => break saved,
            }
        };
        std::mem::forget(blame);
        saved.map_err(|error| self.fail(error))?;
        self.next.snapshot(snapshot)
    }

    fn commit(&mut self, commit: Commit) -> Result<(), Failure> {
        let blame = Blame(self.vertex);
        let committed = self.operation.commit(&mut self.state, commit);
        std::mem::forget(blame);
        committed.map_err(|error| self.fail(error))?;
        self.next.commit(commit)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let blame = Blame(self.vertex);
        let mut emitted = 0;
        let mut next = Counted { next: &mut self.next, count: &mut emitted };
        let finished = self.operation.finish(&mut self.state, &mut next);
        std::mem::forget(blame);
        self.meter.add(0, emitted);
        finished.map_err(|error| self.fail(error))?;
        self.next.settle(emitted)?;
        if O::KEEPS_TIME {
            self.tell_time(Flush::End)?;
        }
        if let Some(pacing) = self.pacing.take() {
            pacing.tell(Watermark::Idle);
        }
        self.next.finish()
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }
}
