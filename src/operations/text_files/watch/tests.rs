//! Every file once, whatever comes and goes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Sizes, TextFiles, TextReader};
use super::*;
use crate::operations::WriteFile;
use crate::workflow::{Operation, Pull, React, Saved, Snapshot, Source};

const ALONE: Share = Share { index: 0, of: 1 };

fn source(path: impl AsRef<Path>) -> TextFiles {
    TextFiles::new([path]).watch_every(Duration::from_millis(1))
}

/// Reads until a whole look has found nothing.
fn read(source: &TextFiles, reader: &mut TextReader) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waits = 0;
    while waits < 2 {
        match source.read(reader, 100, &mut lines).expect("readable") {
            Pull::After(time) => {
                waits += 1;
                assert!(time <= Duration::from_millis(1));
                reader.watch.as_mut().expect("watched").next = Instant::now();
            }
            pull => assert_eq!(pull, Pull::More),
        }
    }
    lines
}

/// What the readers say of where they are, dealt out to so many.
fn resume(source: &TextFiles, readers: &mut [TextReader], of: usize) -> Vec<TextReader> {
    let mut dealt = vec![BTreeMap::new(); of];
    for reader in readers {
        let mut snapshot = Snapshot::new(1);
        source.position(reader, &mut snapshot).expect("a position");
        for (_, part, pieces) in snapshot.finish().parts {
            let crate::id::Part::Unit(number) = part else { panic!("{part:?}") };
            let to = usize::try_from(number % of as u64).expect("small");
            assert_eq!(dealt[to].insert(part, pieces.concat().into()), None, "{part:?} is there twice");
        }
    }
    let saved = dealt.into_iter().map(|parts| Saved::new(parts, 0));
    saved.enumerate().map(|(index, saved)| source.resume(Share { index, of }, &saved).expect("a reader")).collect()
}

#[test]
fn a_file_is_read_once_and_another_one_of_its_name_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let source = source(directory.path());
    fs::write(at("b"), "b1\nb2").expect("a file");
    fs::write(at("a"), "a\n").expect("a file");
    let mut reader = source.open(ALONE).expect("a reader");
    assert_eq!(read(&source, &mut reader), ["a", "b1", "b2"]);
    assert_eq!(source.progress(&reader), None);

    fs::write(at(".hidden"), "hidden").expect("a file");
    fs::write(at("empty"), "").expect("a file");
    fs::create_dir(at("below")).expect("a directory");
    fs::write(at("below/c"), "c").expect("a file");
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert!(read(&source, &mut reader).is_empty());

    fs::write(at("empty"), "no more").expect("a file");
    fs::rename(at(".hidden"), at("shown")).expect("renamed");
    assert_eq!(read(&source, &mut reader), ["no more", "hidden"]);

    fs::remove_file(at("a")).expect("removed");
    assert!(read(&source, &mut reader).is_empty());
    fs::write(at("a"), "again").expect("a file");
    assert_eq!(read(&source, &mut reader), ["again"]);
}

#[test]
fn what_is_appended_is_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a");
    fs::write(&path, "a\n").expect("a file");
    let source = source(&path);
    let mut reader = source.open(ALONE).expect("a reader");
    assert_eq!(read(&source, &mut reader), ["a"]);
    let sizes = |reader: &TextReader| {
        reader.watch.iter().flat_map(|watch| watch.seen.values().map(|seen| seen.size)).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&reader), [2]);
    fs::write(&path, "a\nb\n").expect("a file");
    assert!(read(&source, &mut reader).is_empty());
    assert_eq!(sizes(&reader), [CHANGED], "it has been said");
}

#[test]
fn parts_that_are_being_written_are_not_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let sink = WriteFile::tsv(directory.path().join("a.tsv"));
    let mut state = React::init(&sink);
    let mut none: Vec<std::convert::Infallible> = Vec::new();
    sink.react(&mut state, ("a".to_owned(), 1), &mut none).expect("written");
    sink.flush(&mut state).expect("written");
    let source = source(directory.path());
    let mut reader = source.open(ALONE).expect("a reader");
    assert!(read(&source, &mut reader).is_empty());
    sink.finish(&mut state, &mut none).expect("written");
    sink.commit(&mut state, crate::workflow::Commit::End).expect("renamed");
    assert_eq!(read(&source, &mut reader), ["a\t1"]);
}

#[test]
fn compressed_files_are_read_too() {
    use std::io::Write;
    let directory = tempfile::tempdir().expect("a directory");
    let source = source(directory.path().join("*.gz"));
    let mut reader = source.open(ALONE).expect("a reader");
    assert!(read(&source, &mut reader).is_empty());
    let file = fs::File::create(directory.path().join("a.gz")).expect("a file");
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(b"a\nb\n").expect("compressed");
    encoder.finish().expect("compressed");
    fs::write(directory.path().join("b"), "b").expect("a file");
    assert_eq!(read(&source, &mut reader), ["a", "b"]);
}

#[test]
fn a_directory_that_is_missing_is_named_and_later_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let below = directory.path().join("below");
    let mut watching = source(below.join("*.txt"));
    let message = format!("cannot read `{0}/*.txt`: directory `{0}`: No such file or directory", below.display());
    assert_eq!(watching.conf(), Err(Error::Operation(message)));
    assert!(source(directory.path().join("a[")).conf().is_err_and(|error| error.to_string().contains("pattern")));

    fs::create_dir(&below).expect("a directory");
    assert_eq!(watching.conf(), Ok(()));
    fs::write(below.join("a.txt"), "a").expect("a file");
    let mut reader = watching.open(ALONE).expect("a reader");
    assert_eq!(read(&watching, &mut reader), ["a"]);
    let away = directory.path().join("away");
    fs::rename(&below, &away).expect("renamed");
    assert!(read(&watching, &mut reader).is_empty());
    fs::write(away.join("b.txt"), "b").expect("a file");
    fs::rename(&away, &below).expect("renamed");
    assert_eq!(read(&watching, &mut reader), ["b"], "and what has been read is not forgotten");
}

#[test]
fn special_characters_of_a_directory_are_no_pattern() {
    let directory = tempfile::tempdir().expect("a directory");
    let odd = directory.path().join("a[b]*");
    fs::create_dir(&odd).expect("a directory");
    fs::write(odd.join("c"), "c").expect("a file");
    let source = source(&odd);
    assert_eq!(read(&source, &mut source.open(ALONE).expect("a reader")), ["c"]);
}

#[test]
fn a_worker_without_a_bucket_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let source = source(directory.path());
    let mut reader = source.open(Share { index: 256, of: 257 }).expect("a reader");
    assert_eq!(source.read(&mut reader, 1, &mut Vec::new()), Ok(Pull::End));
}

#[derive(Clone, Debug)]
enum Deed {
    Write(u8),
    /// Removes a file that was read before the last checkpoint.
    Remove(u8),
    /// A worker reads for some calls.
    Read(u8, u8),
    Checkpoint,
    /// All fail, and as many go on.
    Fail(u8),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        4 => any::<u8>().prop_map(Deed::Write),
        1 => any::<u8>().prop_map(Deed::Remove),
        8 => (any::<u8>(), 1u8..30).prop_map(|(reader, calls)| Deed::Read(reader, calls)),
        2 => Just(Deed::Checkpoint),
        2 => (1u8..6).prop_map(Deed::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever fails, and however many go on: each line of each file is read once.
    #[test]
    fn every_file_is_read_once(deeds in prop::collection::vec(deed(), 1..60), of in 1usize..5) {
        let directory = tempfile::tempdir().expect("a directory");
        let source = source(directory.path()).sized(Sizes { split: 7, least: 1, block: 5 });
        let mut readers: Vec<_> =
            (0..of).map(|index| source.open(Share { index, of }).expect("a reader")).collect();
        let mut expected: Vec<String> = Vec::new();
        let mut lines = Vec::new();
        // What is saved is what readers that went on at once would have; and the lines until then.
        let mut kept = (resume(&source, &mut readers, of), 0);
        let all = |lines: &[String], number: usize| lines.contains(&format!("{number} end"));
        for deed in deeds {
            match deed {
                Deed::Write(count) => {
                    let number = expected.iter().filter(|line| line.ends_with("end")).count();
                    let mut of_file: Vec<_> = (0..count % 8).map(|line| format!("{number} {line}")).collect();
                    of_file.push(format!("{number} end"));
                    let path = directory.path().join(number.to_string());
                    fs::write(path, of_file.join("\n")).expect("a file");
                    expected.extend(of_file);
                }
                Deed::Remove(number) => {
                    if all(&lines[..kept.1], number.into()) {
                        let _ = fs::remove_file(directory.path().join(number.to_string()));
                    }
                }
                Deed::Read(reader, calls) => {
                    let reader = usize::from(reader) % readers.len();
                    for _ in 0..calls {
                        let reader = &mut readers[reader];
                        reader.watch.as_mut().expect("watched").next = Instant::now();
                        source.read(reader, 2, &mut lines).expect("readable");
                    }
                }
                Deed::Checkpoint => {
                    let of = readers.len();
                    kept = (resume(&source, &mut readers, of), lines.len());
                }
                Deed::Fail(of) => {
                    readers = resume(&source, &mut kept.0, of.into());
                    kept.0 = resume(&source, &mut readers, of.into());
                    lines.truncate(kept.1);
                }
            }
        }
        for reader in &mut readers {
            lines.extend(read(&source, reader));
        }
        expected.sort_unstable();
        lines.sort_unstable();
        prop_assert_eq!(lines, expected);
    }
}
