//! Windows of event time: what the records of a span of time come to, in all or for each key.
//!
//! | operator | windows |
//! |---|---|
//! | [`keyed_window`](crate::workflow::Stream::keyed_window) | of one size, side by side or overlapping, for each key |
//! | [`window`](crate::workflow::Stream::window) | the same, of all records |
//! | [`session_window`](crate::workflow::Stream::session_window) | of records of a key without a long gap between them |
//! | [`triggered_window`](crate::workflow::Stream::triggered_window) | these, or one of all time, with a [`Trigger`] |
//! | [`count_window`](crate::workflow::Stream::count_window) | of so many records of a key; no event time is needed |
//!
//! What is made of a window says an [`Aggregate`]. Results come when the time of the stream has passed the end of a
//! window, so somebody before it has to say how far that has come: see
//! [`watermarks`](crate::workflow::Stream::watermarks). At the end of a stream all windows end.
//!
//! A record that comes when all windows that it is in are gone leaves by port [`Late`]. Where nobody asks for that port
//! it is dropped, and shows only in the counts of the vertex.

mod aggregate;
mod count;
mod global;
mod keyed;
mod sessions;
mod slices;
mod spans;
#[cfg(test)]
mod tests;
mod triggered;
mod triggers;

pub use aggregate::{Aggregate, Collect, Count, Folded, Greatest};
pub use count::CountWindow;
pub use global::{GlobalWindow, GlobalWindowOf, Slice};
pub use keyed::{Firing, KeyedWindow, KeyedWindowOf, Late, OnTime, Outcome, Windowed};
pub use sessions::{Gap, Session, SessionWindow, SessionWindowOf, Sessions};
pub use slices::Slices;
pub use spans::{Window, Windows};
pub use triggered::{Global, Spans, Triggered, TriggeredWindow, TriggeredWindowOf};
pub use triggers::{CountTrigger, Fire, Purging, TimeTrigger, Trigger, TriggerContext};
