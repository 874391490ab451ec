//! What tells states apart, and how those that have much in common share it.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

use super::super::super::restarting::Standing;
use super::super::Coordinator;

struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// What tells values apart: as good as the value, for all that is tried here.
pub type Key = [u8; 16];

pub fn key_of(value: &impl Hash) -> Key {
    let mut bytes = Bytes(Vec::with_capacity(512));
    value.hash(&mut bytes);
    let mut key = Key::default();
    key.copy_from_slice(&blake3::hash(&bytes.0).as_bytes()[..16]);
    key
}

/// A part of a world, which most worlds that follow from it have in common with it.
#[derive(Clone, Debug)]
pub struct Part<T>(Rc<T>, Option<Key>);

impl<T: Clone + Hash> Part<T> {
    pub fn new(value: T) -> Part<T> {
        Part(Rc::new(value), None)
    }

    pub fn edit(&mut self) -> &mut T {
        self.1 = None;
        Rc::make_mut(&mut self.0)
    }

    pub fn key(&mut self) -> Key {
        *self.1.get_or_insert_with(|| key_of(&*self.0))
    }
}

impl<T> Part<T> {
    /// As it is now.
    pub fn shared(&self) -> Rc<T> {
        Rc::clone(&self.0)
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl Hash for Coordinator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Coordinator { regions, workers, growing, waiting, checkpoints, suspended, .. } = self;
        let Coordinator { rounds, started, stopping, failed, ended, links: _, peers: _, .. } = self;
        assert!(growing.is_none() && waiting.is_empty() && failed.is_none() && !ended, "nothing follows");
        let regions: Vec<_> = regions.values().map(Standing::key).collect();
        (regions, workers, checkpoints, suspended, rounds, started, stopping).hash(state);
    }
}
