//! Windows of event time that are aligned to the epoch, written against the traits of Renoir, whose own ones begin with
//! the first event of their key.

use std::collections::VecDeque;

use renoir::operator::window::{WindowAccumulator, WindowDescription, WindowManager, WindowResult};
use renoir::operator::{Data, StreamElement, Timestamp};

/// Windows of `size` milliseconds, one each `slide`.
#[derive(Clone)]
pub struct Aligned {
    pub size: Timestamp,
    pub slide: Timestamp,
}

impl<T: Data> WindowDescription<T> for Aligned {
    type Manager<A: WindowAccumulator<In = T>> = Windows<A>;

    fn build<A: WindowAccumulator<In = T>>(&self, accumulator: A) -> Windows<A> {
        Windows { init: accumulator, size: self.size, slide: self.slide, open: VecDeque::new() }
    }
}

/// The windows of one key.
#[derive(Clone)]
pub struct Windows<A> {
    init: A,
    size: Timestamp,
    slide: Timestamp,
    /// By their start; only those with an event.
    open: VecDeque<(Timestamp, A)>,
}

impl<A: WindowAccumulator> Windows<A> {
    fn add(&mut self, item: &A::In, time: Timestamp) {
        let last = time.div_euclid(self.slide) * self.slide;
        let mut start = last;
        // From the end, because there is where new events are.
        let mut at = self.open.len();
        while start > time - self.size {
            while at > 0 && self.open[at - 1].0 > start {
                at -= 1;
            }
            if at > 0 && self.open[at - 1].0 == start {
                at -= 1;
            } else {
                self.open.insert(at, (start, self.init.clone()));
            }
            self.open[at].1.process(item);
            start -= self.slide;
        }
    }

    /// The windows that end at this time or before. What they give has their last time.
    fn end(&mut self, time: Timestamp) -> Vec<WindowResult<A::Out>> {
        let size = self.size;
        let ended = self.open.partition_point(|(start, _)| start + size <= time);
        let result = |(start, all): (Timestamp, A)| WindowResult::Timestamped(all.output(), start + size - 1);
        self.open.drain(..ended).map(result).collect()
    }
}

impl<A: WindowAccumulator> WindowManager for Windows<A>
where
    A::In: Data,
    A::Out: Data,
{
    type In = A::In;
    type Out = A::Out;
    type Output = Vec<WindowResult<A::Out>>;

    fn process(&mut self, element: StreamElement<A::In>) -> Self::Output {
        match element {
            StreamElement::Timestamped(item, time) => {
                self.add(&item, time);
                Vec::new()
            }
            StreamElement::Watermark(time) => self.end(time),
            StreamElement::FlushAndRestart | StreamElement::Terminate => self.end(Timestamp::MAX),
            StreamElement::Item(_) => panic!("what has no time is in no window"),
            StreamElement::FlushBatch => Vec::new(),
        }
    }

    fn recycle(&self) -> bool {
        self.open.is_empty()
    }
}
