//! Rows that are written are read, once each; and what others have written is.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;
use crate::codec::Record;
use crate::workflow::{ByHand, Commit, Operation, Progress, Pull, React, Result, Saved, Share, Snapshot, Source};

const ALONE: Share = Share { index: 0, of: 1 };

/// What pyarrow 26 has written: 10 rows in groups of 4, compressed by Snappy.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pyarrow.parquet")
}

fn rest<T: Record>(source: &ParquetFiles<T>, reader: &mut ParquetReader<T>) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    while source.read(reader, 3, &mut rows)? != Pull::End {}
    assert!(source.progress(reader).is_some_and(|Progress { done, total }| done == total));
    Ok(rows)
}

fn read<T: Record>(paths: &[impl AsRef<Path>], of: usize) -> Result<Vec<T>> {
    let source = ParquetFiles::new(paths);
    let shares = (0..of).map(|index| rest(&source, &mut source.open(Share { index, of })?));
    Ok(shares.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn saved(save: impl FnOnce(&mut Snapshot) -> Result<()>, checkpoint: u64) -> Saved {
    let mut snapshot = Snapshot::new(checkpoint);
    save(&mut snapshot).expect("saved");
    let parts = snapshot.finish().parts.into_iter().map(|(_, part, pieces)| (part, pieces.concat().into()));
    Saved::new(parts.collect(), 0)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "to")]
    To,
    #[serde(rename = "be")]
    Be,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Place {
    x: f64,
    y: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Trip {
    stops: Vec<i32>,
    id: u64,
    name: Option<String>,
    kind: Kind,
    fare: f64,
    small: i32,
    paid: bool,
    at: i64,
    place: Place,
}

fn trip(id: u64) -> Trip {
    let small = i32::try_from(id).expect("small");
    Trip {
        id,
        name: Some(format!("n{id}")).filter(|_| id % 3 != 2),
        kind: if id % 2 == 0 { Kind::Be } else { Kind::To },
        fare: f64::from(small) / 4.0,
        small,
        paid: id % 2 == 0,
        at: 1_767_225_600_000_000 + i64::from(small) * 1_000_000,
        stops: (0..small % 3).collect(),
        place: Place { x: f64::from(small), y: Some(-f64::from(small)).filter(|_| id != 4) },
    }
}

#[test]
fn what_pyarrow_has_written_is_read() {
    assert_eq!(read::<Trip>(&[golden()], 1).expect("readable"), (0..10).map(trip).collect::<Vec<_>>());
    // By row groups: the first share has the first and the third of them.
    let source = ParquetFiles::<Trip>::new([golden()]);
    let ids = |index| {
        let mut reader = source.open(Share { index, of: 2 }).expect("readable");
        rest(&source, &mut reader).expect("readable").iter().map(|trip| trip.id).collect::<Vec<_>>()
    };
    assert_eq!((ids(0), ids(1)), (vec![0, 1, 2, 3, 8, 9], vec![4, 5, 6, 7]));
}

#[test]
fn columns_that_are_not_asked_for_are_not_read() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Name {
        name: Option<String>,
        missing: Option<u64>,
        #[serde(default)]
        also: u8,
    }
    let rows = read::<Name>(&[golden()], 1).expect("readable");
    assert_eq!(rows[1], Name { name: Some("n1".to_owned()), missing: None, also: 0 });
    assert_eq!((rows.len(), rows[2].name.as_deref()), (10, None));
}

#[test]
fn what_does_not_fit_is_named() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Wrong {
        name: u64,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct More {
        id: u64,
        price: f64,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        a: u64,
        b: u64,
    }
    let start = format!("cannot read `{}`: row group 0, from row 0: ", golden().display());
    let error = |result: Result<usize>| result.expect_err("refused").to_string().replacen(&start, "", 1);
    let wrong = error(read::<Wrong>(&[golden()], 1).map(|rows| rows.len()));
    assert!(wrong.starts_with("the columns do not fit the record: ") && wrong.contains("$.name"), "{wrong}");
    let more = error(read::<More>(&[golden()], 1).map(|rows| rows.len()));
    assert!(more.contains("missing field `price`") && more.contains("`id: Int64`"), "{more}");
    let other = error(read::<Other>(&[golden()], 1).map(|rows| rows.len()));
    assert!(other.starts_with("it has none of the columns `a`, `b`; it has `id`, `name`, `kind`, "), "{other}");
}

#[test]
fn what_is_no_parquet_file_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file");
        let error = ParquetFiles::<Trip>::new([&path]).conf().expect_err("refused").to_string();
        error.replace(&directory.path().display().to_string(), "DIR")
    };
    let whole = fs::read(golden()).expect("a file");
    for bytes in [&b""[..], b"id,name\n1,a\n", &whole[..whole.len() - 5], &whole[..100]] {
        let error = refused(bytes);
        assert!(
            error.starts_with("cannot read `DIR/a.parquet`: it is no Parquet file, or not a whole one: "),
            "{error}"
        );
    }
    // Pages that are not what they were.
    let mut damaged = whole;
    damaged[4..200].fill(0xa5);
    fs::write(&path, damaged).expect("a file");
    let error = read::<Trip>(&[&path], 1).expect_err("damaged").to_string();
    assert!(error.contains("a.parquet`: row group 0, from row 0: "), "{error}");
    let missing = ParquetFiles::<Trip>::new([directory.path().join("*.csv")]).conf();
    assert!(missing.is_err_and(|error| error.to_string().ends_with("/*.csv`: the pattern matches no file")));
}

#[test]
fn a_file_that_changes_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    fs::copy(golden(), &path).expect("a file");
    let source = ParquetFiles::<Trip>::new([&path]);
    let mut reader = source.open(ALONE).expect("readable");
    source.read(&mut reader, 2, &mut Vec::new()).expect("readable");
    let saved = saved(|snapshot| source.position(&mut reader, snapshot), 1);
    let other = Written::new(7);
    fs::copy(&other.files()[0], &path).expect("a file");
    let mut reader = source.resume(ALONE, &saved).expect("a reader");
    let error = rest(&source, &mut reader).expect_err("changed").to_string();
    assert!(error.ends_with("row group 0, from row 2: it has changed: 4 rows were there"), "{error}");
}

/// A directory with files that were written.
struct Written {
    directory: tempfile::TempDir,
}

type Writer<T> = ByHand<Result<ParquetWriter<T>>>;

fn none() -> Vec<std::convert::Infallible> {
    Vec::new()
}

impl Written {
    fn empty() -> Self {
        Written { directory: tempfile::tempdir().expect("a directory") }
    }

    fn new(rows: u64) -> Self {
        let written = Written::empty();
        let sink = written.sink();
        let mut writer = sink.init();
        add(&sink, &mut writer, 0..rows);
        sink.finish(&mut writer, &mut none()).expect("written");
        assert!(written.files().is_empty(), "nothing is seen before all is there");
        sink.commit(&mut writer, Commit::End).expect("written");
        written
    }

    fn sink(&self) -> WriteParquet<Trip> {
        let mut sink = WriteParquet::new(self.directory.path().join("trips")).row_group_bytes(20_000);
        sink.conf().expect("a directory");
        sink
    }

    fn all(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path().join("trips")).expect("a directory");
        let mut all: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        all.sort();
        all
    }

    fn files(&self) -> Vec<PathBuf> {
        let shown = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet");
        self.all().into_iter().filter(shown).collect()
    }

    fn ids(&self) -> Vec<u64> {
        let mut ids: Vec<_> = read::<Trip>(&self.files(), 1).expect("readable").iter().map(|trip| trip.id).collect();
        ids.sort_unstable();
        ids
    }
}

fn add(sink: &WriteParquet<Trip>, writer: &mut Writer<Trip>, ids: impl IntoIterator<Item = u64>) {
    ids.into_iter().for_each(|id| sink.react(writer, trip(id), &mut none()).expect("written"));
}

#[test]
fn rows_are_what_they_were() {
    let written = Written::new(5000);
    let [file] = &written.files()[..] else { panic!("{:?}", written.files()) };
    assert_eq!(read::<Trip>(&[file], 1).expect("readable"), (0..5000).map(trip).collect::<Vec<_>>());
    let groups = {
        let source = ParquetFiles::<Trip>::new([file]);
        let counts = (0..99).map(|index| {
            let mut reader = source.open(Share { index, of: 99 }).expect("readable");
            rest(&source, &mut reader).expect("readable").len()
        });
        counts.filter(|count| *count > 0).count()
    };
    assert!(groups > 3, "row groups are bounded: there are {groups}");
}

#[test]
fn tuples_are_rows_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut sink = WriteParquet::new(directory.path()).snappy();
    sink.conf().expect("a directory");
    let mut writer = sink.init();
    let rows = [("be".to_owned(), 2u64), ("to".to_owned(), 3)];
    for row in rows.clone() {
        sink.react(&mut writer, row, &mut none()).expect("written");
    }
    sink.finish(&mut writer, &mut none()).expect("written");
    sink.commit(&mut writer, Commit::End).expect("written");
    let all = directory.path().join("*.parquet");
    assert_eq!(read::<(String, u64)>(&[all], 2).expect("readable"), rows);
}

#[test]
fn what_cannot_be_a_row_is_refused_before_the_start() {
    let error = WriteParquet::<u64>::new("x").check().expect_err("refused").to_string();
    assert!(error.starts_with("cannot write to directory `x`: the record cannot be a row: "), "{error}");
    assert!(WriteParquet::<Trip>::new("").check().is_err());
    assert!(WriteParquet::<Trip>::new("x").check().is_ok());
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = WriteParquet::<Trip>::new(file.path().join("x")).conf().expect_err("refused").to_string();
    assert!(error.ends_with(": Not a directory"), "{error}");
}

#[test]
fn files_appear_with_their_checkpoints() {
    let written = Written::empty();
    let sink = written.sink();
    let mut writer = sink.init();
    add(&sink, &mut writer, 0..2000);
    let first = saved(|snapshot| sink.snapshot(&mut writer, snapshot), 1);
    add(&sink, &mut writer, 2000..4000);
    assert_eq!((written.files().len(), written.all().len()), (0, 2));
    sink.commit(&mut writer, Commit::Checkpoint(1)).expect("renamed");
    assert_eq!(written.ids(), (0..2000).collect::<Vec<_>>());
    drop(saved(|snapshot| sink.snapshot(&mut writer, snapshot), 2));
    add(&sink, &mut writer, 4000..4500);
    assert_eq!(written.all().len(), 2);

    // The second checkpoint is never complete: another worker goes on at the first one, and again.
    for _ in 0..2 {
        let mut other = sink.restore(&first).expect("a writer");
        sink.commit(&mut other, Commit::Checkpoint(1)).expect("it has been renamed");
        assert_eq!(written.all().len(), 1, "what will never be seen is removed");
        add(&sink, &mut other, 2000..6000);
        drop(other);
        assert_eq!(written.all().len(), 1, "nobody knows of it");
    }
    let mut other = sink.restore(&first).expect("a writer");
    add(&sink, &mut other, 2000..3000);
    sink.finish(&mut other, &mut none()).expect("written");
    sink.commit(&mut other, Commit::End).expect("renamed");
    assert_eq!(written.ids(), (0..3000).collect::<Vec<_>>());

    fs::remove_dir_all(written.directory.path().join("trips")).expect("removed");
    let error = sink.restore(&first).map(|_| ()).expect_err("gone").to_string();
    assert!(error.contains("is not on this host"), "{error}");
}

#[test]
fn without_checkpoints_nothing_is_left_of_a_failure() {
    let written = Written::empty();
    let sink = written.sink();
    let mut writer = sink.init();
    add(&sink, &mut writer, 0..2000);
    sink.finish(&mut writer, &mut none()).expect("written");
    assert_eq!(written.all().len(), 1);
    drop(writer);
    assert!(written.all().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whoever goes on, and however often: each row is read once.
    #[test]
    fn every_row_is_read_once(steps in prop::collection::vec((0usize..40, 1usize..5), 0..8), of in 1usize..4) {
        let path = golden();
        let source = ParquetFiles::<Trip>::new([&path, &path]);
        let mut readers: Vec<_> =
            (0..of).map(|index| source.open(Share { index, of }).expect("readable")).collect();
        let mut rows = Vec::new();
        for (calls, of) in steps {
            let mut dealt = vec![std::collections::BTreeMap::new(); of];
            let count = readers.len();
            for call in 0..calls {
                source.read(&mut readers[call % count], 1, &mut rows).expect("readable");
            }
            for reader in &mut readers {
                let mut snapshot = Snapshot::new(1);
                source.position(reader, &mut snapshot).expect("a position");
                for (number, (_, part, pieces)) in snapshot.finish().parts.into_iter().enumerate() {
                    prop_assert_eq!(dealt[number % of].insert(part, pieces.concat().into()), None);
                }
            }
            let saved = dealt.into_iter().map(|parts| Saved::new(parts, 0));
            readers = saved
                .enumerate()
                .map(|(index, saved)| source.resume(Share { index, of }, &saved).expect("a reader"))
                .collect();
        }
        for reader in &mut readers {
            rows.extend(rest(&source, reader).expect("readable"));
        }
        let mut ids: Vec<_> = rows.iter().map(|trip| trip.id).collect();
        ids.sort_unstable();
        prop_assert_eq!(ids, (0..20).map(|number| number / 2).collect::<Vec<_>>());
    }
}
