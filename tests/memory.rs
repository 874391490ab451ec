//! How much memory is taken by reading what may be anything. A binary of its own, because it counts all allocations.

#![cfg(test)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use skitter::codec::{FREE_MEMORY, MAX_EXPANSION, Record, decode_batch, encode_batch};
use skitter::net::{Acceptor, Cookie, Fingerprint, Identity, MAX_HANDSHAKE, Mode, Nonce};

/// Counts what each thread has taken and not given back.
struct Counting;

thread_local! {
    static TAKEN: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let taken = TAKEN.get() + bytes;
    TAKEN.set(taken);
    MOST.set(MOST.get().max(taken));
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller keeps the promises of `dealloc`, and the block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Large {
    numbers: [u64; 32],
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Vec<Tree>, Box<Large>),
    Pair(Box<(Tree, Tree)>),
}

/// Reads a batch and checks the most memory that was taken meanwhile, `reserve` times what the values may take up.
fn stays_within<T: Record>(bytes: &[u8], reserve: usize) -> Result<(), TestCaseError> {
    let before = TAKEN.get();
    MOST.set(before);
    let mut records = Vec::<T>::new();
    let read = decode_batch(bytes, &mut records);
    let most = (MOST.get() - before).cast_unsigned();
    let limit = (bytes.len() * MAX_EXPANSION).max(FREE_MEMORY) * reserve;
    prop_assert!(most <= limit, "{} bytes took {most}: {read:?}", bytes.len());
    drop(records);
    Ok(())
}

/// A vector that grows holds the old items and twice as much room for new ones, at least four.
const VEC: usize = 4;
/// A tree's node has room for eleven entries, and tells who is above it.
const BTREE: usize = 13;

fn all_stay_within(bytes: &[u8]) -> Result<(), TestCaseError> {
    stays_within::<u64>(bytes, 1)?;
    stays_within::<()>(bytes, 1)?;
    stays_within::<String>(bytes, 2)?;
    stays_within::<Option<Large>>(bytes, 1)?;
    stays_within::<Vec<()>>(bytes, 1)?;
    stays_within::<Vec<u8>>(bytes, VEC)?;
    stays_within::<Vec<Vec<Vec<u16>>>>(bytes, VEC)?;
    stays_within::<Vec<Option<Large>>>(bytes, VEC)?;
    stays_within::<Vec<Box<Large>>>(bytes, VEC)?;
    stays_within::<Vec<Tree>>(bytes, VEC)?;
    stays_within::<HashMap<u8, [u64; 16]>>(bytes, VEC)?;
    stays_within::<Vec<BTreeMap<u8, [u64; 16]>>>(bytes, BTREE)
}

fn batch(count: u32, rest: &[u8]) -> Vec<u8> {
    [&[0][..], &count.to_le_bytes(), rest].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn noise_takes_little_memory(
        count in prop_oneof![3 => 0..9u32, 1 => any::<u32>()],
        rest in vec(prop_oneof![3 => 0..3u8, 1 => Just(0x7f), 1 => Just(0xff), 1 => any::<u8>()], 0..600),
    ) {
        all_stay_within(&batch(count, &rest))?;
    }

    #[test]
    fn claims_take_little_memory(
        claim in prop_oneof![0..50_000u64, any::<u64>()],
        filling in 0..3u8,
        length in 0..40_000usize,
    ) {
        // A list that claims so many items, of which some are there, each as short as can be.
        let mut bytes = postcard::to_stdvec(&claim).expect("a number");
        bytes.resize(bytes.len() + length, filling);
        all_stay_within(&batch(1, &bytes))?;
    }
}

/// Most memory that a stranger takes in the handshake: what it may send, in a vector that grows, a frame at a time.
const STRANGER: isize = 4 * MAX_HANDSHAKE.cast_signed();

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_stranger_takes_little_memory_whatever_it_claims(
        frames in vec((1..7u8, any::<u16>(), vec(any::<u8>(), 0..9000)), 1..9),
        pieces in vec(1..9000usize, 1..9),
    ) {
        let identity = Identity {
            name: "worker@here".parse().expect("a name"),
            mode: Mode::Worker,
            incarnation: 1,
            port: 1,
            skitter: "0.1.0".to_owned(),
            build: Fingerprint([0; 32]),
            tags: Vec::new(),
            cores: 1,
            memory: 1,
        };
        let cookie = Cookie::new("secret").expect("a cookie");
        let head = |kind: u8, length: u16| [b"SKTR\x01".as_slice(), &[kind], &length.to_be_bytes()].concat();
        let frames = frames.iter().map(|(kind, length, body)| [&head(*kind, *length), &body[..]].concat());
        let bytes = frames.collect::<Vec<_>>().concat();
        let mut answer = Vec::with_capacity(MAX_HANDSHAKE);
        let mut acceptor = Acceptor::new(&cookie, identity, Nonce([0; 32])).expect("a short identity");
        let before = TAKEN.get();
        MOST.set(before);
        let (mut left, mut pieces) = (&bytes[..], pieces.iter().copied().cycle());
        while !left.is_empty() {
            let (piece, rest) = left.split_at(pieces.next().unwrap_or(1).min(left.len()));
            if acceptor.receive(piece, &mut answer, |_, _| Ok(())).is_err() {
                break;
            }
            left = rest;
        }
        let most = MOST.get() - before;
        prop_assert!(most <= STRANGER, "{most}");
    }
}

/// The test is able to fail: postcard by itself takes a mebibyte for each map that claims to be large.
#[test]
fn the_counter_counts() {
    let mut claims = Vec::new();
    for _ in 0..8 {
        claims.extend([0xff, 0xff, 0xff, 0x7f, 0]);
    }
    let before = TAKEN.get();
    MOST.set(before);
    let found = postcard::from_bytes::<HashMap<u8, HashMap<u8, [u64; 16]>>>(&claims);
    assert!(found.is_err());
    assert!(MOST.get() - before > (FREE_MEMORY / 4).cast_signed(), "{}", MOST.get() - before);
}

#[test]
fn a_batch_takes_the_memory_of_its_records() {
    let mut bytes = Vec::new();
    encode_batch(&vec![7u64; 100_000], &mut bytes).expect("numbers");
    let before = TAKEN.get();
    MOST.set(before);
    let mut records = Vec::<u64>::new();
    decode_batch(&bytes, &mut records).expect("numbers");
    assert_eq!(MOST.get() - before, 800_000);
}
