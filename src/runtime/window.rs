//! Credit: how many batches may be under way from one sender to one receiver.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::workflow::Batch;

/// Batches that may be under way from a sender to a receiver: one that is worked on, one that waits, and as much again
/// so that neither side waits for the other when their speeds vary. With 32 KiB batches it is 128 KiB a pair.
pub const WINDOW: usize = 4;

/// The credit of one sender at one receiver, and the way back for emptied batches.
pub struct Window {
    permits: usize,
    free: AtomicUsize,
    /// The sender has found no permit and wants to be told.
    starved: AtomicBool,
    empties: Mutex<Vec<Box<dyn Batch>>>,
    room: Condvar,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Window {
    /// A window of this many permits. `wake` is called, by the receiver, when a permit comes back after
    /// [`try_take`](Window::try_take) has failed; it may be called once too often, never too seldom.
    pub fn new(permits: usize, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Window {
            permits,
            free: AtomicUsize::new(permits),
            starved: AtomicBool::new(false),
            empties: Mutex::new(Vec::with_capacity(permits.min(WINDOW))),
            room: Condvar::new(),
            wake: Box::new(wake),
        }
    }

    /// Takes a permit, if there is one; else the sender will be woken.
    pub fn try_take(&self) -> bool {
        loop {
            let free = self.free.load(Ordering::SeqCst);
            if free > 0 {
                let taken = self.free.compare_exchange(free, free - 1, Ordering::SeqCst, Ordering::SeqCst);
                if taken.is_ok() {
                    return true;
                }
                continue;
            }
            self.starved.store(true, Ordering::SeqCst);
            // A permit that came back before the line above has woken nobody, so look again.
            if self.free.load(Ordering::SeqCst) == 0 {
                return false;
            }
        }
    }

    /// Gives a permit back, and an emptied batch to fill again.
    pub fn give_back(&self, empty: Option<Box<dyn Batch>>) {
        let mut empties = self.empties.lock().unwrap_or_else(PoisonError::into_inner);
        keep(&mut empties, empty);
        self.free.fetch_add(1, Ordering::SeqCst);
        drop(empties);
        if self.starved.swap(false, Ordering::SeqCst) {
            self.room.notify_all();
            (self.wake)();
        }
    }

    /// Takes an emptied batch, whose permit does not come back yet, to fill again.
    pub fn recycle(&self, empty: Box<dyn Batch>) {
        keep(&mut self.empties.lock().unwrap_or_else(PoisonError::into_inner), Some(empty));
    }

    /// An emptied batch, if there is one.
    pub fn spare(&self) -> Option<Box<dyn Batch>> {
        self.empties.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Waits on this thread until a permit may have come back, at most for `limit`.
    pub fn wait(&self, limit: Duration) {
        let empties = self.empties.lock().unwrap_or_else(PoisonError::into_inner);
        if self.free.load(Ordering::SeqCst) == 0 {
            drop(self.room.wait_timeout(empties, limit));
        }
    }

    /// Whether no permit is taken.
    pub fn is_whole(&self) -> bool {
        self.free() >= self.permits
    }

    /// Permits that are left.
    pub fn free(&self) -> usize {
        self.free.load(Ordering::SeqCst)
    }

    /// Permits that are taken.
    pub fn taken(&self) -> usize {
        self.permits.saturating_sub(self.free())
    }
}

fn keep(empties: &mut Vec<Box<dyn Batch>>, empty: Option<Box<dyn Batch>>) {
    if let Some(empty) = empty
        && empties.len() < WINDOW
    {
        empties.push(empty);
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("free", &self.free).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, sync_channel};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::workflow::Messages;

    /// How long a test waits for what must come.
    const PATIENCE: Duration = Duration::from_secs(20);

    proptest! {
        #[test]
        fn the_starved_are_woken_once(permits in 0..6usize, takes in vec(any::<bool>(), 0..60)) {
            let (wake, woken) = sync_channel(100);
            let window = Window::new(permits, move || wake.send(()).expect("room"));
            let (mut under_way, mut starved) = (0, false);
            for take in takes {
                if take {
                    let taken = window.try_take();
                    prop_assert_eq!(taken, under_way < permits);
                    under_way += usize::from(taken);
                    starved |= !taken;
                } else if under_way > 0 {
                    window.give_back(Some(Box::new(Messages(vec![0u8]))));
                    under_way -= 1;
                    prop_assert_eq!(woken.try_recv().is_ok(), std::mem::take(&mut starved));
                }
                prop_assert_eq!(window.free(), permits - under_way);
            }
            let spares = std::iter::from_fn(|| window.spare()).count();
            prop_assert!(spares <= WINDOW);
        }
    }

    /// Gives back what is under way, and tells how much there was at most.
    fn receive(window: &Window, under_way: &Receiver<()>) {
        while under_way.recv_timeout(PATIENCE).is_ok() {
            window.give_back(None);
        }
    }

    /// Takes permits as fast as they come back, from several threads; a wake-up that is lost lets it wait for ever.
    #[test]
    fn nobody_is_left_asleep() {
        const BATCHES: usize = 20_000;
        for permits in [1, 2, WINDOW] {
            let (wake, woken) = sync_channel(2 * BATCHES);
            let window = Arc::new(Window::new(permits, move || wake.send(()).expect("room")));
            // As many as there are permits and no more: a permit too many finds the channel full.
            let (send, under_way) = sync_channel(permits);
            std::thread::scope(|scope| {
                let receiver = Arc::clone(&window);
                scope.spawn(move || receive(&receiver, &under_way));
                for _ in 0..BATCHES {
                    while !window.try_take() {
                        woken.recv_timeout(PATIENCE).expect("it is woken");
                    }
                    send.try_send(()).expect("no more than its permits");
                }
                drop(send);
            });
            assert_eq!(window.free(), permits);
        }
    }
}
