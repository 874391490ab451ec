//! The corpus in `fuzz/corpus`, and what comes of it when it is changed at random: what `cargo fuzz` does for longer.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::id::{DeploymentId, NodeId, VertexId, WorkerId};
use crate::net::{Fingerprint, Identity, Mode, Purpose};
use crate::testing::Dice;

/// How long each entry is tried, unless `SKITTER_FUZZ_SECONDS` says otherwise, which `scripts/check` does.
const TIME: Duration = Duration::from_millis(500);

/// Most bytes of an input that is made: a few frames.
const LONGEST: usize = 8 * 1024;

fn corpus(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).join(name)
}

/// All inputs of an entry, in the order of their names.
fn inputs(name: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(corpus(name)).unwrap_or_else(|error| panic!("no corpus of `{name}`: {error}"));
    let mut paths: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "the corpus of `{name}` is empty");
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// Numbers at which something changes.
const EDGES: [u32; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x0400_0000, 0x7fff_ffff, 0x8000_0000, u32::MAX];

/// An input that begins as one of the corpus and is changed a few times.
fn changed(dice: &mut Dice, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut roll = |sides: usize| dice.below(sides.max(1));
    let mut bytes = inputs[roll(inputs.len())].clone();
    for _ in 0..=roll(6) {
        let (at, length) = (roll(bytes.len() + 1), 1 + roll(16));
        let end = (at + length).min(bytes.len());
        match roll(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << roll(8),
            1 if at < bytes.len() => bytes[at] = roll(256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 => {
                let copied = bytes[at..end].to_vec();
                bytes.splice(at..at, copied);
            }
            5 => {
                let edge = EDGES[roll(EDGES.len())];
                let edge = if roll(2) == 0 { edge.to_le_bytes() } else { edge.to_be_bytes() };
                let count = (1 + roll(4)).min(bytes.len() - at);
                bytes[at..at + count].copy_from_slice(&edge[..count]);
            }
            6 => {
                let other = &inputs[roll(inputs.len())];
                let from = roll(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => drop(bytes.splice(at..at, (0..length).map(|_| roll(256) as u8).collect::<Vec<_>>())),
        }
        bytes.truncate(LONGEST);
    }
    bytes
}

/// Runs the corpus as it is, then changed, for a while. What is found is shown, and can be put into the corpus.
fn try_out(name: &str) {
    let inputs = inputs(name);
    inputs.iter().for_each(|bytes| run(name, bytes));
    let seconds = std::env::var("SKITTER_FUZZ_SECONDS").ok();
    let time = seconds.map_or(TIME, |text| Duration::from_secs(text.parse().expect("a number of seconds")));
    let (start, mut dice) = (Instant::now(), Dice::new(1));
    while start.elapsed() < time {
        let bytes = changed(&mut dice, &inputs);
        let held = std::panic::catch_unwind(|| run(name, &bytes));
        assert!(held.is_ok(), "`{name}` does not hold against b\"{}\"", bytes.escape_ascii());
    }
}

macro_rules! tried_out {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            try_out(stringify!($name));
        })*

        #[test]
        fn each_entry_is_tried_out() {
            assert_eq!(ENTRIES.map(|(name, _)| name).to_vec(), [$(stringify!($name)),*]);
            let targets = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets");
            let targets = std::fs::read_dir(targets).expect("targets");
            let mut targets: Vec<_> = targets.map(|file| file.expect("readable").file_name()).collect();
            targets.sort();
            let mut expected = [$(concat!(stringify!($name), ".rs")),*];
            expected.sort_unstable();
            assert_eq!(targets, expected, "each has a target of cargo-fuzz");
        }
    };
}

tried_out!(acceptor, dialer, claims, mapper, control, frames, batches, values, console, manifests, snapshots);

fn identity(mode: Mode, name: &str) -> Identity {
    Identity {
        name: name.parse().expect("a name"),
        mode,
        incarnation: 7,
        port: 4000,
        skitter: "0.1.0".to_owned(),
        build: Fingerprint([3; 32]),
        tags: vec!["gpu".parse().expect("a tag")],
        cores: 2,
        memory: 1 << 30,
    }
}

fn value<T: Record>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).expect("it can be written");
    bytes
}

fn batch<T: Record>(records: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_batch(records, &mut bytes).expect("they can be written");
    bytes
}

fn odd() -> Odd {
    let table = BTreeMap::from([("key".to_owned(), (true, 1.5)), (String::new(), (false, -0.0))]);
    Odd::Struct { lists: vec![vec![1, 2, 300], Vec::new()], perhaps: Some('ü'), table }
}

/// Real messages, by entry and name.
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let (one, two) = (WorkerId { vertex: VertexId(1), index: 2 }, WorkerId { vertex: VertexId(0), index: 0 });
    // In pieces of 256 bytes.
    let piecewise = |frames: &[&[u8]]| [&[255][..], &frames.concat()].concat();
    let head = |kind: u8, length: u8| [b'S', b'K', b'T', b'R', 1, kind, 0, length];
    let master = value(&identity(Mode::Master, "master@here"));
    let worker = value(&identity(Mode::Worker, "worker1@there"));
    let purposes = |purpose: Purpose| value(&(purpose, Mode::Worker.named("worker1")));
    let data = Purpose::Data { deployment: DeploymentId(3), from: 1 };
    let message = |bytes: &[u8]| {
        let length = (bytes.len() as u32 + 1).to_be_bytes();
        [&length[..], &[1], bytes].concat()
    };
    let node = NodeId { number: 1, incarnation: 9 };
    let mut seeds = vec![
        ("acceptor", "hello-and-proof", piecewise(&[&head(1, 32), &[1; 32], &head(3, 40), &[7; 40]])),
        ("acceptor", "refused", piecewise(&[&head(5, 5), b"\x07else"])),
        ("acceptor", "other-version", piecewise(&[b"SKTR\x02\x01\x00\x20", &[1; 32]])),
        ("acceptor", "tls", piecewise(&[b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])),
        ("acceptor", "web", piecewise(&[b"GET / HTTP/1.1\r\n\r\n"])),
        ("acceptor", "bytewise", [&[0][..], &head(1, 32), &[1; 32], &head(3, 40), &[7; 40]].concat()),
        ("dialer", "challenge-and-welcome", piecewise(&[&head(2, 32), &[2; 32], &head(4, 60), &[7; 60]])),
        ("dialer", "refused", piecewise(&[&head(2, 32), &[2; 32], &head(5, 7), b"\x03cookie"])),
        ("dialer", "alert", piecewise(&[b"\x15\x03\x03\x00\x02\x02\x46"])),
        ("dialer", "bytewise", [&[0][..], &head(2, 32), &[2; 32], &head(4, 60), &[7; 60]].concat()),
        ("claims", "control", [&master[..], &purposes(Purpose::Control)].concat()),
        ("claims", "data", [&master[..], &purposes(data)].concat()),
        ("claims", "worker", worker.clone()),
        ("control", "heartbeats", [[0, 0, 0, 1, 0]; 3].concat()),
        ("control", "leaving", message(&[1])),
        ("control", "release", message(&[3])),
        ("control", "prepare", message(&crate::node::fuzz::blueprint(node))),
        ("control", "too-long", [&[0x7f, 0xff, 0xff, 0xff][..], &[1]].concat()),
        ("batches", "numbers", batch(&[1u64, 2, u64::MAX])),
        ("batches", "pairs", batch(&[(1u64, 2u64), (3, 4)])),
        ("batches", "units", batch(&[(); 1000])),
        ("batches", "words", batch(&[("to".to_owned(), 1u64), ("be".to_owned(), 300)])),
        ("batches", "odd", batch(&[Odd::Unit, Odd::Deep(Box::new(odd())), Odd::Tuple(-1, 2, "x".to_owned())])),
        ("values", "odd", value(&odd())),
        ("values", "deep", value(&(0..40).fold(Odd::Unit, |odd, _| Odd::Deep(Box::new(odd))))),
        ("values", "units", value(&vec![(); 300])),
        ("values", "lists", value(&vec![vec![odd(), Odd::Unit], Vec::new()])),
        ("values", "identity", worker),
    ];
    for (name, line) in [
        ("register", "SKTRMAP 1 register worker1 4001"),
        ("renew", "SKTRMAP 1 renew worker1 4001\n"),
        ("lookup", "SKTRMAP 1 lookup worker1\n"),
        ("port", "SKTRMAP 1 port 4001\n"),
        ("taken", "SKTRMAP 1 taken\n"),
        ("version", "SKTRMAP 2 there 7\n"),
    ] {
        seeds.push(("mapper", name, line.as_bytes().to_vec()));
    }
    for (name, line) in [
        ("ping", r#"{"skitter":1,"verb":"ping"}"#),
        ("deploy", r#"{"skitter":1,"verb":"deploy","name":"hello","arguments":["--to","../5"]}"#),
        ("undeploy", r#"{"skitter":1,"verb":"undeploy","deployment":3,"patience_ms":30000}"#),
        ("workers", r#"{"skitter":1,"verb":"workers","deployment":null}"#),
        ("log", r#"{"skitter":1,"verb":"log","level":"debug"}"#),
        ("version", r#"{"skitter":2,"verb":"ping"}"#),
        ("pong", r#"{"skitter":1,"reply":"pong","pid":7,"up":true}"#),
        ("error", r#"{"skitter":1,"reply":"error","kind":"refused","message":"there is no deployment 3 here\n"}"#),
    ] {
        seeds.push(("console", name, line.as_bytes().to_vec()));
    }
    seeds.push(("snapshots", "tables", crate::runtime::fuzz_saved(one)));
    let saved =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state/v1/word%20count/20260102T030405.678Z-0a0b0c0d");
    for (entry, name, path) in [
        ("manifests", "savepoint", "manifests/00000000000000000006.json"),
        ("manifests", "checkpoint", "manifests/00000000000000000007.json"),
        ("snapshots", "first", "data/1/6/2-0"),
        ("snapshots", "second", "data/1/6/2-1"),
    ] {
        seeds.push((entry, name, std::fs::read(format!("{saved}/{path}")).expect("readable")));
    }
    for (name, bytes) in crate::runtime::fuzz_seeds(one, two, &batch(&[("to".to_owned(), 1u64)])) {
        seeds.push(("frames", name, bytes));
    }
    seeds
}

/// The corpus begins with real messages. After a change of their bytes, `SKITTER_WRITE_CORPUS=1` writes them anew.
#[test]
fn the_corpus_has_real_messages() {
    let mut size = 0;
    for (entry, name, bytes) in seeds() {
        let path = corpus(entry).join(name);
        if std::env::var_os("SKITTER_WRITE_CORPUS").is_some() {
            std::fs::create_dir_all(corpus(entry)).expect("made");
            std::fs::write(&path, &bytes).expect("written");
        }
        let there = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(there == bytes, "{} is another one; do SKITTER_WRITE_CORPUS=1 cargo test the_corpus", path.display());
    }
    for (entry, _) in ENTRIES {
        size += inputs(entry).iter().map(Vec::len).sum::<usize>();
    }
    assert!(size < 200_000, "the corpus has {size} bytes");
}

/// What is to be found would be.
#[test]
fn what_goes_wrong_is_found() {
    let inputs = [b"SKTRMAP 1 port 4001".to_vec()];
    let mut dice = Dice::new(1);
    let found = (0..1_000_000).any(|_| changed(&mut dice, &inputs).windows(2).any(|pair| pair == [0xff, 0xff]));
    assert!(found, "nothing is ever changed so far");
}
