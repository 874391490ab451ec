//! Work that keeps a thread from others.
//!
//! In a simulation one thread does everything, so that the same seed gives the same run; there it is a plain call.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    /// How many [`OneThread`]s this thread holds.
    static ONE_THREAD: Cell<usize> = const { Cell::new(0) };
}

/// As long as it lives, nothing that is started on this thread starts another one: executors are the runtime of whoever
/// makes them, and work that may block is called where it stands.
#[cfg(test)]
pub struct OneThread(());

#[cfg(test)]
impl OneThread {
    /// From now on.
    pub fn begin() -> OneThread {
        ONE_THREAD.set(ONE_THREAD.get() + 1);
        OneThread(())
    }
}

#[cfg(test)]
impl Drop for OneThread {
    fn drop(&mut self) {
        ONE_THREAD.set(ONE_THREAD.get() - 1);
    }
}

/// Whether this thread does everything.
#[cfg(test)]
pub fn is_one_thread() -> bool {
    ONE_THREAD.get() > 0
}

/// Whether a thread may wait for what others do.
pub fn may_wait() -> bool {
    #[cfg(test)]
    if is_one_thread() {
        return false;
    }
    true
}

/// Runs work that may take long on this thread, after having others go on elsewhere.
pub fn in_place<R>(work: impl FnOnce() -> R) -> R {
    if may_wait() { tokio::task::block_in_place(work) } else { work() }
}

/// Runs work that takes long on a thread that may be kept from others, and waits for it.
///
/// # Errors
/// With what it panicked with; or when the runtime of the caller ends first.
pub async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, String> {
    if !may_wait() {
        return super::catch(work);
    }
    #[expect(clippy::disallowed_methods, reason = "waited for by the caller")]
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}
