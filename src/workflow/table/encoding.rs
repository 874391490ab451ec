//! The bytes of a key group.
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
use crate::workflow::{Error, Result};

/// Keys and values in postcard.
const FORM_POSTCARD: u8 = 0;
/// Keys and values in fixed width.
const FORM_FIXED: u8 = 1;
/// Bytes before the first key.
const HEAD: usize = 5;

/// What is reserved for a group at first, in bytes: a few keys.
const FIRST_ROOM: usize = 128;

/// The bytes of all groups, as far as they are written.
#[derive(Debug)]
pub(super) struct Buffers {
    groups: Vec<Buffer>,
    /// How many bytes there are.
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    keys: u32,
}

impl Buffers {
    pub(super) fn new() -> Buffers {
        Buffers { groups: vec![Buffer::default(); KEY_GROUPS as usize], bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Adds a key and its value to a group. `room` has how many bytes the groups will have, as far as that is known.
    #[inline]
    pub(super) fn add<K: Record, V: Record>(&mut self, group: u32, key: &K, value: &V, room: &[usize]) -> Result<()> {
        let Some(buffer) = self.groups.get_mut(group as usize) else { return Ok(()) };
        let before = buffer.bytes.len();
        if before == 0 {
            buffer.bytes.reserve(room.get(group as usize).copied().unwrap_or_default().max(FIRST_ROOM));
            buffer.bytes.extend_from_slice(&[form::<K, V>(), 0, 0, 0, 0]);
        }
        if form::<K, V>() == FORM_FIXED {
            write_fixed(key, &mut buffer.bytes);
            write_fixed(value, &mut buffer.bytes);
        } else {
            save(key, &mut buffer.bytes)?;
            save(value, &mut buffer.bytes)?;
        }
        buffer.keys += 1;
        self.bytes += buffer.bytes.len() - before;
        Ok(())
    }

    /// The groups that there is anything of, with their bytes.
    pub(super) fn finish(self) -> impl Iterator<Item = (u32, Vec<u8>)> {
        let filled = (0..).zip(self.groups).filter(|(_, buffer)| buffer.keys > 0);
        filled.map(|(group, Buffer { mut bytes, keys })| {
            if let Some(count) = bytes.get_mut(1..HEAD) {
                count.copy_from_slice(&keys.to_le_bytes());
            }
            (group, bytes)
        })
    }
}

/// How many keys there are in a group; never more than its bytes can be of.
pub(super) fn count(bytes: &[u8]) -> usize {
    let Some(Ok(count)) = bytes.get(1..HEAD).map(<[u8; 4]>::try_from) else { return 0 };
    (u32::from_le_bytes(count) as usize).min(bytes.len())
}

/// Reads all keys and values of a group.
///
/// # Errors
/// When the bytes are not those of such a group.
pub(super) fn read<K: Record, V: Record>(bytes: &[u8], mut each: impl FnMut(K, V)) -> Result<()> {
    let wrong = |why: String| Error::Operation(format!("the state cannot be read: {why}"));
    let (head, mut left) = bytes.split_at_checked(HEAD).ok_or_else(|| wrong("a key group is cut off".to_owned()))?;
    let mut keys = 0;
    match (head[0], width::<K>().zip(width::<V>())) {
        (FORM_POSTCARD, _) => {
            while !left.is_empty() {
                let key = load(&mut left)?;
                each(key, load(&mut left)?);
                keys += 1;
            }
        }
        (FORM_FIXED, Some((key_width, value_width))) => {
            let entries = left.chunks_exact(key_width + value_width);
            if !entries.remainder().is_empty() {
                return Err(wrong("a key group is cut off".to_owned()));
            }
            for entry in entries {
                let (key, value) = entry.split_at(key_width);
                if let (Some(key), Some(value)) = (read_fixed(key), read_fixed(value)) {
                    each(key, value);
                    keys += 1;
                }
            }
        }
        (form, _) => {
            return Err(wrong(format!("a key group has form {form}, which keys and values of this type have not")));
        }
    }
    if keys == count(bytes) {
        Ok(())
    } else {
        Err(wrong(format!("a key group has {keys} keys, and says another number")))
    }
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
