//! Tests of manifests: what people see, what is read again, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::id::Part;

/// A checkpoint with something of everything.
pub fn manifest() -> Manifest {
    let worker = |vertex, index| WorkerId { vertex: VertexId(vertex), index };
    let vertex = |id, name: &str, operation: &str, strategy: &str, workers| SavedVertex {
        id: VertexId(id),
        name: name.to_owned(),
        operation: operation.to_owned(),
        strategy: strategy.to_owned(),
        types: ["u64".to_owned(), "(u64, \"x\")".to_owned()],
        workers,
    };
    let section = |part, at, length| Section { vertex: VertexId(2), part, at, length, checksum: u32::MAX };
    let flight = Part::Flight { from: worker(0, 0), link: 1, number: 2 };
    Manifest {
        checkpoint: 7,
        run: "20260102T030405.678Z-0a0b0c0d".to_owned(),
        workflow: "word count".to_owned(),
        arguments: vec!["--input".to_owned(), "a\n\"b\"".to_owned()],
        fingerprint: u64::MAX - 1,
        version: "0.1.0".to_owned(),
        build: Some("a".repeat(64)),
        at_ms: 1_767_323_045_678,
        took_ms: 12,
        savepoint: false,
        vertices: vec![vertex(0, "lines", "TextFiles", "StreamSource", 1), vertex(1, "words", "Words", "Chained", 0)],
        workers: vec![
            SavedWorker { worker: worker(0, 0), finished: true, drained: false },
            SavedWorker { worker: worker(2, 1), finished: false, drained: true },
        ],
        objects: vec![SavedObject {
            path: "word%20count/r/data/1/7/2-1".to_owned(),
            length: 500,
            worker: worker(2, 1),
            sections: vec![section(Part::Group(4), 16, 20), section(flight, 36, 0), section(Part::Unit(9), 36, 400)],
        }],
    }
}

#[test]
fn it_is_written_and_read() {
    let bytes = manifest().to_bytes();
    assert_eq!(Manifest::from_bytes(&bytes).expect("right"), manifest());
    assert_eq!(manifest().size(), 420);
    let text = String::from_utf8(bytes).expect("UTF-8");
    for line in [
        "  \"checkpoint\": 7,",
        "  \"fingerprint\": \"fffffffffffffffe\",",
        "          {\"vertex\": 2, \"part\": {\"Group\": 4}, \"at\": 16, \"length\": 20, \"checksum\": 4294967295},",
    ] {
        assert!(text.lines().any(|there| there.trim_start() == line.trim_start()), "{line}\n{text}");
    }
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&value["format"], &value["objects"][0]["length"]), (&1.into(), &500.into()));
    let empty = Manifest { arguments: Vec::new(), objects: Vec::new(), workers: Vec::new(), ..manifest() };
    assert_eq!(Manifest::from_bytes(&empty.to_bytes()).expect("right"), empty);
}

fn said(change: impl Fn(String) -> String) -> String {
    let text = change(String::from_utf8(manifest().to_bytes()).expect("UTF-8"));
    Manifest::from_bytes(text.as_bytes()).expect_err("wrong").to_string()
}

#[test]
fn what_was_changed_is_refused() {
    assert_eq!(
        said(|text| text.replace("\"took_ms\": 12", "\"took_ms\": 13")),
        "the manifest is damaged: its sum is another: it was changed"
    );
    assert_eq!(said(|text| format!("{text}\n")), "the manifest is damaged: its sum is another: it was changed");
    assert_eq!(said(|text| text.trim_end().to_owned()), "the manifest is damaged: it is cut off");
    assert_eq!(said(|_| String::new()), "the manifest is damaged: it does not begin like one");
    assert_eq!(said(|_| "{}".to_owned()), "the manifest is damaged: it does not begin like one");
    assert_eq!(
        said(|text| text.replace("\"format\": 1,", "\"format\": 0,")),
        "the manifest is damaged: it has a format that there has never been"
    );
    assert_eq!(
        said(|text| text.replace("\"format\": 1,", "\"format\": 1.5,")),
        "the manifest is damaged: its format is no number"
    );
}

#[test]
fn a_later_format_is_named() {
    let later = "the manifest has format 12, and this program knows 1: use a newer Skitter";
    assert_eq!(said(|text| text.replace("\"format\": 1,", "\"format\": 12,")), later);
}

#[test]
fn a_section_is_inside_of_its_object() {
    for (at, length) in [(81, 420), (u64::MAX, 1), (0, 501)] {
        let mut wrong = manifest();
        wrong.objects[0].sections[0] = Section { at, length, ..wrong.objects[0].sections[0].clone() };
        let said = Manifest::from_bytes(&wrong.to_bytes()).expect_err("wrong").to_string();
        assert!(said.ends_with("a section of `word%20count/r/data/1/7/2-1` ends beyond it"), "{said}");
    }
}

proptest! {
    #[test]
    fn what_is_cut_is_found(at in any::<prop::sample::Index>()) {
        let bytes = manifest().to_bytes();
        prop_assert!(Manifest::from_bytes(&bytes[..at.index(bytes.len())]).is_err());
    }

    #[test]
    fn what_is_flipped_is_found(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = manifest().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Manifest::from_bytes(&bytes).is_err());
    }

    #[test]
    fn whatever_text_stands_in_it_is_kept(text in any::<String>(), number in any::<u64>(), flag in any::<bool>()) {
        let mut manifest = manifest();
        manifest.workflow = text.clone();
        manifest.arguments = vec![text.clone(); 3];
        manifest.vertices[0].name = text;
        (manifest.checkpoint, manifest.fingerprint, manifest.savepoint) = (number, number, flag);
        manifest.build = None;
        prop_assert_eq!(Manifest::from_bytes(&manifest.to_bytes()).expect("right"), manifest);
    }

    #[test]
    fn whatever_comes_is_survived(rest in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Manifest::from_bytes(&rest);
        let mut bytes = head().into_bytes();
        bytes.extend_from_slice(format!("{:08x}\",", sum(&rest)).as_bytes());
        bytes.extend_from_slice(&rest);
        bytes.push(b'\n');
        let _ = Manifest::from_bytes(&bytes);
    }
}
