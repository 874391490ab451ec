//! The threads on which passive sources listen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::flow::Mailbox;
use super::plan::PlannedStage;
use super::window::{WINDOW, Window};
use super::worker::{Channel, Credit, Message, Parcel, own_channel};
use crate::actor::{self, Census};
use crate::id::WorkerId;
use crate::workflow::{Batch, Error, Gate};

/// How long a listening thread that waits for room sleeps before it looks whether its worker has stopped.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Closes the intake of a listening thread.
pub struct Closer(Arc<AtomicBool>);

impl Closer {
    pub fn close(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.close();
    }
}

struct Door {
    to: Mailbox,
    window: Arc<Window>,
    closed: Arc<AtomicBool>,
    from: Channel,
}

impl Gate for Door {
    fn enter(&mut self, batch: Box<dyn Batch>) -> bool {
        while !self.window.try_take() {
            if self.is_closed() {
                return false;
            }
            self.window.wait(LOOK_UP);
        }
        if self.is_closed() {
            return false;
        }
        let credit = Credit::Local(Arc::clone(&self.window));
        self.to.send(Message::Batch { parcel: Parcel::Open(batch), credit, from: self.from, peer: false });
        true
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }
}

/// Starts the thread of a passive source. When the source ends, its worker is told as by a sender that ends.
pub fn listen(stage: &PlannedStage, id: WorkerId, to: &Mailbox, census: &Census) -> Result<Closer, Error> {
    let closed = Arc::new(AtomicBool::new(false));
    let window = Arc::new(Window::new(WINDOW, || {}));
    let from = own_channel(id);
    let door = Door { to: to.clone(), window, closed: Arc::clone(&closed), from };
    let (factory, workers) = (Arc::clone(&stage.factory), Arc::clone(&stage.workers));
    let (ended, failed) = (to.clone(), to.clone());
    let work = move || match factory.listen(&workers, id.index as usize, Box::new(door)) {
        Ok(()) => ended.send(Message::End { from }),
        Err(error) => ended.send(Message::ListenFailed(error)),
    };
    let panicked = move |message| failed.send(Message::ListenFailed(Error::Panic(message)));
    actor::thread(format!("listen-{}-{}", id.vertex.0, id.index), census, work, panicked)?;
    Ok(Closer(closed))
}
