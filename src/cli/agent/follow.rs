//! Passes on what a worker writes to its log.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::say;
use crate::actor::{self, Census};
use crate::hosts::Answer;

/// How often a log is looked at: no line waits longer, and a look costs a few microseconds.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes that are read at a time from the end.
const CHUNK: usize = 64 * 1024;

/// Most bytes of a line that are passed on in one.
const MOST: u64 = 64 * 1024;

/// How long the rest of a log may take to be passed on: whoever reads it may take a break.
const REST: Duration = Duration::from_secs(600);

/// A thread that reads a log.
#[derive(Debug)]
pub struct Follower {
    end: SyncSender<SyncSender<()>>,
}

impl Follower {
    /// Begins at this byte of the log, or at the end of what stands in it now.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn new(path: PathBuf, begin: Option<u64>) -> io::Result<Follower> {
        let (end, ended) = sync_channel::<SyncSender<()>>(1);
        let mut log = Log::at(path, begin.map_or(SeekFrom::End(0), SeekFrom::Start));
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

/// Passes on what stands in a log from this byte on, also a line that is not complete.
pub fn pass_on(path: PathBuf, begin: u64) {
    let mut log = Log::at(path, SeekFrom::Start(begin));
    log.read(|text| say(&Answer::Line { text }));
    if !log.begun.is_empty() {
        say(&Answer::Line { text: String::from_utf8_lossy(&log.begun).into_owned() });
    }
}

/// The byte at which the last so many lines of a file begin; all, if it is not said how many.
///
/// # Errors
/// When it cannot be read.
pub fn last_lines(path: &Path, lines: Option<u64>) -> io::Result<u64> {
    let file = File::open(path)?;
    let Some(lines) = lines else { return Ok(0) };
    let (mut at, mut chunk) = (file.metadata()?.len(), vec![0; CHUNK]);
    let mut ends = lines;
    if at > 0 {
        let mut last = [0];
        file.read_exact_at(&mut last, at - 1)?;
        ends += u64::from(last == [b'\n']);
    }
    if ends == 0 {
        return Ok(at);
    }
    while at > 0 {
        let size = CHUNK.min(usize::try_from(at).unwrap_or(CHUNK));
        at -= size as u64;
        file.read_exact_at(&mut chunk[..size], at)?;
        for (place, _) in chunk[..size].iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            ends -= 1;
            if ends == 0 {
                return Ok(at + place as u64 + 1);
            }
        }
    }
    Ok(0)
}

/// A log that may be put aside at any moment, and another one begun in its place.
struct Log {
    path: PathBuf,
    file: Option<(u64, BufReader<File>)>,
    /// The beginning of a line.
    begun: Vec<u8>,
}

impl Log {
    fn at(path: PathBuf, place: SeekFrom) -> Log {
        let mut file = open(&path);
        if let Some((_, file)) = &mut file {
            let _ = file.seek(place);
        }
        Log { path, file, begun: Vec::new() }
    }

    /// Reads all lines that are complete.
    fn read(&mut self, mut take: impl FnMut(String)) {
        loop {
            if let Some((_, file)) = &mut self.file {
                while let Ok(1..) = io::Read::take(&mut *file, MOST).read_until(b'\n', &mut self.begun) {
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
        let mut log = Log::at(path.clone(), SeekFrom::End(0));
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
        assert_eq!(lines(&mut Log::at(path.clone(), SeekFrom::End(0))), [""; 0]);
        append(&"x".repeat(MOST as usize + 1));
        assert_eq!(lines(&mut log), ["x".repeat(MOST as usize)]);
    }
    #[test]
    fn the_last_lines_begin_where_they_should() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let text = |lines: &[&str]| fs::write(&path, lines.concat()).expect("written");
        text(&["one\n", "two\n", "three\n"]);
        for (lines, begin) in [(None, 0), (Some(0), 14), (Some(1), 8), (Some(2), 4), (Some(3), 0), (Some(9), 0)] {
            assert_eq!(last_lines(&path, lines).expect("readable"), begin, "{lines:?}");
        }
        let long = "x".repeat(CHUNK);
        text(&["one\n", &long, "\n", "three"]);
        for (lines, begin) in [(1, CHUNK as u64 + 5), (2, 4), (3, 0)] {
            assert_eq!(last_lines(&path, Some(lines)).expect("readable"), begin, "{lines}");
        }
        text(&[]);
        assert_eq!(last_lines(&path, Some(2)).expect("readable"), 0);
        assert!(last_lines(&directory.path().join("none"), None).is_err());
    }
}
