//! The side of the daemon itself: it leaves the terminal, and tells whoever started it that it is up.
//!
//! Its standard input is a socket to the one that waits for it. Nothing else has to be handed on for that: what comes
//! over it is [`UP`], or its end.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use super::{DaemonError, Lock, Options, Place, log};

/// Says that the daemon is up.
pub const UP: &[u8] = b"up\n";

/// The option, not shown, by which a daemon knows what it is; its value is the place that was chosen for it.
pub const OPTION: &str = "--as-daemon";

/// This process, as a daemon.
#[derive(Clone, Debug)]
pub struct Child {
    directory: PathBuf,
    arguments: Vec<OsString>,
}

impl Child {
    /// Leaves the terminal and the session of whoever started it. `arguments` are those of the process, without the
    /// name of the program and without [`OPTION`].
    ///
    /// # Errors
    /// When the system refuses.
    pub fn begin(directory: PathBuf, arguments: Vec<OsString>) -> io::Result<Child> {
        match rustix::process::setsid() {
            // It leads a session already: whoever started it has seen to that.
            Ok(_) | Err(rustix::io::Errno::PERM) => Ok(Child { directory, arguments }),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the place that was chosen, and notes there what `restart` needs; `has_secret` is whether it has a cookie
    /// that is in no file.
    ///
    /// # Errors
    /// When another node was faster, or the place is unfit.
    pub fn settle(&self, mode: &str, name: &str, has_secret: bool) -> Result<Lock, DaemonError> {
        let place = Place::at(self.directory.clone(), mode, name);
        let failed = |source| DaemonError::File { path: self.directory.clone(), action: "used by the daemon", source };
        let lock = place.lock()?;
        let (mut options, _) = Options::of_this_process(&self.arguments).map_err(failed)?;
        options.has_secret = has_secret;
        options.write(&place)?;
        log::keep(place.log()).map_err(failed)?;
        Ok(lock)
    }

    /// Tells that the node is up. Nobody has to listen any more. From now on there is nothing to be read from stdin.
    pub fn up() {
        let _ = rustix::io::write(rustix::stdio::stdin(), UP);
        if let Ok(nothing) = File::open("/dev/null") {
            let _ = rustix::stdio::dup2_stdin(nothing);
        }
    }
}

/// The arguments of a daemon without [`OPTION`] and its value, which come first.
pub fn own_arguments(arguments: &[OsString]) -> Vec<OsString> {
    match arguments {
        [option, _, rest @ ..] if option == OPTION => rest.to_vec(),
        all => all.to_vec(),
    }
}
