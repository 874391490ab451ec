//! Records that an embedding program sends.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::codec::Record;
use crate::workflow::{Emit, Error, Intake, Operation, Passive, React, Result, Share, batch_capacity};

/// How often a source that is sent nothing asks whether its worker has stopped: soon enough for whoever waits for the
/// stop, seldom enough to cost nothing.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// A source of the records that this process sends into it: a program that embeds a workflow, or a test.
///
/// It ends when all senders have been dropped and what they have sent has been taken in. A sender waits when `bound`
/// records have not been taken in yet, so a slow workflow slows it down. Records of one sender stay in order.
///
/// A message source is deployed once, and read by the first worker of its vertex. **On failure** of the deployment,
/// what was sent and not yet handled is lost (at most once), and senders are told that it is [`Closed`].
///
/// ```
/// use skitter::operations::{Collected, MessageSource};
/// use skitter::prelude::*;
///
/// let (sender, source) = MessageSource::new(16);
/// let numbers = Collected::new();
/// let workflow = WorkflowBuilder::new();
/// workflow.listen(source).map(|n: u64| n * 2).collect(&numbers);
///
/// let runtime = skitter::Runtime::local()?;
/// let deployment = runtime.deploy("double", workflow.build()?)?;
/// sender.send(4)?;
/// sender.send(5)?;
/// drop(sender);
/// deployment.wait()?;
/// assert_eq!(numbers.take(), [8, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MessageSource<T> {
    /// Taken when the source is listened to, and dropped behind that, so that senders learn of it.
    receiver: Arc<Mutex<Option<Receiver<T>>>>,
}

/// Sends records into a [`MessageSource`]. Can be cloned; the source ends when all clones have been dropped.
pub struct MessageSender<T>(SyncSender<T>);

/// The source does not take records any more, because its deployment has ended or its workflow was dropped. Holds the
/// record.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message source is closed: its deployment has ended")]
pub struct Closed<T>(pub T);

/// A record could not be sent at once. Holds the record.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent<T> {
    /// As many records as it may hold have not been taken in yet.
    #[error("the message source is full")]
    Full(T),
    /// The source takes no records any more.
    #[error("the message source is closed: its deployment has ended")]
    Closed(T),
}

impl<T> std::fmt::Debug for Closed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Closed").finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for NotSent<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = if matches!(self, NotSent::Full(_)) { "Full" } else { "Closed" };
        f.debug_tuple(name).finish_non_exhaustive()
    }
}

impl<T> MessageSource<T> {
    /// A source that holds up to `bound` records, 1 at least, and a sender into it.
    pub fn new(bound: usize) -> (MessageSender<T>, MessageSource<T>) {
        let (sender, receiver) = sync_channel(bound.max(1));
        (MessageSender(sender), MessageSource { receiver: Arc::new(Mutex::new(Some(receiver))) })
    }
}

impl<T> MessageSender<T> {
    /// Sends a record; waits while the source is full.
    ///
    /// # Errors
    /// [`Closed`], with the record, when the source takes none any more.
    pub fn send(&self, record: T) -> Result<(), Closed<T>> {
        self.0.send(record).map_err(|error| Closed(error.0))
    }

    /// Sends a record if there is room for it.
    ///
    /// # Errors
    /// [`NotSent`], with the record, when there is no room or the source takes none any more.
    pub fn try_send(&self, record: T) -> Result<(), NotSent<T>> {
        self.0.try_send(record).map_err(|error| match error {
            TrySendError::Full(record) => NotSent::Full(record),
            TrySendError::Disconnected(record) => NotSent::Closed(record),
        })
    }
}

impl<T> Clone for MessageSource<T> {
    fn clone(&self) -> Self {
        MessageSource { receiver: Arc::clone(&self.receiver) }
    }
}

impl<T> Clone for MessageSender<T> {
    fn clone(&self) -> Self {
        MessageSender(self.0.clone())
    }
}

impl<T> std::fmt::Debug for MessageSource<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageSource").finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for MessageSender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageSender").finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Operation for MessageSource<T> {
    type In = T;
    type Out = T;
    const NAME: &'static str = "message source";
    const IN_PORTS: &'static [&'static str] = &[];
}

impl<T: Send + 'static> React for MessageSource<T> {
    type State = ();
    const ONE_TO_ONE: bool = true;

    fn init(&self) {}

    #[inline(always)]
    fn react<E: Emit<T>>(&self, _state: &mut (), record: T, emit: &mut E) -> Result<()> {
        emit.emit(record);
        Ok(())
    }
}

impl<T: Record> Passive for MessageSource<T> {
    fn listen(&self, share: Share, intake: &mut Intake<T>) -> Result<()> {
        if share.index > 0 {
            return Ok(());
        }
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(receiver) = receiver else {
            return Err(Error::from("the message source has been deployed before; make a new one"));
        };
        while !intake.is_closed() {
            let records = match receiver.recv_timeout(ASK_AGAIN) {
                // What has been sent meanwhile travels with it.
                Ok(record) => std::iter::once(record).chain(receiver.try_iter()).take(batch_capacity::<T>()).collect(),
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if !intake.take(records) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate::worker;
    use super::*;

    const ALONE: Share = Share { index: 0, of: 1 };

    #[test]
    fn all_records_are_taken_in_and_the_source_ends_with_its_senders() {
        let (sender, source) = MessageSource::new(3);
        let (worker, mut intake) = worker::<u64>(1);
        std::thread::scope(|scope| {
            let listener = scope.spawn(move || source.listen(ALONE, &mut intake));
            for number in 0..4 {
                let sender = sender.clone();
                scope.spawn(move || {
                    (0..1000).try_for_each(|n| sender.send(number * 1000 + n)).expect("open");
                });
            }
            drop(sender);
            let records = worker.rest();
            assert_eq!(records.len(), 4000);
            for number in 0..4 {
                let of_one: Vec<_> = records.iter().copied().filter(|n| n / 1000 == number).collect();
                assert!(of_one.is_sorted());
            }
            assert_eq!(listener.join().expect("no panic"), Ok(()));
        });
    }

    #[test]
    fn a_full_source_takes_no_more() {
        let (sender, _source) = MessageSource::new(2);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Ok(()));
        assert_eq!(sender.try_send(3), Err(NotSent::Full(3)));
    }

    #[test]
    fn senders_learn_that_the_worker_has_stopped() {
        let (sender, source) = MessageSource::new(1);
        let (worker, mut intake) = worker::<u64>(9);
        std::thread::scope(|scope| {
            let listener = scope.spawn(|| source.listen(ALONE, &mut intake));
            sender.send(1).expect("open");
            assert_eq!(worker.batch(), [1]);
            worker.close();
            // Waits until the source has noticed.
            let refused = (2..).find_map(|n| sender.send(n).err());
            assert!(refused.is_some());
            assert!(matches!(sender.try_send(0), Err(NotSent::Closed(0))));
            assert_eq!(listener.join().expect("no panic"), Ok(()));
        });

        let (_worker, mut intake) = super::super::gate::worker(1);
        let again = source.listen(ALONE, &mut intake);
        assert_eq!(again, Err(Error::from("the message source has been deployed before; make a new one")));
    }

    #[test]
    fn a_workflow_that_is_dropped_closes_its_source() {
        let (sender, source) = MessageSource::new(1);
        drop(source);
        assert_eq!(sender.send(1), Err(Closed(1)));
    }

    #[test]
    fn other_shares_have_nothing_to_do() {
        let (_sender, source) = MessageSource::<u64>::new(1);
        let (worker, mut intake) = worker(1);
        assert_eq!(source.listen(Share { index: 1, of: 2 }, &mut intake), Ok(()));
        drop(intake);
        assert!(worker.rest().is_empty());
        assert!(source.receiver.lock().expect("no panic").is_some(), "left for the first share");
    }

    #[test]
    fn a_source_has_no_in_port_to_link() {
        let (_sender, source) = MessageSource::<u64>::new(1);
        let workflow = crate::workflow::WorkflowBuilder::new();
        workflow.listen(source).discard();
        assert!(workflow.build().is_ok());
    }
}
