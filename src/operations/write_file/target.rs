//! A file that is not there until it is complete.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, access};
use serde::{Deserialize, Serialize};

use crate::operations::cause::cause;
use crate::workflow::{Error, Result};

/// How much is written at once: a system call for each row would cost more than the row.
pub(super) const WRITE_BYTES: usize = 64 << 10;

/// How many names of temporary files are tried: more than a crash or two of a process of the same number can have left.
const MOST_NAMES: usize = 100;

/// Numbers the temporary files of this process.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What is wrong with a file that is to be written.
pub(super) fn cannot_write(path: &Path, why: &str) -> Error {
    Error::Outside(format!("cannot write `{}`: {why}", path.display()))
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    cannot_write(path, &cause(error))
}

/// Where the bytes go.
enum Place {
    /// To a file, by way of a temporary one beside it.
    Beside { directory: PathBuf, name: PathBuf, replaced: Option<Permissions> },
    /// To the file as it is: a pipe, a terminal, a device.
    Directly,
}

fn place(path: &Path) -> Result<Place> {
    let existing = match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(cannot_write(path, "it is a directory; name a file in it")),
        Ok(metadata) if !metadata.is_file() || opened(path) => return Ok(Place::Directly),
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(path, &error)),
    };
    // What a link leads to is replaced, not the link.
    let name =
        if existing.is_some() { fs::canonicalize(path).map_err(|error| failed(path, &error))? } else { path.into() };
    let directory = match name.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok(Place::Beside { directory, name, replaced: existing })
}

/// Whether the path leads to an open file of this process: that one is meant, though it may be a regular file.
fn opened(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"].iter().any(|open| path.starts_with(open))
}

/// Finds out what can be known about a path before anything is written.
pub(super) fn check(path: &Path) -> Result<()> {
    let may = |checked: &Path, rights| access(checked, rights).map_err(|error| failed(path, &error.into()));
    match place(path)? {
        Place::Directly => may(path, Access::WRITE_OK),
        Place::Beside { directory, name, replaced } => {
            if name.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
                return Err(cannot_write(path, "it is not the name of a file"));
            }
            match fs::metadata(&directory) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => return Err(cannot_write(path, &format!("`{}` is not a directory", directory.display()))),
                Err(error) => {
                    let why = format!("directory `{}`: {}", directory.display(), cause(&error));
                    return Err(cannot_write(path, &why));
                }
            }
            if replaced.is_some() {
                may(&name, Access::WRITE_OK)?;
            }
            may(&directory, Access::WRITE_OK | Access::EXEC_OK)
        }
    }
}

/// A file that is being written. Dropped before it is [complete](Target::complete), it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Target {
    /// As the user named it.
    path: PathBuf,
    file: File,
    part: Option<Part>,
    /// What has not been written yet.
    pub buffer: Vec<u8>,
}

/// The temporary file, and what it becomes.
#[derive(Debug)]
struct Part {
    /// None once it has its name.
    temporary: Option<PathBuf>,
    name: PathBuf,
    /// The first checkpoint that somebody could go on at with this file; then it is not removed.
    kept: Option<u64>,
    /// What it was begun with, until a checkpoint can do without that.
    before: Option<PathBuf>,
}

/// What a checkpoint knows of a temporary file: enough to go on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    temporary: PathBuf,
    /// Device and number on it, which stay when the file gets its name.
    inode: (u64, u64),
    length: u64,
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(temporary) = self.temporary.take().filter(|_| self.kept.is_none()) {
            // Nobody is left to tell that it cannot be removed; its name says what it is.
            let _ = fs::remove_file(temporary);
        }
    }
}

impl Target {
    /// Makes the temporary file.
    pub fn open(path: &Path) -> Result<Target> {
        check(path)?;
        let (file, part) = match place(path)? {
            // A file that standard output was redirected to is not emptied, and what others append to it stays.
            Place::Directly => (File::options().append(true).open(path), None),
            Place::Beside { directory, name, replaced } => {
                let (temporary, file) = temporary(&directory, &name).map_err(|error| failed(path, &error))?;
                let part = Part { temporary: Some(temporary), name, kept: None, before: None };
                let allowed = match replaced {
                    Some(permissions) => file.set_permissions(permissions),
                    None => Ok(()),
                };
                (allowed.map(|()| file), Some(part))
            }
        };
        let file = file.map_err(|error| failed(path, &error))?;
        Ok(Target { path: path.to_owned(), file, part, buffer: Vec::with_capacity(WRITE_BYTES + WRITE_BYTES / 8) })
    }

    /// Hands what is buffered to the operating system.
    pub fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all(&self.buffer);
        self.buffer.clear();
        written.map_err(|error| failed(&self.path, &error))
    }

    /// Brings all to the disk, which may report only now that it is full.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        if self.part.is_none() {
            return Ok(());
        }
        self.file.sync_all().map_err(|error| failed(&self.path, &error))
    }

    /// Says what there is, for this checkpoint, after which the temporary file stays until it is complete. Nothing of a
    /// file that is written to directly.
    pub fn keep(&mut self, checkpoint: u64) -> Option<Kept> {
        let part = self.part.as_mut()?;
        let temporary = part.temporary.clone()?;
        let metadata = self.file.metadata().ok()?;
        part.kept.get_or_insert(checkpoint);
        Some(Kept { temporary, inode: (metadata.dev(), metadata.ino()), length: metadata.len() })
    }

    /// A temporary file that begins with what an earlier one had at a checkpoint. That one stays as it is: whoever
    /// wrote it may not know yet that it is given up, and another failure may lead back to the same checkpoint.
    pub fn resume(path: &Path, kept: &Kept) -> Result<Target> {
        let mut target = Target::open(path)?;
        let Some(part) = &mut target.part else { return Ok(target) };
        let same = |path: &Path| {
            let file = File::open(path).ok()?;
            let metadata = file.metadata().ok()?;
            let is_it = (metadata.dev(), metadata.ino()) == kept.inode && metadata.len() >= kept.length;
            is_it.then_some(file)
        };
        // It has its name if the end was near.
        let Some(file) = same(&kept.temporary).or_else(|| same(&part.name)) else {
            let temporary = kept.temporary.display();
            let why = format!(
                "`{temporary}`, which holds what was written before, is not on this host, or has changed; start the \
                 worker node on the host that has it"
            );
            return Err(cannot_write(path, &why));
        };
        let copied = std::io::copy(&mut file.take(kept.length), &mut target.file);
        copied.map_err(|error| failed(path, &error))?;
        part.before = Some(kept.temporary.clone());
        Ok(target)
    }

    /// Nobody will go on before this checkpoint any more.
    pub fn forget_before(&mut self, checkpoint: u64) {
        let Some(part) = &mut self.part else { return };
        if part.kept.is_some_and(|kept| kept <= checkpoint)
            && let Some(before) = part.before.take()
        {
            // Nobody is left to tell that it cannot be removed; its name says what it is.
            let _ = fs::remove_file(before);
        }
    }

    /// Puts the file under its name, as a whole; it has been brought to the disk. Until then there is what was there
    /// before.
    pub fn complete(mut self) -> Result<()> {
        let Some(part) = &mut self.part else { return Ok(()) };
        let Some(temporary) = &part.temporary else { return Ok(()) };
        fs::rename(temporary, &part.name).map_err(|error| failed(&self.path, &error))?;
        part.temporary = None;
        if let Some(before) = part.before.take() {
            let _ = fs::remove_file(before);
        }
        Ok(())
    }
}

/// A new file with a hidden name: `.NAME.PROCESS-NUMBER.part`.
fn temporary(directory: &Path, name: &Path) -> std::io::Result<(PathBuf, File)> {
    // Cut, so that the whole stays within the 255 bytes that a name may have.
    let name: String = name.file_name().unwrap_or_default().to_string_lossy().chars().take(48).collect();
    let mut tried = 0;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".{name}.{}-{number}.part", std::process::id()));
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && tried < MOST_NAMES => tried += 1,
            Err(error) => return Err(error),
        }
    }
}
