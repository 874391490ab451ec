//! A file that is read in blocks.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::compressed::Decoded;
use super::resolve::TextFile;

/// How much more than was wanted may be read, in bytes, if a buffer has that much room left over.
const LEFT_OVER: usize = 4 << 10;

/// An open file.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    /// What is in it, if it is compressed.
    decoded: Option<Decoded>,
    special: bool,
    /// Whether it has a size, and is read by place.
    sized: bool,
}

impl Input {
    pub fn open(file: &TextFile) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true);
        if file.special {
            // Else opening a pipe waits for whoever writes to it.
            options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        }
        let opened = options.open(&file.path)?;
        let decoded = match file.compression {
            Some(compression) => Some(Decoded::new(opened.try_clone()?, compression)?),
            None => None,
        };
        Ok(Input { file: opened, decoded, special: file.special, sized: file.size.is_some() })
    }

    /// Whether a read would not wait for somebody to write. A file that cannot be polled does not wait.
    pub fn ready(&self) -> bool {
        let mut polled = [PollFd::new(&self.file, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !self.special || !matches!(poll(&mut polled, Some(&now)), Ok(0) | Err(Errno::INTR))
    }

    /// Appends up to `wanted` bytes to the buffer, from this place of a file that has a size, or is compressed. 0 is
    /// the end.
    pub fn read(&mut self, buffer: &mut Vec<u8>, wanted: usize, at: u64) -> io::Result<usize> {
        if wanted == 0 {
            return Ok(0);
        }
        if let Some(decoded) = &mut self.decoded {
            return decoded.read(buffer, wanted, at);
        }
        let held = buffer.len();
        buffer.reserve(wanted);
        if buffer.capacity() - held > wanted + LEFT_OVER {
            // After a long line there is much more room than is to be read at once.
            buffer.resize(held + wanted, 0);
            let read = if self.sized {
                rustix::io::pread(&self.file, &mut buffer[held..], at)
            } else {
                rustix::io::read(&self.file, &mut buffer[held..])
            };
            buffer.truncate(held + *read.as_ref().unwrap_or(&0));
            return Ok(read?);
        }
        // All the room there is, without writing zeros there first.
        if self.sized {
            let read = rustix::io::pread(&self.file, spare_capacity(buffer), at)?;
            // What is behind the end of the file as it was planned is not read, though it may be there by now.
            buffer.truncate(held + wanted);
            Ok(read.min(wanted))
        } else {
            Ok(rustix::io::read(&self.file, spare_capacity(buffer))?)
        }
    }
}
