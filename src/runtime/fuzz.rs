//! A way into the frames between workers for bytes of any kind; see [`crate::fuzz`].

use bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::wire::{Header, Kind, MAX_FRAME, TooLong, frames, read_barrier, read_credit};
use crate::codec::decode_batch;

/// A node hears anything over a connection of a deployment.
///
/// # Panics
/// When a frame is taken that would not be written so.
pub fn frames_of(bytes: &[u8]) {
    let (mut codec, mut rest) = (frames(), BytesMut::from(bytes));
    while let Ok(Some(frame)) = codec.decode(&mut rest) {
        assert!(frame.len() <= MAX_FRAME, "{} bytes", frame.len());
        let Some((header, at)) = Header::read(&frame) else { return };
        let body = &frame[at..];
        let mut again = Vec::new();
        let write = |out: &mut Vec<u8>| {
            out.extend_from_slice(body);
            Ok::<(), TooLong>(())
        };
        assert!(header.frame(&mut again, write).is_ok() && again[4..] == frame[..], "{header:?}");
        match header.kind {
            Kind::Batch | Kind::PeerBatch => {
                let _ = decode_batch::<(String, u64)>(body, &mut Vec::new());
            }
            Kind::Credit => drop(read_credit(body)),
            Kind::Barrier => drop(read_barrier(body)),
            Kind::End => {}
        }
    }
}

/// Frames as nodes send them, between two workers, one of them with this batch.
#[cfg(test)]
pub fn seeds(to: crate::id::WorkerId, from: crate::id::WorkerId, batch: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let kinds = [
        ("batch", Kind::Batch, batch),
        ("peer-batch", Kind::PeerBatch, batch),
        ("credit", Kind::Credit, &[4, 0, 0, 0]),
        ("end", Kind::End, &[]),
    ];
    let mut all = Vec::new();
    let mut seeds: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, kind, body) in kinds {
        let mut bytes = Vec::new();
        let written = Header { kind, to, from, link: 1 }.frame(&mut bytes, |out| {
            out.extend_from_slice(body);
            Ok::<(), TooLong>(())
        });
        assert!(written.is_ok(), "it is short");
        all.extend_from_slice(&bytes);
        seeds.push((name, bytes));
    }
    seeds.push(("all", all));
    seeds.push(("too-long", vec![0xff; 8]));
    seeds
}
