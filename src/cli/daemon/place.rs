//! The directory of a node's state: `$XDG_RUNTIME_DIR/skitter/MODE-NAME`, or `~/.local/state/skitter/MODE-NAME@HOST`.
//!
//! The first one is used where it is there to stay: systemd removes `/run/user/UID` when its user logs out, and what
//! runs on could not be found any more, unless the user *lingers*. The second one has the host in its name because
//! hosts of a cluster often share the homes of their users. Whoever looks for a node looks at both.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk, geteuid};

use super::DaemonError;
use crate::hosts::End;

/// The longest path of a socket that all systems take; a sockaddr has 104 to 108 bytes, the last of which is 0.
const MOST_PATH: usize = 100;

/// Permissions that let others than the owner in.
const OTHERS: u32 = 0o077;

/// Permissions that let others change what is in a directory.
const OTHERS_WRITE: u32 = 0o022;

/// How often a file is opened anew that was removed between opening and locking.
const ATTEMPTS: usize = 16;

/// Where systemd notes whose things stay when they log out.
const LINGER: &str = "/var/lib/systemd/linger";

/// The directory of a node's state, which may not be there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
    /// The mode and the name of the node, for messages.
    what: String,
}

impl Place {
    /// The place that another process has chosen.
    pub fn at(directory: PathBuf, mode: &str, name: &str) -> Place {
        Place { directory, what: what(mode, name) }
    }

    /// The place of the node of this mode and name: that of the one that runs; of the one that ran last; or where one
    /// would be made.
    ///
    /// # Errors
    /// When there is nowhere to look.
    pub fn of(mode: &str, name: &str) -> Result<Place, DaemonError> {
        let places = candidates(mode, name)?;
        let running = places.iter().find(|place| matches!(place.holder(), Ok(Some(_))));
        let known = || places.iter().find(|place| place.options().exists());
        running.or_else(known).or(places.first()).cloned().ok_or_else(|| DaemonError::NoPlace("none is fit".to_owned()))
    }

    /// Makes the place for a node that is to start.
    ///
    /// # Errors
    /// When a node of this mode and name runs, or there is no place that is fit.
    pub fn make(mode: &str, name: &str) -> Result<Place, DaemonError> {
        let places = candidates(mode, name)?;
        for place in &places {
            place.vacant()?;
        }
        let mut refused = None;
        for place in places {
            match place.prepare() {
                Ok(()) => return Ok(place),
                // Somebody has to see to that.
                Err(error @ DaemonError::Unfit { .. }) => return Err(error),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| DaemonError::NoPlace("none is fit".to_owned())))
    }

    /// The mode and the name of the node, for messages.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the node writes to stdout and stderr.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// What it was started with.
    pub fn options(&self) -> PathBuf {
        self.directory.join("options")
    }

    /// What was typed into the console.
    #[cfg(feature = "console")]
    pub fn history(&self) -> PathBuf {
        self.directory.join("history")
    }

    fn pid(&self) -> PathBuf {
        self.directory.join("pid")
    }

    fn end(&self) -> PathBuf {
        self.directory.join("end")
    }

    /// Notes that this process, which has the place, ends as it should: whoever watches it need not start another one.
    pub fn note_end(&self, how: End) {
        // Without it, it is started again, and can be stopped again.
        let _ = serde_json::to_vec(&(std::process::id(), how)).map(|text| fs::write(self.end(), text));
    }

    /// How a process that had the place has ended.
    pub fn end_of(&self, pid: u32) -> End {
        let noted = fs::read(self.end()).ok().and_then(|text| serde_json::from_slice::<(u32, End)>(&text).ok());
        noted.filter(|(of, _)| *of == pid).map_or(End::Died, |(_, how)| how)
    }

    /// A path to the control socket that a sockaddr can hold, valid as long as what comes with it is kept.
    ///
    /// # Errors
    /// When it is too long, and the system has no shorter one.
    pub fn socket(&self) -> io::Result<(PathBuf, Option<OwnedFd>)> {
        let path = self.directory.join("control");
        if path.as_os_str().len() <= MOST_PATH {
            return Ok((path, None));
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let directory = rustix::fs::open(&self.directory, flags, Mode::empty())?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        if !short.exists() {
            let why = format!("`{}` is longer than a socket's path can be; set XDG_RUNTIME_DIR", path.display());
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        Ok((short.join("control"), Some(directory)))
    }

    /// That nobody has it.
    fn vacant(&self) -> Result<(), DaemonError> {
        match self.holder()? {
            Some(pid) => Err(DaemonError::Running { what: self.what.clone(), pid }),
            None => Ok(()),
        }
    }

    /// The process that holds the lock of the place: the node, as long as it lives.
    ///
    /// # Errors
    /// When that cannot be found out, or the place is another user's.
    pub fn holder(&self) -> Result<Option<u32>, DaemonError> {
        let path = self.pid();
        let failed = |source: io::Error| DaemonError::File { path: path.clone(), action: "read", source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        fit(&self.directory, OTHERS)?;
        // It asks and takes no lock, so it keeps nobody from taking it.
        let lock = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).map_err(|error| failed(error.into()))?;
        let Some(lock) = lock else { return Ok(None) };
        if let Some(pid) = lock.pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok()) {
            return Ok(Some(pid));
        }
        // It is in another namespace: it has written what it is there.
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        Ok(Some(text.trim().parse().unwrap_or(0)))
    }

    /// Makes the directories, for the user alone.
    fn prepare(&self) -> Result<(), DaemonError> {
        let failed = |source: io::Error| DaemonError::File { path: self.directory.clone(), action: "made", source };
        let all = self.directory.parent().unwrap_or(&self.directory);
        DirBuilder::new().recursive(true).mode(0o700).create(all).map_err(failed)?;
        fit(all, OTHERS_WRITE)?;
        match DirBuilder::new().mode(0o700).create(&self.directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        fit(&self.directory, OTHERS)?;
        // A file system that is full or read-only is found here, and not later by a node that nobody sees.
        let probe = self.directory.join(format!("probe.{}", std::process::id()));
        fs::write(&probe, "x").and_then(|()| fs::remove_file(&probe)).map_err(failed)
    }

    /// Takes the place for this process, until what is returned is dropped, or the process ends by whatever way.
    ///
    /// # Errors
    /// When another node has it, or it is unfit.
    pub fn lock(&self) -> Result<Lock, DaemonError> {
        let path = self.pid();
        let failed = |source: io::Error| DaemonError::File { path: path.clone(), action: "locked", source };
        for _ in 0..ATTEMPTS {
            self.prepare()?;
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
            let mut file = options.open(&path).map_err(failed)?;
            match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::AGAIN | Errno::ACCESS) => {
                    self.vacant()?;
                    // It has just been left.
                    continue;
                }
                Err(error) => return Err(failed(error.into())),
            }
            // Who had it may have removed it before it was locked here.
            let same = match (fs::symlink_metadata(&path), file.metadata()) {
                (Ok(there), Ok(here)) => (there.dev(), there.ino()) == (here.dev(), here.ino()),
                _ => false,
            };
            if !same {
                continue;
            }
            // Numbers of processes come again.
            let _ = fs::remove_file(self.end());
            let written = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
            written.and_then(|_| writeln!(file, "{}", std::process::id())).map_err(failed)?;
            return Ok(Lock { place: self.clone(), _file: file });
        }
        Err(failed(io::Error::new(ErrorKind::ResourceBusy, "others make and remove it at the same time")))
    }
}

/// The place of a node that runs.
#[derive(Debug)]
pub struct Lock {
    place: Place,
    /// Closing it lets go of the lock; so would closing any other that this process had opened of the file.
    _file: File,
}

impl Lock {
    /// The place.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Opens the control socket. A file that a node has left that was killed is removed.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen(&self) -> Result<UnixListener, DaemonError> {
        let path = self.place.directory.join("control");
        let failed = |source: io::Error| DaemonError::File { path: path.clone(), action: "made", source };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let (short, _directory) = self.place.socket().map_err(failed)?;
        let listener = UnixListener::bind(short).map_err(failed)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(listener)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The lock is still held, so nobody else's are removed. What cannot be removed is recognised as stale.
        let _ = fs::remove_file(self.place.directory.join("control"));
        let _ = fs::remove_file(self.place.pid());
        // It stays if there is something worth keeping: the log of a daemon, and its options.
        let _ = fs::remove_dir(&self.place.directory);
    }
}

fn what(mode: &str, name: &str) -> String {
    format!("{mode} node `{name}`")
}

/// Where programs of this user keep what is to outlive them and the machine's next start.
fn state_home() -> Option<PathBuf> {
    let said = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    said.or_else(|| Some(home()?.join(".local/state")))
}

/// The directory that has the places of nodes which outlive the machine's next start, if there is a home for it.
pub fn state_directory() -> Option<PathBuf> {
    Some(state_home()?.join("skitter"))
}

/// The places that a node may have, the best first.
fn candidates(mode: &str, name: &str) -> Result<Vec<Place>, DaemonError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let user = geteuid().as_raw();
    let runtime =
        variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| is_usable(path, user, Path::new(LINGER)));
    let places = places(mode, name, &host, runtime, state_home());
    if places.is_empty() { Err(DaemonError::NoPlace("there is no home directory".to_owned())) } else { Ok(places) }
}

fn places(mode: &str, name: &str, host: &str, runtime: Option<PathBuf>, state: Option<PathBuf>) -> Vec<Place> {
    let host: String = host.chars().map(|c| if c.is_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect();
    let runtime = runtime.map(|directory| directory.join(format!("skitter/{mode}-{name}")));
    let state = state.map(|directory| directory.join(format!("skitter/{mode}-{name}@{host}")));
    runtime.into_iter().chain(state).map(|directory| Place { directory, what: what(mode, name) }).collect()
}

/// Whether a directory for what runs is this user's, and there to stay.
fn is_usable(path: &Path, user: u32, linger: &Path) -> bool {
    let goes = path.starts_with("/run/user") && !lingers(user, linger);
    path.is_absolute() && !goes && fit(path, OTHERS_WRITE).is_ok()
}

/// Whether what a user started stays when that user logs out.
fn lingers(user: u32, linger: &Path) -> bool {
    let name = std::env::var_os("USER").or_else(|| std::env::var_os("LOGNAME"));
    let names = [name, Some(user.to_string().into())];
    names.iter().flatten().any(|name: &std::ffi::OsString| linger.join(OsStr::new(name)).exists())
}

/// That a directory is this user's, and without these permissions.
fn fit(path: &Path, without: u32) -> Result<(), DaemonError> {
    let unfit = |why: String| DaemonError::Unfit { path: path.to_owned(), why };
    let there = fs::symlink_metadata(path).map_err(|source| DaemonError::File {
        path: path.to_owned(),
        action: "looked at",
        source,
    })?;
    let (mode, user) = (there.mode() & 0o7777, geteuid().as_raw());
    if !there.is_dir() {
        return Err(unfit("it is no directory; remove it".to_owned()));
    }
    if there.uid() != user {
        return Err(unfit(format!("it belongs to user {}, and this is user {user}", there.uid())));
    }
    if mode & without != 0 {
        return Err(unfit(format!("others can get at it (mode {mode:04o}); do `chmod 700 {}`", path.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
