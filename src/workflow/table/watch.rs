//! A table that is saved while it is used, and whose changes are noted.
//!
//! When a snapshot begins, all keys go into a table *aside*, and the one that is looked at first is empty. So nothing
//! is paid as long as nobody saves: only what is not found there is looked for here, where an entry is saved before
//! somebody gets hold of it, and its key group is noted as changed. The rest is saved in slices, between other calls.
//!
//! When nearly all groups have changed since the last snapshot began, noting more is of no use: the keys go back.

use hashbrown::HashTable;

use super::encoding::Buffers;
use super::groups::Groups;
use crate::codec::{KEY_GROUPS, key_group};
use crate::id::Part;
use crate::workflow::{Error, Result, Saving, Snapshot};

/// How many buckets are looked at in a slice: with small values some 5,000 keys, which take a fraction of a
/// millisecond. In tests few, so that small tables have several slices.
const SLICE_BUCKETS: usize = if cfg!(test) { 1 << 6 } else { 1 << 13 };
/// How many bytes are written in a slice: a millisecond, when values are large.
const SLICE_BYTES: usize = 1 << 19;

/// How many snapshots that may not have been completed are told apart. Many fail only when a store does, and then
/// everything is saved again.
const MOST_GENERATIONS: usize = 16;

/// The part of the groups with keys of which changes are noted one by one: of the others it is assumed.
const NOTED: (u32, u32) = (7, 8);

/// Writes an entry into the buffer of a group.
type Write<K, V> = fn(&mut Buffers, u32, &(K, V)) -> Result<()>;

/// What a table has beside it that was saved once.
pub(super) struct Watch<K, V> {
    /// All keys, while accesses are noted.
    table: HashTable<(K, V)>,
    /// Groups that have changed since the newest snapshot began: all, when that is not noted.
    changed: Groups,
    /// Snapshots, each with the groups that had changed since the one before.
    generations: Vec<(u64, Groups)>,
    scan: Option<Scan>,
    /// How many groups have keys.
    held: u32,
    hash: fn(&K) -> u64,
    write: Write<K, V>,
}

/// A snapshot under way.
struct Scan {
    checkpoint: u64,
    /// All buckets before this one have been looked at.
    next: usize,
    /// A bit for each bucket whose entry was saved before its turn, or is no part of the snapshot.
    past: Vec<u64>,
    /// The groups that are saved.
    wanted: Groups,
    /// Those that have keys.
    held: Groups,
    buffers: Buffers,
    failed: Option<Error>,
}

impl Scan {
    /// Whether the bucket's turn is still to come. From now on it is not.
    #[inline]
    fn take(&mut self, bucket: usize) -> bool {
        let Some(word) = self.past.get_mut(bucket / 64) else { return false };
        let bit = 1 << (bucket % 64);
        let is_due = bucket >= self.next && *word & bit == 0;
        *word |= bit;
        is_due
    }
}

impl<K, V> Watch<K, V> {
    pub(super) fn new(hash: fn(&K) -> u64, write: Write<K, V>) -> Self {
        Watch {
            table: HashTable::new(),
            changed: Groups::ALL,
            generations: Vec::new(),
            scan: None,
            held: KEY_GROUPS,
            hash,
            write,
        }
    }

    /// The keys and values that are here.
    pub(super) fn table(&self) -> &HashTable<(K, V)> {
        &self.table
    }

    /// The nth of the buckets whose keys have this hash, most probably, and its key. Not a part of the loop over
    /// records, which would then have fewer registers.
    #[cold]
    #[inline(never)]
    pub(super) fn candidate(&self, hash: u64, nth: usize) -> Option<(usize, &K)> {
        let bucket = self.table.iter_hash_buckets(hash).nth(nth)?;
        self.table.get_bucket(bucket).map(|(key, _)| (bucket, key))
    }

    /// What is in a bucket, for somebody who may change it. The keys may go back to `own` on this occasion.
    #[cold]
    #[inline(never)]
    pub(super) fn touch<'a>(
        &'a mut self,
        own: &'a mut HashTable<(K, V)>,
        aside: &mut usize,
        hash: u64,
        bucket: usize,
    ) -> Option<&'a mut (K, V)> {
        let group = key_group(hash);
        if let Some(scan) = &mut self.scan
            && scan.wanted.contains(group)
            && scan.take(bucket)
            && let Some(entry) = self.table.get_bucket(bucket)
            && let Err(error) = (self.write)(&mut scan.buffers, group, entry)
        {
            scan.failed.get_or_insert(error);
        }
        if self.changed.insert(group) && self.is_worn() && own.is_empty() {
            self.changed = Groups::ALL;
            std::mem::swap(own, &mut self.table);
            *aside = 0;
            return own.get_bucket_mut(bucket);
        }
        self.table.get_bucket_mut(bucket)
    }

    /// Takes an entry out that was touched.
    pub(super) fn remove(&mut self, hash: u64, is: impl Fn(&K) -> bool) -> Option<(K, V)> {
        let entry = self.table.find_entry(hash, |(key, _)| is(key)).ok()?;
        Some(entry.remove().0)
    }

    /// Adds a key that is not there. Until a snapshot is saved the table here does not grow, because buckets would
    /// move; what it has no room for goes to `own`.
    pub(super) fn insert<'a>(
        &'a mut self,
        own: &'a mut HashTable<(K, V)>,
        aside: &mut usize,
        hash: u64,
        entry: (K, V),
    ) -> &'a mut (K, V) {
        let rehash = self.hash;
        let is_off = self.table.is_empty() && self.scan.is_none();
        let is_full = self.scan.is_some() && self.table.len() >= self.table.capacity();
        if is_off {
            // There nothing is noted.
            self.changed = Groups::ALL;
        }
        if is_off || is_full {
            self.changed.insert(key_group(hash));
            return own.insert_unique(hash, entry, |(key, _)| rehash(key)).into_mut();
        }
        self.changed.insert(key_group(hash));
        let entry = self.table.insert_unique(hash, entry, |(key, _)| rehash(key));
        if let Some(scan) = &mut self.scan {
            scan.take(entry.bucket_index());
        }
        *aside += 1;
        entry.into_mut()
    }

    /// Brings all keys back to `own`, where anything may happen to them. What is still to be saved is saved before.
    pub(super) fn settle(&mut self, own: &mut HashTable<(K, V)>, aside: &mut usize) {
        while self.scan.is_some() && !self.slice() {}
        if let Some(scan) = &mut self.scan {
            // There is nothing left that it would have to look at.
            scan.next = usize::MAX;
        }
        self.gather(own);
        std::mem::swap(own, &mut self.table);
        *aside = 0;
        self.changed = Groups::ALL;
    }

    /// Saves a slice for a snapshot, and begins with it if it is another one than that of the call before.
    pub(super) fn save(
        &mut self,
        own: &mut HashTable<(K, V)>,
        aside: &mut usize,
        snapshot: &mut Snapshot,
    ) -> Result<Saving> {
        if self.scan.as_ref().is_none_or(|scan| scan.checkpoint != snapshot.checkpoint()) {
            self.begin(own, snapshot);
        }
        let is_done = self.slice();
        if is_done && let Some(scan) = self.scan.take() {
            self.finish(own, scan, snapshot)?;
        }
        *aside = self.table.len();
        Ok(if is_done { Saving::Done } else { Saving::More })
    }

    fn begin(&mut self, own: &mut HashTable<(K, V)>, snapshot: &mut Snapshot) {
        self.gather(own);
        let checkpoint = snapshot.checkpoint();
        self.generations.push((checkpoint, std::mem::replace(&mut self.changed, Groups::NONE)));
        let base = snapshot.base();
        let base = self.generations.iter().position(|(generation, _)| Some(*generation) == base);
        let mut wanted = Groups::ALL;
        match base.filter(|_| self.generations.len() <= MOST_GENERATIONS) {
            Some(base) => {
                self.generations.drain(..base);
                wanted = Groups::NONE;
                self.generations.iter().skip(1).for_each(|(_, changed)| wanted.unite(changed));
                let unchanged = (0..KEY_GROUPS).filter(|group| !wanted.contains(*group));
                let kept = snapshot.keep(unchanged.map(Part::Group));
                wanted = Groups::ALL;
                for part in kept {
                    if let Part::Group(group) = part {
                        wanted.remove(group);
                    }
                }
            }
            None => drop(self.generations.drain(..self.generations.len() - 1)),
        }
        let past = vec![0; self.table.num_buckets().div_ceil(64)];
        let (held, buffers) = (Groups::NONE, Buffers::new());
        self.scan = Some(Scan { checkpoint, next: 0, past, wanted, held, buffers, failed: None });
    }

    /// Saves what comes next, and says whether that is all.
    fn slice(&mut self) -> bool {
        let Some(scan) = &mut self.scan else { return true };
        let buckets = self.table.num_buckets();
        let end = buckets.min(scan.next.saturating_add(SLICE_BUCKETS));
        let full = scan.buffers.len() + SLICE_BYTES;
        while scan.next < end && scan.buffers.len() < full {
            let bucket = scan.next;
            if let Some(entry) = self.table.get_bucket(bucket) {
                let group = key_group((self.hash)(&entry.0));
                scan.held.insert(group);
                if scan.wanted.contains(group)
                    && scan.take(bucket)
                    && let Err(error) = (self.write)(&mut scan.buffers, group, entry)
                {
                    scan.failed.get_or_insert(error);
                }
            }
            scan.next = bucket + 1;
        }
        scan.next >= buckets
    }

    fn finish(&mut self, own: &mut HashTable<(K, V)>, scan: Scan, snapshot: &mut Snapshot) -> Result<()> {
        let Scan { held, buffers, failed, next, .. } = scan;
        for (group, pieces) in buffers.finish() {
            snapshot.put_pieces(Part::Group(group), pieces);
        }
        if next != usize::MAX {
            self.held = held.len();
            self.gather(own);
            if self.is_worn() {
                self.changed = Groups::ALL;
                std::mem::swap(own, &mut self.table);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether so many groups have changed that it is not worth while to note more.
    fn is_worn(&self) -> bool {
        let (part, whole) = NOTED;
        self.scan.is_none() && self.changed.len() * whole >= self.held * part
    }

    /// Brings all keys of `own` here.
    fn gather(&mut self, own: &mut HashTable<(K, V)>) {
        if self.table.is_empty() {
            std::mem::swap(own, &mut self.table);
            return;
        }
        let rehash = self.hash;
        self.table.reserve(own.len(), |(key, _)| rehash(key));
        for entry in std::mem::take(own) {
            self.table.insert_unique(rehash(&entry.0), entry, |(key, _)| rehash(key));
        }
    }
}
