//! Records as rows of Parquet files.

use std::convert::Infallible;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::FieldRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::{Deserialize, Serialize};
use serde_arrow::schema::{SchemaLike, TracingOptions};

use super::columns::plain;
use super::part::{Part, PartName, cannot_write};
use crate::codec::Record;
use crate::id::Part as SavedPart;
use crate::operations::cause::cause;
use crate::workflow::{self, ByHand, Commit, Emit, Error, Operation, React, Result, Saved, Snapshot};

/// How many records are made columns at once: enough that the work for each column is little beside that for its
/// values.
const ROWS_AT_ONCE: usize = 1024;

/// How large a row group becomes unless told otherwise, in bytes as they are written: 32 MiB. A worker holds one in
/// memory, and readers share a file by row groups.
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Writes records as rows of Parquet files in a directory, which is made if it is not there. Each worker writes files
/// of its own, `part-….parquet`; one is complete, and appears, with each checkpoint that there were records before, and
/// at the end. So their number depends on the interval of checkpoints: longer ones make larger files.
///
/// - **Columns** are the fields of the record, which is a struct or a tuple of numbers, text, booleans, `Option`s,
///   `Vec`s and structs of these; the columns of a tuple are `0`, `1`, …. An enum without values is text.
/// - **Compression** is Zstandard at level 3, or [Snappy](Self::snappy).
/// - **Memory.** A worker holds one row group, of up to 32 MiB or what [`row_group_bytes`](Self::row_group_bytes) says,
///   and up to 1,024 records.
///
/// **On failure** each record is in the files once: a file has a hidden name until the checkpoint behind its last
/// record is complete, and is renamed then by whoever goes on with the worker's state, which may be any number of
/// workers. So all of them have to see the same directory; where nodes share none, give the sink one worker, and start
/// it on the host that has the directory. A process that is killed may leave a hidden file, `.part-….parquet.part`,
/// which anybody may delete when no worker runs. Without checkpoints, files appear when all records have come.
///
/// # Errors
/// Before it starts, the deployment fails if the directory cannot be made or written to, or the record cannot be a row:
/// a number alone, an enum with values. While it runs it fails if a value does not fit its column, which the type of
/// the record says, and if a file cannot be written: a full disk. All name the directory and the cause.
pub struct WriteParquet<T> {
    directory: PathBuf,
    snappy: bool,
    row_group_bytes: usize,
    columns: Option<Arc<[FieldRef]>>,
    types: PhantomData<fn(T)>,
}

impl<T> WriteParquet<T> {
    /// Writes files into this directory.
    pub fn new(directory: impl AsRef<Path>) -> Self {
        WriteParquet {
            directory: directory.as_ref().to_owned(),
            snappy: false,
            row_group_bytes: ROW_GROUP_BYTES,
            columns: None,
            types: PhantomData,
        }
    }

    /// Compresses by Snappy, which takes more room and less time than Zstandard.
    #[must_use]
    pub fn snappy(mut self) -> Self {
        self.snappy = true;
        self
    }

    /// Begins another row group when one has become so large, as it is written. 32 MiB unless set.
    #[must_use]
    pub fn row_group_bytes(mut self, bytes: usize) -> Self {
        self.row_group_bytes = bytes.max(1);
        self
    }
}

/// The columns of a record.
fn columns<T: Record>(directory: &Path) -> Result<Arc<[FieldRef]>> {
    let options = TracingOptions::default()
        .allow_null_fields(true)
        .enums_without_data_as_strings(true)
        .strings_as_large_utf8(false)
        .sequence_as_large_list(false)
        .bytes_as_large_binary(false);
    let traced = Vec::<FieldRef>::from_type::<T>(options);
    traced.map(Arc::from).map_err(|error| {
        let advice = "a row is a struct or a tuple of values whose types are known";
        Error::Operation(
            cannot_write(directory, format!("the record cannot be a row: {}; {advice}", plain(error))).to_string(),
        )
    })
}

impl<T: Record> WriteParquet<T> {
    fn writer(&self) -> Result<ParquetWriter<T>> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| Error::Outside(format!("no random number: {error}")))?;
        let columns = self.columns.clone().map_or_else(|| columns::<T>(&self.directory), Ok)?;
        Ok(ParquetWriter {
            name: PartName { life: u64::from_ne_bytes(random), number: 0 },
            columns,
            rows: Vec::with_capacity(ROWS_AT_ONCE),
            part: None,
            sealed: Vec::new(),
            directory: self.directory.clone(),
        })
    }

    fn properties(&self) -> WriterProperties {
        let compression = if self.snappy {
            Compression::SNAPPY
        } else {
            Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default())
        };
        let group = Some(self.row_group_bytes);
        WriterProperties::builder().set_compression(compression).set_max_row_group_bytes(group).build()
    }

    /// Adds the records that are held to the file at hand.
    fn write(&self, writer: &mut ParquetWriter<T>) -> Result<()> {
        if writer.rows.is_empty() {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| cannot_write(&self.directory, plain(error));
        let batch = serde_arrow::to_record_batch(&writer.columns, &writer.rows).map_err(|error| failed(&error))?;
        writer.rows.clear();
        let part = match &mut writer.part {
            Some(part) => part,
            none => {
                let name = writer.name;
                writer.name.number += 1;
                let file = Part::create(&self.directory, name)?;
                let made = ArrowWriter::try_new(file, batch.schema(), Some(self.properties()));
                let made = made.inspect_err(|_| name.remove(&self.directory)).map_err(|error| failed(&error))?;
                none.insert(Part { name, writer: Some(made), directory: self.directory.clone() })
            }
        };
        match &mut part.writer {
            Some(open) => open.write(&batch).map_err(|error| failed(&error)),
            None => Ok(()),
        }
    }

    /// Completes the file at hand.
    fn seal(&self, writer: &mut ParquetWriter<T>) -> Result<()> {
        self.write(writer)?;
        if let Some(mut part) = writer.part.take() {
            part.seal()?;
            writer.sealed.push(Sealed { checkpoint: None, name: part.name });
        }
        Ok(())
    }
}

/// A complete file that may not be seen yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    /// The checkpoint with which it appears; none yet.
    checkpoint: Option<u64>,
    name: PartName,
}

/// What a checkpoint keeps of a worker.
#[derive(Serialize, Deserialize)]
struct Kept {
    sealed: Vec<Sealed>,
    /// The next file: what is there from then on will never be seen.
    next: PartName,
}

/// What a worker keeps of the files that it writes.
#[derive(Debug)]
pub struct ParquetWriter<T> {
    /// Of the next file.
    name: PartName,
    columns: Arc<[FieldRef]>,
    /// What has not been written yet.
    rows: Vec<T>,
    part: Option<Part>,
    sealed: Vec<Sealed>,
    directory: PathBuf,
}

impl<T> Drop for ParquetWriter<T> {
    fn drop(&mut self) {
        // No checkpoint knows of these.
        let unknown = self.sealed.iter().filter(|sealed| sealed.checkpoint.is_none());
        unknown.for_each(|sealed| sealed.name.remove(&self.directory));
    }
}

impl<T> Clone for WriteParquet<T> {
    fn clone(&self) -> Self {
        let (directory, columns) = (self.directory.clone(), self.columns.clone());
        WriteParquet { directory, columns, types: PhantomData, ..*self }
    }
}

impl<T> std::fmt::Debug for WriteParquet<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteParquet").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl<T: Record> Operation for WriteParquet<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "write parquet";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        if self.directory.as_os_str().is_empty() {
            return Err(Error::from("the directory to write to has an empty name"));
        }
        columns::<T>(&self.directory).map(|_| ())
    }

    fn conf(&mut self) -> Result<()> {
        self.columns = Some(columns::<T>(&self.directory)?);
        let made = fs::create_dir_all(&self.directory);
        made.map_err(|error| cannot_write(&self.directory, cause(&error)))?;
        let rights = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        let may = rustix::fs::access(&self.directory, rights);
        may.map_err(|error| cannot_write(&self.directory, cause(&error.into())))
    }
}

impl<T: Record> React for WriteParquet<T> {
    type State = ByHand<Result<ParquetWriter<T>>>;

    fn init(&self) -> Self::State {
        ByHand(self.writer())
    }

    fn react<E: Emit<Infallible>>(&self, state: &mut Self::State, record: T, _emit: &mut E) -> Result<()> {
        let writer = state.as_mut().map_err(|error| error.clone())?;
        writer.rows.push(record);
        if writer.rows.len() < ROWS_AT_ONCE { Ok(()) } else { self.write(writer) }
    }

    fn finish<E: Emit<Infallible>>(&self, state: &mut Self::State, _emit: &mut E) -> Result<()> {
        self.seal(state.as_mut().map_err(|error| error.clone())?)
    }

    fn snapshot(&self, state: &mut Self::State, snapshot: &mut Snapshot) -> Result<()> {
        let writer = state.as_mut().map_err(|error| error.clone())?;
        self.seal(writer)?;
        for sealed in &mut writer.sealed {
            sealed.checkpoint.get_or_insert(snapshot.checkpoint());
        }
        let mut bytes = Vec::new();
        workflow::save(&Kept { sealed: writer.sealed.clone(), next: writer.name }, &mut bytes)?;
        // Any worker may go on with it.
        snapshot.put_part(SavedPart::Unit(writer.name.life), bytes);
        Ok(())
    }

    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        let mut writer = self.writer()?;
        for (_, mut bytes) in saved.units() {
            let Kept { sealed, next } = workflow::load(&mut bytes)?;
            if sealed.iter().any(|sealed| !sealed.name.is_there(&self.directory)) {
                let why = "what was written before is not on this host, or was removed; start the worker node on the \
                           host that has it, or share the directory";
                return Err(cannot_write(&self.directory, why));
            }
            for name in PartName::hidden_ones(&self.directory, next.life) {
                if name.number >= next.number {
                    name.remove(&self.directory);
                }
            }
            writer.sealed.extend(sealed);
        }
        Ok(ByHand(Ok(writer)))
    }

    fn commit(&self, state: &mut Self::State, commit: Commit) -> Result<()> {
        let writer = state.as_mut().map_err(|error| error.clone())?;
        let is_due = |sealed: &Sealed| match commit {
            Commit::Checkpoint(checkpoint) => sealed.checkpoint.is_some_and(|sealed| sealed <= checkpoint),
            Commit::End => true,
        };
        for sealed in writer.sealed.iter().filter(|sealed| is_due(sealed)) {
            sealed.name.show(&self.directory)?;
        }
        writer.sealed.retain(|sealed| !is_due(sealed));
        Ok(())
    }
}
