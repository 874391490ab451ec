//! One value as bytes, and nothing else: a message between nodes.

use super::Record;
use super::batch::{Appender, FREE_MEMORY, most_memory};
use super::decode::{Fault, Reader};

/// Bytes that are not one value of the expected type, or a value that cannot be written.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// The value cannot be written.
    #[error("it cannot be written: {0}")]
    Write(postcard::Error),
    /// The value cannot be read.
    #[error("it cannot be read, at byte {at} of {bytes}: {fault}")]
    Read {
        /// How far the bytes were read.
        at: usize,
        /// How many there are.
        bytes: usize,
        /// What is wrong there.
        fault: Fault,
    },
    /// There are bytes behind the value.
    #[error("it has {0} bytes too many")]
    Trailing(usize),
}

/// Appends a value, in postcard, to `bytes`.
///
/// # Errors
/// When it cannot be serialised, for example a sequence of unknown length; `bytes` is left as it was.
pub fn encode<T: Record>(value: &T, bytes: &mut Vec<u8>) -> Result<(), ValueError> {
    let start = bytes.len();
    let written = postcard::to_extend(value, Appender(bytes)).map(drop);
    written.map_err(|reason| {
        bytes.truncate(start);
        ValueError::Write(reason)
    })
}

/// Reads a value that takes up all of `bytes`.
///
/// # Errors
/// When the bytes are not exactly one value of the type, when it would take up more memory than
/// [`MAX_EXPANSION`](super::MAX_EXPANSION) and [`FREE_MEMORY`](super::FREE_MEMORY) allow, or is nested deeper than
/// [`MAX_DEPTH`](super::MAX_DEPTH).
///
/// # Examples
/// ```
/// let mut bytes = Vec::new();
/// skitter::codec::encode(&("gpu".to_owned(), 2u8), &mut bytes)?;
/// assert_eq!(skitter::codec::decode::<(String, u8)>(&bytes)?, ("gpu".to_owned(), 2));
/// assert!(skitter::codec::decode::<(String, u16)>(&bytes[1..]).is_err());
/// # Ok::<(), skitter::codec::ValueError>(())
/// ```
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T, ValueError> {
    let mut reader = Reader::new(bytes, most_memory(bytes.len()));
    let value = reader.value();
    let left = reader.left();
    match value {
        Ok(_) if left > 0 => Err(ValueError::Trailing(left)),
        Ok(value) => Ok(value),
        Err(fault) => Err(ValueError::Read { at: bytes.len() - left, bytes: bytes.len(), fault }),
    }
}

/// How much memory a value that was saved may take up as a multiple of the bytes that are left: it was written by
/// ourselves, and its sum has been checked, so that only what could not be real is refused.
const STATE_EXPANSION: usize = 1 << 20;

/// Reads a value of state from the front of `bytes`, and leaves there what is behind it.
///
/// # Errors
/// When there is no value of the type; `bytes` is left as it was.
///
/// # Examples
/// ```
/// let mut bytes = Vec::new();
/// skitter::codec::encode(&7u64, &mut bytes)?;
/// skitter::codec::encode(&"end".to_owned(), &mut bytes)?;
/// let mut left = bytes.as_slice();
/// assert_eq!(skitter::codec::decode_next::<u64>(&mut left)?, 7);
/// assert_eq!(skitter::codec::decode_next::<String>(&mut left)?, "end");
/// assert!(left.is_empty());
/// # Ok::<(), skitter::codec::ValueError>(())
/// ```
pub fn decode_next<T: Record>(bytes: &mut &[u8]) -> Result<T, ValueError> {
    let all = *bytes;
    let mut reader = Reader::new(all, all.len().saturating_mul(STATE_EXPANSION).max(FREE_MEMORY));
    let value = reader.value();
    let left = reader.left();
    let value = value.map_err(|fault| ValueError::Read { at: all.len() - left, bytes: all.len(), fault })?;
    *bytes = &all[all.len() - left..];
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_all_of_its_bytes() {
        let mut bytes = vec![9];
        encode(&(300u16, "ä".to_owned()), &mut bytes).expect("a value");
        assert_eq!(bytes, [9, 0xac, 2, 2, 0xc3, 0xa4], "golden bytes");
        assert_eq!(decode(&bytes[1..]), Ok((300u16, "ä".to_owned())));
        bytes.push(0);
        assert_eq!(decode::<(u16, String)>(&bytes[1..]), Err(ValueError::Trailing(1)));
        let cut = decode::<(u16, String)>(&bytes[1..4]);
        assert_eq!(cut, Err(ValueError::Read { at: 3, bytes: 3, fault: Fault::CutOff }));
    }

    #[test]
    fn a_claim_takes_no_memory() {
        let claim = [0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(matches!(decode::<Vec<()>>(&claim), Err(ValueError::Read { fault: Fault::Memory, .. })));
        assert!(matches!(decode::<Vec<u64>>(&claim), Err(ValueError::Read { .. })));
    }
}
