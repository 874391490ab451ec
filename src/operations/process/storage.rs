//! Where the states of keys are.

use std::hash::Hash;

use crate::codec::Record;
#[cfg(feature = "disk")]
use crate::disk::DiskTable;
use crate::workflow::{KeyedTable, Result, Saved, Saving, Snapshot};

/// Where an operation keeps the states of keys. It may be another one when a workflow goes on at a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// In memory.
    #[default]
    Memory,
    /// On disk, but for those that were used last; see [`DiskTable`].
    #[cfg(feature = "disk")]
    Disk {
        /// About how many bytes of keys and states each worker keeps in memory: 64 MiB if that is not said.
        memory: Option<usize>,
    },
}

impl Storage {
    /// On disk, with as much in memory as is usual.
    #[cfg(feature = "disk")]
    pub fn disk() -> Self {
        Storage::Disk { memory: None }
    }
}

/// The states of keys.
pub(super) enum Table<K, V> {
    Memory(KeyedTable<K, V>),
    #[cfg(feature = "disk")]
    Disk(DiskTable<K, V>),
}

impl<K: Record + Hash + Eq, V: Record> Table<K, V> {
    pub(super) fn new(storage: Storage) -> Self {
        match storage {
            Storage::Memory => Table::Memory(KeyedTable::new()),
            #[cfg(feature = "disk")]
            Storage::Disk { memory } => Table::Disk(DiskTable::new(memory)),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Table::Memory(table) => table.len(),
            #[cfg(feature = "disk")]
            Table::Disk(table) => table.len(),
        }
    }

    /// Shows the value of a key, which is made if there is none.
    #[inline(always)]
    pub(super) fn with<R>(
        &mut self,
        hash: u64,
        key: &K,
        first: impl FnOnce() -> V,
        show: impl FnOnce(&mut V) -> R,
    ) -> Result<R>
    where
        K: Clone,
    {
        let value = match self {
            Table::Memory(table) => match table.find(hash, |other| other == key) {
                Some(value) => value,
                None => table.insert(hash, key.clone(), first()).1,
            },
            #[cfg(feature = "disk")]
            Table::Disk(table) => match table.find(hash, |other| other == key)? {
                Some(value) => value,
                None => table.insert(hash, key.clone(), first()),
            },
        };
        Ok(show(value))
    }

    pub(super) fn remove(&mut self, hash: u64, key: &K) -> Result<()> {
        match self {
            Table::Memory(table) => drop(table.remove(hash, |other| other == key)),
            #[cfg(feature = "disk")]
            Table::Disk(table) => drop(table.remove(hash, |other| other == key)?),
        }
        Ok(())
    }

    /// Takes all out.
    pub(super) fn drain(&mut self, mut show: impl FnMut(K, V) -> Result<()>) -> Result<()> {
        match self {
            Table::Memory(table) => table.drain().try_for_each(|(key, value)| show(key, value)),
            #[cfg(feature = "disk")]
            Table::Disk(table) => table.drain(show),
        }
    }

    pub(super) fn snapshot(&mut self, snapshot: &mut Snapshot) -> Result<Saving> {
        match self {
            Table::Memory(table) => table.snapshot(snapshot),
            #[cfg(feature = "disk")]
            Table::Disk(table) => table.snapshot(snapshot),
        }
    }

    /// What was saved; each key and its value is shown.
    pub(super) fn restore(saved: &Saved, storage: Storage, mut show: impl FnMut(&K, &V)) -> Result<Self> {
        Ok(match storage {
            Storage::Memory => {
                let table = KeyedTable::restore(saved)?;
                table.iter().for_each(|(key, value)| show(key, value));
                Table::Memory(table)
            }
            #[cfg(feature = "disk")]
            Storage::Disk { memory } => Table::Disk(DiskTable::restore_showing(saved, memory, show)?),
        })
    }
}
