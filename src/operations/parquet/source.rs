//! The rows of Parquet files.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fs::File;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use serde::{Deserialize, Serialize};

use super::columns::{listed, names, plain};
use crate::codec::Record;
use crate::id::Part;
use crate::operations::cause::cause;
use crate::operations::text_files::{cannot_read, check_paths, regular_files};
use crate::workflow::{self, Emit, Operation, Progress, Pull, Result, Saved, Share, Snapshot, Source};

/// How many rows are made records at once: some tenths of a millisecond, and what a second-level cache holds.
const ROWS_AT_ONCE: usize = 1024;

/// A source of the rows of Parquet files, read by all workers: each takes turns in row groups. It ends when all files
/// have been read.
///
/// - **Records** are anything that serde can deserialise; the fields of a struct are the columns that are read, by
///   name, and no other column is. A field that is an `Option`, or has a default, may have no column. A tuple takes all
///   columns in their order. Text, numbers, booleans, lists, structs and maps are what they are in Rust; dates, times
///   and timestamps are integers in the column's unit, or text.
/// - **Names.** As of [`TextFiles`](super::super::TextFiles): a name with `*`, `?` or `[` in it is a pattern.
/// - **Compression** of columns by Snappy, Zstandard or gzip.
/// - **Order.** The rows of a row group are in order. Which worker reads what depends on the names of the files, their
///   row groups and the number of workers alone. In a cluster, every node has to see the same files.
/// - **Memory.** A worker holds the pages that it reads of one row group, and 1,024 rows as records.
/// - **Failure.** Each row is emitted once, whatever fails, with any number of workers: what is left is a part of the
///   checkpoint, by file, row group and row. Files must not change while they are read.
///
/// ```
/// use skitter::operations::{Collected, ParquetFiles, WriteParquet};
/// use skitter::prelude::*;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Trip { from: String, minutes: u32, fare: f64 }
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Fare { fare: f64 }
///
/// let directory = tempfile::tempdir()?;
/// let runtime = skitter::Runtime::local()?;
/// let workflow = WorkflowBuilder::new();
/// let trips = |_: u64| [Trip { from: "Ghent".to_owned(), minutes: 40, fare: 12.5 }];
/// workflow.source(StreamSource::new(|| 0..2u64)).flat_map(trips).sink(WriteParquet::new(&directory), Chained);
/// runtime.deploy("write", workflow.build()?)?.wait()?;
///
/// let fares = Collected::new();
/// let workflow = WorkflowBuilder::new();
/// let files = ParquetFiles::new([directory.path().join("*.parquet")]);
/// workflow.source(files).map(|Fare { fare }| fare).collect(&fares); // one column is read
/// runtime.deploy("read", workflow.build()?)?.wait()?;
/// assert_eq!(fares.take(), [12.5, 12.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// `build()` fails when no file is named. Before the deployment starts it fails, with the path and the cause, when a
/// file cannot be read, is no Parquet file or is cut off, and when a pattern matches no file. While it runs it fails,
/// with path, row group, rows and column, when the columns do not fit the records, and when a file has changed.
pub struct ParquetFiles<T> {
    paths: Vec<PathBuf>,
    /// What the paths have been found to be, once on each node.
    files: Option<Arc<[Listed]>>,
    types: PhantomData<fn() -> T>,
}

/// A file, with the numbers of rows of its row groups.
#[derive(Debug)]
struct Listed {
    path: PathBuf,
    groups: Vec<u64>,
}

impl<T> ParquetFiles<T> {
    /// A source of the rows of these files.
    pub fn new(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        let paths = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
        ParquetFiles { paths, files: None, types: PhantomData }
    }

    fn list(&self) -> Result<Arc<[Listed]>> {
        regular_files(&self.paths)?
            .into_iter()
            .map(|path| {
                let (_, metadata) = open(&path)?;
                let groups = metadata.metadata().row_groups();
                let groups = groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).collect();
                Ok(Listed { path, groups })
            })
            .collect()
    }
}

impl<T> Clone for ParquetFiles<T> {
    fn clone(&self) -> Self {
        ParquetFiles { paths: self.paths.clone(), files: self.files.clone(), types: PhantomData }
    }
}

impl<T> std::fmt::Debug for ParquetFiles<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetFiles").field("paths", &self.paths).finish_non_exhaustive()
    }
}

fn open(path: &Path) -> Result<(File, ArrowReaderMetadata)> {
    let file = File::open(path).map_err(|error| cannot_read(path, &cause(&error)))?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())
        .map_err(|error| cannot_read(path, &format!("it is no Parquet file, or not a whole one: {}", plain(error))))?;
    Ok((file, metadata))
}

/// What is left of a row group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Split {
    path: PathBuf,
    group: usize,
    /// How many rows it has, and how many of them have been emitted.
    rows: u64,
    at: u64,
}

/// The place that a worker reads Parquet files from.
pub struct ParquetReader<T> {
    /// What is left to read; the first is at hand.
    splits: VecDeque<Split>,
    /// The file of the first split.
    file: Option<(PathBuf, File, ArrowReaderMetadata)>,
    /// What follows in the first split.
    batches: Option<ParquetRecordBatchReader>,
    /// Rows of the first split that have not been emitted yet.
    rows: std::vec::IntoIter<T>,
    progress: Progress,
    /// The number of the worker.
    share: usize,
}

impl<T> std::fmt::Debug for ParquetReader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetReader").field("splits", &self.splits).finish_non_exhaustive()
    }
}

impl<T: Record> ParquetReader<T> {
    fn new(splits: VecDeque<Split>, share: Share) -> Self {
        let total = splits.iter().map(|split| split.rows - split.at.min(split.rows)).sum();
        let progress = Progress { done: 0, total };
        ParquetReader { splits, file: None, batches: None, rows: Vec::new().into_iter(), progress, share: share.index }
    }

    /// Reads more rows of the first split.
    fn fill(&mut self) -> Result<()> {
        let Some(split) = self.splits.front() else { return Ok(()) };
        let Split { path, group, rows, at } = split;
        let wrong = |why: &str| cannot_read(path, &format!("row group {group}, from row {at}: {why}"));
        if self.file.as_ref().is_none_or(|(open, _, _)| open != path) {
            let (file, metadata) = open(path)?;
            self.file = Some((path.clone(), file, metadata));
        }
        let Some((_, file, metadata)) = &self.file else { return Ok(()) };
        let batches = match &mut self.batches {
            Some(batches) => batches,
            none => {
                let found = metadata.metadata().row_groups().get(*group).map(|group| group.num_rows());
                if found.is_none_or(|found| u64::try_from(found) != Ok(*rows)) {
                    return Err(wrong(&format!("it has changed: {rows} rows were there")));
                }
                let file = file.try_clone().map_err(|error| cannot_read(path, &cause(&error)))?;
                none.insert(batches::<T>(file, metadata, split).map_err(|why| wrong(&why))?)
            }
        };
        let Some(batch) = batches.next() else { return Err(wrong("it ends before its last row")) };
        let batch = batch.map_err(|error| wrong(&plain(error)))?;
        let read: Vec<T> = serde_arrow::from_record_batch(&batch).map_err(|error| {
            let schema = metadata.schema();
            let columns = schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type()));
            wrong(&format!("the columns do not fit the record: {}; the file has {}", plain(error), listed(columns)))
        })?;
        if read.is_empty() {
            return Err(wrong("it ends before its last row"));
        }
        self.rows = read.into_iter();
        Ok(())
    }
}

/// Reads the columns that the record has, from where the split is.
fn batches<T: Record>(
    file: File,
    metadata: &ArrowReaderMetadata,
    split: &Split,
) -> Result<ParquetRecordBatchReader, String> {
    let schema = metadata.parquet_schema();
    let columns = schema.root_schema().get_fields();
    let mask = match names::<T>() {
        None => ProjectionMask::all(),
        Some(wanted) => {
            let found = columns.iter().enumerate().filter(|(_, column)| wanted.contains(&column.name()));
            let found: Vec<usize> = found.map(|(number, _)| number).collect();
            if found.is_empty() {
                let there = listed(columns.iter().map(|column| column.name()));
                return Err(format!("it has none of the columns {}; it has {there}", listed(wanted)));
            }
            ProjectionMask::roots(schema, found)
        }
    };
    ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
        .with_row_groups(vec![split.group])
        .with_projection(mask)
        .with_batch_size(ROWS_AT_ONCE)
        .with_offset(usize::try_from(split.at).unwrap_or(usize::MAX))
        .build()
        .map_err(plain)
}

impl<T: Record> Operation for ParquetFiles<T> {
    type In = Infallible;
    type Out = T;
    const NAME: &'static str = "parquet files";

    fn check(&self) -> Result<()> {
        check_paths(&self.paths)
    }

    fn conf(&mut self) -> Result<()> {
        self.files = Some(self.list()?);
        Ok(())
    }
}

impl<T: Record> Source for ParquetFiles<T> {
    type Reader = ParquetReader<T>;

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, share: Share) -> Result<ParquetReader<T>> {
        let files = match &self.files {
            Some(files) => Arc::clone(files),
            None => self.list()?,
        };
        let all = files.iter().flat_map(|Listed { path, groups }| {
            let groups = groups.iter().enumerate().filter(|(_, rows)| **rows > 0);
            groups.map(move |(group, rows)| Split { path: path.clone(), group, rows: *rows, at: 0 })
        });
        Ok(ParquetReader::new(all.skip(share.index).step_by(share.of.max(1)).collect(), share))
    }

    fn read<E: Emit<T>>(&self, reader: &mut ParquetReader<T>, budget: usize, emit: &mut E) -> Result<Pull> {
        if reader.rows.as_slice().is_empty() {
            reader.fill()?;
        }
        let Some(split) = reader.splits.front_mut() else { return Ok(Pull::End) };
        for row in reader.rows.by_ref().take(budget.max(1)) {
            split.at += 1;
            reader.progress.done += 1;
            emit.emit(row);
        }
        if split.at >= split.rows {
            reader.splits.pop_front();
            reader.batches = None;
        }
        Ok(if reader.splits.is_empty() { Pull::End } else { Pull::More })
    }

    fn progress(&self, reader: &ParquetReader<T>) -> Option<Progress> {
        Some(reader.progress)
    }

    fn position(&self, reader: &mut ParquetReader<T>, snapshot: &mut Snapshot) -> Result<()> {
        for (number, split) in (0..).zip(&reader.splits) {
            let mut bytes = Vec::new();
            workflow::save(split, &mut bytes)?;
            snapshot.put_part(Part::Unit((reader.share as u64) << 32 | number), bytes);
        }
        Ok(())
    }

    fn resume(&self, share: Share, saved: &Saved) -> Result<ParquetReader<T>> {
        let splits = saved.units().map(|(_, mut bytes)| workflow::load(&mut bytes)).collect::<Result<_>>()?;
        Ok(ParquetReader::new(splits, share))
    }
}
