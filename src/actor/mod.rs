//! A thin layer over [ractor](https://docs.rs/ractor): how actors, tasks and threads are started, and who still lives.
//!
//! Every actor and thread of the library starts here, with a name and with a place in a [`Census`], so that a test can
//! ask whether anybody is left.

mod blocking;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(test)]
pub use blocking::{OneThread, is_one_thread};
pub use blocking::{blocking, in_place, may_wait};
pub use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

/// Counts the actors and threads that live.
#[derive(Clone, Debug, Default)]
pub struct Census(Arc<AtomicUsize>);

impl Census {
    /// Nobody.
    pub fn new() -> Self {
        Census::default()
    }

    /// How many live.
    pub fn living(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// Counts somebody, until what is returned is dropped.
    pub fn enter(&self) -> Resident {
        self.0.fetch_add(1, Ordering::AcqRel);
        Resident(Arc::clone(&self.0))
    }
}

/// Somebody who lives. Kept in the actor's state or on the thread's stack.
#[derive(Debug)]
pub struct Resident(Arc<AtomicUsize>);

impl Drop for Resident {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Starts an actor on the runtime of the caller, under a supervisor that is told when it ends.
///
/// # Errors
/// When the actor's `pre_start` fails, or its supervisor has ended.
pub async fn spawn<A: Actor>(
    actor: A,
    arguments: A::Arguments,
    supervisor: Option<ActorCell>,
) -> Result<ActorRef<A::Msg>, ractor::SpawnErr> {
    let (actor, _ended) = match supervisor {
        Some(supervisor) => Actor::spawn_linked(None, actor, arguments, supervisor).await?,
        None => Actor::spawn(None, actor, arguments).await?,
    };
    Ok(actor)
}

/// As [`spawn`], without a supervisor, and without waiting for its `pre_start`: it can be sent messages at once.
///
/// # Errors
/// When the actor cannot be made.
pub fn spawn_at_once<A: Actor>(actor: A, arguments: A::Arguments) -> Result<ActorRef<A::Msg>, ractor::SpawnErr> {
    let (actor, _ended) = ractor::ActorRuntime::spawn_instant(None, actor, arguments)?;
    Ok(actor)
}

/// How many turns of actors a busy thread lets pass before it looks whether a connection has something to read or room
/// to write. A turn of a source takes 100 µs; looking takes less than one.
const LOOK_OUT: u32 = 4;

/// Threads that run actors. Dropping it lets go of the threads without waiting for them: what is not being run then is
/// dropped, and a thread in user code that does not return is left behind.
#[derive(Debug)]
pub struct Executor(Threads);

#[derive(Debug)]
enum Threads {
    /// Its own, until it is dropped.
    Own(Option<tokio::runtime::Runtime>),
    /// That of whoever has made it, where one thread does everything.
    #[cfg(test)]
    Callers(tokio::runtime::Handle, std::sync::Mutex<Vec<tokio::task::AbortHandle>>),
}

impl Executor {
    /// This many threads.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn new(name: &str, threads: usize) -> std::io::Result<Executor> {
        Executor::build(tokio::runtime::Builder::new_multi_thread().worker_threads(threads.max(1)).thread_name(name))
    }

    /// This many threads, which take care of connections, too.
    ///
    /// # Errors
    /// As [`new`](Executor::new).
    pub fn with_connections(name: &str, threads: usize) -> std::io::Result<Executor> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads.max(1)).thread_name(name).enable_io().event_interval(LOOK_OUT);
        Executor::build(&mut builder)
    }

    fn build(builder: &mut tokio::runtime::Builder) -> std::io::Result<Executor> {
        #[cfg(test)]
        if is_one_thread() {
            let tasks = std::sync::Mutex::default();
            return Ok(Executor(Threads::Callers(tokio::runtime::Handle::current(), tasks)));
        }
        let build = || builder.enable_time().build();
        // It panics where a thread is refused.
        let runtime = catch(build).map_err(std::io::Error::other)??;
        Ok(Executor(Threads::Own(Some(runtime))))
    }

    fn threads(&self) -> Option<&tokio::runtime::Handle> {
        match &self.0 {
            Threads::Own(runtime) => runtime.as_ref().map(tokio::runtime::Runtime::handle),
            #[cfg(test)]
            Threads::Callers(handle, _) => Some(handle),
        }
    }

    /// Runs a future on these threads, and waits for it.
    ///
    /// # Errors
    /// With what it panicked with; or when these threads are let go of first.
    pub fn run<F>(&self, future: F) -> impl Future<Output = Result<F::Output, String>> + use<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        #[expect(clippy::disallowed_methods, reason = "waited for by the caller; it only changes the executor")]
        let task = self.threads().map(|threads| threads.spawn(future));
        async move {
            match task {
                Some(task) => task.await.map_err(|error| error.to_string()),
                None => Err("its threads are gone".to_owned()),
            }
        }
    }
}

impl Executor {
    /// Lets a future run on these threads, as long as they are there. Whoever starts it has it tell its end.
    pub fn start<F: Future<Output = ()> + Send + 'static>(&self, future: F) {
        if let Some(threads) = self.threads() {
            #[expect(clippy::disallowed_methods, reason = "one of the places where tasks are started")]
            let task = threads.spawn(future);
            #[cfg(test)]
            if let Threads::Callers(_, tasks) = &self.0 {
                tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(task.abort_handle());
            }
            drop(task);
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        match &mut self.0 {
            // Waits for nobody: an operation may not return, and this may be an async context.
            Threads::Own(runtime) => {
                if let Some(runtime) = runtime.take() {
                    runtime.shutdown_background();
                }
            }
            #[cfg(test)]
            Threads::Callers(_, tasks) => tasks.get_mut().expect("no panic").drain(..).for_each(|task| task.abort()),
        }
    }
}

/// Starts a thread, for work that may block. What it panics with goes to `panicked`.
///
/// # Errors
/// When the system has no more threads.
pub fn thread(
    name: String,
    census: &Census,
    work: impl FnOnce() + Send + 'static,
    panicked: impl FnOnce(String) + Send + 'static,
) -> std::io::Result<()> {
    let resident = census.enter();
    let run = move || {
        let _resident = resident;
        if let Err(message) = catch(work) {
            panicked(message);
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the one place where threads are started")]
    std::thread::Builder::new().name(name).spawn(run).map(drop)
}

/// A task of a node. It ends with what holds it.
#[derive(Debug)]
pub struct Task(tokio::task::JoinHandle<()>);

impl Task {
    /// Whether it has ended by itself, or panicked.
    pub fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits until it has ended by itself, or panicked.
    pub async fn ended(mut self) {
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts a task on the runtime of the caller.
pub fn task(work: impl Future<Output = ()> + Send + 'static) -> Task {
    #[expect(clippy::disallowed_methods, reason = "one of the places where tasks are started")]
    Task(tokio::spawn(work))
}

/// Lets a future run on the runtime of the caller, by itself. It tells its end to whom it may concern.
pub fn run(work: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "one of the places where tasks are started")]
    drop(tokio::spawn(work));
}

/// Calls a function after a delay, unless the runtime of the caller has ended by then.
pub fn later(delay: Duration, call: impl FnOnce() + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "the one place where tasks are started")]
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        call();
    });
}

thread_local! {
    /// How many calls of [`catch`] this thread is in.
    static CATCHING: Cell<usize> = const { Cell::new(0) };
    /// Where the last panic of this thread happened, if a hook has noted it.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs user code; what it panics with is an error that says the message, and the place if [`note_panic`] was called.
///
/// # Errors
/// When the code panics.
pub fn catch<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    CATCHING.set(CATCHING.get() + 1);
    let result = std::panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|payload| {
        let (message, place) = (panic_message(payload.as_ref()), PLACE.take());
        // What it holds is user code's, too. A second payload is not looked into any more.
        if let Err(second) = std::panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        match place {
            Some(place) => format!("{message} (at {place})"),
            None => message,
        }
    })
}

/// Notes where a panic happened; for the panic hook of a program. Returns whether a [`catch`] on this thread is going
/// to report it.
pub fn note_panic(panic: &PanicHookInfo<'_>) -> bool {
    let place = panic.location().map(ToString::to_string);
    // A hook must not panic itself, not even on a thread that is about to end.
    let noted = PLACE.try_with(|noted| noted.replace(place)).is_ok();
    noted && CATCHING.try_with(Cell::get).unwrap_or(0) > 0
}

/// What a panic said.
pub fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(message) = payload.downcast_ref::<&'static str>() {
        (*message).to_owned()
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message.clone()
    } else {
        "panicked with something that is no text".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_says_so_and_is_not_counted_any_more() {
        let census = Census::new();
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let work = || panic!("lost {}", "it");
        thread("test".to_owned(), &census, work, move |message| tell.send(message).expect("somebody listens"))
            .expect("a thread");
        assert_eq!(told.recv().as_deref(), Ok("lost it"));
        while census.living() > 0 {
            std::thread::yield_now();
        }
    }
}
