//! Files that appear while a workflow runs.
//!
//! The names of files are dealt to *buckets* by their hash, and each bucket has one worker, which alone looks for its
//! files, reads them, and remembers which it has found. What is known of a bucket is a unit of the checkpoint, so that
//! buckets go from worker to worker as a whole: however many there are, each file is found by one.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use glob::{Paths, Pattern};

use super::resolve::{self, MATCH, TextFile, cannot_read, inspect};
use crate::operations::cause::cause;
use crate::workflow::{Error, Result, Share};

/// How many names are looked at in one call: a millisecond's work, with a system call for each of them.
const LOOKED_AT_ONCE: usize = 256;

/// What stands for the path of a file: 16 bytes of its BLAKE3 hash, of which the first one is the bucket. Among a
/// billion files, no two have the same.
pub(super) type FileKey = [u8; 16];

/// A size that no file has: it has been said that the file has changed.
const CHANGED: u64 = u64::MAX;

/// What comes of looking for a file.
#[derive(Debug)]
pub(super) enum Found {
    /// One to be read.
    File(TextFile),
    /// None so far: go on looking.
    On,
    /// None; look again after this time.
    Wait(Duration),
}

/// Looks for the files of some buckets.
#[derive(Debug)]
pub(super) struct Watch {
    paths: Arc<[PathBuf]>,
    interval: Duration,
    buckets: BTreeSet<u8>,
    /// The files that have been given out and are still there.
    seen: BTreeMap<FileKey, Seen>,
    /// Those that have not been given out yet: of one call at most, so that there is no end of a directory to remember.
    found: VecDeque<PathBuf>,
    /// The look that is being taken, and the number of the last one.
    look: Option<Look>,
    looks: u64,
    next: Instant,
    /// Whether the last look failed.
    fails: bool,
}

/// A file that has been given out.
#[derive(Debug)]
struct Seen {
    /// How large it was then.
    size: u64,
    /// The last look that has found it there.
    look: u64,
}

/// A look at all that is there.
#[derive(Debug)]
struct Look {
    paths: Option<Paths>,
    /// The number of the next path.
    next: usize,
}

/// Finds out what can be known before anything is read: that patterns are valid and their directories there.
pub(super) fn check(paths: &[PathBuf]) -> Result<()> {
    resolve::check(paths)?;
    paths.iter().try_for_each(|path| entries(path).map(|_| ()))
}

impl Watch {
    /// For a worker that begins.
    pub fn new(paths: &[PathBuf], interval: Duration, share: Share) -> Self {
        let buckets = (0..=u8::MAX).skip(share.index).step_by(share.of.max(1)).collect();
        Watch {
            paths: paths.into(),
            interval,
            buckets,
            seen: BTreeMap::new(),
            found: VecDeque::new(),
            look: None,
            looks: 0,
            next: Instant::now(),
            fails: false,
        }
    }

    /// For a worker that goes on with these buckets, each with the keys and sizes of the files that have been given
    /// out.
    pub fn resume(
        paths: &[PathBuf],
        interval: Duration,
        buckets: impl IntoIterator<Item = (u8, Vec<(FileKey, u64)>)>,
    ) -> Self {
        let mut watch = Watch { buckets: BTreeSet::new(), ..Watch::new(paths, interval, Share { index: 0, of: 1 }) };
        for (bucket, files) in buckets {
            watch.buckets.insert(bucket);
            watch.seen.extend(files.into_iter().map(|(key, size)| (key, Seen { size, look: 0 })));
        }
        watch
    }

    /// What is known of each bucket.
    pub fn buckets(&self) -> impl Iterator<Item = (u8, Vec<(FileKey, u64)>)> {
        self.buckets.iter().map(|bucket| {
            let (mut first, mut last) = ([0; 16], [u8::MAX; 16]);
            (first[0], last[0]) = (*bucket, *bucket);
            (*bucket, self.seen.range(first..=last).map(|(key, seen)| (*key, seen.size)).collect())
        })
    }

    /// Whether no file is this worker's: there are more workers than buckets.
    pub fn is_idle(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The next file to read.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next(&mut self) -> Result<Found> {
        if let Some(path) = self.found.pop_front() {
            return Ok(self.begin(&path)?.map_or(Found::On, Found::File));
        }
        let Some(mut look) = self.look.take() else {
            let wait = self.next.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return Ok(Found::Wait(wait));
            }
            self.looks += 1;
            self.look = Some(Look { paths: None, next: 0 });
            return Ok(Found::On);
        };
        match self.go_on(&mut look) {
            Ok(false) => {
                self.look = Some(look);
                return Ok(Found::On);
            }
            Ok(true) => {
                if std::mem::take(&mut self.fails) {
                    tracing::info!("Can look for new files again");
                }
                let this = self.looks;
                self.seen.retain(|_, seen| seen.look == this);
            }
            // A network file system that is away may come back; meanwhile nothing is forgotten.
            Err(error) => {
                if !std::mem::replace(&mut self.fails, true) {
                    tracing::warn!(%error, "Cannot look for new files, trying again");
                }
            }
        }
        self.next = Instant::now() + self.interval;
        Ok(Found::On)
    }

    /// Looks at some names; true when it has looked at all.
    fn go_on(&mut self, look: &mut Look) -> Result<bool> {
        let Some(paths) = &mut look.paths else {
            let Some(path) = self.paths.get(look.next) else { return Ok(true) };
            look.next += 1;
            look.paths = Some(entries(path)?);
            return Ok(false);
        };
        for _ in 0..LOOKED_AT_ONCE {
            let Some(entry) = paths.next() else {
                look.paths = None;
                break;
            };
            let path = entry.map_err(|error| cannot_read(error.path(), &cause(error.error())))?;
            let key = key(&path);
            if !self.buckets.contains(&key[0]) {
                continue;
            }
            // One that is gone again, or a link to nowhere, is not there.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if let Some(seen) = self.seen.get_mut(&key) {
                seen.look = self.looks;
                if seen.size != metadata.len() && seen.size != CHANGED {
                    let (path, before, now) = (path.display(), seen.size, metadata.len());
                    tracing::warn!(
                        "`{path}` had {before} bytes when it was found and has {now} now: what is in it now is not \
                         read; move files there when they are complete"
                    );
                    seen.size = CHANGED;
                }
            } else if metadata.is_file() && metadata.len() > 0 {
                self.found.push_back(path);
            }
        }
        Ok(false)
    }

    /// Looks at a file before it is read; none if it is not there any more, or was named twice.
    fn begin(&mut self, path: &Path) -> Result<Option<TextFile>> {
        let key = key(path);
        if self.seen.contains_key(&key) {
            return Ok(None);
        }
        let size = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot_read(path, &cause(&error))),
        };
        let file = inspect(path)?;
        self.seen.insert(key, Seen { size: file.size.unwrap_or(size), look: self.looks });
        Ok(Some(file))
    }
}

fn key(path: &Path) -> FileKey {
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes());
    let mut key = FileKey::default();
    key.copy_from_slice(&hash.as_bytes()[..16]);
    key
}

/// What a path stands for now: the files in a directory, those of a pattern, or the one of that name, which may be
/// still to come.
fn entries(path: &Path) -> Result<Paths> {
    let Some(text) = path.to_str() else {
        return Err(cannot_read(path, "the name of what is watched has to be UTF-8"));
    };
    let pattern = match resolve::pattern(path) {
        Some(pattern) => pattern.to_owned(),
        None if path.is_dir() => format!("{}/*", Pattern::escape(text.trim_end_matches('/'))),
        None => Pattern::escape(text),
    };
    let paths = glob::glob_with(&pattern, MATCH).map_err(|error| resolve::bad_pattern(path, &error))?;
    let directory = directory(path);
    match fs::metadata(&directory) {
        Ok(metadata) if metadata.is_dir() => Ok(paths),
        Ok(_) => Err(missing(path, &directory, "it is not a directory")),
        Err(error) => Err(missing(path, &directory, &cause(&error))),
    }
}

fn missing(path: &Path, directory: &Path, why: &str) -> Error {
    cannot_read(path, &format!("directory `{}`: {why}", directory.display()))
}

/// The directory that has to be there for anything to be found.
fn directory(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    let is_plain = |part: &std::ffi::OsStr| !part.as_encoded_bytes().iter().any(|byte| b"*?[".contains(byte));
    let parent = path.parent().unwrap_or(Path::new(""));
    let plain: PathBuf = parent.iter().take_while(|part| is_plain(part)).collect();
    if plain.as_os_str().is_empty() { PathBuf::from(".") } else { plain }
}
