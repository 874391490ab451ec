//! Frames with a length, out of bytes that come in any pieces.

use std::io;

use bytes::{Buf, BytesMut};
use tokio_util::codec::Decoder;

/// Bytes of a frame's length.
const LENGTH: usize = 4;

/// What is reserved for a frame of which little has come, in bytes: as much as one read brings.
const LEAST: usize = 64 * 1024;

/// Cuts a stream of bytes into frames. It takes no memory by a claim: no more than that much again as has come.
/// (`LengthDelimitedCodec` reserves what the length says.)
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    most: usize,
    length: fn([u8; LENGTH]) -> u32,
}

impl Frames {
    /// Frames of at most so many bytes, whose length stands before them in four, the high byte first.
    pub fn big_endian(most: usize) -> Frames {
        Frames { most, length: u32::from_be_bytes }
    }

    /// The same, the low byte first.
    pub fn little_endian(most: usize) -> Frames {
        Frames { most, length: u32::from_le_bytes }
    }
}

impl Decoder for Frames {
    type Item = BytesMut;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<BytesMut>> {
        let Some(head) = bytes.first_chunk::<LENGTH>() else { return Ok(None) };
        let length = (self.length)(*head) as usize;
        if length > self.most {
            let what = format!("a frame of {length} bytes, of at most {}", self.most);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let missing = (LENGTH + length).saturating_sub(bytes.len());
        if missing > 0 {
            bytes.reserve(missing.min(bytes.len().max(LEAST)));
            return Ok(None);
        }
        bytes.advance(LENGTH);
        Ok(Some(bytes.split_to(length)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 16 << 20;

    #[test]
    fn a_claim_takes_no_memory() {
        for claim in [MOST, MOST / 2, 1 << 20] {
            let mut bytes = BytesMut::from(&(claim as u32).to_be_bytes()[..]);
            let mut frames = Frames::big_endian(MOST);
            assert!(frames.decode(&mut bytes).expect("it may be so long").is_none());
            assert!(bytes.capacity() <= 2 * LEAST, "{} bytes for a claim of {claim}", bytes.capacity());
            // What comes takes what it takes, and some.
            while bytes.len() < LENGTH + claim {
                bytes.extend_from_slice(&[7; 1 << 14]);
                assert!(bytes.capacity() <= 4 * bytes.len().max(LEAST), "{} for {}", bytes.capacity(), bytes.len());
                if frames.decode(&mut bytes).expect("it may be so long").is_some() {
                    break;
                }
            }
        }
    }

    #[test]
    fn what_is_too_long_is_refused_at_once() {
        let mut bytes = BytesMut::from(&(MOST as u32 + 1).to_le_bytes()[..]);
        let error = Frames::little_endian(MOST).decode(&mut bytes).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(error.to_string(), "a frame of 16777217 bytes, of at most 16777216");
        assert!(Frames::big_endian(MOST).decode(&mut BytesMut::from(&[0xff; 4][..])).is_err());
    }

    proptest! {
        #[test]
        fn frames_come_as_they_were_whatever_the_pieces(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            piece in 1usize..700,
        ) {
            let mut all = Vec::new();
            for body in &bodies {
                all.extend_from_slice(&(body.len() as u32).to_le_bytes());
                all.extend_from_slice(body);
            }
            let (mut frames, mut bytes, mut found) = (Frames::little_endian(300), BytesMut::new(), Vec::new());
            for piece in all.chunks(piece) {
                bytes.extend_from_slice(piece);
                while let Some(frame) = frames.decode(&mut bytes).expect("they are short") {
                    found.push(frame.to_vec());
                }
            }
            prop_assert_eq!(found, bodies);
            prop_assert!(bytes.is_empty());
        }
    }
}
