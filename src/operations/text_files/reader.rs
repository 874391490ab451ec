//! Reads pieces of files in blocks of whole lines.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use memchr::{memchr, memrchr};

use super::input::Input;
use super::plan::{Piece, Sizes, plan};
use super::resolve::{TextFile, cannot_read};
use crate::operations::cause::cause;
use crate::workflow::{Error, Progress, Result, Share};

/// What is read behind the end of a piece, for the rest of its last line, before more than a line is read: most lines
/// are shorter.
const SLACK: usize = 4 << 10;

/// How long a special file that has nothing to read is left alone, at first and at most: the wait doubles. A waiting
/// worker costs little at the one, and somebody who types does not notice the other.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(16);

/// What a step has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Whole lines.
    Block(String),
    /// Nothing that could be given out yet.
    On,
    /// There is nothing to read now.
    Wait(Duration),
    /// There is nothing left to read.
    End,
}

/// How a reader treats what it reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Treatment {
    /// Whether invalid UTF-8 is replaced.
    pub lossy: bool,
    /// The longest line, in bytes.
    pub longest: u64,
}

/// Reads the pieces of a share.
#[derive(Debug)]
pub(super) struct BlockReader {
    files: Arc<[TextFile]>,
    pieces: std::vec::IntoIter<Piece>,
    open: Option<Open>,
    block: usize,
    treatment: Treatment,
    /// What has been read and not given out, from `Open::start` on.
    buffer: Vec<u8>,
    /// A used buffer, to be filled again.
    spare: Vec<u8>,
    wait: Duration,
    /// Bytes of pieces that have been read through, and of all pieces; none when they cannot be known.
    progress: Option<Progress>,
}

/// A piece that is being read.
#[derive(Debug)]
struct Open {
    /// The number of the file.
    number: usize,
    file: Input,
    /// Where the first byte of the buffer stands in the file.
    start: u64,
    /// Where the piece begins and ends, if it is not read until the file ends: a line whose first byte stands at the
    /// end or behind it belongs to another one.
    bytes: Option<(u64, u64)>,
    /// How much of the buffer has been searched for a line end.
    searched: usize,
    /// Whether the first line end of the piece is still to be found.
    skipping: bool,
}

impl BlockReader {
    pub fn new(files: Arc<[TextFile]>, share: Share, sizes: Sizes, treatment: Treatment) -> Self {
        let by_size: Vec<_> = files.iter().map(|file| file.size).collect();
        let pieces = plan(&by_size, share, sizes);
        BlockReader::of(files, pieces, sizes, treatment)
    }

    /// A reader of these pieces.
    pub fn of(files: Arc<[TextFile]>, pieces: Vec<Piece>, sizes: Sizes, treatment: Treatment) -> Self {
        let total = pieces.iter().filter_map(|piece| piece.bytes).map(|(from, to)| to - from).sum();
        let unknown =
            pieces.iter().map(|piece| &files[piece.file]).any(|file| file.special || file.compression.is_some());
        BlockReader {
            progress: if unknown { None } else { Some(Progress { done: 0, total }) },
            pieces: pieces.into_iter(),
            files,
            open: None,
            block: sizes.block,
            treatment,
            buffer: Vec::new(),
            spare: Vec::new(),
            wait: SHORTEST_WAIT,
        }
    }

    /// Begins with another file, which is read as a whole; all pieces have been read through.
    pub fn begin(&mut self, file: TextFile) {
        self.pieces = vec![Piece { file: 0, bytes: file.size.map(|size| (0, size)), at: None }].into_iter();
        self.files = Arc::from([file]);
        self.progress = None;
    }

    /// Forgets the files that have been read through; gives the last one.
    pub fn ended(&mut self) -> Option<PathBuf> {
        std::mem::take(&mut self.files).last().map(|file| file.path.clone())
    }

    /// How far the reading has come; none when a special or a compressed file is read.
    pub fn progress(&self) -> Option<Progress> {
        let mut progress = self.progress?;
        if let Some(Open { start, bytes: Some((from, to)), .. }) = &self.open {
            progress.done += (start + self.buffer.len() as u64).clamp(*from, *to) - from;
        }
        Some(progress)
    }

    /// The pieces that have not been read through, from where they have been given out, each with its file.
    pub fn left(&self) -> impl Iterator<Item = (&TextFile, Piece)> {
        let open = self.open.as_ref().map(|open| {
            let at = if open.skipping { None } else { Some(open.start) };
            Piece { file: open.number, bytes: open.bytes, at }
        });
        open.into_iter().chain(self.pieces.as_slice().iter().cloned()).map(|piece| (&self.files[piece.file], piece))
    }

    /// Takes back a block that has been used up, to fill it again.
    pub fn recycle(&mut self, block: String) {
        // One long line shall not hold its memory for ever.
        if block.capacity() > self.spare.capacity() && block.capacity() <= 4 * (self.block + SLACK) {
            self.spare = block.into_bytes();
        }
    }

    /// Reads once, a block at most.
    pub fn step(&mut self) -> Result<Step> {
        let Some(mut open) = self.next_piece()? else { return Ok(Step::End) };
        let path = &self.files[open.number].path;
        if !open.file.ready() {
            return Ok(self.wait(open));
        }
        let at = open.start + self.buffer.len() as u64;
        let wanted = self.wanted(&open, at);
        let read = match open.file.read(&mut self.buffer, wanted, at) {
            Ok(read) => read as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.open = Some(open);
                return Ok(Step::On);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(self.wait(open)),
            Err(error) => return Err(cannot_read(path, &cause(&error))),
        };
        self.wait = SHORTEST_WAIT;
        let size = self.files[open.number].size;
        if let Some(size) = size
            && read == 0
            && at < size
        {
            let why = format!("it became shorter while it was read: {at} of {size} bytes were there");
            return Err(cannot_read(path, &why));
        }
        let ended = size.map_or(read == 0, |size| at + read == size);
        self.cut(open, ended)
    }

    /// Finds the lines in what was read.
    fn cut(&mut self, mut open: Open, ended: bool) -> Result<Step> {
        if open.skipping && !self.skip(&mut open) {
            if ended || open.bytes.is_some_and(|(_, to)| open.start + 1 >= to) {
                self.close(open);
            } else {
                self.open = Some(open);
            }
            return Ok(Step::On);
        }
        let fresh = open.searched.min(self.buffer.len());
        // The first line end at or behind this place of the buffer is the last one of the piece.
        let last = open.bytes.and_then(|(_, to)| usize::try_from(to - 1 - open.start).ok());
        if let Some(last) = last.filter(|last| *last < self.buffer.len()) {
            let from = last.max(fresh);
            if let Some(end) = memchr(b'\n', &self.buffer[from..]) {
                self.buffer.truncate(from + end + 1);
                return self.close_with_rest(open);
            }
        }
        if ended {
            return self.close_with_rest(open);
        }
        if let Some(end) = memrchr(b'\n', &self.buffer[fresh..]) {
            return self.give(open, fresh + end + 1);
        }
        open.searched = self.buffer.len();
        if self.buffer.len() as u64 > self.treatment.longest {
            let (start, longest) = (open.start, self.treatment.longest);
            let why = format!("the line at byte {start} is longer than {longest} bytes");
            return Err(cannot_read(&self.files[open.number].path, &why));
        }
        self.open = Some(open);
        Ok(Step::On)
    }

    /// Drops the line that the piece begins in the midst of; false when its end is not here, or not in the piece.
    fn skip(&mut self, open: &mut Open) -> bool {
        let found = memchr(b'\n', &self.buffer);
        let dropped = found.map_or(self.buffer.len(), |end| end + 1);
        open.start += dropped as u64;
        let ours = open.bytes.is_none_or(|(_, to)| open.start < to);
        if found.is_some() && ours {
            self.buffer.drain(..dropped);
            open.skipping = false;
            return true;
        }
        self.buffer.clear();
        false
    }

    /// Gives out the first `length` bytes of the buffer.
    fn give(&mut self, mut open: Open, length: usize) -> Result<Step> {
        let mut next = std::mem::take(&mut self.spare);
        next.clear();
        next.reserve(self.block + SLACK);
        next.extend_from_slice(&self.buffer[length..]);
        let mut block = std::mem::replace(&mut self.buffer, next);
        block.truncate(length);
        let start = open.start;
        open.start += length as u64;
        open.searched = self.buffer.len();
        let text = self.text(open.number, start, block)?;
        self.open = Some(open);
        Ok(Step::Block(text))
    }

    /// Gives out the whole buffer, as the last block of the piece.
    fn close_with_rest(&mut self, open: Open) -> Result<Step> {
        if self.buffer.is_empty() {
            self.close(open);
            return Ok(Step::On);
        }
        let block = std::mem::replace(&mut self.buffer, std::mem::take(&mut self.spare));
        let text = self.text(open.number, open.start, block)?;
        self.close(open);
        Ok(Step::Block(text))
    }

    /// Ends a piece. Its file stays open, in case the next piece is in it.
    fn close(&mut self, mut open: Open) {
        self.buffer.clear();
        if let (Some(progress), Some((from, to))) = (&mut self.progress, open.bytes) {
            progress.done += to - from;
        }
        match self.pieces.as_slice().first() {
            Some(next) if next.file == open.number => {
                open.begin(next);
                self.pieces.next();
                self.open = Some(open);
            }
            _ => self.open = None,
        }
    }

    /// The piece at hand, else the next one, taken out of the reader: it stays out when an error is returned.
    fn next_piece(&mut self) -> Result<Option<Open>> {
        if let Some(open) = self.open.take() {
            return Ok(Some(open));
        }
        let Some(piece) = self.pieces.next() else { return Ok(None) };
        let file = &self.files[piece.file];
        let file = Input::open(file).map_err(|error| cannot_read(&file.path, &cause(&error)))?;
        let mut open = Open { number: piece.file, file, start: 0, bytes: None, searched: 0, skipping: false };
        open.begin(&piece);
        Ok(Some(open))
    }

    /// How much to read at once: a block, but not behind the file's end and little behind the piece's.
    fn wanted(&self, open: &Open, at: u64) -> usize {
        let block = self.block as u64;
        let wanted = match (open.bytes, self.files[open.number].size) {
            (Some((_, to)), Some(size)) => {
                let in_piece = if at < to { (to - at).saturating_add(SLACK as u64) } else { block };
                block.min(in_piece).min(size.saturating_sub(at))
            }
            _ => block,
        };
        usize::try_from(wanted).unwrap_or(self.block)
    }

    fn wait(&mut self, open: Open) -> Step {
        self.open = Some(open);
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        Step::Wait(wait)
    }

    /// Bytes as text.
    fn text(&self, number: usize, start: u64, block: Vec<u8>) -> Result<String> {
        String::from_utf8(block).or_else(|error| {
            if self.treatment.lossy {
                return Ok(String::from_utf8_lossy(error.as_bytes()).into_owned());
            }
            let at = start + error.utf8_error().valid_up_to() as u64;
            let path = self.files[number].path.display();
            Err(Error::Operation(format!("`{path}` is not valid UTF-8 at byte {at}; convert it, or read it lossily")))
        })
    }
}

impl Open {
    fn begin(&mut self, piece: &Piece) {
        let from = piece.bytes.map_or(0, |(from, _)| from);
        // A line begins at `from` if the byte before it is a line end.
        self.start = from.saturating_sub(1);
        self.skipping = from > 0;
        self.bytes = piece.bytes;
        if let Some(at) = piece.at {
            (self.start, self.skipping) = (at, false);
        }
        self.searched = 0;
    }
}
