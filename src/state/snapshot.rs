//! What a worker has saved, as one object: sections, and a table of them behind.
//!
//! | bytes | what |
//! |---|---|
//! | 6 | `SKSNAP` |
//! | 2 | the format, 1 |
//! | 8 | the worker: its vertex, its number in that |
//! | | the sections, one behind the other without a gap |
//! | 44 each | the table: vertex (4), kind of part (4), part (16), where the section begins (8), its length (8), its sum (4) |
//! | 8 | how many entries the table has |
//! | 4 | the sum of the first 16 bytes, the table, and the number of its entries |
//! | 4 | `SKND` |
//!
//! Numbers have the low byte first, sums are CRC-32. Parts are 0, a whole: its number; 1, a key group: its number; 2, a
//! unit: its number (8); 3, a batch: vertex and number of its sender, link, number; 4, what is shared: the number of
//! the worker. What a part has no use for is 0.

use bytes::Bytes;
use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

use super::StateError;
use super::checksum::checksum;
use crate::id::{Part, VertexId, WorkerId};

/// How an object begins.
const MAGIC: &[u8; 6] = b"SKSNAP";
/// How it ends.
const END: &[u8; 4] = b"SKND";
/// How it is written. One that is read otherwise gets another number.
const FORMAT: u16 = 1;

/// Bytes before the first section.
const HEAD: usize = 16;
/// Bytes behind the table.
const TAIL: usize = 16;
/// Bytes of an entry of the table.
const ENTRY: usize = 44;

/// A piece of saved state, and where in its object it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Section {
    /// Whose state it is.
    pub vertex: VertexId,
    /// Which part of that.
    pub part: Part,
    /// The first of its bytes, counted from the first of the object.
    pub at: u64,
    /// How many bytes it has.
    pub length: u64,
    /// Their CRC-32.
    pub checksum: u32,
}

/// Pieces that are shorter are copied behind each other, which costs less than to write each by itself.
const SHORT: usize = 8 * 1024;
/// How much is copied behind each other, so that memory for it is found at once.
const LONG: usize = 1024 * 1024;

/// Gathers what a worker saves. Long pieces are not copied.
#[derive(Debug)]
pub struct SnapshotWriter {
    /// The object so far, piece by piece, but for what is open.
    pieces: Vec<Bytes>,
    open: Vec<u8>,
    length: u64,
    sections: Vec<Section>,
}

impl SnapshotWriter {
    /// Nothing yet, of this worker.
    pub fn new(worker: WorkerId) -> SnapshotWriter {
        let mut bytes = Vec::with_capacity(HEAD);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&worker.vertex.0.to_le_bytes());
        bytes.extend_from_slice(&worker.index.to_le_bytes());
        SnapshotWriter { pieces: Vec::new(), open: bytes, length: HEAD as u64, sections: Vec::new() }
    }

    /// Adds a part of what is kept for a vertex, whose bytes may be in pieces.
    pub fn section(&mut self, vertex: VertexId, part: Part, pieces: impl IntoIterator<Item = Bytes>) {
        let (at, mut hasher) = (self.length, Hasher::new());
        for piece in pieces {
            hasher.update(&piece);
            self.length += piece.len() as u64;
            if piece.len() < SHORT {
                self.open.extend_from_slice(&piece);
            } else {
                self.close();
                self.pieces.push(piece);
            }
            if self.open.len() >= LONG {
                self.close();
            }
        }
        self.sections.push(Section { vertex, part, at, length: self.length - at, checksum: hasher.finalize() });
    }

    /// How many bytes there are so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether no part was added.
    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// The object in pieces, and what is in it, in the order in which it was added.
    pub fn finish(mut self) -> (Vec<Bytes>, Vec<Section>) {
        self.close();
        let mut table = Vec::with_capacity(self.sections.len() * ENTRY + TAIL);
        for section in &self.sections {
            table.extend_from_slice(&entry(section));
        }
        table.extend_from_slice(&(self.sections.len() as u64).to_le_bytes());
        // The head is at the front of the first piece.
        let head = self.pieces.first().and_then(|piece| piece.get(..HEAD)).unwrap_or_default();
        let sum = checksum(&[head, &table]);
        table.extend_from_slice(&sum.to_le_bytes());
        table.extend_from_slice(END);
        self.pieces.push(table.into());
        (self.pieces, self.sections)
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.pieces.push(std::mem::take(&mut self.open).into());
        }
    }
}

/// The bytes of a section, when they are those that were written.
///
/// # Errors
/// When the section is not inside of the object, or its sum is another.
pub fn read_section<'a>(object: &'a [u8], section: &Section) -> Result<&'a [u8], StateError> {
    let wrong = |why: &str| StateError::damaged(format!("{} of vertex {}", section.part, section.vertex.0), why);
    let range = usize::try_from(section.at).ok().zip(usize::try_from(section.length).ok());
    let range = range.and_then(|(at, length)| Some(at..at.checked_add(length)?));
    let bytes = range.and_then(|range| object.get(range)).ok_or_else(|| wrong("it ends beyond its object"))?;
    if checksum(&[bytes]) == section.checksum { Ok(bytes) } else { Err(wrong("its sum is another")) }
}

/// The same with the sums that it should have, as far as it is an object: whoever writes to a store can do so, too.
#[cfg(any(test, fuzzing))]
pub fn with_sums(bytes: &[u8]) -> Vec<u8> {
    let mut object = bytes.to_vec();
    let Some((front, tail)) = bytes.len().checked_sub(TAIL).map(|at| bytes.split_at(at)) else { return object };
    let table = usize::try_from(Fields(tail).u64()).ok().and_then(|entries| entries.checked_mul(ENTRY));
    let table = table.and_then(|length| front.len().checked_sub(length)).filter(|at| *at >= HEAD);
    let Some(table) = table else { return object };
    for entry in object[table..front.len()].chunks_exact_mut(ENTRY) {
        let mut fields = Fields(&entry[24..]);
        let range = usize::try_from(fields.u64()).ok().zip(usize::try_from(fields.u64()).ok());
        let range = range.and_then(|(at, length)| Some(at..at.checked_add(length)?));
        if let Some(section) = range.and_then(|range| bytes.get(range)) {
            entry[40..].copy_from_slice(&checksum(&[section]).to_le_bytes());
        }
    }
    let sum = checksum(&[&object[..HEAD], &object[table..front.len() + 8]]);
    object[front.len() + 8..front.len() + 12].copy_from_slice(&sum.to_le_bytes());
    object
}

/// As [`contents`], for tests that know whose it is.
///
/// # Errors
/// As there.
#[cfg(test)]
pub fn verify_object(bytes: &[u8]) -> Result<Vec<Section>, StateError> {
    contents(bytes).map(|(_, sections)| sections)
}

/// What is in an object, and whose it is, when it is one and each of its bytes is as it was written. The bytes may be
/// anybody's.
///
/// # Errors
/// When it is no such object, or damaged; when it has a format of a later version.
pub fn contents(bytes: &[u8]) -> Result<(WorkerId, Vec<Section>), StateError> {
    let wrong = |why: &str| StateError::damaged("the snapshot", why);
    let (head, body) = bytes.split_at_checked(HEAD).ok_or_else(|| wrong("it is too short"))?;
    let mut fields = Fields(head);
    let (magic, format) = (fields.take::<6>(), u16::from_le_bytes(fields.take()));
    if magic != *MAGIC {
        return Err(wrong("it does not begin like one"));
    }
    if format > FORMAT {
        return Err(StateError::Newer { what: "the snapshot".to_owned(), format: format.into(), known: FORMAT.into() });
    }
    let worker = WorkerId { vertex: VertexId(fields.u32()), index: fields.u32() };
    let tail = body.len().checked_sub(TAIL).ok_or_else(|| wrong("it is too short"))?;
    let (body, tail) = body.split_at(tail);
    let mut fields = Fields(tail);
    let (entries, sum, end) = (fields.u64(), fields.u32(), fields.take::<4>());
    if end != *END {
        return Err(wrong("its end is missing"));
    }
    let table = usize::try_from(entries).ok().and_then(|entries| entries.checked_mul(ENTRY));
    let table = table.and_then(|table| body.len().checked_sub(table));
    let (data, table) = body.split_at(table.ok_or_else(|| wrong("its table is longer than it is itself"))?);
    if format == 0 || checksum(&[head, table, &entries.to_le_bytes()]) != sum {
        return Err(wrong("the sum of its table is another"));
    }
    let mut sections = Vec::with_capacity(table.len() / ENTRY);
    let mut next = HEAD as u64;
    for entry in table.chunks_exact(ENTRY) {
        let section = section(entry).ok_or_else(|| wrong("its table has an entry of no known kind"))?;
        if section.at != next {
            return Err(wrong("its sections are not one behind the other"));
        }
        read_section(bytes, &section)?;
        next = section.at.saturating_add(section.length);
        sections.push(section);
    }
    if next != (HEAD + data.len()) as u64 {
        return Err(wrong("its sections do not fill it"));
    }
    Ok((worker, sections))
}

fn entry(section: &Section) -> [u8; ENTRY] {
    let (kind, [a, b, c, d]) = match section.part {
        Part::Whole(number) => (0, [number, 0, 0, 0]),
        Part::Group(group) => (1, [group, 0, 0, 0]),
        // The low half, and the high one.
        Part::Unit(unit) => (2, [(unit & u64::from(u32::MAX)) as u32, (unit >> 32) as u32, 0, 0]),
        Part::Shared(worker) => (4, [worker, 0, 0, 0]),
        Part::Flight { from, link, number } => (3, [from.vertex.0, from.index, link, number]),
    };
    let mut entry = [0; ENTRY];
    let (words, rest) = entry.split_at_mut(24);
    for (place, word) in words.chunks_exact_mut(4).zip([section.vertex.0, kind, a, b, c, d]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    rest[..8].copy_from_slice(&section.at.to_le_bytes());
    rest[8..16].copy_from_slice(&section.length.to_le_bytes());
    rest[16..].copy_from_slice(&section.checksum.to_le_bytes());
    entry
}

fn section(entry: &[u8]) -> Option<Section> {
    let mut fields = Fields(entry);
    let vertex = VertexId(fields.u32());
    let part = match (fields.u32(), [fields.u32(), fields.u32(), fields.u32(), fields.u32()]) {
        (0, [number, 0, 0, 0]) => Part::Whole(number),
        (1, [group, 0, 0, 0]) => Part::Group(group),
        (2, [low, high, 0, 0]) => Part::Unit(u64::from(high) << 32 | u64::from(low)),
        (4, [worker, 0, 0, 0]) => Part::Shared(worker),
        (3, [vertex, index, link, number]) => {
            Part::Flight { from: WorkerId { vertex: VertexId(vertex), index }, link, number }
        }
        _ => return None,
    };
    Some(Section { vertex, part, at: fields.u64(), length: fields.u64(), checksum: fields.u32() })
}

/// Fields of fixed width, one after the other. Who reads has made sure that they are there; a missing one is 0.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

#[cfg(test)]
mod tests;
