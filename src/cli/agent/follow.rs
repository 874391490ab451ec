//! Passes on what a worker writes to its log.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::say;
use crate::actor::{self, Census};
use crate::hosts::Answer;

/// How often a log is looked at: no line waits longer, and a look costs a few microseconds.
const LOOK: Duration = Duration::from_millis(100);

/// Most bytes of a line that are passed on in one.
const MOST: u64 = 64 * 1024;

/// How long the rest of a log may take to be passed on.
const REST: Duration = Duration::from_secs(10);

/// A thread that reads a log.
#[derive(Debug)]
pub struct Follower {
    end: SyncSender<SyncSender<()>>,
}

impl Follower {
    /// Begins at the end of what stands in the log now.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn new(path: PathBuf) -> std::io::Result<Follower> {
        let (end, ended) = sync_channel::<SyncSender<()>>(1);
        let mut log = Log::at_end(path);
        let work = move || {
            loop {
                let last = ended.recv_timeout(LOOK);
                log.read(|line| say(&Answer::Line { text: line }));
                match last {
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Ok(done) => {
                        // Who has waited too long has gone.
                        let _ = done.send(());
                        return;
                    }
                }
            }
        };
        actor::thread("skitter-follow".to_owned(), &Census::new(), work, drop)?;
        Ok(Follower { end })
    }

    /// Passes on what is left.
    pub fn finish(self) {
        let (done, finished) = sync_channel(1);
        if self.end.send(done).is_ok() {
            let _ = finished.recv_timeout(REST);
        }
    }
}

/// A log that may be put aside at any moment, and another one begun in its place.
struct Log {
    path: PathBuf,
    file: Option<(u64, BufReader<File>)>,
    /// The beginning of a line.
    begun: Vec<u8>,
}

impl Log {
    fn at_end(path: PathBuf) -> Log {
        let mut file = open(&path);
        if let Some((_, file)) = &mut file {
            let _ = file.seek(SeekFrom::End(0));
        }
        Log { path, file, begun: Vec::new() }
    }

    /// Reads all lines that are complete.
    fn read(&mut self, mut take: impl FnMut(String)) {
        loop {
            if let Some((_, file)) = &mut self.file {
                while let Ok(1..) = std::io::Read::take(&mut *file, MOST).read_until(b'\n', &mut self.begun) {
                    if self.begun.ends_with(b"\n") || self.begun.len() as u64 >= MOST {
                        take(String::from_utf8_lossy(self.begun.trim_ascii_end()).into_owned());
                        self.begun.clear();
                    }
                }
            }
            let number = std::fs::metadata(&self.path).map(|log| log.ino()).ok();
            if number == self.file.as_ref().map(|(number, _)| *number) || number.is_none() {
                return;
            }
            self.file = open(&self.path);
            if self.file.is_none() {
                return;
            }
        }
    }
}

/// A file and its number.
fn open(path: &Path) -> Option<(u64, BufReader<File>)> {
    let file = File::open(path).ok()?;
    let number = file.metadata().ok()?.ino();
    Some((number, BufReader::new(file)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn lines(log: &mut Log) -> Vec<String> {
        let mut lines = Vec::new();
        log.read(|line| lines.push(line));
        lines
    }

    #[test]
    fn all_lines_come_once_whatever_happens_to_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let mut log = Log::at_end(path.clone());
        assert_eq!(lines(&mut log), [""; 0]);
        let append = |text: &str| {
            let mut file = File::options().append(true).create(true).open(&path).expect("a file");
            file.write_all(text.as_bytes()).expect("written");
        };
        append("one\ntw");
        assert_eq!(lines(&mut log), ["one"]);
        append("o\n");
        assert_eq!(lines(&mut log), ["two"]);
        append("three\n");
        fs::rename(&path, directory.path().join("log.1")).expect("moved");
        append("four\n");
        assert_eq!(lines(&mut log), ["three", "four"]);
        assert_eq!(lines(&mut Log::at_end(path.clone())), [""; 0]);
        append(&"x".repeat(MOST as usize + 1));
        assert_eq!(lines(&mut log), ["x".repeat(MOST as usize)]);
    }
}
