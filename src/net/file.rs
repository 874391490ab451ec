//! Files that a node is told of: a cookie, a key, certificates.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Permissions that let others than the owner in.
const OTHERS: u32 = 0o077;

/// What is wrong with a file.
#[derive(Debug)]
pub(super) enum Problem {
    /// It is not what it should be; says why, and what to do.
    Unfit(String),
    /// What could not be done with it, and what the system said.
    File(&'static str, io::Error),
}

/// The bytes of a regular file, at most so many of them; of one that is `private` only if nobody but its owner has
/// permissions on it. It never waits: a pipe has no writer, perhaps for ever.
///
/// # Errors
/// When it cannot be read, is no regular file, or others can get at it.
pub(super) fn read(path: &Path, private: bool, most: usize) -> Result<Vec<u8>, Problem> {
    let problem = |error| Problem::File("read", error);
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path).map_err(problem)?;
    let metadata = file.metadata().map_err(problem)?;
    if metadata.is_dir() {
        return Err(Problem::Unfit("it is a directory; name a file in it".to_owned()));
    }
    if !metadata.is_file() {
        return Err(Problem::Unfit("it is no regular file".to_owned()));
    }
    if private && metadata.mode() & OTHERS != 0 {
        let mode = metadata.mode() & 0o7777;
        let path = path.display();
        return Err(Problem::Unfit(format!("others can get at it (mode {mode:04o}); do `chmod 600 {path}`")));
    }
    let mut bytes = Vec::new();
    file.take(most as u64).read_to_end(&mut bytes).map_err(problem)?;
    Ok(bytes)
}
