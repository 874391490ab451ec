//! Says when the process of a worker has ended, and how.

use std::time::{Duration, Instant};

use super::{done, say};
use crate::actor::{self, Census};
use crate::cli::command::WORKER_MODE;
use crate::cli::daemon::{DaemonError, Place, Process};
use crate::hosts::{Answer, Gone};

/// How long a process is waited for at a time: for ever, but systems have a longest wait.
const LOOK: Duration = Duration::from_secs(3600);

/// Watches a process of a worker, on a thread of its own, which ends with it or with this program.
///
/// # Errors
/// When the worker's place cannot be looked at, or the system gives no handle of the process.
pub fn watch(name: &str, pid: u32) -> Result<Answer, DaemonError> {
    let place = Place::of(WORKER_MODE, name)?;
    let process = Process::of(&place)?.filter(|process| process.pid == pid);
    let work = move || {
        if let Some(process) = process {
            let mut looked = Instant::now();
            // A wait that is over before its time has failed: then it is as if the process had ended, which is found
            // to be wrong by whoever starts another one.
            while !process.ended(LOOK) && looked.elapsed() >= LOOK {
                looked = Instant::now();
            }
        }
        say(&Answer::Gone(Gone { pid, how: place.end_of(pid) }));
    };
    Ok(done(actor::thread("skitter-watch".to_owned(), &Census::new(), work, drop)))
}
