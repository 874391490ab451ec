//! State that outlives its worker: how it is saved, and what a worker that goes on with it gets to see.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{Earlier, Error, Result};
use crate::codec::{Record, decode_next, encode};
use crate::id::{Part, VertexId};

/// State that is saved by the hooks `snapshot` and `restore` of its operation or strategy, which have to be written:
/// otherwise a checkpoint fails. For what is more than data: an open file, a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByHand<T>(pub T);

impl<T> Deref for ByHand<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for ByHand<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Serialize for ByHand<T> {
    fn serialize<S: Serializer>(&self, _serializer: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("it is saved by hand, and no hook `snapshot` does that"))
    }
}

impl<'de, T> Deserialize<'de> for ByHand<T> {
    fn deserialize<D: Deserializer<'de>>(_deserializer: D) -> Result<Self, D::Error> {
        Err(de::Error::custom("it is saved by hand, and no hook `restore` reads it"))
    }
}

/// Appends a part of state to `bytes`.
///
/// # Errors
/// When it cannot be written.
pub fn save<T: Record>(state: &T, bytes: &mut Vec<u8>) -> Result<()> {
    encode(state, bytes).map_err(|error| Error::Operation(format!("the state cannot be saved: {error}")))
}

/// Reads a part of state from the front of `bytes`, and leaves there what is behind it.
///
/// # Errors
/// When the bytes are not those of such a part.
pub fn load<T: Record>(bytes: &mut &[u8]) -> Result<T> {
    decode_next(bytes).map_err(|error| Error::Operation(format!("the state cannot be read: {error}")))
}

/// Whether all has been saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saving {
    /// All.
    Done,
    /// There is more: call again, after other work of the worker.
    More,
}

/// Which effects are there to stay; see [`React::commit`](super::React::commit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Commit {
    /// Those of the records before this checkpoint, and all before it.
    Checkpoint(u64),
    /// All: every record has been handled, everywhere.
    End,
}

/// What a worker saves for a checkpoint, part by part.
#[derive(Debug, Default)]
pub struct Snapshot {
    checkpoint: u64,
    /// The number of the worker in its vertex.
    worker: u32,
    vertex: VertexId,
    nth: u32,
    seen: BTreeMap<VertexId, u32>,
    parts: Vec<(VertexId, Part, Pieces)>,
    later: Vec<Later>,
    /// What of the checkpoint before need not be saved again.
    earlier: Option<Arc<Earlier>>,
    kept: Vec<(VertexId, Part)>,
}

/// Bytes, one piece behind the other: what is written bit by bit is not copied to be in one.
pub type Pieces = Vec<Vec<u8>>;

/// Parts of a snapshot that are made when they are stored, one after the other, apart from the worker: what is not in
/// memory need not be there as a whole.
pub struct Later {
    vertex: VertexId,
    parts: Box<dyn Iterator<Item = Result<(Part, Pieces)>> + Send>,
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Later").field("vertex", &self.vertex).finish_non_exhaustive()
    }
}

impl Iterator for Later {
    type Item = Result<(VertexId, Part, Pieces)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.parts.next()?;
        Some(next.map(|(part, pieces)| (self.vertex, part, pieces)))
    }
}

/// What a snapshot consists of.
#[derive(Debug)]
pub struct Finished {
    /// Parts that were saved, with their vertices.
    pub parts: Vec<(VertexId, Part, Pieces)>,
    /// Others, which are still to be made.
    pub later: Vec<Later>,
    /// Those that were kept.
    pub kept: Vec<(VertexId, Part)>,
    /// What counts when the checkpoint is complete. What is made later is no part of it, and so is always made anew.
    pub earlier: Earlier,
}

impl Finished {
    /// What a worker goes on with that gets all of it, for the operation that is the nth one of its vertex: in tests of
    /// operations and strategies.
    ///
    /// # Errors
    /// When a part cannot be made.
    pub fn into_saved(self, nth: u32) -> Result<Saved> {
        let mut parts: BTreeMap<Part, Bytes> = BTreeMap::new();
        for made in self.parts.into_iter().map(Ok).chain(self.later.into_iter().flatten()) {
            let (_, part, pieces) = made?;
            parts.insert(part, pieces.concat().into());
        }
        Ok(Saved::new(parts, nth))
    }
}

impl Snapshot {
    /// An empty one, for this checkpoint.
    pub fn new(checkpoint: u64) -> Self {
        Snapshot { checkpoint, ..Snapshot::default() }
    }

    /// An empty one, for a checkpoint for which parts of a complete one may be kept.
    pub fn after(checkpoint: u64, earlier: Arc<Earlier>) -> Self {
        Snapshot { checkpoint, earlier: Some(earlier), ..Snapshot::default() }
    }

    /// Of this worker of its vertex, by its number.
    pub fn by(mut self, worker: u32) -> Self {
        self.worker = worker;
        self
    }

    /// The number of the checkpoint; they ascend.
    pub fn checkpoint(&self) -> u64 {
        self.checkpoint
    }

    /// The complete checkpoint that parts can be kept of; none if all has to be saved. What has been saved since for
    /// others, with higher numbers, does not count.
    pub fn base(&self) -> Option<u64> {
        self.earlier.as_ref().map(|earlier| earlier.checkpoint())
    }

    /// Keeps parts as they were saved for [`base`](Snapshot::base), as they have not changed since, and says which. The
    /// others are to be saved, if there is anything of them: they were not saved then, or are in an object of which
    /// little counts any more. Called once.
    pub fn keep(&mut self, unchanged: impl IntoIterator<Item = Part>) -> Vec<Part> {
        let kept = self.earlier.as_ref().map_or_else(Vec::new, |earlier| earlier.keep(self.vertex, unchanged));
        self.kept.extend(kept.iter().map(|part| (self.vertex, *part)));
        kept
    }

    /// What follows is of this vertex. The runtime calls it, before each hook and in the order in which these are
    /// opened.
    pub fn of(&mut self, vertex: VertexId) {
        let seen = self.seen.entry(vertex).or_default();
        (self.vertex, self.nth) = (vertex, *seen);
        *seen += 1;
    }

    /// Saves the state as a whole. What takes no bytes, such as `()`, is not kept.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put<T: Record>(&mut self, state: &T) -> Result<()> {
        let mut bytes = Vec::new();
        save(state, &mut bytes)?;
        self.put_part(Part::Whole(self.nth), bytes);
        Ok(())
    }

    /// Saves something that all workers are to know who go on with what this one keeps for key groups, however many
    /// there are then: see [`Saved::shared`]. Called once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_shared<T: Record>(&mut self, shared: &T) -> Result<()> {
        let mut bytes = Vec::new();
        save(shared, &mut bytes)?;
        self.put_part(Part::Shared(self.worker), bytes);
        Ok(())
    }

    /// Saves a part of it.
    pub fn put_part(&mut self, part: Part, bytes: Vec<u8>) {
        if !bytes.is_empty() || !matches!(part, Part::Whole(_)) {
            self.put_pieces(part, vec![bytes]);
        }
    }

    /// Saves a part of it whose bytes are in pieces.
    pub fn put_pieces(&mut self, part: Part, pieces: Pieces) {
        self.parts.push((self.vertex, part, pieces));
    }

    /// Saves parts that are made when they are stored, on another thread, and as they are now.
    pub fn put_later(&mut self, parts: impl Iterator<Item = Result<(Part, Pieces)>> + Send + 'static) {
        self.later.push(Later { vertex: self.vertex, parts: Box::new(parts) });
    }

    /// Keeps a batch that was under way to the worker. The runtime calls it.
    pub fn put_flight(&mut self, vertex: VertexId, part: Part, bytes: Vec<u8>) {
        self.parts.push((vertex, part, vec![bytes]));
    }

    /// All of it.
    pub fn finish(self) -> Finished {
        let written = self.parts.iter().map(|(vertex, part, pieces)| (*vertex, *part, length(pieces)));
        let earlier = Earlier::after(self.earlier.as_deref(), self.checkpoint, &self.kept, written);
        Finished { parts: self.parts, later: self.later, kept: self.kept, earlier }
    }
}

/// How many bytes there are in all pieces.
fn length(pieces: &Pieces) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// What was saved for a vertex, as far as a worker is to go on with it.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    parts: BTreeMap<Part, Bytes>,
    nth: u32,
}

impl Saved {
    /// These parts, for the operation that is the nth one of its vertex in the worker.
    pub fn new(parts: BTreeMap<Part, Bytes>, nth: u32) -> Self {
        Saved { parts, nth }
    }

    /// The state that was saved as a whole; none if nothing was, or it took no bytes.
    ///
    /// # Errors
    /// When the bytes are not those of such a state.
    pub fn whole<T: Record>(&self) -> Result<Option<T>> {
        let Some(bytes) = self.parts.get(&Part::Whole(self.nth)) else { return Ok(None) };
        let mut left = bytes.as_ref();
        let state = load(&mut left)?;
        match left.len() {
            0 => Ok(Some(state)),
            more => Err(Error::Operation(format!("the state cannot be read: there are {more} bytes too many"))),
        }
    }

    /// The parts, in the order of their numbers.
    pub fn parts(&self) -> impl Iterator<Item = (Part, &[u8])> {
        self.parts.iter().map(|(part, bytes)| (*part, bytes.as_ref()))
    }

    /// What there is of key groups.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.parts().filter_map(|(part, bytes)| if let Part::Group(group) = part { Some((group, bytes)) } else { None })
    }

    /// What there is of units.
    pub fn units(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.parts().filter_map(|(part, bytes)| if let Part::Unit(unit) = part { Some((unit, bytes)) } else { None })
    }

    /// What was saved by [`Snapshot::put_shared`], by the worker that was this one, or by all of them if they were not
    /// as many as they are now.
    pub fn shared<T: Record>(&self) -> impl Iterator<Item = Result<T>> {
        let shared = self.parts().filter(|(part, _)| matches!(part, Part::Shared(_)));
        shared.map(|(_, mut bytes)| load(&mut bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(snapshot: Snapshot, nth: u32) -> Saved {
        snapshot.finish().into_saved(nth).expect("all of it")
    }

    #[test]
    fn operations_of_one_vertex_find_their_own() {
        let mut snapshot = Snapshot::new(3);
        for number in [7u64, 8] {
            snapshot.of(VertexId(4));
            snapshot.put(&(number, "x".to_owned())).expect("a state");
        }
        let saved = saved(snapshot, 1);
        assert_eq!(saved.whole(), Ok(Some((8u64, "x".to_owned()))));
        assert!(saved.whole::<u64>().is_err(), "bytes are left");
    }

    #[test]
    fn what_takes_no_bytes_is_not_kept() {
        let mut snapshot = Snapshot::new(1);
        snapshot.of(VertexId(0));
        snapshot.put(&()).expect("a state");
        let saved = saved(snapshot, 0);
        assert_eq!((saved.parts().count(), saved.whole::<()>()), (0, Ok(None)));
    }

    #[test]
    fn state_by_hand_needs_a_hand() {
        let mut snapshot = Snapshot::new(1);
        snapshot.of(VertexId(0));
        assert!(snapshot.put(&ByHand(1)).is_err());
    }
}
