//! State on disk: a value for each key.
//!
//! What was used last is in memory, as in a table that is there as a whole. When that is as large as it may be, it is
//! *frozen* and written on a thread of its own, sorted, into a log-structured merge-tree (O'Neil, Cheng, Gawlick and
//! O'Neil, 1996; `fjall`), as one more of its tables; what is needed of it meanwhile is copied. So the memory here is
//! the tree's own: there is no journal, because checkpoints are what state is recovered from, and nothing is written
//! key by key.
//!
//! The tree has all keys with a stable hash as one entry, as they are looked for by hash; mostly there is one. Of each
//! hash, either all keys are in memory, or none.

mod export;
mod frozen;
mod home;

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Arc, mpsc};

use hashbrown::HashTable;

use self::export::Export;
use self::frozen::{Frozen, Hashes, Writing, Written, join, key_of, read_bucket, write, write_bucket};
use self::home::Space;
use crate::codec::{Record, key_group, stable_hash};
use crate::workflow::encoding::Group;
use crate::workflow::{Result, Saved, Saving, Snapshot};

/// How many bytes of keys and values a table keeps in memory, unless it is told otherwise.
const MEMORY: usize = 64 << 20;
/// Fewest keys that are kept in memory, however large they are.
const FEWEST: usize = 64;
/// Places for keys that come with others of the same hash.
const SPARE: usize = 8;
/// How many tables may be on their way to the disk: checkpoints may come faster than it takes them.
const MOST_FROZEN: usize = 3;
/// What an entry on the heap is assumed to take beside its own bytes, before any was measured.
const UNKNOWN: usize = 32;

/// A hash table by [`stable_hash`] as [`KeyedTable`](crate::workflow::KeyedTable), whose keys and values are on disk
/// but for what was used last. For state that is larger than memory.
///
/// The disk is where `TMPDIR` says, or `/var/tmp`: it only holds what a running worker needs, and is emptied
/// with it; what a process leaves there that is killed, the next one removes.
/// What is to last is in checkpoints. They are read from the disk while others go on, and have the format of those of
/// `KeyedTable`, so that either can go on with what the other has saved.
///
/// A key in memory is found as fast as there. One that is not costs a read of a block of 4 KiB, mostly from the memory
/// that the system has left.
pub struct DiskTable<K, V> {
    /// What has changed since it was last frozen.
    fresh: HashTable<(K, V)>,
    /// Hashes of which all keys were removed since.
    gone: Hashes,
    /// What is being written, or was: the newest first.
    frozen: VecDeque<Arc<Frozen<K, V>>>,
    writing: Option<Writing>,
    /// None before anything was written.
    space: Option<Arc<Space>>,
    /// How many bytes may be in memory.
    memory: usize,
    /// How many keys may be in `fresh`.
    most: usize,
    keys: usize,
}

impl<K, V> std::fmt::Debug for DiskTable<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskTable").field("keys", &self.keys).field("fresh", &self.fresh.len()).finish_non_exhaustive()
    }
}

/// How many entries fill half of this memory, when each takes so much: the other half are those that are written.
fn most<K, V>(memory: usize, on_heap: usize) -> usize {
    let on_heap = if std::mem::needs_drop::<(K, V)>() { on_heap } else { 0 };
    let each = size_of::<(K, V)>() + 1 + on_heap;
    // A table has a power of two of places, of which an eighth stays free.
    let places = (memory / 2 / each).max(FEWEST);
    let places = if places.is_power_of_two() { places } else { places.next_power_of_two() / 2 };
    places / 8 * 7 - SPARE
}

impl<K: Record + Hash + Eq, V: Record> DiskTable<K, V> {
    /// A table without keys, of which about so many bytes are kept in memory: 64 MiB if that is not said. As long as
    /// they are enough, the disk is not needed.
    pub fn new(memory: Option<usize>) -> Self {
        let memory = memory.unwrap_or(MEMORY);
        DiskTable {
            fresh: HashTable::new(),
            gone: Hashes::default(),
            frozen: VecDeque::new(),
            writing: None,
            space: None,
            memory,
            most: most::<K, V>(memory, UNKNOWN),
            keys: 0,
        }
    }

    fn space(&mut self) -> Result<Arc<Space>> {
        if let Some(space) = &self.space {
            return Ok(Arc::clone(space));
        }
        let space = Arc::new(Space::new()?);
        self.space = Some(Arc::clone(&space));
        Ok(space)
    }

    /// The value of the key that has this stable hash and passes the test.
    ///
    /// # Errors
    /// When the disk cannot be read or written to.
    #[inline(always)]
    pub fn find(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Result<Option<&mut V>> {
        if self.fresh.find(hash, |(key, _)| is(key)).is_none() && !self.fetch(hash)? {
            return Ok(None);
        }
        Ok(self.fresh.find_mut(hash, |(key, _)| is(key)).map(|(_, value)| value))
    }

    /// Adds a key that is not there, after it was looked for, with its stable hash.
    pub fn insert(&mut self, hash: u64, key: K, value: V) -> &mut V {
        self.keys += 1;
        self.gone.remove(&hash);
        let entry = self.fresh.insert_unique(hash, (key, value), |(key, _)| stable_hash(key));
        &mut entry.into_mut().1
    }

    /// Takes the key out that has this stable hash and passes the test.
    ///
    /// # Errors
    /// When the disk cannot be read or written to.
    pub fn remove(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Result<Option<(K, V)>> {
        if self.find(hash, &is)?.is_none() {
            return Ok(None);
        }
        let Ok(entry) = self.fresh.find_entry(hash, |(key, _)| is(key)) else { return Ok(None) };
        let (entry, _) = entry.remove();
        self.keys -= 1;
        if !self.has(hash) {
            self.gone.insert(hash);
        }
        Ok(Some(entry))
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Whether all keys of a hash are in memory, and there is one.
    fn has(&self, hash: u64) -> bool {
        self.fresh.iter_hash(hash).any(|(key, _)| stable_hash(key) == hash)
    }

    /// Brings the keys of a hash to memory, and says whether one may be there that was not.
    #[cold]
    #[inline(never)]
    fn fetch(&mut self, hash: u64) -> Result<bool> {
        if self.has(hash) || self.gone.contains(&hash) {
            return Ok(false);
        }
        if self.fresh.len() + self.gone.len() >= self.most {
            self.make_room()?;
        }
        for frozen in &self.frozen {
            if frozen.fetch(hash, &mut self.fresh)? {
                return Ok(true);
            }
        }
        let Some(space) = &self.space else { return Ok(false) };
        let failed = |error| space.failed("be read", &error);
        let Some(bytes) = space.keyspace.get(key_of(hash)).map_err(failed)? else { return Ok(false) };
        let fresh = &mut self.fresh;
        let add = |key, value| {
            fresh.insert_unique(hash, (key, value), |(key, _)| stable_hash(key));
        };
        read_bucket(&bytes, add)?;
        Ok(true)
    }

    /// Lets what is in memory be written, when what was to be written before is.
    fn make_room(&mut self) -> Result<()> {
        self.wait()?;
        self.freeze(|| {})
    }

    /// Lets what is in memory be written, and something be done behind it.
    fn freeze(&mut self, then: impl FnOnce() + Send + 'static) -> Result<()> {
        let space = self.space()?;
        let next = HashTable::with_capacity(self.most.min(self.fresh.len()) + SPARE);
        let fresh = std::mem::replace(&mut self.fresh, next);
        let frozen = Arc::new(Frozen::new(fresh, std::mem::take(&mut self.gone)));
        let writing = write(Arc::clone(&frozen), space, self.writing.take(), then)?;
        self.writing = Some(writing);
        self.frozen.push_front(frozen);
        Ok(())
    }

    /// Waits until all is written that is to be. The newest of it stays in memory.
    fn wait(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            let Written { entries, bytes } = join(writing)?;
            if let Some(each) = bytes.checked_div(entries) {
                self.most = most::<K, V>(self.memory, each);
            }
        }
        self.frozen.truncate(1);
        Ok(())
    }

    /// Shows all keys with their values, in no order, and takes them out.
    ///
    /// # Errors
    /// When the disk cannot be read or written to; and those of `show`.
    pub fn drain(&mut self, mut show: impl FnMut(K, V) -> Result<()>) -> Result<()> {
        if self.space.is_none() {
            self.keys = 0;
            return self.fresh.drain().try_for_each(|(key, value)| show(key, value));
        }
        self.freeze(|| {})?;
        self.wait()?;
        let (space, mut shown) = (self.space()?, Ok(()));
        for entry in space.keyspace.iter() {
            let (_, bytes) = entry.into_inner().map_err(|error| space.failed("be read", &error))?;
            read_bucket(&bytes, |key, value| {
                if shown.is_ok() {
                    shown = show(key, value);
                }
            })?;
            shown.clone()?;
        }
        *self = DiskTable::new(Some(self.memory));
        Ok(())
    }

    /// Saves all keys and values, by key group, as they are now: they are read from the disk when the snapshot is
    /// stored.
    ///
    /// # Errors
    /// When the disk cannot be written to.
    pub fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<Saving> {
        let (seen, sees) = mpsc::sync_channel(1);
        let (space, sought) = (self.space()?, self.space()?);
        if self.frozen.len() >= MOST_FROZEN {
            self.wait()?;
        }
        self.freeze(move || {
            // Nobody may want it any more.
            let _ = seen.send(space.snapshot());
        })?;
        snapshot.put_later(Export::<K, V>::new(sought, sees));
        Ok(Saving::Done)
    }

    /// A table of what was saved, of which about so many bytes are kept in memory.
    ///
    /// # Errors
    /// When the bytes are not those of such keys and values; when the disk cannot be written to.
    pub fn restore(saved: &Saved, memory: Option<usize>) -> Result<Self> {
        DiskTable::restore_showing(saved, memory, |_, _| {})
    }

    /// As [`restore`](DiskTable::restore), and shows each key and its value.
    ///
    /// # Errors
    /// As there.
    pub fn restore_showing(saved: &Saved, memory: Option<usize>, mut show: impl FnMut(&K, &V)) -> Result<Self> {
        let mut table = DiskTable::new(memory);
        let space = table.space()?;
        let failed = |error: fjall::Error| space.failed("be written", &error);
        let mut ingestion = space.keyspace.start_ingestion().map_err(failed)?;
        for (_, bytes) in saved.groups() {
            let mut group = Group::new::<K, V>(bytes)?;
            let mut entries: Vec<(u64, (K, V))> = Vec::with_capacity(group.len());
            group.take(usize::MAX, |key: K, value: V| {
                show(&key, &value);
                entries.push((stable_hash(&key), (key, value)));
            })?;
            table.keys += entries.len();
            entries.sort_unstable_by_key(|(hash, _)| (key_group(*hash), *hash));
            for bucket in entries.chunk_by(|(a, _), (b, _)| a == b) {
                let mut bytes = Vec::new();
                write_bucket(bucket.iter().map(|(_, entry)| entry), &mut bytes)?;
                if let Some((hash, _)) = bucket.first() {
                    ingestion.write(key_of(*hash), bytes).map_err(failed)?;
                }
            }
        }
        ingestion.finish().map_err(failed)?;
        Ok(table)
    }
}

impl<K, V> Drop for DiskTable<K, V> {
    fn drop(&mut self) {
        if let Some(writing) = self.writing.take() {
            // Nobody needs it any more.
            let _ = join(writing);
        }
    }
}

#[cfg(test)]
mod tests;
