//! The signals that end a process.

use std::fmt;
use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::actor::{self, Census};

/// A signal that asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: somebody pressed Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Signal::Interrupt => 2,
            Signal::Terminate => 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        })
    }
}

/// Listens for signals, on a thread of its own so that nothing can keep them from being heard.
#[derive(Debug)]
pub struct Signals {
    first: watch::Receiver<Option<Signal>>,
    /// The thread ends when this is dropped. Signals are then ignored: the process keeps no other handlers.
    _leave: oneshot::Sender<()>,
}

impl Signals {
    /// Takes SIGINT and SIGTERM over from now on. The first one is told by [`first`](Signals::first); for each further
    /// one `again` is called, on the thread of the signals.
    ///
    /// # Errors
    /// When the system refuses handlers or the thread.
    pub fn listen(again: impl Fn(Signal) + Send + 'static) -> io::Result<Signals> {
        let executor = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (interrupt, terminate) = {
            let _entered = executor.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        let (tell, first) = watch::channel(None);
        let (leave, left) = oneshot::channel::<()>();
        let work = move || {
            executor.block_on(async {
                tokio::select! {
                    () = hear(interrupt, terminate, &tell, &again) => {}
                    _ = left => {}
                }
            });
        };
        actor::thread("skitter-signals".to_owned(), &Census::new(), work, drop)?;
        Ok(Signals { first, _leave: leave })
    }

    /// None ever comes: for tests, whose process has its signals to itself.
    #[cfg(test)]
    pub(super) fn none() -> Signals {
        Signals { first: watch::channel(None).1, _leave: oneshot::channel().0 }
    }

    /// Waits for the first signal.
    pub async fn first(&mut self) -> Signal {
        loop {
            if let Some(signal) = *self.first.borrow_and_update() {
                return signal;
            }
            if self.first.changed().await.is_err() {
                // The thread is gone, which it is not before this value is.
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn hear(
    mut interrupt: Stream,
    mut terminate: Stream,
    tell: &watch::Sender<Option<Signal>>,
    again: &impl Fn(Signal),
) {
    loop {
        let signal = tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        };
        if tell.borrow().is_some() {
            again(signal);
        } else {
            tell.send_replace(Some(signal));
        }
    }
}
