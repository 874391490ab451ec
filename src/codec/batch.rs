//! A batch of records as bytes: a tag for the form, the number of records, the records.

use std::any::{Any, TypeId};

use super::Record;
use super::decode::{Fault, Reader};

/// Records as postcard values, one after the other.
const FORM_POSTCARD: u8 = 0;
/// Unsigned 64-bit integers, little-endian, eight bytes each.
const FORM_U64: u8 = 1;
/// Pairs of unsigned 64-bit integers, little-endian, sixteen bytes each.
const FORM_U64_PAIR: u8 = 2;
/// Bytes before the records: the form and the number of records.
const HEADER: usize = 5;

/// How much memory the values of a batch may take up as a multiple of its bytes. Most data takes less than ten times as
/// much; empty strings take 24 times as much, a thousand of them in a byte each.
pub const MAX_EXPANSION: usize = 64;

/// How much memory the values of a batch may take up however few bytes it has, in bytes. A batch is filled by the size
/// of its records in memory, to a thirtieth of this, and so it can be read even if each takes one byte or none.
pub const FREE_MEMORY: usize = 1024 * 1024;

/// Most memory, in bytes, that the values of a batch of so many bytes may take up.
pub(super) fn most_memory(bytes: usize) -> usize {
    bytes.saturating_mul(MAX_EXPANSION).max(FREE_MEMORY)
}

/// Bytes that are no batch of the expected type, or records that could not be written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end before the batch does.
    #[error("batch is cut off after {0} bytes")]
    CutOff(usize),
    /// The first byte names no known form, or one of another type.
    #[error("batch has form {found}, expected {expected}")]
    Form {
        /// What stands there.
        found: u8,
        /// What the type is written in.
        expected: u8,
    },
    /// There are bytes behind the last record.
    #[error("batch has {0} bytes too many")]
    Trailing(usize),
    /// The batch has, or claims, more records than its bytes may hold; see [`MAX_EXPANSION`] and [`FREE_MEMORY`].
    #[error("batch of {bytes} bytes has {records} records, more than so few bytes may hold")]
    TooMany {
        /// The size of the batch.
        bytes: usize,
        /// The number of records.
        records: usize,
    },
    /// A record that cannot be written.
    #[error("record {index} cannot be written: {reason}")]
    Write {
        /// Which record of the batch, from 0.
        index: usize,
        /// What postcard said.
        reason: postcard::Error,
    },
    /// A record that cannot be read.
    #[error("record {index} cannot be read, at byte {at} of the batch: {fault}")]
    Read {
        /// Which record of the batch, from 0.
        index: usize,
        /// How far the batch was read, in bytes.
        at: usize,
        /// What is wrong there.
        fault: Fault,
    },
}

/// Lets postcard write at the end of a buffer that is borrowed.
pub(super) struct Appender<'a>(pub(super) &'a mut Vec<u8>);

impl Extend<u8> for Appender<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

fn form<T: 'static>() -> u8 {
    let id = TypeId::of::<T>();
    if id == TypeId::of::<u64>() {
        FORM_U64
    } else if id == TypeId::of::<(u64, u64)>() {
        FORM_U64_PAIR
    } else {
        FORM_POSTCARD
    }
}

/// Appends a batch to `bytes`.
///
/// # Errors
/// When a record cannot be serialised, for example a sequence of unknown length, or when there are so many records that
/// the batch could not be read again; `bytes` is left as it was.
pub fn encode_batch<T: Record>(records: &[T], bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = bytes.len();
    let written = write_batch(records, bytes);
    if written.is_err() {
        bytes.truncate(start);
    }
    written
}

fn write_batch<T: Record>(records: &[T], bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = bytes.len();
    let form = form::<T>();
    let too_many = |bytes| CodecError::TooMany { bytes, records: records.len() };
    bytes.push(form);
    bytes.extend_from_slice(&u32::try_from(records.len()).map_err(|_| too_many(HEADER))?.to_le_bytes());
    match form {
        FORM_U64 => {
            let slots = room(bytes, records.len() * 8).chunks_exact_mut(8);
            for (slot, record) in slots.zip(records) {
                if let Some(number) = (record as &dyn Any).downcast_ref::<u64>() {
                    slot.copy_from_slice(&number.to_le_bytes());
                }
            }
        }
        FORM_U64_PAIR => {
            let slots = room(bytes, records.len() * 16).chunks_exact_mut(16);
            for (slot, record) in slots.zip(records) {
                if let Some((a, b)) = (record as &dyn Any).downcast_ref::<(u64, u64)>() {
                    slot[..8].copy_from_slice(&a.to_le_bytes());
                    slot[8..].copy_from_slice(&b.to_le_bytes());
                }
            }
        }
        _ => {
            for (index, record) in records.iter().enumerate() {
                postcard::to_extend(record, Appender(bytes)).map_err(|reason| CodecError::Write { index, reason })?;
            }
        }
    }
    let length = bytes.len() - start;
    if records.len().saturating_mul(size_of::<T>().max(1)) > most_memory(length) {
        return Err(too_many(length));
    }
    Ok(())
}

/// The bytes that a record takes up in a batch, in postcard; none if it cannot be serialised. Costs about as much as
/// writing it.
pub fn encoded_size<T: Record>(record: &T) -> Option<usize> {
    postcard::serialize_with_flavor(record, postcard::ser_flavors::Size::default()).ok()
}

/// Reads a whole batch and appends its records to `records`.
///
/// # Errors
/// When the bytes are not exactly one batch of the type, when its values would take up more memory than
/// [`MAX_EXPANSION`] and [`FREE_MEMORY`] allow, or are nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH); `records`
/// may then hold the records before the fault.
pub fn decode_batch<T: Record>(bytes: &[u8], records: &mut Vec<T>) -> Result<(), CodecError> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else {
        return Err(CodecError::CutOff(bytes.len()));
    };
    let expected = form::<T>();
    if header[0] != expected {
        return Err(CodecError::Form { found: header[0], expected });
    }
    let mut count = [0; 4];
    count.copy_from_slice(&header[1..]);
    let count = u32::from_le_bytes(count) as usize;
    let memory = most_memory(bytes.len());
    if count.saturating_mul(size_of::<T>().max(1)) > memory {
        return Err(CodecError::TooMany { bytes: bytes.len(), records: count });
    }
    let width = match expected {
        FORM_U64 => 8,
        FORM_U64_PAIR => 16,
        _ => return decode_records(rest, count, memory, records),
    };
    if rest.len() < count * width {
        return Err(CodecError::CutOff(bytes.len()));
    }
    if rest.len() > count * width {
        return Err(CodecError::Trailing(rest.len() - count * width));
    }
    let sink: &mut dyn Any = records;
    if let Some(numbers) = sink.downcast_mut::<Vec<u64>>() {
        numbers.extend(rest.chunks_exact(8).map(number));
    } else if let Some(pairs) = sink.downcast_mut::<Vec<(u64, u64)>>() {
        pairs.extend(rest.chunks_exact(16).map(|pair| (number(&pair[..8]), number(&pair[8..]))));
    }
    Ok(())
}

/// So many zeros at the end, to be written over.
fn room(bytes: &mut Vec<u8>, length: usize) -> &mut [u8] {
    let start = bytes.len();
    bytes.resize(start + length, 0);
    &mut bytes[start..]
}

/// Eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

fn decode_records<T: Record>(
    bytes: &[u8],
    count: usize,
    memory: usize,
    records: &mut Vec<T>,
) -> Result<(), CodecError> {
    records.reserve(count);
    let mut reader = Reader::new(bytes, memory);
    for index in 0..count {
        let record = reader.value();
        records.push(record.map_err(|fault| CodecError::Read {
            index,
            at: HEADER + bytes.len() - reader.left(),
            fault,
        })?);
    }
    match reader.left() {
        0 => Ok(()),
        left => Err(CodecError::Trailing(left)),
    }
}
