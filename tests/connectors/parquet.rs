//! Parquet: a file has everything that it is for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use skitter::operations::{Numbers, Paced, ParquetFiles, WriteParquet};
use skitter::prelude::*;

use crate::fault::{House, ended, fates_of_a_zombie};

const COUNT: u64 = 20_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    n: u64,
    text: Option<String>,
}

fn row(n: u64) -> Row {
    Row { n, text: Some(format!("number {n}")).filter(|_| n % 7 > 0) }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.expect("an entry").path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).collect()
}

/// All rows of the files that are there, sorted.
fn rows<T: skitter::codec::Record>(directory: &Path) -> Vec<T> {
    let files = files(directory);
    if files.is_empty() { Vec::new() } else { skitter::testing::read_all(&ParquetFiles::new(files), 1).expect("rows") }
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_unstable_by_key(|row| row.n);
    rows
}

#[test]
fn each_row_is_written_and_read_once_although_operations_panic() {
    let house = House::new();
    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    workflow
        .source(Paced::new(Numbers::new(0..COUNT), 40_000))
        .inspect(move |_| once.pass(COUNT / 4))
        .map(row)
        .sink(WriteParquet::new(house.at("rows")).row_group_bytes(4000), RoundRobin);
    ended(&house.deploy(workflow)).expect("it goes on");
    assert!(fault.has_failed());
    assert!(files(&house.at("rows")).len() > 2, "files appear with their checkpoints");
    assert!(sorted(rows(&house.at("rows"))) == (0..COUNT).map(row).collect::<Vec<_>>());

    let (fault, workflow) = (house.fault(), WorkflowBuilder::new());
    let once = fault.clone();
    workflow
        .source(Paced::new(ParquetFiles::new([house.at("rows/*.parquet")]), 40_000))
        .inspect(move |_: &Row| once.pass(COUNT / 4))
        .map(|row| (row.n,))
        .write_tsv(house.at("numbers"));
    ended(&house.deploy(workflow)).expect("it goes on");
    assert!(fault.has_failed());
    let text = std::fs::read_to_string(house.at("numbers")).expect("a file");
    let mut numbers: Vec<u64> = text.lines().map(|line| line.parse().expect("a number")).collect();
    numbers.sort_unstable();
    assert!(numbers == (0..COUNT).collect::<Vec<_>>(), "{} numbers", numbers.len());
}

#[test]
fn a_worker_that_is_taken_for_dead_does_no_harm() {
    let directory = tempfile::tempdir().expect("a directory");
    let sink = WriteParquet::new(directory.path());
    fates_of_a_zombie(&sink, || rows::<(u64, u64)>(directory.path()).len() as u64);
    let mut all: Vec<(u64, u64)> = rows(directory.path());
    all.sort_unstable();
    assert_eq!(all, [(1, 2), (2, 4), (3, 6)]);
}
