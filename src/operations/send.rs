//! Records into a channel that a test or an embedding program holds.

use std::convert::Infallible;
use std::sync::mpsc::SyncSender;

use crate::strategies::Chained;
use crate::workflow::{Behind, Chain, Emit, Error, Operation, OutPort, React, Result, Sink, Stream};

/// Sends each record to a channel of this process. When the channel is full its worker waits, and with it, in time, the
/// sources. When the receiver has been dropped the deployment fails.
#[derive(Debug)]
pub struct Send<T>(SyncSender<T>);

impl<T> Clone for Send<T> {
    fn clone(&self) -> Self {
        Send(self.0.clone())
    }
}

impl<T> Send<T> {
    /// An operation that sends to this channel.
    pub fn new(channel: SyncSender<T>) -> Self {
        Send(channel)
    }
}

impl<T: std::marker::Send + 'static> Operation for Send<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "send";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;
}

impl<T: std::marker::Send + 'static> React for Send<T> {
    type State = ();

    fn init(&self) {}

    fn react<E: Emit<Infallible>>(&self, _state: &mut (), record: T, _emit: &mut E) -> Result<()> {
        self.0.send(record).map_err(|_| Error::Outside("the receiver of the channel is gone".to_owned()))
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Sends each record to a channel; see [`Send`].
    ///
    /// ```
    /// use skitter::prelude::*;
    ///
    /// let (sender, receiver) = std::sync::mpsc::sync_channel(16);
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(StreamSource::new(|| 0..3u64)).send(sender);
    ///
    /// let runtime = skitter::Runtime::local()?;
    /// let deployment = runtime.deploy("numbers", workflow.build()?)?;
    /// assert_eq!(receiver.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
    /// deployment.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn send(self, channel: SyncSender<P::Record>) -> Sink<Behind<C, P, Send<P::Record>, Chained>>
    where
        P::Record: std::marker::Send,
    {
        self.sink(Send::new(channel), Chained)
    }
}
