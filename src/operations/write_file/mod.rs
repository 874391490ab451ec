//! Records into one file.

mod row;
mod target;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use row::{Separated, write_row};
use serde::Serialize;
use target::{Kept, Target, WRITE_BYTES, cannot_write, check};

use crate::codec::Record;
use crate::strategies::Sedentary;
use crate::workflow::{
    Behind, ByHand, Chain, Commit, Emit, Error, Operation, OutPort, React, Result, Saved, Sink, Snapshot, Stream,
};

/// Writes records to one file, which appears when it is complete.
///
/// | format | a record | as |
/// |---|---|---|
/// | [`tsv`](WriteFile::tsv) | a tuple or struct of single values, or one such value | a line, fields separated by tabs; tab, LF, CR and backslash in a field are written `\t`, `\n`, `\r`, `\\` |
/// | [`raw_tsv`](WriteFile::raw_tsv) | the same | a line, fields separated by tabs and written as they are; tab, LF or CR in a field is an error |
/// | [`csv`](WriteFile::csv) | the same | a line, fields separated by commas and quoted as by RFC 4180; lines end with LF |
/// | [`json_lines`](WriteFile::json_lines) | anything that serde can serialise | a line of JSON |
///
/// A single value is text, a number, a boolean, an enum variant without values (its name), or an `Option` of one
/// (`None` is an empty field). There is no line of titles.
///
/// The bytes go to a hidden file in the same directory, `.NAME.PROCESS-NUMBER.part`. When all records have come, that
/// file is brought to the disk and renamed: what was under the name before stays there until then, and what is there
/// after it is whole. Without records the file is empty. A pipe, a device and `/dev/stdout`
/// are written to directly.
///
/// A file has one worker, so use the strategy [`Sedentary`], as the operators do; several workers on one node are an
/// error. The order of the records is that in which the worker gets them. The file's directory has to be there on every
/// node that takes part.
///
/// **On failure** each record is in the file once. With checkpoints a worker that goes on takes over what the hidden
/// file had at the last one, so it has to be on a host that has it; and a deployment that fails in the end leaves that
/// file behind, for whoever goes on later. Without checkpoints the hidden file is removed when the deployment fails,
/// and left behind, for anybody to delete, when the process is killed. In both cases nothing changes under the final
/// name before all records have come. What is written directly stays written: at least once.
///
/// # Errors
/// Before it starts, the deployment fails if the path is a directory, or if its directory is missing or cannot be
/// written to. While it runs it fails if the record does not fit the format, with the number of the field, counted from
/// 1, and if the file cannot be written: a full disk. All name the path and the cause.
pub struct WriteFile<T> {
    path: PathBuf,
    format: Format,
    /// How many states there are on this node.
    writers: Arc<AtomicUsize>,
    types: PhantomData<fn(T)>,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Rows(Separated),
    JsonLines,
}

impl<T> Clone for WriteFile<T> {
    fn clone(&self) -> Self {
        let WriteFile { path, format, writers, types: _ } = self;
        WriteFile { path: path.clone(), format: *format, writers: Arc::clone(writers), types: PhantomData }
    }
}

impl<T> std::fmt::Debug for WriteFile<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteFile").field("path", &self.path).field("format", &self.format).finish_non_exhaustive()
    }
}

impl<T> WriteFile<T> {
    /// Tab-separated values.
    pub fn tsv(path: impl AsRef<Path>) -> Self {
        WriteFile::new(path.as_ref(), Format::Rows(Separated::Tabs))
    }

    /// Tab-separated values without escapes, as `cut`, `sort` and `awk` read them.
    pub fn raw_tsv(path: impl AsRef<Path>) -> Self {
        WriteFile::new(path.as_ref(), Format::Rows(Separated::RawTabs))
    }

    /// Comma-separated values.
    pub fn csv(path: impl AsRef<Path>) -> Self {
        WriteFile::new(path.as_ref(), Format::Rows(Separated::Commas))
    }

    /// A JSON value a line.
    pub fn json_lines(path: impl AsRef<Path>) -> Self {
        WriteFile::new(path.as_ref(), Format::JsonLines)
    }

    fn new(path: &Path, format: Format) -> Self {
        WriteFile { path: path.to_owned(), format, writers: Arc::default(), types: PhantomData }
    }

    fn state(&self, writing: Writing) -> FileState {
        self.writers.fetch_add(1, Ordering::Relaxed);
        FileState { writing, _writer: Writer(Arc::clone(&self.writers)) }
    }

    fn open(&self) -> Result<Target> {
        if self.writers.load(Ordering::Relaxed) > 1 {
            let why = "several workers would write it; distribute the operation with the strategy `Sedentary`";
            return Err(cannot_write(&self.path, why));
        }
        Target::open(&self.path)
    }
}

impl<T: Serialize> WriteFile<T> {
    fn write(&self, target: &mut Target, record: &T) -> Result<()> {
        let before = target.buffer.len();
        let written = match self.format {
            Format::Rows(separated) => {
                write_row(record, separated, &mut target.buffer).map_err(|error| error.to_string())
            }
            Format::JsonLines => serde_json::to_writer(&mut target.buffer, record)
                .map(|()| target.buffer.push(b'\n'))
                .map_err(|error| format!("the record cannot be written as JSON: {error}")),
        };
        if let Err(why) = written {
            // The fault of the record, of which nothing is left in the file.
            target.buffer.truncate(before);
            return Err(Error::Operation(cannot_write(&self.path, &why).to_string()));
        }
        if target.buffer.len() >= WRITE_BYTES { target.flush() } else { Ok(()) }
    }
}

/// What a worker keeps of the file that it writes. When it is dropped before the end, nothing is left of the file.
#[derive(Debug)]
pub struct FileState {
    writing: Writing,
    _writer: Writer,
}

#[derive(Debug)]
enum Writing {
    /// Nothing has been written yet.
    NotYet,
    Open(Target),
    /// All has been written, and is on the disk.
    Ready(Target),
    /// Writing failed: what else comes is not written either.
    Failed(Error),
    Complete,
}

/// Counts a state for as long as it lives.
#[derive(Debug)]
struct Writer(Arc<AtomicUsize>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FileState {
    /// Runs a step; if it fails by the file, that is given up.
    fn attempt(&mut self, step: impl FnOnce(&mut Writing) -> Result<()>) -> Result<()> {
        let result = step(&mut self.writing);
        if let Err(error @ Error::Outside(_)) = &result {
            self.writing = Writing::Failed(error.clone());
        }
        result
    }
}

impl<T: Send + 'static> Operation for WriteFile<T> {
    type In = T;
    type Out = Infallible;
    const NAME: &'static str = "write file";
    const OUT_PORTS: &'static [&'static str] = &[];
    const BLOCKS: bool = true;

    fn check(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() { Err(Error::from("the file to write has an empty name")) } else { Ok(()) }
    }

    fn conf(&mut self) -> Result<()> {
        check(&self.path)
    }
}

impl<T: Serialize + Send + 'static> React for WriteFile<T> {
    type State = ByHand<FileState>;

    fn init(&self) -> Self::State {
        ByHand(self.state(Writing::NotYet))
    }

    fn react<E: Emit<Infallible>>(&self, state: &mut Self::State, record: T, _emit: &mut E) -> Result<()> {
        state.attempt(|writing| {
            loop {
                match writing {
                    Writing::Open(target) => return self.write(target, &record),
                    Writing::NotYet => *writing = Writing::Open(self.open()?),
                    Writing::Failed(error) => return Err(error.clone()),
                    Writing::Ready(_) | Writing::Complete => {
                        return Err(cannot_write(&self.path, "it is complete already"));
                    }
                }
            }
        })
    }

    fn flush(&self, state: &mut Self::State) -> Result<()> {
        state.attempt(|writing| if let Writing::Open(target) = writing { target.flush() } else { Ok(()) })
    }

    fn finish<E: Emit<Infallible>>(&self, state: &mut Self::State, _emit: &mut E) -> Result<()> {
        state.attempt(|writing| {
            let mut target = match std::mem::replace(writing, Writing::Complete) {
                Writing::NotYet => self.open()?,
                Writing::Open(target) | Writing::Ready(target) => target,
                Writing::Failed(error) => return Err(error),
                Writing::Complete => return Ok(()),
            };
            target.sync()?;
            *writing = Writing::Ready(target);
            Ok(())
        })
    }

    fn snapshot(&self, state: &mut Self::State, snapshot: &mut Snapshot) -> Result<()> {
        let checkpoint = snapshot.checkpoint();
        state.attempt(|writing| {
            let is_ready = matches!(writing, Writing::Ready(_));
            match writing {
                Writing::Open(target) | Writing::Ready(target) => {
                    target.sync()?;
                    target.keep(checkpoint).map_or(Ok(()), |kept| snapshot.put(&(kept, is_ready)))
                }
                Writing::NotYet | Writing::Failed(_) | Writing::Complete => Ok(()),
            }
        })
    }

    fn restore(&self, saved: &Saved) -> Result<Self::State> {
        let Some((kept, is_ready)) = saved.whole::<(Kept, bool)>()? else { return Ok(self.init()) };
        let target = Target::resume(&self.path, &kept)?;
        Ok(ByHand(self.state(if is_ready { Writing::Ready(target) } else { Writing::Open(target) })))
    }

    fn commit(&self, state: &mut Self::State, commit: Commit) -> Result<()> {
        state.attempt(|writing| match (commit, &mut *writing) {
            (Commit::Checkpoint(checkpoint), Writing::Open(target) | Writing::Ready(target)) => {
                target.forget_before(checkpoint);
                Ok(())
            }
            (Commit::End, Writing::Ready(_)) => match std::mem::replace(writing, Writing::Complete) {
                Writing::Ready(target) => target.complete(),
                _ => Ok(()),
            },
            _ => Ok(()),
        })
    }
}

impl<C: Chain, P: OutPort<C::Out>> Stream<C, P> {
    /// Writes each record as a line of tab-separated fields to one file; see [`WriteFile`].
    ///
    /// ```
    /// use skitter::prelude::*;
    ///
    /// let directory = tempfile::tempdir()?;
    /// let path = directory.path().join("counts.tsv");
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(StreamSource::new(|| [("to".to_owned(), 2u64), ("be".to_owned(), 1)])).write_tsv(&path);
    ///
    /// let runtime = skitter::Runtime::local()?;
    /// runtime.deploy("counts", workflow.build()?)?.wait()?;
    /// assert_eq!(std::fs::read_to_string(path)?, "to\t2\nbe\t1\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_tsv(self, path: impl AsRef<Path>) -> Sink<Behind<C, P, WriteFile<P::Record>, Sedentary>>
    where
        P::Record: Record,
    {
        self.sink(WriteFile::tsv(path), Sedentary)
    }

    /// Writes each record as a line of tab-separated fields, without escapes, to one file; see [`WriteFile`].
    pub fn write_raw_tsv(self, path: impl AsRef<Path>) -> Sink<Behind<C, P, WriteFile<P::Record>, Sedentary>>
    where
        P::Record: Record,
    {
        self.sink(WriteFile::raw_tsv(path), Sedentary)
    }

    /// Writes each record as a line of comma-separated fields to one file; see [`WriteFile`].
    pub fn write_csv(self, path: impl AsRef<Path>) -> Sink<Behind<C, P, WriteFile<P::Record>, Sedentary>>
    where
        P::Record: Record,
    {
        self.sink(WriteFile::csv(path), Sedentary)
    }

    /// Writes each record as a line of JSON to one file; see [`WriteFile`].
    pub fn write_json_lines(self, path: impl AsRef<Path>) -> Sink<Behind<C, P, WriteFile<P::Record>, Sedentary>>
    where
        P::Record: Record,
    {
        self.sink(WriteFile::json_lines(path), Sedentary)
    }
}
