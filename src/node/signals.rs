//! What asks a process to end: signals, and whoever manages it.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use crate::actor::{self, Census};

/// What asks the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: somebody pressed Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal is gone.
    Hangup,
    /// Whoever manages the node told it to, over its control socket.
    Command,
}

impl Signal {
    /// The number of the signal; a command counts as SIGTERM.
    pub fn number(self) -> u8 {
        match self {
            Signal::Hangup => 1,
            Signal::Interrupt => 2,
            Signal::Terminate | Signal::Command => 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
            Signal::Hangup => "SIGHUP",
            Signal::Command => "command",
        })
    }
}

/// Asks the process to end as a signal does. Clones ask the same process.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<Option<Signal>>>);

impl Stopper {
    /// Asks. A signal that came before, or a second time, changes nothing.
    pub fn stop(&self) {
        self.note(Signal::Command);
    }

    /// Whether it has been asked, by whatever way.
    pub fn is_stopping(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits until it has been asked.
    pub async fn stopped(&self) -> Signal {
        let mut asked = self.0.subscribe();
        match asked.wait_for(Option::is_some).await.map(|signal| *signal) {
            Ok(Some(signal)) => signal,
            // It holds the sender itself.
            _ => Signal::Command,
        }
    }

    /// Notes the first one; returns whether it is.
    fn note(&self, signal: Signal) -> bool {
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(signal);
            is_first
        })
    }
}

/// Listens for signals, on a thread of its own so that nothing can keep them from being heard.
#[derive(Debug)]
pub struct Signals {
    first: watch::Receiver<Option<Signal>>,
    tell: Stopper,
    /// The thread ends when this is dropped. Signals are then ignored: the process keeps no other handlers.
    _leave: oneshot::Sender<()>,
}

impl Signals {
    /// Takes SIGINT, SIGTERM and, unless it is ignored, SIGHUP over from now on. The first one is told by
    /// [`first`](Signals::first); for each further one `again` is called, on the thread of the signals.
    ///
    /// # Errors
    /// When the system refuses handlers or the thread.
    pub fn listen(again: impl Fn(Signal) + Send + 'static) -> io::Result<Signals> {
        Signals::listen_with(|| (), again)
    }

    /// The same; `first` is called for the first one, or when the process is asked to end by whatever way.
    ///
    /// # Errors
    /// As [`listen`](Signals::listen).
    pub fn listen_with(
        first: impl FnOnce() + Send + 'static,
        again: impl Fn(Signal) + Send + 'static,
    ) -> io::Result<Signals> {
        let on_first = first;
        let executor = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let streams = {
            let _entered = executor.enter();
            let hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
            Streams { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup }
        };
        let (tell, first) = watch::channel(None);
        let tell = Stopper(Arc::new(tell));
        let noted = tell.clone();
        let (leave, left) = oneshot::channel::<()>();
        let work = move || {
            executor.block_on(async {
                let asked = async {
                    let mut asked = noted.0.subscribe();
                    if asked.wait_for(Option::is_some).await.is_ok() {
                        on_first();
                    }
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = asked => {}
                    () = hear(streams, &noted, &again) => {}
                    _ = left => {}
                }
            });
        };
        actor::thread("skitter-signals".to_owned(), &Census::new(), work, drop)?;
        Ok(Signals { first, tell, _leave: leave })
    }

    /// What asks the process to end as a signal does.
    pub fn stopper(&self) -> Stopper {
        self.tell.clone()
    }

    /// None ever comes: for tests, whose process has its signals to itself.
    #[cfg(test)]
    pub(super) fn none() -> Signals {
        let (tell, first) = watch::channel(None);
        Signals { first, tell: Stopper(Arc::new(tell)), _leave: oneshot::channel().0 }
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

struct Streams {
    interrupt: Stream,
    terminate: Stream,
    hangup: Option<Stream>,
}

impl Streams {
    async fn next(&mut self) -> Signal {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = hangup => Signal::Hangup,
        }
    }
}

async fn hear(mut streams: Streams, tell: &Stopper, again: &impl Fn(Signal)) {
    loop {
        let signal = streams.next().await;
        // A terminal that goes may tell it more than once; nobody is in a hurry.
        if !tell.note(signal) && signal != Signal::Hangup {
            again(signal);
        }
    }
}

/// Whether this process was started so that it survives its terminal, as `nohup` does.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
