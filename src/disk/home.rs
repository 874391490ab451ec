//! Where the state on disk of a process is: one store, in a directory of its own that ends with it.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fjall::config::{BlockSizePolicy, HashRatioPolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions};

use crate::workflow::{Error, Result};

/// How the names of directories begin.
const PREFIX: &str = "skitter-state-";
/// The file in each that is locked as long as its process lives.
const LOCK: &str = "lock";
/// Where a directory is made, unless `TMPDIR` names another place: `/tmp` is in memory on many systems.
const PLACE: &str = "/var/tmp";
/// How many bytes of blocks a process keeps in memory, over all of its tables.
const CACHE_BYTES: u64 = 64 << 20;
/// How many threads merge what was written.
const THREADS: usize = 2;
/// How many bytes a block has: what is read for a key that is not in memory.
const BLOCK_BYTES: u32 = 4096;
/// Slots for each key of a block, by which it is found without a search.
const SLOTS: f32 = 0.75;

/// The store of this process, as long as somebody has a table in it.
static HOME: Mutex<Weak<Home>> = Mutex::new(Weak::new());

struct Home {
    // Dropped in this order: the store ends before its directory does, and that before others may look at it.
    database: Database,
    directory: tempfile::TempDir,
    _lock: File,
    spaces: AtomicU64,
}

/// A part of the store: that of one table. What is in it ends with it.
pub(super) struct Space {
    pub(super) keyspace: Keyspace,
    home: Arc<Home>,
}

impl Drop for Space {
    fn drop(&mut self) {
        // The whole directory goes with the last table: what cannot be deleted now is deleted then.
        let _ = self.home.database.delete_keyspace(self.keyspace.clone());
    }
}

impl Space {
    /// A new one, in which nothing is.
    ///
    /// # Errors
    /// When the directory cannot be made or written to.
    pub(super) fn new() -> Result<Space> {
        let home = {
            let mut known = HOME.lock().unwrap_or_else(PoisonError::into_inner);
            match known.upgrade() {
                Some(home) => home,
                None => {
                    let place = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from(PLACE), PathBuf::from);
                    let home = Arc::new(Home::open(&place)?);
                    *known = Arc::downgrade(&home);
                    home
                }
            }
        };
        let name = home.spaces.fetch_add(1, Ordering::Relaxed).to_string();
        let options = || {
            KeyspaceCreateOptions::default()
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
                .data_block_hash_ratio_policy(HashRatioPolicy::all(SLOTS))
                // Some 10 bits a key. They are megabytes in one piece each: one that were read again for a key would
                // cost a thousand times as much as the key.
                .filter_block_pinning_policy(PinningPolicy::all(true))
                .index_block_pinning_policy(PinningPolicy::all(true))
        };
        let keyspace = home.database.keyspace(&name, options).map_err(|error| home.failed("be made", &error))?;
        Ok(Space { keyspace, home })
    }

    /// What is in it now, whatever is written later.
    pub(super) fn snapshot(&self) -> fjall::Snapshot {
        self.home.database.snapshot()
    }

    /// Something went wrong with it.
    pub(super) fn failed(&self, doing: &str, error: &dyn std::fmt::Display) -> Error {
        self.home.failed(doing, error)
    }
}

impl Home {
    fn open(place: &Path) -> Result<Home> {
        let failed = |error: &dyn std::fmt::Display| {
            let place = place.display();
            Error::Outside(format!("state on disk cannot be kept in `{place}`: {error}; TMPDIR may name another place"))
        };
        sweep(place);
        let (directory, lock) = claim(place).map_err(|error| failed(&error))?;
        let database =
            Database::builder(directory.path().join("tree")).cache_size(CACHE_BYTES).worker_threads(THREADS).open();
        let database = database.map_err(|error| failed(&error))?;
        Ok(Home { database, directory, _lock: lock, spaces: AtomicU64::new(0) })
    }

    fn failed(&self, doing: &str, error: &dyn std::fmt::Display) -> Error {
        let directory = self.directory.path().display();
        Error::Outside(format!("the state on disk in `{directory}` could not {doing}: {error}"))
    }
}

/// Makes a directory that nobody else uses, and locks it.
fn claim(place: &Path) -> std::io::Result<(tempfile::TempDir, File)> {
    loop {
        // Nobody else may look into it.
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place)?;
        let path = directory.path().join(LOCK);
        let lock = File::create_new(&path)?;
        lock.lock()?;
        // Another process may have taken it for one that is left over, just before it was locked.
        let is_same = |there: fs::Metadata| lock.metadata().is_ok_and(|own| own.ino() == there.ino());
        if fs::metadata(&path).is_ok_and(is_same) {
            return Ok((directory, lock));
        }
    }
}

/// Removes what processes have left behind that were killed.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        if !is_ours {
            continue;
        }
        // What cannot be opened or removed is another user's, or being made.
        let Ok(lock) = File::options().write(true).open(path.join(LOCK)) else { continue };
        match lock.try_lock() {
            Ok(()) => drop(fs::remove_dir_all(&path)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_is_removed_and_what_lives_is_not() {
        let place = tempfile::tempdir().expect("a directory");
        let (living, _lock) = claim(place.path()).expect("claimed");
        let (left, lock) = claim(place.path()).expect("claimed");
        let left = left.keep();
        drop(lock);
        let other = place.path().join("skitter-state-being-made");
        fs::create_dir(&other).expect("made");
        sweep(place.path());
        assert!(!left.exists());
        assert!(living.path().join(LOCK).exists());
        assert!(other.exists(), "nobody has locked it yet");
    }

    #[test]
    fn a_store_leaves_nothing_behind() {
        let place = tempfile::tempdir().expect("a directory");
        let home = Home::open(place.path()).expect("a store");
        assert!(fs::read_dir(place.path()).expect("readable").count() == 1);
        drop(home);
        assert!(fs::read_dir(place.path()).expect("readable").count() == 0);
    }

    #[test]
    fn where_there_is_no_directory_it_says_what_to_do() {
        let error = Home::open(Path::new("/nowhere/at/all")).err().expect("no directory").to_string();
        assert!(error.contains("/nowhere/at/all") && error.contains("TMPDIR"), "{error}");
    }
}
