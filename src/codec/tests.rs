//! Batches are read as they were written, and what is no batch is refused, whatever it is.

use std::collections::{BTreeMap, HashMap};

use compact_str::CompactString;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// Every kind of value that serde knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    Number(i64),
    Pair(u8, String),
    Named { flag: bool, ratio: f64, letter: char },
    List(Vec<Shape>),
    Map(BTreeMap<String, Shape>),
    Boxed(Option<Box<Shape>>),
    Wrapped(Wrapper),
    Small((i8, i16, i32, i128), [u16; 3], (u16, u32, u64, u128), f32),
    Nothings(Vec<Nothing>),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapper(CompactString);

/// A type that is large in memory and can be a byte when written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Large {
    numbers: [u64; 32],
    rest: [u32; 32],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Chain {
    End,
    Link(Box<Chain>),
}

impl Chain {
    fn of(links: usize) -> Chain {
        (0..links).fold(Chain::End, |chain, _| Chain::Link(Box::new(chain)))
    }
}

/// A sequence whose length is not known beforehand, which postcard cannot write.
#[derive(Deserialize)]
struct Endless;

impl Serialize for Endless {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde::ser::SerializeSeq::end(serializer.serialize_seq(None)?)
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        Just(Shape::Unit),
        any::<i64>().prop_map(Shape::Number),
        any::<(u8, String)>().prop_map(|(n, text)| Shape::Pair(n, text)),
        (any::<bool>(), -1e9..1e9f64, any::<char>()).prop_map(|(flag, ratio, letter)| Shape::Named {
            flag,
            ratio,
            letter
        }),
        ".{0,40}".prop_map(|text| Shape::Wrapped(Wrapper(text.into()))),
        (any::<(i8, i16, i32, i128)>(), any::<[u16; 3]>(), any::<(u16, u32, u64, u128)>(), -1e9..1e9f32)
            .prop_map(|(signed, array, unsigned, ratio)| Shape::Small(signed, array, unsigned, ratio)),
        (0..40usize).prop_map(|n| Shape::Nothings(vec![Nothing; n])),
    ];
    leaf.prop_recursive(5, 48, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Shape::List),
            btree_map(".{0,8}", inner.clone(), 0..8).prop_map(Shape::Map),
            proptest::option::of(inner).prop_map(|inner| Shape::Boxed(inner.map(Box::new))),
        ]
    })
}

fn encoded<T: Record>(records: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_batch(records, &mut bytes).expect("records that can be written");
    bytes
}

fn decoded<T: Record>(bytes: &[u8]) -> Result<Vec<T>, CodecError> {
    let mut records = Vec::new();
    decode_batch(bytes, &mut records).map(|()| records)
}

/// Checks that a batch comes back, that no beginning of it is one, and that nothing may follow it.
fn round_trip<T: Record + PartialEq + std::fmt::Debug>(records: &[T]) -> Result<(), TestCaseError> {
    let mut bytes = encoded(records);
    prop_assert_eq!(&decoded::<T>(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?[..], records);
    for end in (0..bytes.len()).rev().take(if bytes.len() < 1000 { 50 } else { 2 }) {
        prop_assert!(decoded::<T>(&bytes[..end]).is_err(), "{} of {} bytes are a batch", end, bytes.len());
    }
    bytes.push(0);
    prop_assert!(decoded::<T>(&bytes).is_err());
    Ok(())
}

/// Reads what may be anything, as this reader and as postcard do.
fn hostile<T: Record>(bytes: &[u8]) -> Result<(), TestCaseError> {
    let found = decoded::<T>(bytes);
    if let Ok(records) = &found {
        // A number may be written longer than it has to be, so it is the second writing that has to stay.
        let again = encoded(records);
        let twice = decoded::<T>(&again).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(encoded(&twice), again);
    }
    let one = decode::Reader::new(bytes, 1 << 20).value::<T>();
    // Postcard does not come to an end with a list of 2^60 values that take no bytes.
    if !matches!(one, Err(Fault::Memory | Fault::Depth | Fault::Char)) {
        let reference = postcard::take_from_bytes::<T>(bytes);
        prop_assert_eq!(one.is_ok(), reference.is_ok());
        if let (Ok(one), Ok((reference, _))) = (one, reference) {
            prop_assert_eq!(encoded(&[one]), encoded(&[reference]));
        }
    }
    Ok(())
}

fn all_hostile(bytes: &[u8]) -> Result<(), TestCaseError> {
    hostile::<Shape>(bytes)?;
    hostile::<()>(bytes)?;
    hostile::<u64>(bytes)?;
    hostile::<(u64, u64)>(bytes)?;
    hostile::<(u16, i128)>(bytes)?;
    hostile::<String>(bytes)?;
    hostile::<(CompactString, u64)>(bytes)?;
    hostile::<Vec<Nothing>>(bytes)?;
    hostile::<Vec<Vec<Vec<u8>>>>(bytes)?;
    hostile::<Option<Large>>(bytes)?;
    hostile::<Vec<Option<Large>>>(bytes)?;
    hostile::<BTreeMap<u32, Option<char>>>(bytes)?;
    hostile::<HashMap<(), bool>>(bytes)?;
    hostile::<Chain>(bytes)
}

/// Bytes of which some are a header that is right.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let form = prop_oneof![4 => 0..3u8, 1 => any::<u8>()];
    let count = prop_oneof![4 => 0..20u32, 1 => any::<u32>()];
    let byte = prop_oneof![2 => 0..4u8, 1 => Just(0xffu8), 2 => any::<u8>()];
    (form, count, vec(byte, 0..120))
        .prop_map(|(form, count, rest)| [vec![form], count.to_le_bytes().to_vec(), rest].concat())
}

proptest! {
    #[test]
    fn shapes_come_back(shapes in vec(shape(), 0..12)) {
        round_trip(&shapes)?;
    }

    #[test]
    fn numbers_come_back(numbers in vec(any::<u64>(), 0..60), pairs in vec(any::<(u64, u64)>(), 0..60)) {
        round_trip(&numbers)?;
        round_trip(&pairs)?;
    }

    #[test]
    fn other_records_come_back(
        texts in vec(any::<(String, u32)>(), 0..20),
        maps in vec(proptest::collection::hash_map(any::<u16>(), any::<Option<String>>(), 0..9), 0..5),
        floats in vec(any::<(f32, f64)>().prop_filter("equal to itself", |(a, b)| !a.is_nan() && !b.is_nan()), 0..20),
        extremes in vec(any::<(i8, u8, i16, u16, i32, u32, i64, u64, i128, u128)>(), 0..9),
        deep in 0..100usize,
    ) {
        round_trip(&texts)?;
        round_trip(&maps)?;
        round_trip(&floats)?;
        round_trip(&extremes)?;
        round_trip(&[Chain::of(deep)])?;
    }

}

proptest! {
    // A case reads 14 types, some of which count to the limit of memory in steps of one.
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn noise_is_refused_or_read(bytes in noise()) {
        all_hostile(&bytes)?;
    }

    #[test]
    fn what_was_changed_is_refused_or_read(
        shapes in vec(shape(), 1..6),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&shapes);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        all_hostile(&bytes)?;
        all_hostile(&bytes[..cut.index(bytes.len())])?;
    }
}

/// What stands on the wire and on disk. A change breaks clusters of mixed versions and state that was written before.
#[test]
fn bytes_never_change() {
    assert_eq!(
        encoded(&[1u64, 1 << 56]),
        [&[1, 2, 0, 0, 0][..], &[1, 0, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0, 0, 1]].concat()
    );
    assert_eq!(encoded(&[(258u64, 3u64)]), [2, 1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(encoded(&[("ab".to_owned(), 300u64)]), [0, 1, 0, 0, 0, 2, b'a', b'b', 0xac, 0x02]);
    assert_eq!(encoded(&[Some(-1i32), None]), [0, 2, 0, 0, 0, 1, 1, 0]);
    assert_eq!(encoded(&[Shape::Nothings(vec![Nothing; 3])]), [0, 1, 0, 0, 0, 9, 3]);
    assert_eq!(encoded::<u8>(&[]), [0; 5]);
}

#[test]
fn records_that_take_few_bytes_come_back() {
    for count in [0, 1, 500, 4096] {
        round_trip(&vec![(); count]).expect("units");
        round_trip(&vec![Nothing; count]).expect("empty structs");
    }
    round_trip(&vec![None::<Large>; 2000]).expect("options of what is large");
    round_trip(&vec![String::new(); 4096]).expect("empty texts");
    round_trip(&[vec![None::<Large>; 2000]]).expect("options within a record");
    round_trip(&[vec![0u64; 1_000_000]]).expect("a list of small numbers");
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let mut bytes = vec![7];
    let error = encode_batch(&vec![None::<Large>; 20_000], &mut bytes);
    assert_eq!(error, Err(CodecError::TooMany { bytes: 20_005, records: 20_000 }));
    let error = encode_batch(&[(); FREE_MEMORY + 1], &mut bytes);
    assert_eq!(error, Err(CodecError::TooMany { bytes: 5, records: FREE_MEMORY + 1 }));
    assert!(matches!(encode_batch(&[Endless], &mut bytes), Err(CodecError::Write { index: 0, .. })));
    assert_eq!(bytes, [7]);
}

#[test]
fn faults_are_named_with_their_place() {
    let read = |index, at, fault| Some(CodecError::Read { index, at, fault });
    let batch = |records: &[u8]| [&[0, 2, 0, 0, 0], records].concat();
    assert_eq!(decoded::<bool>(&batch(&[1, 2])).err(), read(1, 7, Fault::Bool(2)));
    assert_eq!(decoded::<u16>(&batch(&[0x80, 0x80, 0x04, 1])).err(), read(0, 5, Fault::Varint));
    assert_eq!(decoded::<u16>(&batch(&[0xff, 0xff, 0x03, 1])), Ok(vec![u16::MAX, 1]));
    assert_eq!(decoded::<u32>(&batch(&[9])).err(), read(1, 6, Fault::CutOff));
    assert_eq!(decoded::<String>(&batch(&[1, 0xff])).err(), read(0, 7, Fault::Utf8));
    assert_eq!(decoded::<String>(&batch(&[0x80, 0x80, 0x80, 0x80, 0x10])).err(), read(0, 10, Fault::CutOff));
    assert_eq!(decoded::<char>(&batch(&[2, b'a', b'b'])).err(), read(0, 8, Fault::Char));
    assert_eq!(decoded::<u8>(&[0, 1, 0]), Err(CodecError::CutOff(3)));
    assert_eq!(decoded::<u8>(&[1, 0, 0, 0, 0]), Err(CodecError::Form { found: 1, expected: 0 }));
    assert_eq!(decoded::<u64>(&[1, 1, 0, 0, 0, 1, 2, 3]), Err(CodecError::CutOff(8)));
    assert_eq!(decoded::<u64>(&[1, 0, 0, 0, 0, 1, 2, 3]), Err(CodecError::Trailing(3)));
    let unknown = decoded::<Chain>(&batch(&[2])).expect_err("there are two variants");
    assert!(
        unknown.to_string().starts_with("record 0 cannot be read, at byte 6 of the batch: invalid value"),
        "{unknown}"
    );
    assert!(matches!(
        decoded::<serde_json::Value>(&batch(&[0])),
        Err(CodecError::Read { fault: Fault::SelfDescribing, .. })
    ));
}

#[test]
fn a_claim_costs_no_time() {
    // A list of 2^60 values that take no bytes, and a million of them in a record.
    let claims = [0x80u8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    let batch = [&[0, 1, 0, 0, 0][..], &claims].concat();
    assert!(matches!(decoded::<Vec<()>>(&batch), Err(CodecError::Read { index: 0, fault: Fault::Memory, .. })));
    assert!(matches!(decoded::<HashMap<(), ()>>(&batch), Err(CodecError::Read { fault: Fault::Memory, .. })));
    let batch = [&[0, 255, 255, 255, 255][..], &claims].concat();
    assert_eq!(decoded::<()>(&batch), Err(CodecError::TooMany { bytes: 14, records: u32::MAX as usize }));
}

#[test]
fn depth_is_bounded() {
    let links = |count: usize| [&[0, 1, 0, 0, 0][..], &vec![1; count], &[0]].concat();
    assert_eq!(decoded::<Chain>(&links(MAX_DEPTH - 1)), Ok(vec![Chain::of(MAX_DEPTH - 1)]));
    for count in [MAX_DEPTH, 1_000_000] {
        assert!(matches!(decoded::<Chain>(&links(count)), Err(CodecError::Read { fault: Fault::Depth, .. })));
    }
}
