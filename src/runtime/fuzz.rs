//! Ways into the frames between workers, and into what was saved, for bytes of any kind; see [`crate::fuzz`].

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use tokio_util::codec::Decoder;

use super::restore::{Rescales, deal};
use super::wire::{Header, Kind, MAX_FRAME, TooLong, frames, read_barrier, read_credit};
use crate::codec::{Record, decode_batch};
use crate::id::{Part, VertexId};
use crate::state::{Manifest, SnapshotWriter, contents, read_section, with_sum, with_sums};
use crate::workflow::{KeyedTable, Rescale, Saved, VertexInfo, VertexKind, Watermark};

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
            Kind::Watermark => drop(Watermark::from_bytes(body)),
            Kind::End => {}
        }
    }
}

/// The manifest of a checkpoint is read, as it is and with a sum that fits, and dealt out to workers.
///
/// # Panics
/// When one is taken that is written otherwise.
pub fn manifests(bytes: &[u8]) {
    for file in [bytes.to_vec(), with_sum(bytes)] {
        let Ok(manifest) = Manifest::from_bytes(&file) else { continue };
        let again = Manifest::from_bytes(&manifest.to_bytes());
        assert!(again.is_ok_and(|again| again == manifest), "what is read is what was written");
        let vertex = |saved: &crate::state::SavedVertex| VertexInfo {
            id: saved.id,
            name: saved.name.clone(),
            kind: VertexKind::Operation,
            operation: saved.operation.clone(),
            strategy: saved.strategy.clone(),
            in_ports: Vec::new(),
            out_ports: Vec::new(),
            types: saved.types.clone(),
            nest: Vec::new(),
            parallelism: None,
        };
        let vertices: Vec<VertexInfo> = manifest.vertices.iter().map(vertex).collect();
        for (count, rescale) in [(2, Rescale::Refused), (3, Rescale::Dealt), (3, Rescale::Given)] {
            let workers: BTreeMap<VertexId, usize> = vertices.iter().map(|vertex| (vertex.id, count)).collect();
            let rescales: Rescales = vertices.iter().map(|vertex| (vertex.id, rescale)).collect();
            for drop_unfit in [false, true] {
                if let Ok((heirs, _)) = deal(&manifest, &vertices, &workers, &rescales, drop_unfit) {
                    assert!(heirs.keys().all(|worker| (worker.index as usize) < count), "nobody else has an heir");
                }
            }
        }
    }
}

/// What a worker has saved is read, as it is and with sums that fit, and workers begin with it.
///
/// # Panics
/// When one is taken that is written otherwise.
pub fn snapshots(bytes: &[u8]) {
    fn table<K: Record + std::hash::Hash, V: Record>(saved: &Saved) {
        if let Ok(table) = KeyedTable::<K, V>::restore(saved) {
            let length: usize = saved.parts().map(|(_, bytes)| bytes.len()).sum();
            assert!(table.len() <= length.max(1), "{} keys of {length} bytes", table.len());
        }
    }
    for object in [bytes.to_vec(), with_sums(bytes)] {
        let Ok((worker, sections)) = contents(&object) else { continue };
        let mut writer = SnapshotWriter::new(worker);
        let mut vertices: BTreeMap<VertexId, BTreeMap<Part, Bytes>> = BTreeMap::new();
        for section in &sections {
            let read = read_section(&object, section).map(Bytes::copy_from_slice);
            assert!(read.is_ok(), "what is in it can be read");
            let read = read.unwrap_or_default();
            writer.section(section.vertex, section.part, [read.clone()]);
            vertices.entry(section.vertex).or_default().insert(section.part, read);
        }
        let (pieces, again) = writer.finish();
        assert!(pieces.concat() == object && again == sections, "what is read is what was written");
        for parts in vertices.into_values() {
            let saved = Saved::new(parts, 0);
            table::<u64, u64>(&saved);
            table::<String, u64>(&saved);
            drop((saved.whole::<(Vec<String>, u64)>(), saved.whole::<Vec<(u64, u64)>>()));
            for (_, bytes) in saved.parts() {
                let _ = decode_batch::<(String, u64)>(bytes, &mut Vec::new());
            }
        }
    }
}

/// What a worker has saved that keeps tables.
#[cfg(test)]
pub fn saved(worker: crate::id::WorkerId) -> Vec<u8> {
    use crate::codec::stable_hash;
    use crate::workflow::{Saving, Snapshot};

    let (mut fixed, mut other) = (KeyedTable::<u64, u64>::new(), KeyedTable::<String, u64>::new());
    for number in 0..5u64 {
        fixed.insert(stable_hash(&number), number, number * number);
        let word = format!("word {number}");
        other.insert(stable_hash(&word), word, number);
    }
    let mut writer = SnapshotWriter::new(worker);
    let mut save = |vertex: u32, table: &mut dyn FnMut(&mut Snapshot) -> crate::workflow::Result<Saving>| {
        let mut snapshot = Snapshot::new(1);
        snapshot.of(VertexId(vertex));
        while table(&mut snapshot).is_ok_and(|saving| saving == Saving::More) {}
        for (vertex, part, pieces) in snapshot.finish().parts {
            writer.section(vertex, part, pieces.into_iter().map(Bytes::from));
        }
    };
    save(1, &mut |snapshot| fixed.snapshot(snapshot));
    save(2, &mut |snapshot| other.snapshot(snapshot));
    save(3, &mut |snapshot| {
        snapshot.put(&(vec!["to".to_owned()], 7u64))?;
        Ok(Saving::Done)
    });
    writer.finish().0.concat()
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
