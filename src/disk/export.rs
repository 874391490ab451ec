//! What is on disk, by key group, as a checkpoint wants it.

use std::marker::PhantomData;
use std::sync::{Arc, mpsc};

use fjall::{Iter, Readable};

use super::frozen::split_bucket;
use super::home::Space;
use crate::codec::Record;
use crate::id::Part;
use crate::workflow::encoding::head;
use crate::workflow::{Error, Pieces, Result};

/// How long a piece of a group's bytes is at least, that is not its last.
const PIECE: usize = 64 * 1024;

/// The groups of a table as they were at some time, one after the other.
pub(super) struct Export<K, V> {
    space: Arc<Space>,
    state: State,
    types: PhantomData<fn() -> (K, V)>,
}

enum State {
    /// What is to be seen is still being written.
    Waiting(mpsc::Receiver<fjall::Snapshot>),
    /// The rest, behind the first entry of the next group.
    Reading {
        left: Iter,
        next: Option<Entry>,
        _seen: fjall::Snapshot,
    },
    Ended,
}

/// The group of a hash, how many keys have it, and their bytes.
struct Entry {
    group: u32,
    keys: u32,
    bytes: Vec<u8>,
}

impl<K: Record, V: Record> Export<K, V> {
    pub(super) fn new(space: Arc<Space>, seen: mpsc::Receiver<fjall::Snapshot>) -> Self {
        Export { space, state: State::Waiting(seen), types: PhantomData }
    }

    fn begin(&mut self) -> Result<()> {
        if let State::Waiting(seen) = &self.state {
            // Whoever writes has failed, and told the table why.
            let gone = |_| Error::Outside("the state on disk could not be written".to_owned());
            let seen = seen.recv().map_err(gone)?;
            let mut left = seen.iter(&self.space.keyspace);
            let next = entry(&self.space, &mut left)?;
            self.state = State::Reading { left, next, _seen: seen };
        }
        Ok(())
    }

    fn group(&mut self) -> Result<Option<(Part, Pieces)>> {
        self.begin()?;
        let State::Reading { left, next, .. } = &mut self.state else { return Ok(None) };
        let Some(first) = next.take() else { return Ok(None) };
        let (group, mut keys) = (first.group, first.keys);
        // The number of keys is known at the end.
        let mut pieces = vec![Vec::new(), first.bytes];
        while let Some(entry) = entry(&self.space, left)? {
            if entry.group != group {
                *next = Some(entry);
                break;
            }
            keys += entry.keys;
            match pieces.last_mut().filter(|last| last.len() < PIECE) {
                Some(last) => last.extend_from_slice(&entry.bytes),
                None => pieces.push(entry.bytes),
            }
        }
        if let Some(first) = pieces.first_mut() {
            *first = head::<K, V>(keys);
        }
        Ok(Some((Part::Group(group), pieces)))
    }
}

impl<K: Record, V: Record> Iterator for Export<K, V> {
    type Item = Result<(Part, Pieces)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.group().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Ended;
        }
        next
    }
}

fn entry(space: &Space, left: &mut Iter) -> Result<Option<Entry>> {
    let Some(next) = left.next() else { return Ok(None) };
    let (key, value) = next.into_inner().map_err(|error| space.failed("be read", &error))?;
    let Some(&[high, low]) = key.first_chunk() else { return Err(space.failed("be read", &"a key is cut off")) };
    let (keys, bytes) = split_bucket(&value)?;
    Ok(Some(Entry { group: u16::from_be_bytes([high, low]).into(), keys, bytes: bytes.to_vec() }))
}
