//! A process that is to end: told by a handle, so that no other one is meant that has been given its number.

use std::process::Child;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::Place;

/// The process of a node.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    handle: handle::Handle,
}

impl Process {
    /// The process that has a place, if there is one.
    ///
    /// # Errors
    /// When the system gives no handle, or the place is unfit.
    pub fn of(place: &Place) -> Result<Option<Process>, super::DaemonError> {
        let failed = |source| super::DaemonError::File {
            path: place.directory().to_owned(),
            action: "asked for its process",
            source,
        };
        let Some(pid) = place.holder()? else { return Ok(None) };
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let handle = match handle::open(number, place) {
            Ok(handle) => handle,
            // It has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // The number was that of the node before the handle was made, and after it: so the handle is the node's.
        Ok((place.holder()? == Some(pid)).then_some(Process { pid, handle }))
    }

    /// A child of this process that has not been waited for.
    pub fn of_child(child: &Child, place: &Place) -> Option<Process> {
        let handle = handle::open(Pid::from_child(child), place).ok()?;
        Some(Process { pid: child.id(), handle })
    }

    /// Sends it a signal, if it is still there.
    pub fn signal(&self, signal: Signal) {
        let _ = self.handle.signal(signal);
    }

    /// Waits until it has ended, at most for this time; returns whether it has.
    pub fn ended(&self, limit: Duration) -> bool {
        self.handle.ended(limit).unwrap_or(false)
    }
}

/// Linux has handles of processes.
#[cfg(target_os = "linux")]
mod handle {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    use super::Place;

    #[derive(Debug)]
    pub struct Handle(OwnedFd);

    pub fn open(pid: Pid, _: &Place) -> io::Result<Handle> {
        Ok(Handle(pidfd_open(pid, PidfdFlags::empty())?))
    }

    impl Handle {
        pub fn signal(&self, signal: Signal) -> io::Result<()> {
            Ok(pidfd_send_signal(&self.0, signal)?)
        }

        /// The handle can be read when the process has ended.
        pub fn ended(&self, limit: Duration) -> io::Result<bool> {
            let deadline = Instant::now().checked_add(limit);
            loop {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                let left = left.and_then(|left| Timespec::try_from(left).ok());
                match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], left.as_ref()) {
                    Ok(ready) => return Ok(ready > 0),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// Elsewhere the lock of its place tells whether it is still there.
#[cfg(not(target_os = "linux"))]
mod handle {
    use std::io;
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal, kill_process};

    use super::Place;

    /// How often the lock is looked at.
    const LOOK: Duration = Duration::from_millis(20);

    #[derive(Debug)]
    pub struct Handle(Pid, Place);

    pub fn open(pid: Pid, place: &Place) -> io::Result<Handle> {
        Ok(Handle(pid, place.clone()))
    }

    impl Handle {
        fn is_there(&self) -> bool {
            let own = u32::try_from(self.0.as_raw_nonzero().get()).ok();
            self.1.holder().is_ok_and(|holder| holder.is_some() && holder == own)
        }

        pub fn signal(&self, signal: Signal) -> io::Result<()> {
            if self.is_there() { Ok(kill_process(self.0, signal)?) } else { Ok(()) }
        }

        pub fn ended(&self, limit: Duration) -> io::Result<bool> {
            let deadline = Instant::now() + limit;
            while self.is_there() {
                if Instant::now() >= deadline {
                    return Ok(false);
                }
                // There is no event for it on all systems.
                std::thread::park_timeout(LOOK);
            }
            Ok(true)
        }
    }
}
