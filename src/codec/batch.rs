//! A batch of records as bytes: a tag for the form, the number of records, the records.

use std::any::{Any, TypeId};

use super::Record;

/// Records as postcard values, one after the other.
const FORM_POSTCARD: u8 = 0;
/// Unsigned 64-bit integers, little-endian, eight bytes each.
const FORM_U64: u8 = 1;
/// Pairs of unsigned 64-bit integers, little-endian, sixteen bytes each.
const FORM_U64_PAIR: u8 = 2;
/// Bytes before the records: the form and the number of records.
const HEADER: usize = 5;

/// How much memory the records of a frame may take up as a multiple of its bytes; without a limit, a frame of empty
/// strings of 24 bytes each would take 24 times its size, and one of nothing any amount.
const MAX_EXPANSION: usize = 64;

/// Bytes that are no batch of the expected type, or records that could not be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
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
    /// The batch claims more records than its bytes may hold.
    #[error("batch of {bytes} bytes claims {records} records")]
    TooMany {
        /// The size of the batch.
        bytes: usize,
        /// The number of records that it claims.
        records: usize,
    },
    /// A record that postcard refuses.
    #[error("record {index}: {reason}")]
    Record {
        /// Which record of the batch, from 0.
        index: usize,
        /// What postcard said.
        reason: postcard::Error,
    },
}

/// Lets postcard write at the end of a buffer that is borrowed.
struct Appender<'a>(&'a mut Vec<u8>);

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
/// When a record cannot be serialised, for example a sequence of unknown length; `bytes` is left as it was.
pub fn encode_batch<T: Record>(records: &[T], bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = bytes.len();
    let form = form::<T>();
    bytes.push(form);
    bytes.extend_from_slice(&(records.len() as u32).to_le_bytes());
    match form {
        FORM_U64 => bytes
            .extend(records.iter().filter_map(|r| (r as &dyn Any).downcast_ref::<u64>()).flat_map(|n| n.to_le_bytes())),
        FORM_U64_PAIR => {
            for (a, b) in records.iter().filter_map(|r| (r as &dyn Any).downcast_ref::<(u64, u64)>()) {
                bytes.extend_from_slice(&a.to_le_bytes());
                bytes.extend_from_slice(&b.to_le_bytes());
            }
        }
        _ => {
            for (index, record) in records.iter().enumerate() {
                if let Err(reason) = postcard::to_extend(record, Appender(bytes)) {
                    bytes.truncate(start);
                    return Err(CodecError::Record { index, reason });
                }
            }
        }
    }
    Ok(())
}

/// Reads a whole batch and appends its records to `records`.
///
/// # Errors
/// When the bytes are not exactly one batch of the type, or would expand to more than 64 times their size in memory;
/// `records` may then hold the records before the fault.
pub fn decode_batch<T: Record>(bytes: &[u8], records: &mut Vec<T>) -> Result<(), CodecError> {
    let Some((header, mut rest)) = bytes.split_at_checked(HEADER) else {
        return Err(CodecError::CutOff(bytes.len()));
    };
    let expected = form::<T>();
    if header[0] != expected {
        return Err(CodecError::Form { found: header[0], expected });
    }
    let mut count = [0; 4];
    count.copy_from_slice(&header[1..]);
    let count = u32::from_le_bytes(count) as usize;
    if count.saturating_mul(size_of::<T>().max(1)) > bytes.len().saturating_mul(MAX_EXPANSION) {
        return Err(CodecError::TooMany { bytes: bytes.len(), records: count });
    }
    let width = match expected {
        FORM_U64 => 8,
        FORM_U64_PAIR => 16,
        _ => 0,
    };
    if width > 0 {
        if rest.len() < count * width {
            return Err(CodecError::CutOff(bytes.len()));
        }
        if rest.len() > count * width {
            return Err(CodecError::Trailing(rest.len() - count * width));
        }
    }
    records.reserve(count);
    let number = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&rest[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let sink: &mut dyn Any = records;
    if let Some(numbers) = sink.downcast_mut::<Vec<u64>>() {
        numbers.extend((0..count).map(|i| number(i * 8)));
    } else if let Some(pairs) = sink.downcast_mut::<Vec<(u64, u64)>>() {
        pairs.extend((0..count).map(|i| (number(i * 16), number(i * 16 + 8))));
    } else {
        for index in 0..count {
            let (record, left) =
                postcard::take_from_bytes(rest).map_err(|reason| CodecError::Record { index, reason })?;
            records.push(record);
            rest = left;
        }
        if !rest.is_empty() {
            return Err(CodecError::Trailing(rest.len()));
        }
    }
    Ok(())
}
