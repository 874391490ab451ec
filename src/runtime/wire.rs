//! The bytes between the workers of two nodes, over a connection of a deployment.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | the length of the rest, little-endian, at most [`MAX_FRAME`] |
//! | 1 | the kind: 0 batch, 1 batch between workers of one vertex, 2 credit, 3 end, 4 barrier, 5 watermark |
//! | 8 | the worker that it is for: vertex and number, four bytes each, little-endian, as all that follows |
//! | 8 | the worker that it is from |
//! | 4 | the number of the link among those of the worker that sends batches over it |
//! | | a batch: as [`encode_batch`](crate::codec::encode_batch) writes it; credit: how many batches, four bytes; barrier: the checkpoint, eight; watermark: the time, eight |
//!
//! The version of these bytes is that of the handshake, [`PROTOCOL`](crate::net::PROTOCOL).

use crate::id::{VertexId, WorkerId};
use crate::net::Frames;

/// Most bytes of a frame: what a receiver has to hold at once. A batch has about 32 KiB, unless a single record is
/// larger.
pub const MAX_FRAME: usize = 64 * 1024 * 1024;

/// Bytes of a frame's length.
const LENGTH: usize = 4;

/// Bytes between the length of a frame and what its kind adds.
const HEADER: usize = 21;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Batch,
    PeerBatch,
    Credit,
    End,
    Barrier,
    Watermark,
}

/// What stands before the body of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub to: WorkerId,
    pub from: WorkerId,
    pub link: u32,
}

/// Cuts a stream of bytes into frames.
pub fn frames() -> Frames {
    Frames::little_endian(MAX_FRAME)
}

/// A frame that is not sent because it would be longer than receivers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong(pub usize);

impl Header {
    /// Appends a frame to `out`, whose body `write` appends. Whatever goes wrong, `out` is then as it was.
    ///
    /// # Errors
    /// As `write`; [`TooLong`].
    pub fn frame<E: From<TooLong>>(
        &self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = out.len();
        out.extend_from_slice(&[0; LENGTH]);
        self.write(out);
        let written = write(out).and_then(|()| match out.len() - start - LENGTH {
            length if length > MAX_FRAME => Err(TooLong(length).into()),
            length => Ok(length as u32),
        });
        match written {
            Ok(length) => out[start..start + LENGTH].copy_from_slice(&length.to_le_bytes()),
            Err(_) => out.truncate(start),
        }
        written.map(drop)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self.kind {
            Kind::Batch => 0,
            Kind::PeerBatch => 1,
            Kind::Credit => 2,
            Kind::End => 3,
            Kind::Barrier => 4,
            Kind::Watermark => 5,
        });
        for worker in [self.to, self.from] {
            out.extend_from_slice(&worker.vertex.0.to_le_bytes());
            out.extend_from_slice(&worker.index.to_le_bytes());
        }
        out.extend_from_slice(&self.link.to_le_bytes());
    }

    /// The header of a frame and where its body begins; none if it is no frame.
    pub fn read(frame: &[u8]) -> Option<(Header, usize)> {
        let header = frame.get(..HEADER)?;
        let kind = match header[0] {
            0 => Kind::Batch,
            1 => Kind::PeerBatch,
            2 => Kind::Credit,
            3 => Kind::End,
            4 => Kind::Barrier,
            5 => Kind::Watermark,
            _ => return None,
        };
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let worker = |at| WorkerId { vertex: VertexId(number(at)), index: number(at + 4) };
        Some((Header { kind, to: worker(1), from: worker(9), link: number(17) }, HEADER))
    }
}

/// The body of a frame of credit.
pub fn read_credit(body: &[u8]) -> Option<u32> {
    body.try_into().ok().map(u32::from_le_bytes)
}

/// The checkpoint that the body of a barrier says; none if it is none.
pub fn read_barrier(body: &[u8]) -> Option<u64> {
    body.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio_util::codec::Decoder;

    use super::*;

    const HEADER_OF_CREDIT: Header = Header {
        kind: Kind::Credit,
        to: WorkerId { vertex: VertexId(1), index: 2 },
        from: WorkerId { vertex: VertexId(0x0304), index: 5 },
        link: 6,
    };

    #[test]
    fn the_bytes_of_a_frame_are_these() {
        let mut bytes = vec![9];
        let body = |out: &mut Vec<u8>| {
            out.extend_from_slice(&7u32.to_le_bytes());
            Ok::<(), TooLong>(())
        };
        HEADER_OF_CREDIT.frame(&mut bytes, body).expect("it is short");
        let golden = [9, 25, 0, 0, 0, 2, 1, 0, 0, 0, 2, 0, 0, 0, 4, 3, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0];
        assert_eq!(bytes, golden);
        let mut rest = BytesMut::from(&bytes[1..]);
        let frame = frames().decode(&mut rest).expect("a length").expect("all of it");
        let (header, at) = Header::read(&frame).expect("a header");
        assert_eq!((header, read_credit(&frame[at..])), (HEADER_OF_CREDIT, Some(7)));
    }

    #[test]
    fn a_frame_that_is_too_long_is_not_begun() {
        let mut bytes = vec![9];
        let body = |out: &mut Vec<u8>| {
            out.resize(out.len() + MAX_FRAME, 0);
            Ok(())
        };
        assert_eq!(HEADER_OF_CREDIT.frame(&mut bytes, body), Err(TooLong(MAX_FRAME + HEADER)));
        assert_eq!(bytes, [9]);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        assert_eq!(Header::read(&[0; HEADER - 1]), None);
        assert_eq!(Header::read(&[6; HEADER]), None);
        assert_eq!(read_credit(&[1, 2, 3]), None);
        let claim = (MAX_FRAME as u32 + 1).to_le_bytes();
        assert!(frames().decode(&mut BytesMut::from(&claim[..])).is_err());
        assert!(frames().decode(&mut BytesMut::from(&u32::MAX.to_le_bytes()[..])).is_err());
    }
}
