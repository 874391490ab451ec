//! Tests of snapshots: what is written is read, and what is not what was written is found.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn worker() -> WorkerId {
    WorkerId { vertex: VertexId(2), index: 7 }
}

fn write(parts: &[(u32, Part, Vec<u8>)]) -> (Vec<u8>, Vec<Section>) {
    let mut writer = SnapshotWriter::new(worker());
    for (vertex, part, bytes) in parts {
        writer.section(VertexId(*vertex), *part, [Bytes::copy_from_slice(bytes)]);
    }
    let (pieces, sections) = writer.finish();
    (pieces.concat(), sections)
}

fn parts() -> impl Strategy<Value = Vec<(u32, Part, Vec<u8>)>> {
    let flight = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(vertex, index, link, number)| {
        Part::Flight { from: WorkerId { vertex: VertexId(vertex), index }, link, number }
    });
    let part = prop_oneof![
        any::<u32>().prop_map(Part::Whole),
        any::<u32>().prop_map(Part::Group),
        any::<u64>().prop_map(Part::Unit),
        any::<u32>().prop_map(Part::Shared),
        flight,
    ];
    vec((any::<u32>(), part, vec(any::<u8>(), 0..40)), 0..6)
}

#[test]
fn an_object_is_its_sections_and_a_table() {
    let (bytes, sections) = write(&[(2, Part::Whole(0), b"one".to_vec()), (3, Part::Group(9), Vec::new())]);
    assert_eq!(bytes.len(), HEAD + 3 + 2 * ENTRY + TAIL);
    assert_eq!(&bytes[..19], b"SKSNAP\x01\0\x02\0\0\0\x07\0\0\0one");
    assert_eq!(
        sections[0],
        Section { vertex: VertexId(2), part: Part::Whole(0), at: 16, length: 3, checksum: checksum(&[b"one"]) }
    );
    assert_eq!(read_section(&bytes, &sections[0]).expect("right"), b"one");
    assert_eq!(read_section(&bytes, &sections[1]).expect("right"), b"");
    assert_eq!(contents(&bytes).expect("right"), (worker(), sections));
    let (bytes, sections) = write(&[]);
    assert_eq!((bytes.len(), sections.len()), (HEAD + TAIL, 0));
    assert_eq!(verify_object(&bytes).expect("right"), []);
}

#[test]
fn a_section_is_looked_at_before_it_is_given() {
    let (bytes, sections) = write(&[(2, Part::Unit(5), b"state".to_vec())]);
    let said = |change: fn(&mut Section)| {
        let mut section = sections[0].clone();
        change(&mut section);
        read_section(&bytes, &section).expect_err("wrong").to_string()
    };
    assert_eq!(said(|section| section.checksum ^= 1), "unit 5 of vertex 2 is damaged: its sum is another");
    assert_eq!(said(|section| section.at += 1), "unit 5 of vertex 2 is damaged: its sum is another");
    let changes: [fn(&mut Section); 3] =
        [|section| section.at = u64::MAX, |section| section.length = u64::MAX, |section| section.at = 999];
    for change in changes {
        assert_eq!(said(change), "unit 5 of vertex 2 is damaged: it ends beyond its object");
    }
}

#[test]
fn a_later_format_is_named() {
    let (mut bytes, _) = write(&[]);
    bytes[6] = 9;
    let said = verify_object(&bytes).expect_err("later").to_string();
    assert_eq!(said, "the snapshot has format 9, and this program knows 1: use a newer Skitter");
}

#[test]
fn a_table_that_claims_too_much_takes_no_memory() {
    let (mut bytes, _) = write(&[]);
    for entries in [1, u64::MAX, u64::MAX / ENTRY as u64 + 1] {
        bytes[HEAD..HEAD + 8].copy_from_slice(&entries.to_le_bytes());
        assert!(matches!(verify_object(&bytes), Err(StateError::Damaged { .. })), "{entries}");
    }
}

/// Puts the sum of the table right, as somebody could who wants to do harm.
fn seal(bytes: &mut [u8], table: usize) {
    let end = bytes.len() - 8;
    let sum = checksum(&[&bytes[..HEAD], &bytes[table..end]]);
    bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
}

#[test]
fn a_table_that_is_made_up_is_refused() {
    let table = HEAD + 5;
    for (place, value, why) in [
        (4, 5, "an entry of no known kind"),
        (12, 1, "an entry of no known kind"),
        (24, 17, "not one behind the other"),
        (32, 4, "its sum is another"),
        (39, 255, "ends beyond its object"),
    ] {
        let (mut bytes, _) = write(&[(2, Part::Whole(0), b"state".to_vec())]);
        seal(&mut bytes, table);
        assert!(verify_object(&bytes).is_ok());
        bytes[table + place] = value;
        seal(&mut bytes, table);
        let said = verify_object(&bytes).expect_err(why).to_string();
        assert!(said.contains(why), "{said}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(parts in parts()) {
        let (bytes, sections) = write(&parts);
        prop_assert_eq!(&verify_object(&bytes).expect("right"), &sections);
        for ((vertex, part, written), section) in parts.iter().zip(&sections) {
            prop_assert_eq!((VertexId(*vertex), *part), (section.vertex, section.part));
            prop_assert_eq!(read_section(&bytes, section).expect("right"), &written[..]);
        }
    }

    #[test]
    fn what_is_cut_is_found(parts in parts(), at in any::<prop::sample::Index>()) {
        let (bytes, _) = write(&parts);
        prop_assert!(verify_object(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn what_is_flipped_is_found(parts in parts(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let (mut bytes, _) = write(&parts);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(verify_object(&bytes).is_err());
    }

    #[test]
    fn whatever_comes_is_survived(mut bytes in vec(any::<u8>(), 0..200), like in any::<bool>()) {
        if like && bytes.len() > HEAD + TAIL {
            bytes[..8].copy_from_slice(b"SKSNAP\x01\0");
            let end = bytes.len();
            bytes[end - 16..end - 8].copy_from_slice(&2u64.to_le_bytes());
            bytes[end - 4..].copy_from_slice(END);
            if let Some(table) = (end - TAIL).checked_sub(2 * ENTRY).filter(|table| *table >= HEAD) {
                seal(&mut bytes, table);
            }
        }
        let _ = verify_object(&bytes);
    }
}
