//! Entries on their way to the disk.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use hashbrown::HashTable;

use super::home::Space;
use crate::codec::{Record, StableBuildHasher, key_group, stable_hash};
use crate::workflow::encoding::{Group, write_entry};
use crate::workflow::{Result, load, save};

/// How many keys are encoded at a time, while who looks for one of them waits: some 50 microseconds.
const AT_ONCE: usize = 256;

/// Stable hashes.
pub(super) type Hashes = HashSet<u64, StableBuildHasher>;

/// What has changed and is to be written. From then on it is a cache of what the disk has.
pub(super) struct Frozen<K, V> {
    entries: Mutex<Entries<K, V>>,
    /// Hashes of which there is no key any more.
    gone: Hashes,
}

struct Entries<K, V> {
    table: HashTable<(K, V)>,
    is_written: bool,
}

/// How large entries are on disk, as far as it is known: how many were written, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

/// Entries being written.
pub(super) type Writing = JoinHandle<Result<Written>>;

/// What is kept for a hash: all keys that have it, mostly one.
pub(super) fn key_of(hash: u64) -> [u8; 10] {
    let mut key = [0; 10];
    // Groups one behind the other, as they are saved.
    let (group, rest) = key.split_at_mut(2);
    group.copy_from_slice(&(key_group(hash) as u16).to_be_bytes());
    rest.copy_from_slice(&hash.to_be_bytes());
    key
}

/// Writes the keys of a hash: how many there are, and the keys with their values.
pub(super) fn write_bucket<'a, K: Record, V: Record>(
    entries: impl Iterator<Item = &'a (K, V)> + Clone,
    bytes: &mut Vec<u8>,
) -> Result<()> {
    save(&(entries.clone().count() as u32), bytes)?;
    for (key, value) in entries {
        write_entry(key, value, bytes)?;
    }
    Ok(())
}

/// How many keys there are, and their bytes.
pub(super) fn split_bucket(mut bytes: &[u8]) -> Result<(u32, &[u8])> {
    let keys = load(&mut bytes)?;
    Ok((keys, bytes))
}

/// Reads the keys of a hash.
pub(super) fn read_bucket<K: Record, V: Record>(bytes: &[u8], each: impl FnMut(K, V)) -> Result<()> {
    let (keys, bytes) = split_bucket(bytes)?;
    Group::of_entries::<K, V>(keys, bytes).take(keys as usize, each)
}

impl<K: Record + Hash + Eq, V: Record> Frozen<K, V> {
    pub(super) fn new(table: HashTable<(K, V)>, gone: Hashes) -> Self {
        Frozen { entries: Mutex::new(Entries { table, is_written: false }), gone }
    }

    fn entries(&self) -> MutexGuard<'_, Entries<K, V>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the keys of a hash to `to`, if it knows what there is of it, and says whether it does.
    pub(super) fn fetch(&self, hash: u64, to: &mut HashTable<(K, V)>) -> Result<bool> {
        let mut entries = self.entries();
        let Entries { table, is_written } = &mut *entries;
        let add = |to: &mut HashTable<(K, V)>, key: K, value: V| {
            to.insert_unique(hash, (key, value), |(key, _)| stable_hash(key));
        };
        let mut found = false;
        if *is_written {
            while let Ok(entry) = table.find_entry(hash, |(key, _)| stable_hash(key) == hash) {
                let ((key, value), _) = entry.remove();
                add(to, key, value);
                found = true;
            }
        } else {
            // Whoever writes them needs them, too.
            let mut bytes = Vec::new();
            let own = table.iter_hash(hash).filter(|(key, _)| stable_hash(key) == hash);
            if own.clone().next().is_some() {
                write_bucket(own, &mut bytes)?;
                read_bucket(&bytes, |key, value| add(to, key, value))?;
                found = true;
            }
        }
        Ok(found || self.gone.contains(&hash))
    }

    /// Writes all of it, after what was written before; who needs one of the keys meanwhile gets it.
    fn write(&self, space: &Space) -> Result<Written> {
        let failed = |error: fjall::Error| space.failed("be written", &error);
        let mut hashes: Vec<u64> = self.entries().table.iter().map(|(key, _)| stable_hash(key)).collect();
        let mut written = Written { entries: hashes.len(), bytes: 0 };
        hashes.extend(&self.gone);
        hashes.sort_unstable_by_key(|hash| (key_group(*hash), *hash));
        hashes.dedup();
        let mut ingestion = space.keyspace.start_ingestion().map_err(failed)?;
        for chunk in hashes.chunks(AT_ONCE) {
            let mut buckets = Vec::with_capacity(chunk.len());
            let entries = self.entries();
            for hash in chunk {
                let mut bytes = Vec::new();
                let own = entries.table.iter_hash(*hash).filter(|(key, _)| stable_hash(key) == *hash);
                if own.clone().next().is_some() {
                    write_bucket(own, &mut bytes)?;
                }
                buckets.push(bytes);
            }
            drop(entries);
            for (hash, bytes) in chunk.iter().zip(buckets) {
                written.bytes += bytes.len();
                let key = key_of(*hash);
                let done = if bytes.is_empty() { ingestion.write_tombstone(key) } else { ingestion.write(key, bytes) };
                done.map_err(failed)?;
            }
        }
        ingestion.finish().map_err(failed)?;
        self.entries().is_written = true;
        Ok(written)
    }
}

/// Writes entries on a thread of their own, after what is being written, and then does something more.
///
/// # Errors
/// When the system has no more threads.
pub(super) fn write<K: Record + Hash + Eq, V: Record>(
    frozen: Arc<Frozen<K, V>>,
    space: Arc<Space>,
    before: Option<Writing>,
    then: impl FnOnce() + Send + 'static,
) -> Result<Writing> {
    let work = move || {
        if let Some(before) = before {
            join(before)?;
        }
        let written = frozen.write(&space)?;
        then();
        Ok(written)
    };
    #[expect(clippy::disallowed_methods, reason = "the table joins it")]
    let thread = std::thread::Builder::new().name("state on disk".to_owned()).spawn(work);
    thread.map_err(|error| crate::workflow::Error::Runtime(error.to_string()))
}

/// Waits until entries are written.
pub(super) fn join(writing: Writing) -> Result<Written> {
    writing.join().unwrap_or_else(|_| Err("writing the state on disk panicked".to_owned().into()))
}
