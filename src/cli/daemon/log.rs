//! The log of a daemon: what it writes to stdout and stderr, results of workflows included.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::actor::{self, Census};
use crate::cli::log_file;

/// Bytes after which a log is put aside.
const MOST_BYTES: u64 = 10_000_000;

/// How often its size is looked at: a disk takes some GB in this time, and looking costs a microsecond.
const LOOK: Duration = Duration::from_secs(2);

/// Most bytes of a log that are shown when a daemon fails.
const TAIL: u64 = 8 * 1024;

/// Opens a log to append to, for the user alone.
///
/// # Errors
/// When the system refuses.
pub fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(0o600).open(path)
}

/// Puts the log of this process aside whenever it has become long, for ever.
///
/// # Errors
/// When the system has no more threads.
pub fn keep(path: PathBuf) -> io::Result<()> {
    let work = move || {
        loop {
            let _ = rotate(&path, MOST_BYTES);
            std::thread::park_timeout(LOOK);
        }
    };
    actor::thread("skitter-log-size".to_owned(), &Census::new(), work, drop)
}

/// Puts a log aside if it is long. What is written meanwhile goes to the old one or the new one.
fn rotate(path: &Path, most: u64) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(log) if log.len() > most => log_file::put_aside(path)?,
        Ok(_) => return Ok(()),
        // Somebody has removed it, and wants a new one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let new = open(path)?;
    rustix::stdio::dup2_stdout(&new)?;
    rustix::stdio::dup2_stderr(&new)?;
    Ok(())
}

/// The end of what was written to a log since it had a length, in whole lines.
pub fn tail(path: &Path, since: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // It may have been put aside meanwhile.
        let since = if length < since { 0 } else { since };
        file.seek(SeekFrom::Start(since.max(length.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        if length.saturating_sub(TAIL) > since {
            let line = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            bytes.drain(..line);
        }
        Ok(bytes)
    };
    read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_what_was_written_since() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        assert_eq!(tail(&path, 0), "");
        fs::write(&path, "old\nnew\n").expect("written");
        assert_eq!(tail(&path, 4), "new\n");
        assert_eq!(tail(&path, 100), "old\nnew\n");
        fs::write(&path, "a line\n".repeat(10_000)).expect("written");
        let tail = tail(&path, 4);
        assert!(tail.len() <= TAIL as usize && tail.lines().all(|line| line == "a line"), "{tail}");
    }
}
