//! The bytes of a key group, as a [`KeyedTable`](super::KeyedTable) saves it, for tables of other kinds.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the form: 0, postcard; 1, fixed width |
//! | 4 | how many keys there are, low byte first |
//! | | key and value of each, one behind the other |
//!
//! In fixed width are `u64`, in eight bytes, and `(u64, u64)`, in sixteen, low byte first, if both key and value are
//! such.

use std::any::{Any, TypeId};

use super::super::persist::{load, save};
use crate::codec::{KEY_GROUPS, Record};
use crate::workflow::{Error, Pieces, Result};

/// Keys and values in postcard.
const FORM_POSTCARD: u8 = 0;
/// Keys and values in fixed width.
const FORM_FIXED: u8 = 1;
/// Bytes before the first key.
const HEAD: usize = 5;

/// How long a piece of a group's bytes is, that is not its first. The bytes are not in one, because all groups would
/// have to grow, and be copied, at the same time.
const PIECE: usize = 16 * 1024;
/// How long the first one is: most groups have few keys.
const FIRST_PIECE: usize = 1024;
/// What is left free in a piece for a value of unknown size that is to begin there: a larger one gets more room.
const ROOM: usize = 64;

/// The bytes of all groups, as far as they are written.
#[derive(Debug)]
pub(super) struct Buffers {
    groups: Vec<Buffer>,
    /// How many bytes there are.
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Buffer {
    full: Pieces,
    last: Vec<u8>,
    keys: u32,
}

impl Buffer {
    /// Begins with another piece.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, form: u8) {
        if self.last.capacity() == 0 {
            self.last = Vec::with_capacity(FIRST_PIECE);
            self.last.extend_from_slice(&[form, 0, 0, 0, 0]);
        } else {
            self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(PIECE)));
        }
    }
}

impl Buffers {
    pub(super) fn new() -> Buffers {
        Buffers { groups: vec![Buffer::default(); KEY_GROUPS as usize], bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Adds a key and its value to a group.
    #[inline]
    pub(super) fn add<K: Record, V: Record>(&mut self, group: u32, key: &K, value: &V) -> Result<()> {
        let Some(buffer) = self.groups.get_mut(group as usize) else { return Ok(()) };
        if buffer.last.capacity() - buffer.last.len() < ROOM {
            buffer.grow(form::<K, V>());
        }
        let before = buffer.last.len();
        write_entry(key, value, &mut buffer.last)?;
        buffer.keys += 1;
        self.bytes += buffer.last.len() - before;
        Ok(())
    }

    /// The groups that there is anything of, with their bytes.
    pub(super) fn finish(self) -> impl Iterator<Item = (u32, Pieces)> {
        let filled = (0..).zip(self.groups).filter(|(_, buffer)| buffer.keys > 0);
        filled.map(|(group, Buffer { full: mut pieces, last, keys })| {
            pieces.push(last);
            if let Some(count) = pieces.first_mut().and_then(|first| first.get_mut(1..HEAD)) {
                count.copy_from_slice(&keys.to_le_bytes());
            }
            (group, pieces)
        })
    }
}

/// Writes a key and its value, as they stand in a group.
///
/// # Errors
/// When they cannot be written.
#[inline(always)]
pub fn write_entry<K: Record, V: Record>(key: &K, value: &V, bytes: &mut Vec<u8>) -> Result<()> {
    if form::<K, V>() == FORM_FIXED {
        write_fixed(key, bytes);
        write_fixed(value, bytes);
        Ok(())
    } else {
        save(key, bytes)?;
        save(value, bytes)
    }
}

/// Begins the bytes of a group with so many keys.
pub fn head<K: Record, V: Record>(keys: u32) -> Vec<u8> {
    let [a, b, c, d] = keys.to_le_bytes();
    vec![form::<K, V>(), a, b, c, d]
}

/// Reads the keys and values of a group, some at a time.
#[derive(Debug)]
pub struct Group<'a> {
    form: u8,
    left: &'a [u8],
    keys: usize,
}

impl<'a> Group<'a> {
    /// All of a group.
    ///
    /// # Errors
    /// When the bytes are not those of a group of such keys and values.
    pub fn new<K: Record, V: Record>(bytes: &'a [u8]) -> Result<Self> {
        let Some((&[form, ref count @ ..], left)) = bytes.split_first_chunk::<HEAD>() else {
            return Err(wrong("a key group is cut off"));
        };
        if form != FORM_POSTCARD && (form != FORM_FIXED || width::<K>().zip(width::<V>()).is_none()) {
            return Err(wrong("a key group has a form that keys and values of this type have not"));
        }
        let keys = u32::from_le_bytes(*count) as usize;
        // Each key takes a byte at least, but for the one of a type that has no other value.
        if keys > left.len().max(1) { Err(wrong("a key group is cut off")) } else { Ok(Group { form, left, keys }) }
    }

    /// So many keys that were [written one by one](write_entry), without the head of a group.
    pub fn of_entries<K: Record, V: Record>(keys: u32, bytes: &'a [u8]) -> Self {
        Group { form: form::<K, V>(), left: bytes, keys: keys as usize }
    }

    /// How many keys are left.
    pub fn len(&self) -> usize {
        self.keys
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.keys == 0
    }

    /// Reads so many keys, or all that are left.
    ///
    /// # Errors
    /// When the bytes are not those of such keys and values, or more than those.
    pub fn take<K: Record, V: Record>(&mut self, most: usize, mut each: impl FnMut(K, V)) -> Result<()> {
        let count = most.min(self.keys);
        if let (FORM_FIXED, Some((key_width, value_width))) = (self.form, width::<K>().zip(width::<V>())) {
            let width = key_width + value_width;
            let split = count.checked_mul(width).and_then(|length| self.left.split_at_checked(length));
            let (entries, left) = split.ok_or_else(|| wrong("a key group is cut off"))?;
            for entry in entries.chunks_exact(width) {
                let (key, value) = entry.split_at(key_width);
                if let (Some(key), Some(value)) = (read_fixed(key), read_fixed(value)) {
                    each(key, value);
                }
            }
            self.left = left;
        } else {
            for _ in 0..count {
                let key = load(&mut self.left)?;
                each(key, load(&mut self.left)?);
            }
        }
        self.keys -= count;
        if self.keys == 0 && !self.left.is_empty() {
            return Err(wrong("a key group has more bytes than keys"));
        }
        Ok(())
    }
}

fn wrong(why: &str) -> Error {
    Error::Operation(format!("the state cannot be read: {why}"))
}

#[inline(always)]
fn form<K: 'static, V: 'static>() -> u8 {
    if width::<K>().is_some() && width::<V>().is_some() { FORM_FIXED } else { FORM_POSTCARD }
}

/// How many bytes a value of the type has, if that is always the same.
#[inline(always)]
fn width<T: 'static>() -> Option<usize> {
    let id = TypeId::of::<T>();
    if id == TypeId::of::<u64>() {
        Some(8)
    } else if id == TypeId::of::<(u64, u64)>() {
        Some(16)
    } else {
        None
    }
}

#[inline(always)]
fn write_fixed<T: 'static>(value: &T, bytes: &mut Vec<u8>) {
    let value: &dyn Any = value;
    if let Some(number) = value.downcast_ref::<u64>() {
        bytes.extend_from_slice(&number.to_le_bytes());
    } else if let Some((a, b)) = value.downcast_ref::<(u64, u64)>() {
        bytes.extend_from_slice(&a.to_le_bytes());
        bytes.extend_from_slice(&b.to_le_bytes());
    }
}

#[inline(always)]
fn read_fixed<T: 'static>(bytes: &[u8]) -> Option<T> {
    let mut value: Option<T> = None;
    let slot: &mut dyn Any = &mut value;
    if let Some(slot) = slot.downcast_mut::<Option<u64>>() {
        *slot = number(bytes);
    } else if let Some(slot) = slot.downcast_mut::<Option<(u64, u64)>>() {
        *slot = bytes.split_at_checked(8).and_then(|(a, b)| Some((number(a)?, number(b)?)));
    }
    value
}

#[inline(always)]
fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}
