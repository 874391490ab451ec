//! J4: a paced source, a keyed stage and a sink, with the same settings as all other jobs.

use std::convert::Infallible;
use std::sync::Arc;

use skitter::prelude::*;
use skitter::workflow::{ByHand, Pull, Share, Source};

use crate::jobs::Run;
use crate::pace::{Due, Event, LatencySink, Pacer};
use crate::tally::Totals;

pub fn measure(workflow: &WorkflowBuilder, run: &Run) {
    workflow
        .source(Paced(run.rate))
        .keyed_reduce(
            |event: &Event| event.key,
            0u64,
            |count, event| {
                *count += 1;
                (event, *count)
            },
        )
        .sink(Arrivals(Arc::clone(&run.totals)), Chained);
}

/// Emits events at a rate.
#[derive(Clone)]
struct Paced(u64);

impl Operation for Paced {
    type In = Infallible;
    type Out = Event;
    const NAME: &'static str = "paced";
}

impl Source for Paced {
    type Reader = Pacer;

    fn open(&self, _share: Share) -> Result<Pacer> {
        Ok(Pacer::new(self.0))
    }

    fn read<E: Emit<Event>>(&self, pacer: &mut Pacer, budget: usize, emit: &mut E) -> Result<Pull> {
        for _ in 0..budget {
            match pacer.poll() {
                Due::Event(event) => emit.emit(event),
                Due::Later(_) => return Ok(Pull::Again),
                Due::End => return Ok(Pull::End),
            }
        }
        Ok(Pull::More)
    }
}

#[derive(Clone)]
struct Arrivals(Arc<Totals>);

impl Operation for Arrivals {
    type In = (Event, u64);
    type Out = Infallible;
    const NAME: &'static str = "arrivals";
    const OUT_PORTS: &'static [&'static str] = &[];
}

impl React for Arrivals {
    type State = ByHand<LatencySink>;

    fn init(&self) -> ByHand<LatencySink> {
        ByHand(LatencySink::new(&self.0))
    }

    fn react<E: Emit<Infallible>>(
        &self,
        sink: &mut ByHand<LatencySink>,
        (event, count): (Event, u64),
        _emit: &mut E,
    ) -> Result<()> {
        sink.arrived(event, count);
        Ok(())
    }
}
