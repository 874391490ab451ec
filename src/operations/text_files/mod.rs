//! The lines of text files.

mod block;
mod compressed;
mod input;
mod plan;
mod position;
mod reader;
mod resolve;
#[cfg(test)]
mod tests;
mod watch;

use std::convert::Infallible;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use block::{TextBlock, TextLines};
use plan::Sizes;
use reader::{BlockReader, Step, Treatment};
use resolve::TextFile;
#[cfg(feature = "parquet")]
pub(super) use resolve::{cannot_read, check as check_paths, regular_files};
use watch::{Found, Watch};

use crate::workflow::{Emit, Operation, Progress, Pull, Result, Saved, Share, Snapshot, Source};

/// Longest line of a text file that is read unless told otherwise: 1 GiB. A line is held in memory as a whole, and a
/// file that has none shall not take all of it.
pub const LONGEST_TEXT_LINE: u64 = 1 << 30;

/// How often new files are looked for unless told otherwise: 1 s, which is soon for whoever waits for them, and seldom
/// for a disk.
pub const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How many blocks a call of [`Source::read`] reads at most before it lets its worker do something else: a fraction of
/// a millisecond.
const BLOCKS_A_CALL: usize = 4;

/// A source of the lines of text files, read by all workers, big files in parts. It ends when all files have been read,
/// unless it [watches](Self::watch) for others.
///
/// - **Names.** A name with `*`, `?` or `[` in it is a pattern, unless there is a file of that very name: `logs/*.txt`,
///   `**/*.txt`. As in a shell, a pattern matches no hidden files. A file that is named twice is read twice.
/// - **Lines** end with LF or CR LF, which are not part of the record; as of [`str::lines`], a last line without an end
///   is a line, blank lines are kept, and a CR elsewhere is a character like any other. A line may be up to
///   [`LONGEST_TEXT_LINE`] bytes long.
/// - **Encoding** is UTF-8; a byte order mark is not removed. Other bytes are an error, or [replaced](Self::lossy).
/// - **Compressed** files, which are those with the ending `.gz`, or `.zst` if Skitter is built with the feature
///   `zstd`, are read by one worker each, as what is in them cannot be cut. A worker that goes on with one decodes it
///   anew up to where it was.
/// - **Order.** The workers take turns in parts of up to 16 MiB, so lines of one file are in order only when one worker
///   reads it: `.parallelism(1)`. Which worker reads what depends on the names and sizes of the files and the number of
///   workers alone. In a cluster, every node has to see the same files.
/// - **Special files** (a pipe, a terminal, `/dev/stdin`) are read by one worker each, to their end, and each line is
///   passed on as it comes. While such a file has nothing to read, its worker tries again every few milliseconds, and
///   reads nothing else. A read of a file on a disk or in a network file system may wait for that.
/// - **Failure.** Each line is emitted once, whatever fails: a checkpoint knows how far each part has been read, and
///   what is left may be dealt to other workers. A special file is gone on with where it is: at most once. Files must
///   not change while they are read: what is appended to one after the start is not read, and one that becomes shorter
///   is an error.
///
/// To save the allocation that a `String` for each line takes, ask for [blocks](Self::blocks) of lines.
///
/// ```
/// use skitter::operations::Collected;
/// use skitter::prelude::*;
///
/// let directory = tempfile::tempdir()?;
/// std::fs::write(directory.path().join("a.txt"), "to be\r\nor not to be")?;
///
/// let lines = Collected::new();
/// let workflow = WorkflowBuilder::new();
/// workflow.source(TextFiles::new([directory.path().join("*.txt")])).collect(&lines);
///
/// let runtime = skitter::Runtime::local()?;
/// runtime.deploy("lines", workflow.build()?)?.wait()?;
/// assert_eq!(lines.take(), ["to be", "or not to be"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// `build()` fails when no file is named. Before the deployment starts it fails, with the path and the cause, when a
/// file is missing, is a directory or cannot be read, and when a pattern is not valid or matches no file. While it runs
/// it fails, with path and byte, on invalid UTF-8, a line that is too long, and a file that can no longer be read.
#[derive(Clone, Debug)]
pub struct TextFiles<F = AsLines> {
    paths: Vec<PathBuf>,
    /// What the paths have been found to be, once on each node.
    files: Option<Arc<[TextFile]>>,
    sizes: Sizes,
    treatment: Treatment,
    /// How often new files are looked for, if they are.
    interval: Option<Duration>,
    form: PhantomData<fn() -> F>,
}

impl TextFiles {
    /// A source of the lines of these files, each a `String`.
    pub fn new(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Self {
        TextFiles {
            paths: paths.into_iter().map(|path| path.as_ref().to_owned()).collect(),
            files: None,
            sizes: Sizes::DEFAULT,
            treatment: Treatment { lossy: false, longest: LONGEST_TEXT_LINE },
            interval: None,
            form: PhantomData,
        }
    }

    /// The same lines, many in one record: with one allocation for a block of about 64 KiB, what stands behind can work
    /// at the speed of memory.
    ///
    /// ```
    /// use skitter::prelude::*;
    /// use skitter::operations::TextBlock;
    ///
    /// let workflow = WorkflowBuilder::new();
    /// workflow
    ///     .source(TextFiles::new(["Cargo.toml"]).blocks())
    ///     .map(|block: TextBlock| block.lines().filter(|line| line.starts_with('[')).count() as u64)
    ///     .fold(0, |sum, n| *sum += n)
    ///     .print();
    /// assert!(workflow.build().is_ok());
    /// ```
    pub fn blocks(self) -> TextFiles<AsBlocks> {
        let TextFiles { paths, files, sizes, treatment, interval, form: _ } = self;
        TextFiles { paths, files, sizes, treatment, interval, form: PhantomData }
    }
}

impl<F> TextFiles<F> {
    /// Replaces what is not valid UTF-8 by U+FFFD, as [`String::from_utf8_lossy`] does, where it would be an error.
    #[must_use]
    pub fn lossy(mut self) -> Self {
        self.treatment.lossy = true;
        self
    }

    /// Reads lines of up to this many bytes; a longer one is an error. [`LONGEST_TEXT_LINE`] unless set. What is held
    /// in memory may be a block longer.
    #[must_use]
    pub fn longest_line(mut self, bytes: u64) -> Self {
        self.treatment.longest = bytes;
        self
    }

    /// Goes on when all files have been read: files that appear later are read, too, until the workflow is stopped. New
    /// ones are looked for every second ([`WATCH_INTERVAL`]).
    ///
    /// - **Names.** Of a directory that is named, all files in it are read, but no hidden ones. A pattern may match
    ///   nothing yet, and a file may be still to come; the directory that it would be in has to be there at the start.
    ///   Later it may be away for some time: that is said in the log.
    /// - **Once.** A file is known by its path, and read once, as it is when it is found. So write it under a hidden
    ///   name (or elsewhere in the same file system) and rename it when it is complete, as
    ///   [`WriteFile`](super::WriteFile) does. What is appended to it later is not read, which is said in the log. An
    ///   empty file is left alone until there is something in it. A directory, a pipe and other special files are never
    ///   read.
    /// - **Removed** files are forgotten, so one that comes under the same name later is read, if one look has found
    ///   none there. Remove a file when a checkpoint has been completed since it was read: one that is gone before it
    ///   has been read through is an error.
    /// - **Who reads what.** A file is read as a whole by one worker, which its path decides alone; so big files are
    ///   not shared, and more than 256 workers are not of use. Those that are found by one look are read in
    ///   alphabetical order by each worker. All workers have to see the same directory.
    /// - **Failure.** Each line is emitted once, whatever fails, and with any number of workers: which files have been
    ///   found is a part of the checkpoint. That takes about 24 bytes for each file that is there, and twice as much of
    ///   memory.
    ///
    /// ```
    /// use skitter::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new();
    /// workflow.source(TextFiles::new(["/var/spool/orders/*.csv.gz"]).watch()).print();
    /// assert!(workflow.build().is_ok());
    /// ```
    #[must_use]
    pub fn watch(self) -> Self {
        self.watch_every(WATCH_INTERVAL)
    }

    /// As [`watch`](Self::watch); looks for new files at this interval, a millisecond at least. All names of a
    /// directory are read at once, and each file that is the worker's is asked for its size.
    #[must_use]
    pub fn watch_every(mut self, interval: Duration) -> Self {
        self.interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    #[cfg(test)]
    fn sized(mut self, sizes: Sizes) -> Self {
        self.sizes = sizes;
        self
    }
}

impl<F: Form> Operation for TextFiles<F> {
    type In = Infallible;
    type Out = F::Record;
    const NAME: &'static str = "text files";

    fn check(&self) -> Result<()> {
        resolve::check(&self.paths)
    }

    fn conf(&mut self) -> Result<()> {
        if self.interval.is_some() {
            return watch::check(&self.paths);
        }
        self.files = Some(resolve::resolve(&self.paths)?.into());
        Ok(())
    }
}

impl<F: Form> Source for TextFiles<F> {
    type Reader = TextReader;

    fn splits(&self) -> bool {
        true
    }

    fn open(&self, share: Share) -> Result<TextReader> {
        let watch = self.interval.map(|interval| Watch::new(&self.paths, interval, share));
        let files = match &self.files {
            None if watch.is_some() => Arc::default(),
            Some(files) => Arc::clone(files),
            None => resolve::resolve(&self.paths)?.into(),
        };
        let blocks = BlockReader::new(files, share, self.sizes, self.treatment);
        Ok(TextReader { blocks, text: String::new(), at: 0, texts: Vec::new(), watch, share: share.index })
    }

    fn read<E: Emit<F::Record>>(&self, reader: &mut TextReader, budget: usize, emit: &mut E) -> Result<Pull> {
        F::read(reader, budget, emit)
    }

    fn progress(&self, reader: &TextReader) -> Option<Progress> {
        if reader.watch.is_some() { None } else { reader.blocks.progress() }
    }

    fn position(&self, reader: &mut TextReader, snapshot: &mut Snapshot) -> Result<()> {
        position::save(reader, snapshot)
    }

    fn resume(&self, share: Share, saved: &Saved) -> Result<TextReader> {
        position::load(self, share, saved)
    }
}

/// The place that a worker reads text files from.
#[derive(Debug)]
pub struct TextReader {
    blocks: BlockReader,
    /// A block whose lines are being emitted, and how much of it has been.
    text: String,
    at: usize,
    /// Blocks that were read before a failure, and whose lines are still to be emitted, the last one first.
    texts: Vec<String>,
    /// Finds other files when these have been read.
    watch: Option<Watch>,
    /// The number of the worker.
    share: usize,
}

impl TextReader {
    /// The next block.
    fn step(&mut self) -> Result<Step> {
        match self.texts.pop() {
            Some(text) => Ok(Step::Block(text)),
            None => match self.blocks.step()? {
                Step::End => self.find(),
                step => Ok(step),
            },
        }
    }

    /// Another file, behind the last one.
    fn find(&mut self) -> Result<Step> {
        let Some(watch) = self.watch.as_mut().filter(|watch| !watch.is_idle()) else { return Ok(Step::End) };
        if let Some(path) = self.blocks.ended() {
            tracing::debug!("Read `{}`", path.display());
        }
        Ok(match watch.next()? {
            Found::File(file) => {
                self.blocks.begin(file);
                Step::On
            }
            Found::On => Step::On,
            Found::Wait(time) => Step::Wait(time),
        })
    }
}

/// In what form [`TextFiles`] emits lines: [`AsLines`] or [`AsBlocks`].
pub trait Form: sealed::Form {}

/// Each line a record.
#[derive(Clone, Copy, Debug)]
pub struct AsLines;

/// Many lines a record.
#[derive(Clone, Copy, Debug)]
pub struct AsBlocks;

impl Form for AsLines {}
impl Form for AsBlocks {}

mod sealed {
    use super::{Emit, Pull, Result, TextReader};

    pub trait Form: Clone + std::fmt::Debug + 'static {
        type Record: Send + 'static;

        fn read<E: Emit<Self::Record>>(reader: &mut TextReader, budget: usize, emit: &mut E) -> Result<Pull>;
    }
}

impl sealed::Form for AsLines {
    type Record = String;

    fn read<E: Emit<String>>(reader: &mut TextReader, budget: usize, emit: &mut E) -> Result<Pull> {
        let mut left = budget.max(1);
        for _ in 0..BLOCKS_A_CALL {
            let mut lines = TextLines::new(&reader.text[reader.at..]);
            for line in lines.by_ref().take(left) {
                left -= 1;
                emit.emit(line.to_owned());
            }
            reader.at += lines.consumed();
            if reader.at < reader.text.len() {
                break;
            }
            reader.blocks.recycle(std::mem::take(&mut reader.text));
            reader.at = 0;
            match reader.step()? {
                Step::Block(text) => reader.text = text,
                Step::On => {}
                Step::Wait(time) => return Ok(Pull::After(time)),
                Step::End => return Ok(Pull::End),
            }
        }
        Ok(Pull::More)
    }
}

impl sealed::Form for AsBlocks {
    type Record = TextBlock;

    fn read<E: Emit<TextBlock>>(reader: &mut TextReader, _budget: usize, emit: &mut E) -> Result<Pull> {
        match reader.step()? {
            Step::Block(text) => emit.emit(TextBlock::from(text)),
            Step::On => {}
            Step::Wait(time) => return Ok(Pull::After(time)),
            Step::End => return Ok(Pull::End),
        }
        Ok(Pull::More)
    }
}
