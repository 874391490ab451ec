//! The log of a node in a file, which is rotated.
//!
//! One thread writes it. Whoever has a line hands it over and does not wait; that the file cannot be written is told
//! once, and tried again with the next line. So a full disk costs lines and nothing else.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::actor::{self, Census};
use crate::telemetry::events;

/// Bytes after which a file is put aside.
const MOST_BYTES: u64 = 10_000_000;

/// Files that are kept beside the newest one: `name.log.1` is younger than `name.log.2`.
const KEPT: usize = 5;

/// Lines that may wait to be written: some hundred KiB.
const WAITING: usize = 1024;

/// How long the end of a process waits for its last lines, when the disk is slow.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Message {
    Line(String),
    /// Answer when all before it is written.
    Flush(SyncSender<()>),
}

/// The way to a file of the log. Clones lead to the same.
#[derive(Clone)]
pub struct LogFile {
    to: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl LogFile {
    /// Starts its thread. The file is opened, and its directory made, with the first line; what was written before
    /// stays.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn open(path: PathBuf) -> io::Result<LogFile> {
        let (to, from) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        let work = move || write(&from, Rotated::new(path, MOST_BYTES), &counted);
        actor::thread("skitter-log-file".to_owned(), &Census::new(), work, drop)?;
        Ok(LogFile { to, lost })
    }

    /// Writes a line, soon.
    pub fn line(&self, line: String) {
        if self.to.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines are written, but not for ever.
    pub fn close(&self) {
        let (written, wait) = sync_channel(1);
        if self.to.try_send(Message::Flush(written)).is_ok() {
            let _ = wait.recv_timeout(LAST_LINES);
        }
    }
}

fn write(from: &Receiver<Message>, mut file: Rotated, lost: &AtomicU64) {
    let mut fails = false;
    for message in from {
        match message {
            Message::Line(line) => {
                let written = file.write(line.as_bytes());
                if let Err(error) = &written
                    && !fails
                {
                    events::log_file_fails(&file.path.display(), error);
                }
                fails = written.is_err();
                match lost.swap(0, Ordering::Relaxed) {
                    0 => {}
                    lines => events::lines_lost_in_file(lines),
                }
            }
            // Who asked may not wait any more.
            Message::Flush(written) => drop(written.try_send(())),
        }
    }
}

/// A file that is put aside when it is full.
struct Rotated {
    path: PathBuf,
    most: u64,
    /// The file and how many bytes it has, once it is open.
    open: Option<(File, u64)>,
}

impl Rotated {
    fn new(path: PathBuf, most: u64) -> Rotated {
        Rotated { path, most, open: None }
    }

    /// Appends a line, to a new file if it does not fit any more.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let (file, size) = match self.open.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        let bytes = line.len() as u64;
        let (mut file, size) = if size > 0 && size + bytes > self.most {
            drop(file);
            put_aside(&self.path)?;
            open(&self.path)?
        } else {
            (file, size)
        };
        // After an error it is not known how much is there: it is opened anew.
        file.write_all(line)?;
        self.open = Some((file, size + bytes));
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    // For the user alone, as all that a node writes about itself: addresses and workflows are in it.
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let file = File::options().append(true).create(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// Gives the file and those that were put aside before the next number; the oldest one goes.
///
/// # Errors
/// When one of them cannot be renamed.
pub fn put_aside(path: &Path) -> io::Result<()> {
    let numbered = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..KEPT).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, numbered(1))
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    fn read(path: &Path, number: usize) -> Option<String> {
        let name = if number == 0 { path.display().to_string() } else { format!("{}.{number}", path.display()) };
        fs::read_to_string(name).ok()
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let directory = tempdir().expect("a directory");
        let path = directory.path().join("logs/w@h.log");
        let mut file = Rotated::new(path.clone(), 8);
        for number in 0..20 {
            file.write(format!("{number:02}.\n").as_bytes()).expect("written");
        }
        assert_eq!(read(&path, 0).as_deref(), Some("18.\n19.\n"));
        assert_eq!(read(&path, 1).as_deref(), Some("16.\n17.\n"));
        assert_eq!(read(&path, KEPT).as_deref(), Some("08.\n09.\n"));
        assert_eq!(read(&path, KEPT + 1), None);
        // The next process goes on with it. A line that is longer than a file has one of its own.
        let mut file = Rotated::new(path.clone(), 8);
        file.write(b"a long line\n").expect("written");
        file.write(b"x\n").expect("written");
        assert_eq!(read(&path, 0).as_deref(), Some("x\n"));
        assert_eq!(read(&path, 1).as_deref(), Some("a long line\n"));
        assert_eq!(read(&path, 2).as_deref(), Some("18.\n19.\n"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_tried_again() {
        let directory = tempdir().expect("a directory");
        let place = directory.path().join("logs");
        fs::write(&place, "in the way").expect("written");
        let path = place.join("w@h.log");
        let mut file = Rotated::new(path.clone(), 100);
        file.write(b"lost\n").expect_err("there is no directory");
        fs::remove_file(&place).expect("removed");
        file.write(b"there\n").expect("written");
        assert_eq!(read(&path, 0).as_deref(), Some("there\n"));
    }

    #[test]
    fn lines_are_written_by_the_time_that_it_is_closed() {
        let directory = tempdir().expect("a directory");
        let path = directory.path().join("w@h.log");
        let file = LogFile::open(path.clone()).expect("a thread");
        for number in 0..100 {
            file.line(format!("{number}\n"));
        }
        file.close();
        assert_eq!(read(&path, 0).map(|text| text.lines().count()), Some(100));
    }
}
